"""Many mammograms to small pictures, on all cores, with flat memory, going on where an earlier run ended.

Every worker reads one DICOM file, makes it small and writes its PNG file; nothing but a word comes back. No more files
are handed out than the workers can begin, so memory does not grow with their number.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from mlhelpers.datasets.cbis_ddsm.dicom import read_header, read_mammogram
from mlhelpers.datasets.cbis_ddsm.pictures import SIZE, read_png, shrink, write_png
from mlhelpers.errors import DataError, UsageError
from mlhelpers.settings import cores

__all__ = ["Job", "Outcome", "convert", "largest_frame"]

_log = logging.getLogger(__name__)

_FEW = 4  # so few are done before a worker process has started
_AHEAD = 2  # files handed out for each worker


@dataclass(frozen=True)
class Job:
    """One DICOM file to be made into one PNG file."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Outcome:
    """How a conversion went.

    Attributes:
        made: How many pictures were made now.
        kept: How many were there already, whole and made with the same frame.
        failed: DICOM file -> why it was skipped; the reason begins with the path.
    """

    made: int
    kept: int
    failed: Mapping[Path, str]


def convert(jobs: Sequence[Job], frame: tuple[int, int], workers: int | None = None) -> Outcome:
    """Make a small PNG file of each DICOM file.

    A picture that is there, whole and made with the same frame, is kept. A file that cannot be read is skipped and
    reported when it is met, and again in what is returned.

    Args:
        jobs: What to make of what.
        frame: Width and height of the black frame, as in `pictures.shrink`.
        workers: Processes; one for each core that this process may use if None.

    Returns:
        How it went.

    Raises:
        UsageError: `workers` is below 1.
        DataError: A picture cannot be written, or a worker was ended from outside.
        MissingExtraError: pydicom is not installed.
    """
    made = kept = 0
    failed: dict[Path, str] = {}
    work = ((job, frame) for job in jobs)
    with tqdm(total=len(jobs), desc="mammograms", unit=" pictures") as bar:
        for (job, _), (word, reason) in _each(_make, work, len(jobs), workers):
            if word == "failed":
                failed[job.source] = reason
                _log.warning("Skipped: %s", reason)
            made += word == "made"
            kept += word == "kept"
            bar.update()
    if failed:
        _log.warning("%d of %d mammograms were skipped; their paths stand above.", len(failed), len(jobs))
    return Outcome(made, kept, failed)


def largest_frame(sources: Sequence[Path]) -> tuple[int, int]:
    """Return width and height of the smallest frame into which every picture fits; only headers are read.

    Args:
        sources: DICOM files; those that cannot be read do not count.

    Raises:
        DataError: None of them can be read.
        MissingExtraError: pydicom is not installed.
    """
    width = height = 0
    for source in tqdm(sources, desc="sizes", unit=" headers"):
        try:
            header = read_header(source)
        except DataError:
            continue  # it is reported when it is to be converted
        width, height = max(width, header.Columns), max(height, header.Rows)
    if not width:
        raise DataError(f"None of the {len(sources)} DICOM files can be read, {sources[0]} for one.")
    return width, height


def _make(work: tuple[Job, tuple[int, int]]) -> tuple[str, str]:
    """Make one picture, in a worker; return "made", "kept" or "failed", and why."""
    job, frame = work
    if job.target.is_file():
        try:
            if read_png(job.target, frame).shape == SIZE[::-1]:
                return "kept", ""
        except DataError:
            pass  # half a picture, or one made in another way: it is made again
    try:
        image = shrink(read_mammogram(job.source), frame)
    except DataError as error:
        return "failed", str(error)
    except UsageError as error:
        return "failed", f"{job.source}: {error}"
    write_png(job.target, image, frame)
    return "made", ""


def _each(
    function: Callable[[Any], Any], work: Iterable[Any], total: int, workers: int | None
) -> Iterator[tuple[Any, Any]]:
    """Yield each piece of work with its result, in the order in which they end."""
    if workers is not None and workers < 1:
        raise UsageError(f"workers is {workers!r}; allowed is 1 or more, or nothing for one on each core.")
    count = min(workers or cores(), total)
    if count <= 1 or total <= _FEW:
        yield from ((piece, function(piece)) for piece in work)
        return
    # a fresh interpreter for each worker: a fork of a process with TensorFlow's threads can hang
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from _bounded(pool, function, iter(work), _AHEAD * count)
        except BrokenProcessPool as error:
            raise DataError(
                "A worker process was ended from outside, perhaps for want of memory: try workers=1. What is made is "
                "kept. In a script of your own, what starts workers stands below `if __name__ == '__main__':`."
            ) from error


def _bounded(
    pool: Executor, function: Callable[[Any], Any], work: Iterator[Any], most: int
) -> Iterator[tuple[Any, Any]]:
    """Yield what comes back while at most `most` pieces of work are out."""
    out: dict[Future[Any], Any] = {}
    try:
        while True:
            while len(out) < most and (piece := next(work, None)) is not None:
                out[pool.submit(function, piece)] = piece
            if not out:
                return
            for future in wait(out, return_when=FIRST_COMPLETED).done:
                yield out.pop(future), future.result()
    finally:
        for future in out:
            future.cancel()
