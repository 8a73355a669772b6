"""Mammograms as hospitals keep them: DICOM files, read to 16-bit grey levels and written from them.

DICOM is described at https://www.dicomstandard.org; PS3.3 section C.7.6.3 names the attributes of a picture's pixels.
pydicom does the work; it is imported where a file is read or written.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import DataError, MissingExtraError, UsageError
from mlhelpers.storage import write_aside

__all__ = ["FULL_MAMMOGRAM", "read_header", "read_mammogram", "write_mammogram"]

FULL_MAMMOGRAM = "full mammogram images"
"""What TCIA calls the series of a whole picture; the others are "cropped images" and "ROI mask images"."""

_MOST_PIXELS = 60_000_000  # the largest of CBIS-DDSM has 37 million
_MOST_OVERHEAD_BYTES = 4_000_000  # what a header, its padding and an incompressible picture may add


def read_header(path: Path) -> Any:
    """Read everything but the pixels.

    Args:
        path: The DICOM file.

    Returns:
        pydicom's `Dataset`, with Rows and Columns within what is read here.

    Raises:
        DataError: The file is missing, is no DICOM file, holds no picture, or claims more than 60 million pixels.
        MissingExtraError: pydicom is not installed.
    """
    return _open(path, stop_before_pixels=True)


def read_mammogram(path: Path) -> NDArray[np.uint16]:
    """Read a mammogram's grey levels.

    Uncompressed and RLE files are read; where a file says MONOCHROME1 (0 is white) it is turned round, so that dense
    tissue is always high.

    Args:
        path: The DICOM file.

    Returns:
        Shape (height, width), uint16, 0 black to 65535 white for 16 bits.

    Raises:
        DataError: The file is missing, truncated, no DICOM file, no single grey picture of 16 bits, too large, or
            compressed in a way that cannot be undone here. The message begins with the path.
        MissingExtraError: pydicom is not installed.
    """
    header = read_header(path)  # refuses what is too large before the pixels are in memory
    if path.stat().st_size > 2 * header.Rows * header.Columns + _MOST_OVERHEAD_BYTES:
        raise DataError(
            f"{path} is longer than {header.Rows}x{header.Columns} pixels of 16 bits can be. It is not read."
        )
    dataset = _open(path, stop_before_pixels=False)
    pixels = _decode(path, dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = np.uint16(2**dataset.BitsStored - 1) - pixels
    return pixels


def write_mammogram(path: Path, pixels: NDArray[np.uint16], case: str, *, rle: bool = True, series: str = "") -> None:
    """Write grey levels as a DICOM file with the attributes that TCIA's files have.

    Args:
        path: The file; its folder is made.
        pixels: Shape (height, width), uint16, 0 black.
        case: Name of the case, written as the patient's name and number as TCIA does.
        rle: Compress with RLE, as TCIA does.
        series: The series' number; a new one if empty.

    Raises:
        UsageError: Pixels of another shape or type.
        DataError: The file cannot be written.
        MissingExtraError: pydicom is not installed.
    """
    pydicom = _pydicom()
    uid, syntax = pydicom.uid, pydicom.uid.ExplicitVRLittleEndian
    if pixels.ndim != 2 or pixels.dtype != np.uint16 or not pixels.size:
        raise UsageError(
            f"Pixels of shape {pixels.shape} and type {pixels.dtype} are no mammogram: give (height, width), uint16."
        )
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    meta.TransferSyntaxUID = syntax
    dataset = pydicom.Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid.generate_uid(), series or uid.generate_uid()
    dataset.Modality, dataset.BodyPartExamined, dataset.SeriesDescription = "MG", "BREAST", FULL_MAMMOGRAM
    dataset.PatientID = dataset.PatientName = case
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.set_pixel_data(pixels, "MONOCHROME2", 16, generate_instance_uid=False)
    if rle:
        dataset.compress(uid.RLELossless, generate_instance_uid=False)
    with write_aside(path) as aside:
        dataset.save_as(aside, enforce_file_format=True)


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise MissingExtraError("pydicom, which reads DICOM files,", "data") from error
    return pydicom


def _open(path: Path, *, stop_before_pixels: bool) -> Any:
    pydicom = _pydicom()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of it is checked here
            dataset = pydicom.dcmread(path, stop_before_pixels=stop_before_pixels)
        rows, columns = int(dataset.Rows), int(dataset.Columns)
    except pydicom.errors.InvalidDicomError as error:
        raise DataError(f"{path} is no DICOM file.") from error
    except AttributeError as error:
        if not stop_before_pixels:  # the header was whole a moment ago
            raise DataError(f"{path} is truncated or damaged: its pixels have no end.") from error
        raise DataError(f"{path} holds no picture: it does not say how many rows and columns there are.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # pydicom meets broken bytes with whatever its parts raise
        raise DataError(f"{path} is damaged: {type(error).__name__}: {error}.") from error
    if not 0 < rows * columns <= _MOST_PIXELS:
        raise DataError(
            f"{path} claims {rows:,}x{columns:,} pixels; up to {_MOST_PIXELS // 1_000_000} million are read."
        )
    return dataset


def _decode(path: Path, dataset: Any) -> NDArray[np.uint16]:
    """Return the pixels as they are stored, or say what is wrong with them."""
    expected = {"SamplesPerPixel": 1, "BitsAllocated": 16, "PixelRepresentation": 0}
    found = {name: dataset.get(name) for name in expected}
    if found != expected or dataset.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        told = ", ".join(f"{name} {value}" for name, value in found.items())
        raise DataError(
            f"{path} is no grey picture of 16 bits without sign: {told}, {dataset.get('PhotometricInterpretation')}."
        )
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise DataError(f"{path} holds {dataset.NumberOfFrames} pictures; a mammogram is one.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels: NDArray[np.uint16] = dataset.pixel_array
    except Exception as error:  # likewise
        syntax = getattr(dataset.file_meta.get("TransferSyntaxUID"), "name", "nothing")
        raise DataError(f"{path} is truncated or damaged; its pixels ({syntax}) cannot be decoded: {error}.") from error
    if pixels.shape != (dataset.Rows, dataset.Columns):
        raise DataError(
            f"{path} is damaged: {pixels.shape} pixels came out, {dataset.Rows}x{dataset.Columns} are told."
        )
    return pixels
