"""TCIA's case lists of CBIS-DDSM: which mammograms there are, of whom, and how dense the breast is.

There are four: `mass_case_description_train_set.csv`, `calc_case_description_train_set.csv`, and a `test` one of each.
A row is one abnormality. Several rows may share a picture, and a view of a breast may stand in a mass and in a
calcification list; what comes out here is one `Case` per patient, side and view. The lists have their ways: the
density's column is spelled `breast_density` in two and `breast density` in the other two, paths end in line breaks
inside quotes, and two rows have density 0, which BI-RADS does not know.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from mlhelpers.errors import DataError

__all__ = ["NAMES", "Case", "CaseList", "case_of", "read_case_lists"]

NAMES = tuple(f"{kind}_case_description_{part}_set.csv" for kind in ("mass", "calc") for part in ("train", "test"))

_CASE = re.compile(
    r"(?P<kind>[A-Za-z]+)-(?P<part>Training|Test)_(?P<patient>P_\d+)_(?P<side>LEFT|RIGHT)_(?P<view>CC|MLO)"
)
_DENSITY = ("breast_density", "breast density")
_PATH = "image file path"


@dataclass(frozen=True)
class Case:
    """One mammogram.

    Attributes:
        name: TCIA's name for it, for instance "Mass-Test_P_00173_LEFT_CC".
        density: Density of the breast after BI-RADS, 1 (almost all fat) to 4 (extremely dense).
        patient: Whose it is, for instance "P_00173".
        side: "LEFT" or "RIGHT".
        view: "CC" (from above) or "MLO" (from the side, at an angle).
        part: "train" or "test": where the official split has it.
        aliases: What else a download may call it: its DICOM series, and its name and series in the other lists.
    """

    name: str
    density: int
    patient: str
    side: str
    view: str
    part: str
    aliases: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """Return the name of its picture, `<density>_<case>.png`."""
        return f"{self.density}_{self.name}.png"


@dataclass(frozen=True)
class CaseList:
    """What the case lists hold.

    Attributes:
        cases: One per patient, side and view, by name.
        rows: How many rows were read.
        refused: The names of the pictures that were left out because their density is 0.
        in_both_parts: Pictures that the official split has in its training and in its test part, by the name of the
            test part, which is the one that is kept.
    """

    cases: tuple[Case, ...]
    rows: int
    refused: tuple[str, ...]
    in_both_parts: tuple[str, ...]


def case_of(name: str, density: int, aliases: tuple[str, ...] = ()) -> Case:
    """Build a case from its name.

    Args:
        name: TCIA's name for the picture.
        density: Density of the breast; 0 where it was not told.
        aliases: As in `Case`.

    Raises:
        DataError: The name is not one of TCIA's.

    Example:
        >>> case_of("Mass-Test_P_00173_LEFT_CC", 2).patient
        'P_00173'
    """
    match = _CASE.fullmatch(name)
    if match is None:
        raise DataError(f"A picture is named by its case, such as Calc-Training_P_00008_LEFT_CC, not {name!r}.")
    part = "test" if match["part"] == "Test" else "train"
    return Case(name, density, match["patient"], match["side"], match["view"], part, aliases)


def read_case_lists(paths: Iterable[Path]) -> CaseList:
    """Read case lists and bring them to one case per patient, side and view.

    Where the same view stands in a training and in a test list (29 do in TCIA's four), the test part keeps it.

    Args:
        paths: The CSV files, any number of the four.

    Returns:
        The cases, and what was left out.

    Raises:
        DataError: A file is missing, is no case list, or contradicts itself or another one; the row is named.
    """
    rows = 0
    views: dict[tuple[str, str, str], Case] = {}
    refused: dict[str, None] = {}
    in_both: dict[str, None] = {}
    for path in paths:
        for line, case in _rows(path):
            rows += 1
            if case.density == 0:
                refused[case.name] = None
                continue
            key = (case.patient, case.side, case.view)
            before = views.setdefault(key, case)
            if before.density != case.density:
                raise DataError(
                    f"{path}, line {line}: {case.name} has density {case.density}, but {before.name} is the same "
                    f"picture and has density {before.density}. Take the lists from TCIA again."
                )
            if before.part != case.part:
                in_both[before.name if before.part == "test" else case.name] = None
            views[key] = _merged(before, case)
    cases = tuple(sorted(views.values(), key=lambda case: case.name))
    return CaseList(cases, rows, tuple(refused), tuple(sorted(in_both)))


def _rows(path: Path) -> Iterator[tuple[int, Case]]:
    """Yield each row's line number and its case, density 0 included."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            columns = reader.fieldnames or []
            density = next((name for name in _DENSITY if name in columns), None)
            if density is None or _PATH not in columns:
                raise DataError(
                    f"{path} is no case list of CBIS-DDSM: it needs the columns {_PATH!r} and {_DENSITY[0]!r} (or "
                    f"{_DENSITY[1]!r}); it has {', '.join(map(repr, columns)) or 'none'}."
                )
            for row in reader:
                yield reader.line_num, _case(row[_PATH] or "", row[density] or "", f"{path}, line {reader.line_num}")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no case list of CBIS-DDSM: it cannot be read as CSV ({error}).") from error


def _merged(one: Case, other: Case) -> Case:
    """Return one case for two rows of the same picture: the test part's where they differ, else the first."""
    kept, left = (other, one) if (one.part, other.part) == ("train", "test") else (one, other)
    names = dict.fromkeys((*kept.aliases, left.name, *left.aliases))
    return replace(kept, aliases=tuple(name for name in names if name != kept.name))


def _case(path: str, density: str, where: str) -> Case:
    folders = unquote(path.strip().strip('"').strip()).split("/")
    if density.strip() not in ("0", "1", "2", "3", "4"):
        raise DataError(f"{where}: {folders[0]} has density {density!r}; BI-RADS knows 1, 2, 3 and 4.")
    try:
        return case_of(folders[0], int(density), tuple(folders[2:3]) if len(folders) > 3 else ())
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
