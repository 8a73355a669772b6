"""Execute the series headless and in order, as a reader would: every cell of every notebook, from a fresh kernel.

`make run` calls this; the tests execute the notebooks through `execute` too. Each notebook runs in this folder, as it
is stored, with a local store of its own (`data/runs/home`, made anew). The executed copies, with their results, go to
`data/runs/executed` as notebooks and as HTML pages.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import NoSuchKernel
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, CellTimeoutError
from nbconvert import HTMLExporter
from tabulate import tabulate
from tqdm import tqdm

from mlhelpers.errors import DataError, MLHelpersError, unknown_name
from mlhelpers.storage import write_aside

NOTEBOOKS = Path(__file__).resolve().parent
RUNS = NOTEBOOKS.parent / "data" / "runs"
TIMEOUT_S = 900.0  # for one notebook; several times the budget, so that a slow machine is not taken for a hanging one

# of the reader's shell these must not reach a kernel: the series runs on what the repository ships, and draws inline
_SET_ASIDE = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "MPLBACKEND")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Outcome:
    """What came of one notebook.

    Attributes:
        name: The notebook's name without its ending.
        seconds: How long it took.
        headline: The last line that its cell tagged `headline` printed; empty where none did.
        error: What stopped it, ready to be printed; None where every cell ran.
        page: The executed copy as an HTML page.
    """

    name: str
    seconds: float
    headline: str
    error: str | None
    page: Path


def find(only: Sequence[str] = ()) -> list[Path]:
    """Return the notebooks of the series in reading order.

    Args:
        only: Numbers ("05") or names ("05_train_locally") to choose by; all where empty.

    Raises:
        UsageError: A choice that is no notebook.
        DataError: There is no notebook at all.
    """
    series = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not series:
        raise DataError(f"There is no notebook in {NOTEBOOKS}. Is the repository whole? `git status` tells.")
    chosen = []
    for wish in only:
        stem = wish.removesuffix(".ipynb")
        fitting = [path for path in series if stem in (path.stem, path.stem[:2])]
        if not fitting:
            raise unknown_name("notebook", wish, [path.stem for path in series], "A number such as 05 will do.")
        chosen += fitting
    return sorted(set(chosen)) or series


def execute(
    notebook: Path,
    output_dir: Path,
    home: Path,
    timeout_s: float = TIMEOUT_S,
    on_cell: Callable[[int], None] = lambda count: None,
) -> Outcome:
    """Execute one notebook from top to bottom in a fresh kernel; keep the executed copy, also of one that fails.

    Args:
        notebook: The notebook as it is stored; it is not changed.
        output_dir: Where NAME.ipynb and NAME.html of the executed copy go.
        home: The local store that its kernel uses (MLHELPERS_HOME).
        timeout_s: After how many seconds the notebook is stopped and counts as failed.
        on_cell: Called with the number of cells that are done, after each.

    Raises:
        DataError: The executed copy cannot be written.
    """
    book = nbformat.read(notebook, as_version=4)
    began = time.monotonic()
    error = None
    client = NotebookClient(
        book,
        kernel_name="python3",
        resources={"metadata": {"path": str(notebook.parent)}},
        timeout_func=lambda cell: max(1, int(began + timeout_s - time.monotonic())),
        on_cell_complete=lambda cell, cell_index: on_cell(cell_index + 1),
    )
    # a kernel's own words, for instance why it died, are no part of the notebook: they are shown only if it fails
    with tempfile.TemporaryFile() as kernel_log:
        try:
            client.execute(env=_environment(home), stderr=kernel_log)
        except (CellControlSignal, NoSuchKernel, RuntimeError) as stopped:  # a dead kernel is a RuntimeError
            kernel_log.seek(0)
            error = _explain(stopped, book, timeout_s, kernel_log.read().decode("utf-8", "replace"))
    seconds = time.monotonic() - began

    page = _store(book, notebook.stem, output_dir)
    return Outcome(notebook.stem, seconds, _headline(book), error, page)


def _environment(home: Path) -> dict[str, str]:
    """Return the kernel's environment: the reader's, without what would lead it elsewhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _SET_ASIDE and not name.startswith("MLHELPERS_")
    }
    # the kernel finds this environment's programs (`mlhelpers`, `python`) whether or not it is activated
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "MLHELPERS_HOME": str(home)}


def _explain(stopped: Exception, book: nbformat.NotebookNode, timeout_s: float, kernel_log: str) -> str:
    """Tell which cell stopped, its source and the end of what it said."""
    begun = [cell for cell in book.cells if "execution" in cell.metadata]
    if isinstance(stopped, CellTimeoutError):
        said = f"The notebook was stopped after {timeout_s:.0f} seconds. --timeout gives it longer."
    elif isinstance(stopped, CellExecutionError):
        lines = [line for output in begun[-1].outputs for line in output.get("traceback", [])]
        said = _COLOUR.sub("", "\n".join(lines))
    else:
        said = f"{kernel_log}\n{type(stopped).__name__}: {stopped}"
    told = _indent("\n".join(said.strip().splitlines()[-12:]))
    return f"The cell\n\n{_indent(begun[-1].source)}\n\nended in\n\n{told}\n" if begun else f"It said\n\n{told}\n"


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _headline(book: nbformat.NotebookNode) -> str:
    """Return the last line that a cell tagged `headline` printed."""
    lines = [
        line.strip()
        for cell in book.cells
        if "headline" in cell.metadata.get("tags", [])
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stdout"
        for line in output.text.splitlines()
        if line.strip()
    ]
    return lines[-1] if lines else ""


def _store(book: nbformat.NotebookNode, name: str, output_dir: Path) -> Path:
    """Write the executed copy as a notebook and as an HTML page; return the page."""
    with write_aside(output_dir / f"{name}.ipynb") as aside:
        nbformat.write(book, aside)
    html, _ = HTMLExporter(embed_images=True).from_notebook_node(book, {"metadata": {"name": name}})
    page = output_dir / f"{name}.html"
    with write_aside(page) as aside:
        aside.write_text(html, encoding="utf-8")
    return page


def _execute_with_bar(notebook: Path, output_dir: Path, home: Path, timeout_s: float) -> Outcome:
    """Execute one notebook: a bar over its cells in a terminal, one line when it is done everywhere."""
    cells = len(nbformat.read(notebook, as_version=4).cells)
    terminal = sys.stderr.isatty()
    if not terminal:
        print(f"{notebook.stem:<28} {cells:3d} cells ...", flush=True)
    with tqdm(
        total=cells, desc=f"{notebook.stem:<28}", unit="cell", leave=False, disable=not terminal, ncols=100
    ) as bar:
        outcome = execute(notebook, output_dir, home, timeout_s, lambda count: bar.update(count - bar.n))
    word = "failed" if outcome.error else "done"
    print(f"{outcome.name:<28} {outcome.seconds:6.1f} s  {word}  {outcome.headline}", flush=True)
    return outcome


def main(argv: Sequence[str] | None = None) -> int:
    """Run the series and print its table; return the exit code: 0 all ran, 1 some failed, 2 asked wrongly."""
    parser = argparse.ArgumentParser(description="Execute the notebooks headless, in order, on what is shipped.")
    parser.add_argument("--only", default="", help="numbers or names, for instance 05 or 05,09")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds for one notebook (%(default).0f)")
    asked = parser.parse_args(argv)
    if asked.timeout <= 0:
        parser.error(f"--timeout is {asked.timeout}; it should be a number of seconds above 0")
    try:
        notebooks = find([wish for wish in asked.only.split(",") if wish])
        home, executed = RUNS / "home", RUNS / "executed"
        shutil.rmtree(home, ignore_errors=True)
        if not asked.only:
            shutil.rmtree(executed, ignore_errors=True)  # an old copy must not be taken for today's
        outcomes = [_execute_with_bar(notebook, executed, home, asked.timeout) for notebook in notebooks]
    except MLHelpersError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    except KeyboardInterrupt:
        print("\nStopped. What ran so far is in data/runs/executed.", file=sys.stderr)
        return 130
    return _report(outcomes, executed)


def _report(outcomes: Sequence[Outcome], executed: Path) -> int:
    """Print what failed and why, then the table; return the exit code."""
    failed = [outcome for outcome in outcomes if outcome.error]
    for outcome in failed:
        print(f"\n{outcome.name} failed. {outcome.error}", file=sys.stderr)
    rows = [(outcome.name, f"{outcome.seconds:.1f}", outcome.headline or "-") for outcome in outcomes]
    rows = [(*row[:2], "FAILED" if outcome.error else row[2]) for row, outcome in zip(rows, outcomes, strict=True)]
    rows.append(("together", f"{sum(outcome.seconds for outcome in outcomes):.1f}", ""))
    print()
    print(
        tabulate(
            rows,
            headers=("notebook", "seconds", "headline result"),
            colalign=("left", "right", "left"),
            disable_numparse=True,
        )
    )
    print(f"\nExecuted copies: {executed}{os.sep}*.html")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
