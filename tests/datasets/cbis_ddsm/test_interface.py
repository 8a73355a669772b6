"""What `load`, `prepare` and `request` promise, for phantoms and for a download."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mlhelpers.datasets import cbis_ddsm, records
from mlhelpers.datasets.cbis_ddsm import drawn
from mlhelpers.datasets.cbis_ddsm.folders import patient_of
from mlhelpers.datasets.cbis_ddsm.pictures import read_png
from mlhelpers.errors import DataError, UsageError

Scan = Callable[..., NDArray[np.uint16]]


def _labels(path: Path) -> list[int]:
    return [record["label"] for record in records.read_records(path)]  # type: ignore[misc]


def _patients(folder: Path) -> set[str]:
    return {patient_of(path.stem[2:]) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare the phantoms once; tests only read them."""
    folder = tmp_path_factory.mktemp("phantoms")
    cbis_ddsm.prepare(folder)
    return folder


def test_no_patient_has_pictures_in_two_parts() -> None:
    split = cbis_ddsm.load()
    patients = [set(part["patient"].tolist()) for part in (split.train, split.validation, split.test)]

    assert sum(map(len, patients)) == len(set.union(*patients))


def test_the_default_is_400_and_120_phantoms_that_say_so() -> None:
    split = cbis_ddsm.load()

    assert split.source == "synthetic"
    assert (len(split.train["labels"]) + len(split.validation["labels"]), len(split.test["labels"])) == (400, 120)
    assert split.train["images"].shape[1:] == (128, 95)
    assert (split.train["images"].dtype, split.train["labels"].dtype) == (np.uint16, np.int64)
    for part in (split.train, split.validation, split.test):
        assert all(case.startswith("Phantom-") for case in part["case"].tolist())


def test_phantoms_are_drawn_once_and_kept_in_the_local_store(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawings: list[str] = []
    small = (np.ones((1, 128, 95), np.uint16), np.zeros(1, np.int64), ["Phantom-Test_P_1_LEFT_CC"], ["Phantom_P_1"])
    monkeypatch.setattr(drawn.phantoms, "arrays", lambda part: drawings.append(part) or small)
    draw = drawn.part.__wrapped__  # without what this process remembers

    once, again = draw("test"), draw("test")

    assert drawings == ["test"]
    assert all(np.array_equal(once[name], again[name]) for name in ("images", "labels", "case", "patient"))
    (kept,) = (home / "cache" / "cbis_ddsm").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    draw("test")
    assert drawings == ["test", "test"]


def test_what_is_loaded_cannot_be_changed_for_the_next_caller() -> None:
    with pytest.raises(ValueError, match="read-only"):
        cbis_ddsm.load().test["images"][0] = 0


def test_png_names_are_density_and_case_and_their_content_is_the_picture(phantoms: Path) -> None:
    test = cbis_ddsm.load().test
    names = {f"{label + 1}_{case}.png" for label, case in zip(test["labels"], test["case"], strict=True)}

    assert {path.name for path in (phantoms / "small_test").iterdir()} == names
    first = phantoms / "small_test" / f"{test['labels'][0] + 1}_{test['case'][0]}.png"
    np.testing.assert_array_equal(test["images"][0], read_png(first))
    assert len(list((phantoms / "small_train").iterdir())) == 400


def test_records_hold_label_and_48640_bytes_of_float32(phantoms: Path) -> None:
    test = cbis_ddsm.load().test
    pictures = {image.tobytes(): label for image, label in zip(test["images"], test["labels"].tolist(), strict=True)}

    read = list(records.read_records(phantoms / "cache" / "ddsm_eval.tfrecords"))

    assert len(read) == 120
    for record in read:
        assert set(record) == {"image", "label"}
        assert len(record["image"]) == 48_640
        levels = np.frombuffer(record["image"], "<f4").reshape(128, 95)
        assert pictures.pop(levels.astype(np.uint16).tobytes()) == record["label"]
    assert not pictures


def test_records_are_shuffled_so_that_a_batch_holds_all_densities(phantoms: Path) -> None:
    labels = _labels(phantoms / "cache" / "ddsm_train.tfrecords")

    assert set(labels[:20]) == {0, 1, 2, 3}
    assert sorted(labels) == [0] * 100 + [1] * 100 + [2] * 100 + [3] * 100


def test_another_seed_shuffles_otherwise_and_without_shuffling_the_order_is_the_originals(
    download: Path, tmp_path: Path
) -> None:
    for name, options in {"0": {}, "again": {}, "1": {"seed": 5}, "plain": {"shuffle": False}}.items():
        cbis_ddsm.prepare(tmp_path / name, "tcia", images=download, split="official", workers=1, **options)
    order = {name: _labels(tmp_path / name / "cache" / "ddsm_train.tfrecords") for name in ("0", "again", "1", "plain")}

    assert order["0"] == order["again"]
    assert order["0"] != order["1"]
    assert order["plain"] == sorted(order["0"]) != order["0"]


def test_a_download_becomes_pictures_records_and_a_report(download: Path, tmp_path: Path) -> None:
    files = cbis_ddsm.prepare(tmp_path / "out", "tcia", images=download, workers=1)

    train, test = tmp_path / "out" / "small_train", tmp_path / "out" / "small_test"
    assert len([*train.iterdir()]) + len([*test.iterdir()]) == 20
    assert not _patients(train) & _patients(test)
    assert len(_patients(test)) == 4  # one of each density
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["pictures"] == {"train": 12, "test": 8}
    assert (report["frame"], report["rows"], report["skipped"]) == ("40x69", 20, [])
    assert files[:3] == [
        tmp_path / "out" / "cache" / "ddsm_train.tfrecords",
        tmp_path / "out" / "cache" / "ddsm_eval.tfrecords",
        tmp_path / "out" / "report.json",
    ]


def test_the_official_split_is_tcias(download: Path, tmp_path: Path) -> None:
    cbis_ddsm.prepare(tmp_path / "out", "tcia", images=download, split="official", workers=1)

    assert _patients(tmp_path / "out" / "small_test") == {"P_00008", "P_00009"}


def test_preparing_again_with_another_split_leaves_no_picture_on_both_sides(download: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cbis_ddsm.prepare(out, "tcia", images=download, split="official", workers=1)
    files = cbis_ddsm.prepare(out, "tcia", images=download, split="patient", seed=3, workers=1)

    assert not _patients(out / "small_train") & _patients(out / "small_test")
    assert sorted(path for path in out.rglob("*") if path.is_file()) == sorted(files)
    assert json.loads((out / "report.json").read_text())["kept"] == 20  # moved, not made again


def test_pictures_of_something_else_in_the_output_folder_are_refused(
    download: Path, tmp_path: Path, phantoms: Path
) -> None:
    stranger = tmp_path / "out" / "small_train" / "1_Phantom-Training_P_00001_LEFT_CC.png"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(next((phantoms / "small_train").iterdir()).read_bytes())

    with pytest.raises(DataError, match=f"{stranger} is left from something else: .* Choose another output folder"):
        cbis_ddsm.prepare(tmp_path / "out", "tcia", images=download, workers=1)


def test_a_corrupt_file_is_reported_and_what_an_earlier_run_made_of_it_goes(
    download: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    cbis_ddsm.prepare(out, "tcia", images=download, split="official", workers=1)
    broken = sorted(download.rglob("*.dcm"))[0]
    broken.write_bytes(broken.read_bytes()[:2000])

    with caplog.at_level(logging.WARNING):
        files = cbis_ddsm.prepare(out, "tcia", images=download, split="official", frame="100x100", workers=1)

    assert f"Skipped: {broken}" in caplog.text
    assert "1 of 20 mammograms were skipped" in caplog.text
    report = json.loads((out / "report.json").read_text())
    assert report["skipped"][0].startswith(str(broken))
    assert sum(report["pictures"].values()) == 19
    assert len(files) == 3 + 19 == len([path for path in out.rglob("*") if path.is_file()])


def test_cases_that_are_not_in_the_download_are_counted_with_an_example(
    download: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = sorted(download.rglob("*.dcm"))[0]
    gone.unlink()

    with caplog.at_level(logging.WARNING):
        cbis_ddsm.prepare(tmp_path / "out", "tcia", images=download, workers=1)

    assert "1 of the 20 mammograms of the lists are not below" in caplog.text
    assert json.loads((tmp_path / "out" / "report.json").read_text())["not_in_download"] == [
        gone.relative_to(download).parts[0]
    ]


def test_density_0_is_told_by_name(
    download: Path, tmp_path: Path, write_list: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    write_list(tmp_path / "download" / "calc_case_description_test_set.csv", [("Calc-Test_P_01743_RIGHT_CC", 0)])

    with caplog.at_level(logging.WARNING):
        cbis_ddsm.prepare(tmp_path / "out", "tcia", images=download, workers=1)

    assert "Left out: 1 with density 0, which BI-RADS does not know: Calc-Test_P_01743_RIGHT_CC." in caplog.text
    assert json.loads((tmp_path / "out" / "report.json").read_text())["density_0"] == ["Calc-Test_P_01743_RIGHT_CC"]


def test_lists_may_lie_elsewhere_and_one_alone_will_do(download: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    one = (download.parent / "mass_case_description_train_set.csv").rename(
        lists / "mass_case_description_train_set.csv"
    )

    for k, given in enumerate((lists, one)):
        cbis_ddsm.prepare(tmp_path / str(k), "tcia", images=download, case_lists=given, workers=1)
        assert json.loads((tmp_path / str(k) / "report.json").read_text())["rows"] == 16


def test_what_was_prepared_is_loaded_and_asked_for(download: Path, tmp_path: Path) -> None:
    cbis_ddsm.prepare(tmp_path / "out", "tcia", images=download, workers=1)

    split = cbis_ddsm.load("tcia", prepared=tmp_path / "out")
    (instance,) = cbis_ddsm.request(1, "tcia", prepared=tmp_path / "out")

    assert split.source == "tcia"
    assert len(split.test["labels"]) == 8
    assert np.array(instance["image"]).shape == (128, 95)


def test_a_request_is_pictures_of_whole_numbers_whose_densities_take_turns() -> None:
    test = cbis_ddsm.load().test

    instances = cbis_ddsm.request(8)

    by_content = {image.tobytes(): label for image, label in zip(test["images"], test["labels"].tolist(), strict=True)}
    images = [np.array(instance["image"], np.uint16) for instance in instances]
    assert [by_content[image.tobytes()] for image in images] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [set(instance) for instance in instances] == [{"image"}] * 8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda out: cbis_ddsm.prepare(out, "tcia"),
            "The source 'tcia' needs a download: give its folder with --images",
        ),
        (lambda out: cbis_ddsm.prepare(out, images=out), "images is '.*', which belongs to the source 'tcia'"),
        (
            lambda out: cbis_ddsm.prepare(out, split="official"),
            "split is 'official', which belongs to the source 'tcia'",
        ),
        (
            lambda out: cbis_ddsm.prepare(out, "tcia", images=out, split="pateint"),
            "no split 'pateint'. Did you mean 'patient'",
        ),
        (lambda out: cbis_ddsm.prepare(out, "tcia", images=out, frame="big"), "'big' is no size"),
        (
            lambda out: cbis_ddsm.load("tcia"),
            r"load\('tcia', prepared=FOLDER\).*mlhelpers data prepare cbis_ddsm --source tcia",
        ),
        (lambda out: cbis_ddsm.load(prepared=out), "prepared is '.*', which belongs to the source 'tcia'"),
    ],
)
def test_wrong_usage_is_refused_with_the_way_out(call: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        call(tmp_path)


def test_a_download_that_is_not_there_is_told_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no folder .*nowhere: give the folder of a download from TCIA"):
        cbis_ddsm.prepare(tmp_path / "out", "tcia", images=tmp_path / "nowhere")


def test_missing_lists_are_told_with_the_ways_to_get_them(download: Path, tmp_path: Path) -> None:
    for path in download.parent.glob("*.csv"):
        path.unlink()

    with pytest.raises(
        DataError, match=r"no case list in .*Download mass_case_description_train_set.csv.*MLHELPERS_MIRROR"
    ):
        cbis_ddsm.prepare(tmp_path / "out", "tcia", images=download)


def test_a_download_that_holds_none_of_the_listed_is_told(download: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match="holds none of the 20 mammograms of the case lists"):
        cbis_ddsm.prepare(tmp_path / "out", "tcia", images=tmp_path / "empty", case_lists=download.parent)


def test_a_download_with_one_official_part_alone_is_told_to_split_by_patient(download: Path, tmp_path: Path) -> None:
    (download.parent / "mass_case_description_train_set.csv").unlink()

    with pytest.raises(DataError, match=r"leaves the train part without a picture: .*Try split='patient'"):
        cbis_ddsm.prepare(tmp_path / "out", "tcia", images=download, split="official", workers=1)


def test_where_every_file_is_corrupt_nothing_is_pretended(download: Path, tmp_path: Path) -> None:
    for path in download.rglob("*.dcm"):
        path.write_text("no dicom")

    with pytest.raises(DataError, match=r"None of the 20 mammograms below .* could be read"):
        cbis_ddsm.prepare(tmp_path / "out", "tcia", images=download, frame="99x99", workers=1)


def test_a_prepared_folder_without_pictures_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no picture named <density>_<case>.png. Write them first"):
        cbis_ddsm.load("tcia", prepared=tmp_path)


@pytest.mark.parametrize(
    ("case", "patient"),
    [
        ("Mass-Test_P_00173_LEFT_CC", "P_00173"),
        ("Calc-Training_P_00173_RIGHT_MLO", "P_00173"),
        ("Phantom-Test_P_00207_LEFT_CC", "Phantom_P_00207"),
        ("something", "something"),
    ],
)
def test_a_patient_is_read_from_the_name_whatever_the_list(case: str, patient: str) -> None:
    assert patient_of(case) == patient


@pytest.mark.mirror
def test_the_mirrors_lists_and_the_real_files_walk_the_whole_road(
    mirror: Path, real_dicom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLHELPERS_MIRROR", str(mirror))

    cbis_ddsm.prepare(tmp_path / "out", "tcia", images=real_dicom, workers=1)

    split = cbis_ddsm.load("tcia", prepared=tmp_path / "out")
    shipped = cbis_ddsm.real_examples()
    together = np.concatenate([split.train["images"], split.test["images"]])
    names = np.concatenate([split.train["case"], split.test["case"]])
    order = np.argsort(names)
    np.testing.assert_array_equal(shipped["case"], names[order])
    np.testing.assert_array_equal(shipped["images"], together[order])
