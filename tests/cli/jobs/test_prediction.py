"""`mlhelpers jobs submit prediction`, and what the other commands show of such a job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlhelpers import jobs, serving

Run = Callable[..., Any]


@pytest.fixture
def words(run: Run, store: serving.ModelStore, tmp_path: Path) -> tuple[str, ...]:
    """Return the command for three lines, one of them bad, through MNIST of the store."""
    lines = [{"inputs": [level / 10] * 784, "key": level} for level in range(2)]
    path = tmp_path / "in" / "a.json"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "bad\n")
    given = ("--model", "MNIST", "--input-paths", f"{path.parent}/*", "--output-path", "gs://my-bucket/out")
    return ("submit", "prediction", "digits", *given)


def test_a_prediction_is_followed_to_its_end_and_its_answers_are_in_the_bucket(
    run: Run, words: tuple[str, ...], home: Path
) -> None:
    answer = run(*words, "--data-format", "TEXT", "--stream-logs", "--labels", "team=blue")

    assert answer.code == 0, answer.err
    assert "2 predicted, 1 not; the answers are in" in answer.out
    assert "submitted successfully" in answer.err
    assert "the signature 'serving_default'" in answer.err
    (results,) = (home / "buckets" / "my-bucket" / "out").glob("prediction.results-*")
    assert [json.loads(line)["key"] for line in results.read_text().splitlines()] == [0, 1]
    resource = yaml.safe_load(run("describe", "digits").out)
    assert resource["labels"] == {"team": "blue"}
    assert resource["predictionInput"]["modelName"] == "MNIST"
    assert resource["predictionOutput"]["predictionCount"] == "2"
    assert "digits" in run("list").out


def test_the_summary_has_the_services_table(run: Run, words: tuple[str, ...]) -> None:
    run(*words, "--data-format", "text", "--stream-logs")

    out = run("describe", "digits", "--summarize").out

    header = next(line for line in out.splitlines() if "PREDICTION_COUNT" in line)
    assert header.replace("|", " ").split() == ["ERROR_COUNT", "NODE_HOURS", "OUTPUT_PATH", "PREDICTION_COUNT"]
    row = out.splitlines()[out.splitlines().index(header) + 2].replace("|", " ").split()
    assert (row[0], row[2], row[3]) == ("1", "gs://my-bucket/out", "2")
    assert "First error: " in out
    for title in ("Job Overview", "Prediction Input Summary", "Prediction Output Summary", "Replicas"):
        assert title in out.splitlines()


def test_without_following_the_answer_is_the_jobs_name_and_state(run: Run, words: tuple[str, ...]) -> None:
    answer = run(*words, "--data-format", "text", "--async")

    assert yaml.safe_load(answer.out) == {"jobId": "digits", "state": "QUEUED"}
    jobs.attach("digits").wait(60, progress=False)


def test_every_flag_of_the_original_command_reaches_the_request(run: Run, words: tuple[str, ...]) -> None:
    answer = run(
        *words,
        *("--version", "v1", "--data-format", "TEXT", "--batch-size", "8", "--max-worker-count", "1"),
        *("--signature-name", "pixels", "--region", "us-central1", "--runtime-version", "1.14", "--dry-run"),
    )

    request = yaml.safe_load(answer.out)
    assert request["predictionInput"] == {
        "versionName": "MNIST/v1",
        "dataFormat": "JSON",
        "outputDataFormat": "JSON",
        "inputPaths": [words[6]],
        "outputPath": "gs://my-bucket/out",
        "maxWorkerCount": "1",
        "batchSize": "8",
        "signatureName": "pixels",
        "region": "us-central1",
        "runtimeVersion": "1.14",
    }
    assert request["local"]["prediction"]["workers"] == 1
    assert jobs.list_jobs() == []


@pytest.mark.parametrize(
    ("extra", "code", "message"),
    [
        (("--data-format", "csv"), 2, "There is no data format 'csv'"),
        (("--data-format", "text", "--model-dir", "x"), 2, "both were given"),
        (("--data-format", "text", "--version", "v2"), 1, "There is no MNIST version 'v2'"),
        (("--data-format", "text", "--async", "--stream-logs"), 2, "give one of the two"),
        (("--data-format", "text", "--features", "a=b"), 2, "a line of text has none"),
        (("--data-format", "tf-record", "--features", "pixels"), 2, "Write INPUT=FEATURE"),
        (("--data-format", "text", "--batch-size", "0"), 2, "0 is not in the range"),
        ((), 2, "Missing option '--data-format'"),
    ],
)
def test_what_cannot_be_is_refused(
    run: Run, words: tuple[str, ...], extra: tuple[str, ...], code: int, message: str
) -> None:
    answer = run(*words, *extra)

    assert answer.code == code
    assert message in answer.err


def test_a_version_goes_with_a_model_alone(run: Run, tiny_export: Path) -> None:
    given = ("--input-paths", "a", "--output-path", "o", "--data-format", "text")
    answer = run("submit", "prediction", "digits", "--model-dir", str(tiny_export), "--version", "v1", *given)

    assert answer.code == 2
    assert "it goes with --model, not with --model-dir" in answer.err
