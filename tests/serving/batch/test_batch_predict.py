"""Batches from their submission to their end, in real processes, against NumPy's own answers."""

from __future__ import annotations

import gzip
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_files import lines_of, write_digits, write_lines

from mlhelpers import jobs, serving
from mlhelpers.errors import DataError, JobError, ModelError, UsageError
from mlhelpers.serving.batch.state import State
from mlhelpers.storage import local_path
from mlhelpers.tfrecords import frame, serialize

Predict = Callable[..., tuple[jobs.Job, Path]]
Answer = Callable[[np.ndarray], np.ndarray]


def test_lines_of_text_come_out_in_their_order_with_their_keys(
    predict: Predict, pictures: np.ndarray, probabilities: Answer, tmp_path: Path
) -> None:
    paths = [write_lines(tmp_path / f"{n}.json", pictures[n * 100 : n * 100 + 100], n * 100) for n in range(3)]

    job, output = predict([tmp_path / "*"], "text", name="lines", output=tmp_path.parent / f"{tmp_path.name}_out")

    rows = lines_of(output)
    assert [row["key"] for row in rows] == list(range(300))
    np.testing.assert_allclose([row["probabilities"] for row in rows], probabilities(pictures), rtol=1e-4, atol=1e-6)
    resource = job.describe()
    assert resource["state"] == "SUCCEEDED"
    assert resource["predictionInput"]["dataFormat"] == "JSON"
    assert "trainingInput" not in resource
    told = resource["predictionOutput"]
    assert told["predictionCount"] == "300"
    assert told["errorCount"] == "0"
    assert told["outputPath"] == str(output)
    assert 0 < told["nodeHours"] < 0.1
    names = [path.name for path in sorted(output.iterdir())]
    assert names == [
        *(f"prediction.errors_stats-0000{n}-of-00003" for n in range(3)),
        *(f"prediction.results-0000{n}-of-00003" for n in range(3)),
    ]
    assert len(paths) == 3
    assert job.progress["unit"] == "instances"
    assert job.progress["step"] == job.progress["total_steps"] == 300
    with pytest.raises(JobError, match="is a batch prediction, which reports no metrics"):
        job.plot()


@pytest.mark.parametrize("data_format", ["tf-record", "tf-record-gzip"])
def test_the_records_of_the_digits_are_predicted_as_they_are(
    predict: Predict, pictures: np.ndarray, probabilities: Answer, tmp_path: Path, data_format: str
) -> None:
    path = write_digits(tmp_path / "test.tfrecords", pictures)
    if data_format.endswith("gzip"):
        path.write_bytes(gzip.compress(path.read_bytes()))

    job, output = predict([path], data_format)

    rows = lines_of(output)
    np.testing.assert_allclose([row["probabilities"] for row in rows], probabilities(pictures), rtol=1e-4, atol=1e-6)
    assert job.describe()["predictionOutput"]["predictionCount"] == "300"


def test_bad_lines_are_counted_and_kept_and_the_others_are_predicted(
    predict: Predict, pictures: np.ndarray, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "a.json", pictures[:200])
    lines = path.read_bytes().splitlines()
    lines[3] = b""
    lines[70] = b'{"pixels": 1}'
    lines[71] = b"no json"
    lines[199] = b'{"pixels": [], "more": 1}'
    path.write_bytes(b"\n".join(lines))

    job, output = predict([path], "text")

    errors = lines_of(output, "errors_stats")
    assert [(error["line"], error["error"].split(".")[0].split(":")[0]) for error in errors] == [
        (4, "The line is empty"),
        (71, "'pixels' has a single number"),
        (72, "The line is not JSON"),
        (200, "has 'more', which the signature does not know"),
    ]
    assert all(error["file"] == str(path) for error in errors)
    assert errors[1]["input"] == '{"pixels": 1}'
    assert [row["key"] for row in lines_of(output)] == [n for n in range(199) if n not in (3, 70, 71)]
    told = job.describe()["predictionOutput"]
    assert (told["predictionCount"], told["errorCount"]) == ("196", "4")
    assert told["firstError"].startswith(f"{path}, line 4: The line is empty")


def test_a_batch_of_which_nothing_can_be_predicted_has_failed_and_says_why(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"pixel": 1}\n' * 50)

    with pytest.raises(JobError, match=r"(?s)none of the 50 instances could be predicted.*line 1: lacks") as error:
        predict([tmp_path / "a.json"], "text", name="bad")
    assert str(error.value).startswith("The job 'bad' failed. The prediction failed: none of the 50 instances")
    assert jobs.attach("bad").describe()["predictionOutput"]["errorCount"] == "50"


def test_a_damaged_record_is_one_error_and_a_damaged_length_ends_the_job(
    predict: Predict, pictures: np.ndarray, tmp_path: Path
) -> None:
    path = write_digits(tmp_path / "a.tfrecords", pictures[:20])
    content = bytearray(path.read_bytes())
    size = len(content) // 20
    content[size * 5 + 30] ^= 1
    path.write_bytes(bytes(content))

    job, output = predict([path], "tf-record")

    (error,) = lines_of(output, "errors_stats")
    assert error["record"] == 6
    assert "is damaged at record 5" in error["error"]
    assert job.describe()["predictionOutput"]["predictionCount"] == "19"
    content[size * 7] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(JobError, match="is damaged at record 7: its length does not match its checksum"):
        predict([path], "tf-record", output=tmp_path / "second")


def test_the_first_instance_chooses_the_signature_for_all(predict: Predict, tmp_path: Path) -> None:
    zero = {"pixels": np.zeros((28, 28), int).tolist()}
    other = {"inputs": [0.0] * 784}
    (tmp_path / "a.json").write_text("".join(json.dumps(one) + "\n" for one in (zero, other, zero)))

    _, output = predict([tmp_path / "a.json"], "text", batch_size=1)

    assert len(lines_of(output)) == 2
    assert "'inputs', which the signature does not know" in lines_of(output, "errors_stats")[0]["error"]


def test_a_version_of_a_model_in_the_store_predicts(
    store: serving.ModelStore, pictures: np.ndarray, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "a.json", pictures[:3])
    job = serving.batch_predict("MNIST/v1", str(path), tmp_path / "out")

    job.wait(60, progress=False)

    assert job.describe()["predictionInput"]["versionName"] == "MNIST/v1"
    assert job.name.startswith("predict_MNIST_v1_")
    assert len(lines_of(tmp_path / "out")) == 3


def test_answers_of_another_batch_are_not_overwritten(
    predict: Predict, tiny_export: Path, pictures: np.ndarray, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "a.json", pictures[:3])
    _, output = predict([path], "text")
    before = {one.name: one.read_bytes() for one in output.iterdir()}

    with pytest.raises(UsageError, match=r"holds the answers of another batch, as prediction.errors_stats-00000"):
        serving.batch_predict(tiny_export, str(path), output)
    assert {one.name: one.read_bytes() for one in output.iterdir()} == before


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"model": "NONE"}, ModelError, "There is no model 'NONE'"),
        ({"model": "./none"}, ModelError, "does not exist"),
        ({"input_paths": "none.json"}, DataError, "There is nothing at 'none.json'"),
        ({"signature_name": "pixel"}, UsageError, "There is no signature 'pixel'. Did you mean 'pixels'"),
        ({"data_format": "tf-record"}, DataError, "It may be no TFRecord file"),
        ({"backend": "moon"}, UsageError, "There is no backend for batch predictions 'moon'. .*Known: local"),
    ],
)
def test_what_cannot_work_is_refused_before_a_job_is_made(
    tiny_export: Path, pictures: np.ndarray, tmp_path: Path, changes: dict[str, Any], kind: type, message: str
) -> None:
    path = write_lines(tmp_path / "a.json", pictures[:1])
    asked = {"model": tiny_export, "input_paths": str(path), "output_path": tmp_path / "out", **changes}

    with pytest.raises(kind, match=message):
        serving.batch_predict(**asked)
    assert jobs.list_jobs() == []
    assert not (tmp_path / "out").exists()


def test_examples_without_the_inputs_are_refused_with_what_they_have(tiny_export: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(frame(serialize({"label": 7, "image": b"1"})))

    with pytest.raises(DataError, match=r"no feature for 'inputs'. It has image, label. .*--features inputs=FEATURE"):
        serving.batch_predict(tiny_export, str(tmp_path / "a"), tmp_path / "out", data_format="tf-record")


def test_two_batches_do_not_fill_one_folder(
    tiny_export: Path, pictures: np.ndarray, tmp_path: Path, predict: Predict
) -> None:
    path = write_digits(tmp_path / "a", np.repeat(pictures, 30, axis=0))
    first = serving.batch_predict(tiny_export, str(path), tmp_path / "out", data_format="tf-record")
    while not (tmp_path / "out").is_dir():
        threading.Event().wait(0.01)

    with pytest.raises(UsageError, match="is being filled by the job"):
        serving.batch_predict(tiny_export, str(path), tmp_path / "out", data_format="tf-record", batch_size=32)
    first.wait(60, progress=False)


def test_a_cancelled_batch_goes_on_when_the_same_is_submitted_again(
    tiny_export: Path, pictures: np.ndarray, tmp_path: Path
) -> None:
    path = write_digits(tmp_path / "a", np.repeat(pictures, 60, axis=0))
    asked = {"data_format": "tf-record", "batch_size": 1}
    job = serving.batch_predict(tiny_export, path, tmp_path / "out", name="first", **asked)
    while not State(tmp_path / "out").finished():
        threading.Event().wait(0.01)
    job.cancel()
    assert job.wait(30, progress=False) is jobs.JobState.CANCELLED
    assert "predictionOutput" not in job.describe()
    done = [one.stem for one in State(tmp_path / "out").folder.glob("[0-9]*.json")]
    files = [one for number in done for one in tmp_path.glob(f"out/prediction.results-{number}-*")]
    before = {one: one.stat().st_mtime_ns for one in files}

    with pytest.raises(UsageError, match="a part of the job first, which was ended before it was done"):
        serving.batch_predict(tiny_export, write_digits(tmp_path / "b", pictures), tmp_path / "out", **asked)
    second = serving.batch_predict(tiny_export, path, tmp_path / "out", **asked)
    second.wait(60, progress=False)

    assert f"{len(before)} of " in second.log()
    assert {one: one.stat().st_mtime_ns for one in before} == before, "a finished shard was done again"
    assert second.describe()["predictionOutput"]["predictionCount"] == "18000"
    classes = [row["classes"] for row in lines_of(tmp_path / "out")]
    assert [classes[n] for n in range(0, 18000, 60)] == [classes[n] for n in range(59, 18000, 60)]
    assert len(classes) == 18000


@pytest.mark.slow
def test_a_model_without_litert_predicts_through_its_savedmodel(
    tiny_export: Path, predict: Predict, pictures: np.ndarray, probabilities: Answer, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_export, tmp_path / "model"))
    (folder / "model.tflite").unlink()
    path = write_lines(tmp_path / "a.json", pictures[:10])

    job = serving.batch_predict(folder, path, tmp_path / "out")
    job.wait(120, progress=False)

    found = [row["probabilities"] for row in lines_of(tmp_path / "out")]
    np.testing.assert_allclose(found, probabilities(pictures[:10]), rtol=1e-4, atol=1e-6)


def test_errors_name_the_file_as_an_address_where_it_was_given_as_one(tiny_export: Path, home: Path) -> None:
    path = local_path("gs://my-bucket/in/a.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"inputs": [0.0] * 784}) + "\nbad\n")

    serving.batch_predict(tiny_export, "gs://my-bucket/in/*", "gs://my-bucket/out").wait(60, progress=False)

    (error,) = lines_of(local_path("gs://my-bucket/out"), "errors_stats")
    assert (error["file"], error["line"]) == ("gs://my-bucket/in/a.json", 2)
