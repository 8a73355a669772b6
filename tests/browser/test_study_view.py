"""A study shown in a real notebook in a real browser: rows come, the picture moves, a click ends it.

Screenshots of what was seen are left in data/runs/screenshots/.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlhelpers import tuning

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

_NOTEBOOK = "study.ipynb"
_TRAINER = """\
import argparse, sys, time

import hypertune

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--units", type=int)
flags = parser.parse_args()
if flags.units == 3:
    sys.exit("three units <script>window.hurt = true</script>")
reporter = hypertune.HyperTune()
for step in range(1, 4):
    time.sleep(0.1)
    reporter.report_hyperparameter_tuning_metric("rmse", (flags.rate - 0.5) ** 2 + 0.1 / step, step)
"""
_CELL = """\
from mlhelpers import jobs, tuning
job = jobs.JobSpec("shown", "trainer.task", package_path="trainer", grace_s=1, max_restarts=0, max_retries=0)
space = {"rate": tuning.Float(0.0, 1.0), "units": tuning.Int(1, 4)}
study = tuning.tune(job, space, metric="rmse", trials=500, parallel=2, algorithm="random", max_failed=500)
study
"""


def _write_notebook(folder: Path) -> None:
    (folder / "trainer").mkdir(parents=True)
    (folder / "trainer" / "__init__.py").touch()
    (folder / "trainer" / "task.py").write_text(_TRAINER)
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "id": "c0", "source": _CELL}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / _NOTEBOOK).write_text(json.dumps(content))


@pytest.fixture
def opened(
    start_lab: Callable[..., Any],
    chromium: Any,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Any, Path]]:
    """Give the page of the notebook, run, and the notebook's folder; the study is ended afterwards."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    _write_notebook(folder / "notebooks")
    with start_lab(folder, _NOTEBOOK) as lab:
        page = chromium.new_context(viewport={"width": 1100, "height": 1000}).new_page()
        page.set_default_timeout(60_000)
        page.goto(lab.url(reset=""))
        page.wait_for_function("window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')")
        page.wait_for_function(
            "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
        )
        page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        yield page, folder / "notebooks"
        monkeypatch.setenv("MLHELPERS_HOME", str(folder / "home"))
        study = tuning.attach("shown")
        study.cancel()
        study.wait(20, progress=False)


def _rows(where: Any) -> list[list[str]]:
    return [row.split("\t") for row in where.locator(".mlh-study-trials tbody tr").all_inner_texts()]


def _done(where: Any) -> int:
    """Return how many trials are over, as the head tells."""
    found = re.search(r"(\d+) of 500 trials", where.inner_text())
    return int(found[1]) if found else 0


def _until(page: Any, holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        page.wait_for_timeout(100)


def test_rows_come_the_picture_moves_and_a_click_ends_the_study(opened: tuple[Any, Path], repository: Path) -> None:
    page, folder = opened
    pictures = repository / "data" / "runs" / "screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    live = page.locator(".jp-OutputArea .widget-vbox.mlh-job")
    plain = page.locator(".jp-RenderedHTMLCommon .mlh-job")

    live.locator('[data-state="RUNNING"]').wait_for()
    live.locator("img.mlh-study-history").wait_for()
    early, done = live.locator("img.mlh-study-history").get_attribute("src"), _done(live)
    _until(page, lambda: _done(live) >= done + 3)
    _until(page, lambda: live.locator("img.mlh-study-history").get_attribute("src") != early, seconds=20)
    _until(page, lambda: len(_rows(live)) > 4)
    live.get_by_text("The other trials").click()  # more than ten have a result by then, or more than three have failed
    rest = live.get_by_label("The other trials, best first")
    rest.wait_for()
    page.wait_for_timeout(3000)
    assert rest.is_visible()  # it stays open while trials come
    page.screenshot(path=str(pictures / "study_running.png"))

    rows = _rows(live)
    objectives = [float(row[1]) for row in rows if row[5].endswith("succeeded")][:10]
    assert objectives == sorted(objectives)
    assert not plain.is_visible()
    size = live.locator("img.mlh-study-history").evaluate("image => [image.naturalWidth, image.width]")
    assert size[0] > 600
    assert size[1] > 500
    assert any("failed: The trainer exited with code 1: " in row[5] for row in rows)

    page.get_by_role("button", name="Cancel").click()

    live.locator('[data-state="CANCELLED"]').wait_for()
    live.wait_for(state="detached", timeout=15_000)
    plain.locator('[data-state="CANCELLED"]').wait_for()
    assert plain.locator("img.mlh-study-history").is_visible()
    assert not page.get_by_text("running, ").is_visible()
    assert not page.evaluate("window.hurt")
    page.screenshot(path=str(pictures / "study_over.png"))
    page.evaluate(
        "window.saved = false; void window.jupyterapp.commands.execute('docmanager:save')"
        ".then(() => { window.saved = true; })"
    )
    page.wait_for_function("window.saved")
    stored, widget = json.loads((folder / _NOTEBOOK).read_text())["cells"][0]["outputs"]
    assert "data:image/png;base64," in "".join(stored["data"]["text/html"])
    assert "".join(stored["data"]["text/plain"]).startswith("Study local://shown  CANCELLED")
    assert set(widget["data"]) == {"text/plain"}  # no widget that a stored notebook could not show
