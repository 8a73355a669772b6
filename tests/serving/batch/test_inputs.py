"""Which files are read, what they have to begin with, and where answers may go."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mlhelpers.errors import DataError, UsageError
from mlhelpers.serving.batch.inputs import changed_since, check_format, check_output, find_inputs, results_in, stamps
from mlhelpers.storage import local_path
from mlhelpers.tfrecords import frame


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    for name in ("part-1", "part-2", "other", "part-more/deep"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text("1\n")
    (made / ".part-3.0123abcd.part").write_text("being written")
    return made


def test_a_trailing_star_is_every_file_that_begins_so_in_folders_too(folder: Path) -> None:
    found = find_inputs([f"{folder}/part*"])

    assert [str(path.relative_to(folder)) for path in found] == ["part-1", "part-2", "part-more/deep"]


def test_a_file_that_is_named_twice_counts_once_at_its_first_place(folder: Path) -> None:
    found = find_inputs([f"{folder}/part-2", f"{folder}/part-*"])

    assert [path.name for path in found] == ["part-2", "part-1", "deep"]


def test_an_address_is_a_file_of_the_local_store(home: Path) -> None:
    path = local_path("gs://my-bucket/a.json")
    path.parent.mkdir(parents=True)
    path.write_text("1")

    assert find_inputs(["gs://my-bucket/a*"]) == [path]


def test_a_folder_a_star_in_the_middle_and_a_missing_file_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"is a folder. Write .*in/\* for its files"):
        find_inputs([str(folder)])
    with pytest.raises(UsageError, match=r"a \* may stand at its end alone"):
        find_inputs([f"{folder}/p*t-1"])
    with pytest.raises(DataError, match=r"Did you mean .*/in/part-1"):
        find_inputs([f"{folder}/prat-1"])
    (folder / "other").write_text("")
    with pytest.raises(DataError, match="The input is empty"):
        find_inputs([f"{folder}/other"])


def test_a_file_of_another_format_is_told_before_anything_starts(tmp_path: Path) -> None:
    text, packed, records = tmp_path / "a.json", tmp_path / "a.gz", tmp_path / "a.tfrecords"
    text.write_text('{"key": 1, "inputs": [1, 2, 3]}\n')
    packed.write_bytes(gzip.compress(b"1"))
    records.write_bytes(frame(b"1"))
    for path, data_format in ((text, "text"), (packed, "tf-record-gzip"), (records, "tf-record")):
        check_format([path], data_format)

    with pytest.raises(DataError, match="It may be no TFRecord file; for lines of JSON give --data-format text"):
        check_format([text], "tf-record")
    with pytest.raises(DataError, match="unpack it with  gunzip"):
        check_format([packed], "text")
    with pytest.raises(DataError, match="give --data-format tf-record-gzip"):
        check_format([packed], "tf-record")
    with pytest.raises(DataError, match="is not compressed with gzip"):
        check_format([records], "tf-record-gzip")


@pytest.mark.parametrize(
    ("output", "inputs", "message"),
    [
        ("in", ["in/part-1"], "is the folder of the input part-1"),
        ("in/out", ["in/*"], "lies among the inputs"),
        ("in/part-out", ["in/part*"], "lies among the inputs"),
        ("in/other", ["in/part-1"], "is a file"),
    ],
)
def test_answers_do_not_go_where_inputs_are_looked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, output: str, inputs: list[str], message: str
) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UsageError, match=message):
        check_output(output, inputs, find_inputs(inputs))


def test_a_link_to_the_folder_of_the_inputs_is_that_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)

    with pytest.raises(UsageError, match="is the folder of the input part-1"):
        check_output(str(tmp_path / "link"), [], find_inputs([f"{folder}/part-1"]))


def test_a_folder_beside_the_inputs_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)

    assert check_output("in/out", ["in/part*"], find_inputs(["in/part*"])) == folder / "out"


def test_answers_of_any_batch_are_known_by_their_names(tmp_path: Path) -> None:
    for name in ("prediction.results-00000-of-00002", "prediction.errors_stats-00001-of-00002", "prediction.txt"):
        (tmp_path / name).touch()

    assert results_in(tmp_path) == ["prediction.errors_stats-00001-of-00002", "prediction.results-00000-of-00002"]
    assert results_in(tmp_path / "none") == []


def test_a_change_of_an_input_is_seen(folder: Path) -> None:
    known = stamps(find_inputs([f"{folder}/part*"]))
    assert changed_since(known) is None

    (folder / "part-2").write_text("1\n2\n")
    assert changed_since(known) == str(folder / "part-2")
    (folder / "part-1").unlink()
    assert changed_since(known) == str(folder / "part-1")
