from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlhelpers.datasets.cbis_ddsm import conversion
from mlhelpers.datasets.cbis_ddsm.conversion import Job, convert, largest_frame
from mlhelpers.datasets.cbis_ddsm.dicom import write_mammogram
from mlhelpers.datasets.cbis_ddsm.pictures import read_png, shrink
from mlhelpers.errors import DataError, UsageError

FRAME = (50, 80)
Scan = Callable[..., NDArray[np.uint16]]


@pytest.fixture
def jobs(tmp_path: Path, scan: Scan) -> list[Job]:
    """Write three DICOM files."""
    made = [Job(tmp_path / f"{k}.dcm", tmp_path / "out" / f"{k}.png") for k in range(3)]
    for k, job in enumerate(made):
        write_mammogram(job.source, scan(seed=k), "x")
    return made


def test_each_file_becomes_its_picture(jobs: list[Job], scan: Scan) -> None:
    outcome = convert(jobs, FRAME, workers=1)

    assert (outcome.made, outcome.kept, outcome.failed) == (3, 0, {})
    for k, job in enumerate(jobs):
        np.testing.assert_array_equal(shrink(scan(seed=k), FRAME), read_png(job.target, FRAME))


def test_processes_of_their_own_do_the_same_and_memory_holds_a_few_pieces_of_work(tmp_path: Path, scan: Scan) -> None:
    jobs = [Job(tmp_path / f"{k % 7}.dcm", tmp_path / "out" / f"{k}.png") for k in range(40)]
    for k in range(7):
        write_mammogram(tmp_path / f"{k}.dcm", scan(300, 200, seed=k), "x")

    outcome = convert(jobs, (200, 300), workers=2)

    assert outcome.made == 40
    for k, job in enumerate(jobs):
        np.testing.assert_array_equal(shrink(scan(300, 200, seed=k % 7), (200, 300)), read_png(job.target))


def test_no_more_files_are_handed_out_than_workers_can_begin() -> None:
    taken, done, most = 0, 0, 0

    def work() -> Iterator[int]:
        nonlocal taken
        for k in range(1000):
            taken += 1
            yield k

    with ThreadPoolExecutor(2) as pool:
        for _ in conversion._bounded(pool, str, work(), 4):
            done += 1
            most = max(most, taken - done)

    assert done == 1000
    assert most <= 4


def test_a_second_run_keeps_what_is_whole(jobs: list[Job]) -> None:
    convert(jobs, FRAME, workers=1)
    times = [job.target.stat().st_mtime_ns for job in jobs]

    outcome = convert(jobs, FRAME, workers=1)

    assert (outcome.made, outcome.kept) == (0, 3)
    assert times == [job.target.stat().st_mtime_ns for job in jobs]


def test_a_run_that_was_stopped_goes_on(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    true = conversion.read_mammogram

    def stop_at_second(path: Path) -> Any:
        if path == jobs[1].source:
            raise KeyboardInterrupt
        return true(path)

    monkeypatch.setattr(conversion, "read_mammogram", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        convert(jobs, FRAME, workers=1)
    assert [path.name for path in jobs[0].target.parent.iterdir()] == ["0.png"]
    monkeypatch.undo()

    outcome = convert(jobs, FRAME, workers=1)

    assert (outcome.made, outcome.kept) == (2, 1)


@pytest.mark.parametrize("half", [b"", b"\x89PNG\r\n\x1a\n half a picture"])
def test_half_a_picture_is_made_again(half: bytes, jobs: list[Job], scan: Scan) -> None:
    convert(jobs, FRAME, workers=1)
    jobs[1].target.write_bytes(half)

    assert convert(jobs, FRAME, workers=1).made == 1
    np.testing.assert_array_equal(shrink(scan(seed=1), FRAME), read_png(jobs[1].target))


def test_another_frame_makes_all_again(jobs: list[Job]) -> None:
    convert(jobs, FRAME, workers=1)

    assert convert(jobs, (60, 90), workers=1).made == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_a_corrupt_file_is_named_skipped_and_counted(
    workers: int, jobs: list[Job], tmp_path: Path, scan: Scan, caplog: pytest.LogCaptureFixture
) -> None:
    jobs[1].source.write_bytes(jobs[1].source.read_bytes()[:2000])
    (tmp_path / "text.dcm").write_text("not dicom at all")
    write_mammogram(tmp_path / "huge.dcm", scan(81, 50), "x")
    jobs += [Job(tmp_path / name, tmp_path / "out" / f"{name}.png") for name in ("text.dcm", "huge.dcm", "none.dcm")]

    with caplog.at_level(logging.WARNING):
        outcome = convert(jobs, FRAME, workers=workers)

    assert outcome.made == 2
    assert set(outcome.failed) == {job.source for job in (jobs[1], *jobs[3:])}
    told = [record.getMessage() for record in caplog.records if record.name.startswith("mlhelpers")]
    for path, reason in outcome.failed.items():
        assert reason.startswith(str(path))
        assert f"Skipped: {reason}" in told
    assert told[-1] == "4 of 6 mammograms were skipped; their paths stand above."
    assert "does not fit into the frame of 50x80" in outcome.failed[tmp_path / "huge.dcm"]


def test_a_target_that_cannot_be_written_ends_the_run_and_says_so(jobs: list[Job], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")

    with pytest.raises(DataError, match=r"0.png cannot be written: .*Choose a folder you may write to"):
        convert(jobs, FRAME, workers=1)


def test_a_worker_that_is_killed_is_told(tmp_path: Path) -> None:
    work = iter(range(9))

    with pytest.raises(DataError, match=r"A worker process was ended from outside, .*workers=1. What is made is kept"):
        list(conversion._each(os._exit, work, 9, 2))


@pytest.mark.parametrize("workers", [0, -2])
def test_an_impossible_number_of_workers_is_refused(workers: int, jobs: list[Job]) -> None:
    with pytest.raises(UsageError, match=f"workers is {workers}; allowed is 1 or more"):
        convert(jobs, FRAME, workers=workers)


def test_the_largest_frame_holds_the_widest_and_the_highest_picture(tmp_path: Path, scan: Scan) -> None:
    sizes = [(70, 40), (50, 60), (20, 20)]
    for k, (height, width) in enumerate(sizes):
        write_mammogram(tmp_path / f"{k}.dcm", scan(height, width), "x")
    (tmp_path / "3.dcm").write_text("no dicom")

    assert largest_frame([tmp_path / f"{k}.dcm" for k in range(4)]) == (60, 70)
    with pytest.raises(DataError, match=r"None of the 1 DICOM files can be read, .*3.dcm for one"):
        largest_frame([tmp_path / "3.dcm"])
