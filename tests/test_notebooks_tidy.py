"""The anatomy of a notebook and the rules of the series, one name per rule. This file is the template."""

from __future__ import annotations

import ast
import json
import re
import statistics
from functools import cache
from pathlib import Path

import nbformat
import pytest

_FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
_ALL = sorted(_FOLDER.glob("*.ipynb"))
_LESSONS = [path for path in _ALL if not path.name.startswith("00_")]  # 00 is the map: it teaches on the way

_CELL_LINES = 20
_MEDIAN_LINES = 5
_MARKDOWN_SHARE = 0.4
_CELLS = (20, 60)
_SIZE_BYTES = 100 * 1024
_KEPT_BYTES = 50 * 1024
_TAGS = {
    "setup", "parameters", "check", "look_behind", "exercise", "solution", "cleanup", "headline", "keep_output",
    "raises-exception",
}  # fmt: skip
_GLANCE = ("You", "Needs", "Time", "Cost", "Data")

every_notebook = pytest.mark.parametrize("path", _ALL, ids=lambda path: path.stem)
every_lesson = pytest.mark.parametrize("path", _LESSONS, ids=lambda path: path.stem)


@cache
def _book(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def _code(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in _book(path).cells if cell.cell_type == "code"]


def _tags(cell: nbformat.NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def _tagged(path: Path, tag: str) -> list[int]:
    """Return the places of the cells with a tag."""
    return [place for place, cell in enumerate(_book(path).cells) if tag in _tags(cell)]


def _where(cell: nbformat.NotebookNode) -> str:
    return f"cell {cell.id}: {cell.source.splitlines()[0] if cell.source else '(empty)'}"


# --- anatomy -----------------------------------------------------------------------------------------------------


def test_there_are_notebooks_and_no_other_ipynb() -> None:
    assert _ALL
    assert [path.name for path in _ALL if not re.fullmatch(r"\d\d_[a-z]+(_[a-z]+)+\.ipynb", path.name)] == []


@every_notebook
def test_it_begins_with_a_title_and_one_sentence_on_what_exists_at_the_end(path: Path) -> None:
    first = _book(path).cells[0]
    lines = first.source.splitlines()

    assert first.cell_type == "markdown"
    assert lines[0].startswith("# ")
    assert len(lines) <= 3
    assert lines[-1].endswith(".")


@every_notebook
def test_it_has_one_title_and_two_levels_of_headings(path: Path) -> None:
    text = "\n".join(cell.source for cell in _book(path).cells if cell.cell_type == "markdown")
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, flags=re.MULTILINE)]

    assert levels.count(1) == 1
    assert max(levels) <= 3


@every_notebook
def test_the_second_cell_is_the_glance_table(path: Path) -> None:
    glance = _book(path).cells[1]

    assert glance.cell_type == "markdown"
    assert glance.source.startswith("**At a glance**")
    rows = re.findall(r"^\| \*{0,2}(\w+)", glance.source, flags=re.MULTILINE)
    assert [row for row in _GLANCE if row not in rows] == []
    assert len(glance.source.splitlines()) <= 12


@every_notebook
def test_setup_then_parameters_then_the_check_come_first(path: Path) -> None:
    setup, parameters, check = (_tagged(path, tag) for tag in ("setup", "parameters", "check"))

    assert setup
    assert setup[0] == 2
    assert (len(parameters), len(check)) == (1, 1)
    assert setup[-1] < parameters[0] < check[0] <= 8


@every_notebook
def test_setup_and_parameters_keep_to_their_lines(path: Path) -> None:
    cells = _book(path).cells

    assert all(len(cells[place].source.splitlines()) <= 15 for place in _tagged(path, "setup"))
    assert len(cells[_tagged(path, "parameters")[0]].source.splitlines()) <= 12


@every_lesson
def test_all_imports_stand_in_the_setup_cell(path: Path) -> None:
    for cell in _code(path):
        if not _tags(cell) & {"setup", "look_behind"}:
            assert not re.search(r"^\s*(import|from) ", cell.source, flags=re.MULTILINE), _where(cell)


@every_lesson
def test_setup_prints_the_versions_that_matter(path: Path) -> None:
    setup = _book(path).cells[_tagged(path, "setup")[0]].source

    assert "print(" in setup
    assert "mlhelpers.__version__" in setup


@every_notebook
def test_parameters_are_up_to_ten_capital_names_that_are_used(path: Path) -> None:
    cells = _book(path).cells
    place = _tagged(path, "parameters")[0]
    names = [
        ast.unparse(target)
        for node in ast.parse(cells[place].source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
    ]
    later = "\n".join(cell.source for cell in cells[place + 1 :] if cell.cell_type == "code")

    assert 1 <= len(names) <= 10
    assert [name for name in names if not name.isupper()] == []
    assert [name for name in names if not re.search(rf"\b{name}\b", later)] == []


@every_notebook
def test_it_looks_behind_one_helper_after_its_lessons(path: Path) -> None:
    (behind,) = _tagged(path, "look_behind")

    assert behind < _tagged(path, "exercise")[0]
    assert "getsource" in _book(path).cells[behind].source
    assert any("## Look behind" in cell.source for cell in _book(path).cells[:behind])


@every_notebook
def test_it_has_two_or_three_exercises_each_followed_by_its_solution(path: Path) -> None:
    exercises, solutions = _tagged(path, "exercise"), _tagged(path, "solution")

    assert len(exercises) in (2, 3)
    assert solutions == [place + 1 for place in exercises]


@every_notebook
def test_solutions_are_folded_and_exercises_are_not(path: Path) -> None:
    for cell in _code(path):
        folded = cell.metadata.get("jupyter", {}).get("source_hidden", False)
        assert folded == ("solution" in _tags(cell)), _where(cell)


@every_notebook
def test_one_cell_prints_the_headline_after_the_exercises(path: Path) -> None:
    (headline,) = _tagged(path, "headline")

    assert headline > _tagged(path, "solution")[-1]
    assert "print(" in _book(path).cells[headline].source


@every_notebook
def test_it_ends_with_a_recap_of_up_to_eight_lines(path: Path) -> None:
    last = _book(path).cells[-1]

    assert last.cell_type == "markdown"
    assert last.source.startswith("## Recap")
    assert len(last.source.splitlines()) <= 8


@every_notebook
def test_the_recap_leads_to_the_notebook_before_and_the_one_after(path: Path) -> None:
    recap = _book(path).cells[-1].source
    place = _ALL.index(path)
    before = _ALL[place - 1].name if place else None
    after = _ALL[place + 1].name if place + 1 < len(_ALL) else None

    assert re.findall(r"Previous: \[[^\]]*\]\(([^)]*)\)", recap) == ([before] if before else [])
    assert re.findall(r"Next: \[[^\]]*\]\(([^)]*)\)", recap) == ([after] if after else [])


def test_start_here_leads_to_every_other_notebook() -> None:
    text = "\n".join(cell.source for cell in _book(_ALL[0]).cells if cell.cell_type == "markdown")

    assert [path.name for path in _LESSONS if f"]({path.name})" not in text] == []


# --- size --------------------------------------------------------------------------------------------------------


@every_notebook
def test_no_code_cell_is_longer_than_twenty_lines(path: Path) -> None:
    for cell in _code(path):
        assert len(cell.source.splitlines()) <= _CELL_LINES, _where(cell)


@every_notebook
def test_the_median_code_cell_has_five_lines_or_fewer(path: Path) -> None:
    assert statistics.median(len(cell.source.splitlines()) for cell in _code(path)) <= _MEDIAN_LINES


@every_notebook
def test_it_has_twenty_to_forty_five_cells_and_two_fifths_are_text(path: Path) -> None:
    cells = _book(path).cells
    text = [cell for cell in cells if cell.cell_type == "markdown"]

    assert _CELLS[0] <= len(cells) <= _CELLS[1]
    assert len(text) / len(cells) >= _MARKDOWN_SHARE


@every_notebook
def test_it_is_smaller_than_100_kib(path: Path) -> None:
    assert path.stat().st_size < _SIZE_BYTES


@every_notebook
def test_no_cell_is_empty(path: Path) -> None:
    assert [cell.id for cell in _book(path).cells if not cell.source.strip()] == []


# --- storage -----------------------------------------------------------------------------------------------------


@every_notebook
def test_it_is_stored_without_output_but_for_cells_that_ask_to_keep_it(path: Path) -> None:
    kept = [cell for cell in _code(path) if "keep_output" in _tags(cell)]

    assert len(kept) <= 3
    assert sum(len(json.dumps(cell.outputs)) for cell in kept) <= _KEPT_BYTES
    for cell in _code(path):
        assert cell.execution_count is None, _where(cell)
        assert "keep_output" in _tags(cell) or cell.outputs == [], _where(cell)


@every_notebook
def test_its_metadata_names_the_plain_python_kernel_and_nothing_else(path: Path) -> None:
    metadata = _book(path).metadata

    assert set(metadata) <= {"kernelspec", "language_info"}
    assert metadata.kernelspec == {
        "display_name": metadata.kernelspec.display_name,
        "language": "python",
        "name": "python3",
    }
    assert set(metadata.get("language_info", {})) <= {"name"}


@every_notebook
def test_cells_carry_only_known_metadata_and_tags(path: Path) -> None:
    for cell in _book(path).cells:
        assert set(cell.metadata) <= {"tags", "jupyter"}, _where(cell)
        assert _tags(cell) <= _TAGS, _where(cell)
        assert not cell.get("attachments"), _where(cell)


@every_notebook
def test_cells_have_readable_ids_that_are_unique(path: Path) -> None:
    ids = [cell.id for cell in _book(path).cells]

    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z][a-z0-9-]*", name)] == []


@every_notebook
def test_it_is_a_valid_notebook_of_form_4_5(path: Path) -> None:
    book = _book(path)

    nbformat.validate(book)
    assert (book.nbformat, book.nbformat_minor) == (4, 5)


# --- what a cell must not do ---------------------------------------------------------------------------------------


@every_notebook
def test_no_cell_writes_modules_or_calls_a_shell(path: Path) -> None:
    for cell in _code(path):
        assert not re.search(r"^\s*(%%|%|!)", cell.source, flags=re.MULTILINE), _where(cell)
        assert "shell=True" not in cell.source, _where(cell)
        assert "os.system" not in cell.source, _where(cell)


@every_lesson
def test_no_lesson_installs_anything(path: Path) -> None:
    for cell in _code(path):
        assert not re.search(r"\bpip\b|\bconda\b", cell.source), _where(cell)


@every_notebook
def test_no_path_is_absolute_and_no_home_is_named(path: Path) -> None:
    for cell in _book(path).cells:
        assert not re.search(r"""["'`(](/(home|root|Users|tmp|work|content|mnt)\b|[A-Z]:\\)""", cell.source), _where(
            cell
        )


@every_notebook
def test_no_secret_and_no_project_of_somebody_is_in_it(path: Path) -> None:
    text = path.read_text("utf-8")

    assert not re.search(r"BEGIN [A-Z ]*PRIVATE KEY|AIza[0-9A-Za-z_-]{20}|ya29\.|api[_-]?key\s*=", text)
    assert "iam.gserviceaccount.com" not in text


@every_notebook
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for cell in _book(path).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", cell.source):
                assert "://" in target or (path.parent / target).exists(), f"{_where(cell)}: {target}"


@every_notebook
def test_every_notebook_it_names_by_number_exists(path: Path) -> None:
    numbers = {other.name[:2] for other in _ALL}

    for cell in _book(path).cells:
        for named in re.findall(r"[Nn]otebooks? (\d\d)", cell.source):
            assert named in numbers, f"{_where(cell)}: notebook {named}"


@every_notebook
def test_text_stands_before_the_first_result_and_between_long_runs_of_code(path: Path) -> None:
    run = 0
    for cell in _book(path).cells:
        run = run + 1 if cell.cell_type == "code" else 0
        assert run <= 4, f"{_where(cell)}: five code cells in a row: say what they show"


@every_lesson
def test_what_it_writes_lies_in_runs_or_the_local_store(path: Path) -> None:
    source = _book(path).cells[_tagged(path, "parameters")[0]].source

    for place in re.findall(r"""["'](\.\./[^"']*)["']""", source):
        assert place.startswith("../data/"), place
