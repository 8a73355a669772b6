from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from mlhelpers.datasets.cbis_ddsm.dicom import read_header, read_mammogram, write_mammogram
from mlhelpers.errors import DataError, MissingExtraError, UsageError

CASE = "Mass-Test_P_00173_LEFT_CC"
Scan = Callable[..., NDArray[np.uint16]]


@pytest.fixture
def file(tmp_path: Path, scan: Scan) -> Path:
    path = tmp_path / "scan.dcm"
    write_mammogram(path, scan(), CASE, rle=False)
    return path


def _change(path: Path, **values: Any) -> None:
    dataset = pydicom.dcmread(path)
    for name, value in values.items():
        setattr(dataset, name, value)
    dataset.save_as(path)


@pytest.mark.parametrize("rle", [False, True])
def test_what_is_written_is_read_again_level_for_level(rle: bool, tmp_path: Path, scan: Scan) -> None:
    write_mammogram(tmp_path / "scan.dcm", scan(), CASE, rle=rle)

    pixels = read_mammogram(tmp_path / "scan.dcm")

    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(scan(), pixels)


def test_rle_files_are_really_compressed_and_carry_tcias_attributes(tmp_path: Path) -> None:
    write_mammogram(tmp_path / "black.dcm", np.zeros((200, 100), np.uint16), CASE)

    header = pydicom.dcmread(tmp_path / "black.dcm")

    assert header.file_meta.TransferSyntaxUID == pydicom.uid.RLELossless
    assert (tmp_path / "black.dcm").stat().st_size < 200 * 100
    assert (header.PatientID, header.SeriesDescription, header.Modality) == (CASE, "full mammogram images", "MG")


def test_real_files_are_decoded_as_their_run_lengths_say(real_dicom: Path) -> None:
    """The oracle decodes RLE by hand, after DICOM PS3.5 annex G: two segments, the high bytes and the low ones."""
    path = real_dicom / "sfm-malign-0" / "1-282.dcm"
    dataset = pydicom.dcmread(path)
    data = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    offsets = np.frombuffer(data, "<u4", 16)
    ends = (int(offsets[2]), len(data))
    high, low = (_unpack(data[int(offsets[k + 1]) : ends[k]], dataset.Rows * dataset.Columns) for k in (0, 1))

    pixels = read_mammogram(path)

    np.testing.assert_array_equal((high.astype(np.uint16) << 8 | low).reshape(pixels.shape), pixels)


def _unpack(data: bytes, n: int) -> NDArray[np.uint8]:
    out, at = bytearray(), 0
    while len(out) < n:
        head = data[at]
        if head < 128:
            out += data[at + 1 : at + head + 2]
            at += head + 2
        else:
            out += data[at + 1 : at + 2] * (257 - head)
            at += 2
    return np.frombuffer(bytes(out[:n]), np.uint8)


def test_the_real_files_have_the_sizes_and_the_range_of_film_scans(real_dicom: Path) -> None:
    headers = [read_header(path) for path in sorted(real_dicom.rglob("*.dcm"))]

    assert [(header.Rows, header.Columns) for header in headers] == [
        (4432, 2864), (4464, 2848), (4560, 2864), (4536, 2920), (4736, 2624), (4680, 2576), (4688, 2592), (4672, 2632),
    ]  # fmt: skip


@pytest.mark.parametrize(("bits", "white"), [(16, 65535), (12, 4095)])
def test_monochrome1_is_turned_round(bits: int, white: int, tmp_path: Path) -> None:
    path = tmp_path / "scan.dcm"
    write_mammogram(path, np.array([[0, 1], [white, 7]], np.uint16), CASE, rle=False)
    _change(path, PhotometricInterpretation="MONOCHROME1", BitsStored=bits, HighBit=bits - 1)

    assert read_mammogram(path).tolist() == [[white, white - 1], [0, white - 7]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "no grey picture of 16 bits .* BitsAllocated 8"),
        ({"PixelRepresentation": 1}, "no grey picture of 16 bits without sign: .* PixelRepresentation 1"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "SamplesPerPixel 3, .*RGB"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
        ({"NumberOfFrames": 4}, "holds 4 pictures; a mammogram is one"),
        ({"Rows": 65000, "Columns": 65000}, "claims 65,000x65,000 pixels; up to 60 million are read"),
        ({"Rows": 0}, "claims 0x40 pixels"),
        ({"Rows": 71}, "cannot be decoded"),
    ],
)
def test_another_kind_of_picture_is_refused_by_path(changes: dict[str, Any], message: str, file: Path) -> None:
    _change(file, **changes)

    with pytest.raises(DataError, match=message) as caught:
        read_mammogram(file)

    assert str(caught.value).startswith(str(file))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: b"", "no DICOM file"),
        (lambda content: b"this is a text", "no DICOM file"),
        (lambda content: content[:200], "holds no picture|damaged"),
        (lambda content: content[:-3000], "truncated or damaged"),
        (lambda content: content + bytes(5_000_000), "longer than 70x40 pixels of 16 bits can be"),
    ],
)
@pytest.mark.parametrize("rle", [False, True])
def test_a_spoiled_file_is_refused_by_path(
    spoil: Callable[[bytes], bytes], message: str, rle: bool, tmp_path: Path, scan: Scan
) -> None:
    path = tmp_path / "scan.dcm"
    write_mammogram(path, scan(), CASE, rle=rle)
    path.write_bytes(spoil(path.read_bytes()))

    with pytest.raises(DataError, match=message) as caught:
        read_mammogram(path)

    assert str(caught.value).startswith(str(path))


def test_a_way_of_compressing_that_cannot_be_undone_is_named(file: Path) -> None:
    dataset = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLossless
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8 no jpeg"])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(file)

    with pytest.raises(DataError, match=r"JPEG Lossless.* cannot be decoded"):
        read_mammogram(file)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.dcm cannot be read: No such file"):
        read_mammogram(tmp_path / "none.dcm")


@pytest.mark.parametrize("pixels", [np.zeros((2, 2), np.float32), np.zeros(4, np.uint16), np.zeros((0, 3), np.uint16)])
def test_what_is_no_mammogram_is_not_written(pixels: NDArray[Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"are no mammogram: give \(height, width\), uint16"):
        write_mammogram(tmp_path / "scan.dcm", pixels, CASE)

    assert not (tmp_path / "scan.dcm").exists()


def test_without_pydicom_the_extra_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)

    with pytest.raises(MissingExtraError, match=r"pydicom, .* pip install 'mlhelpers\[data\]'"):
        read_mammogram(file)
