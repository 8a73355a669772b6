"""data/README.md has a row for each shipped file, and each row is true."""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
import subprocess
from pathlib import Path

import pytest

from mlhelpers import datasets

_REPOSITORY = Path(__file__).resolve().parent.parent
_DATA = _REPOSITORY / "data"
_COLUMNS = ["file", "what", "shape", "dtype", "origin", "licence", "sha256", "real or synthetic"]
_IDX_TYPES = {0x08: "uint8"}


def _rows() -> dict[str, dict[str, str]]:
    lines = [line for line in (_DATA / "README.md").read_text("utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    start = cells.index(_COLUMNS)
    rows = {}
    for row in cells[start + 2 :]:
        if len(row) != len(_COLUMNS):
            break
        rows[row[0]] = dict(zip(_COLUMNS, row, strict=True))
    return rows


_ROWS = _rows()


def _shipped() -> set[str]:
    """What git keeps, or would keep, below data/."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "data"]
    listed = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    present = [line for line in listed if (_REPOSITORY / line).is_file()]
    return {line.removeprefix("data/") for line in present} - {"README.md"}


def test_each_shipped_file_has_a_row_and_each_row_a_file() -> None:
    assert _shipped() == set(_ROWS)


@pytest.mark.parametrize("file", _ROWS)
def test_a_rows_checksum_is_the_files(file: str) -> None:
    assert hashlib.sha256((_DATA / file).read_bytes()).hexdigest() == _ROWS[file]["sha256"]


@pytest.mark.parametrize("file", _ROWS)
def test_a_row_is_complete(file: str) -> None:
    row = _ROWS[file]

    assert all(row.values()), row
    assert row["real or synthetic"].split(",")[0].split(";")[0] in ("real", "synthetic", "trained")


@pytest.mark.parametrize("file", [file for file in _ROWS if "idx" in file])
def test_the_shape_of_an_idx_file_is_what_its_own_header_says(file: str) -> None:
    with gzip.open(_DATA / file) as stream:
        _, _, kind, axes = stream.read(4)
        shape = struct.unpack(f">{axes}I", stream.read(4 * axes))
        rest = len(stream.read())

    assert _ROWS[file]["shape"] == str(shape)
    assert _ROWS[file]["dtype"] == _IDX_TYPES[kind]
    count = 1
    for length in shape:
        count *= length
    assert rest == count


def test_the_unpacked_files_are_the_originals_by_their_md5() -> None:
    text = (_DATA / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| ([\w-]+-ubyte) \| ([\d,]+) \| ([0-9a-f]{32}) \|$", text, flags=re.MULTILINE)

    assert len(rows) == 4
    for name, size, md5 in rows:
        content = gzip.decompress((_DATA / "mnist" / f"{name}.gz").read_bytes())
        assert (len(content), hashlib.md5(content).hexdigest()) == (int(size.replace(",", "")), md5)


def test_the_code_expects_the_checksums_that_the_table_tells() -> None:
    for name in datasets.names():
        for file in filter(lambda file: file.is_shipped, datasets.get(name).FILES.values()):
            assert _ROWS[f"{name}/{file.name}"]["sha256"] == file.sha256
            assert (_DATA / name / file.name).stat().st_size == file.size_bytes
