"""A job shown in a real notebook in a real browser: it moves, it is cancelled by a click, it stays when all is gone.

Screenshots of what was seen are left in data/runs/screenshots/.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlhelpers import jobs

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

_NOTEBOOK = "job.ipynb"
_TRAINER = """\
import json, os, time
from pathlib import Path

path = Path(os.environ["MLHELPERS_PROGRESS_FILE"])
for step in range(1, 1001):
    report = {"step": step, "total_steps": 1000, "steps_per_second": 10.0, "seconds_left": (1000 - step) / 10,
              "phase": "training", "metrics": {"loss": 2.3 / step ** 0.3, "accuracy": 1 - 0.9 / step ** 0.3}}
    path.with_suffix(".part").write_text(json.dumps(report))
    path.with_suffix(".part").rename(path)
    print(f"\\x1b[32mstep {step}\\x1b[0m <script>window.hurt = true</script>", flush=True)
    time.sleep(0.1)
"""
_CELLS = [
    "from mlhelpers import jobs\n"
    "job = jobs.submit(jobs.JobSpec('shown', 'trainer.task', package_path='trainer', grace_s=1))\n"
    "job",
]


def _write_notebook(folder: Path) -> None:
    (folder / "trainer").mkdir(parents=True)
    (folder / "trainer" / "__init__.py").touch()
    (folder / "trainer" / "task.py").write_text(_TRAINER)
    fields = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [fields | {"id": f"c{number}", "source": source} for number, source in enumerate(_CELLS)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / _NOTEBOOK).write_text(json.dumps(content))


class JobPage:
    """The notebook as a person meets it."""

    def __init__(self, page: Any, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.live = page.locator(".jp-OutputArea .widget-vbox.mlh-job")
        self.plain = page.locator(".jp-RenderedHTMLCommon .mlh-job")
        self.button = page.get_by_role("button", name="Cancel")

    def wait_until_ready(self) -> None:
        self.page.wait_for_function("window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')")
        self.page.wait_for_function(
            "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
        )

    def command(self, name: str) -> None:
        self.page.evaluate(f"void window.jupyterapp.commands.execute('{name}')")

    def wait_for_state(self, where: Any, state: str) -> None:
        where.locator(f'[data-state="{state}"]').wait_for(timeout=30_000)

    def stored_outputs(self) -> list[dict[str, Any]]:
        """Save the notebook and return the first cell's outputs as they lie on disk."""
        self.page.evaluate(
            "window.saved = false; void window.jupyterapp.commands.execute('docmanager:save')"
            ".then(() => { window.saved = true; })"
        )
        self.page.wait_for_function("window.saved")
        return list(json.loads((self.folder / _NOTEBOOK).read_text())["cells"][0]["outputs"])


@pytest.fixture
def job_page(
    start_lab: Callable[..., Any],
    chromium: Any,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[JobPage]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    _write_notebook(folder / "notebooks")
    with start_lab(folder, _NOTEBOOK) as lab:
        page = chromium.new_context(viewport={"width": 1100, "height": 700}).new_page()
        page.set_default_timeout(60_000)
        page.goto(lab.url(reset=""))
        opened = JobPage(page, folder / "notebooks")
        opened.wait_until_ready()
        opened.command("notebook:run-all-cells")
        yield opened
        monkeypatch.setenv("MLHELPERS_HOME", str(folder / "home"))
        job = jobs.attach("shown")
        job.cancel()
        job.wait(20, progress=False)


def _step(where: Any) -> int:
    text = where.locator(".mlh-job-replicas td").first.inner_text()
    return int(text.split("/")[0].replace(",", ""))


def test_a_job_moves_in_the_page_and_a_click_cancels_it(job_page: JobPage, repository: Path) -> None:
    pictures = repository / "data" / "runs" / "screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    job_page.wait_for_state(job_page.live, "RUNNING")
    job_page.live.locator("progress").wait_for()
    first = _step(job_page.live)
    job_page.page.wait_for_timeout(1500)

    assert _step(job_page.live) > first
    assert not job_page.plain.is_visible()
    assert "step" in job_page.live.locator("pre").inner_text()
    assert "<script>" in job_page.live.locator("pre").inner_text()
    assert "[32m" not in job_page.live.locator("pre").inner_text()
    job_page.page.screenshot(path=str(pictures / "job_running.png"))

    job_page.button.click()

    job_page.wait_for_state(job_page.live, "CANCELLED")
    assert job_page.button.is_disabled()
    job_page.page.screenshot(path=str(pictures / "job_cancelled.png"))
    job_page.live.wait_for(state="detached", timeout=15_000)
    job_page.wait_for_state(job_page.plain, "CANCELLED")
    assert job_page.plain.is_visible()
    assert not job_page.page.evaluate("window.hurt")
    job_page.page.screenshot(path=str(pictures / "job_over.png"))
    plain, widget = job_page.stored_outputs()
    assert "CANCELLED" in "".join(plain["data"]["text/html"])
    assert "".join(plain["data"]["text/plain"]).startswith("Job local://shown  CANCELLED")
    assert set(widget["data"]) == {"text/plain"}  # no widget that a stored notebook could not show


def test_a_panel_goes_on_after_a_reload_and_stays_as_text_when_the_kernel_is_gone(
    job_page: JobPage, repository: Path
) -> None:
    pictures = repository / "data" / "runs" / "screenshots"
    page = job_page.page
    job_page.live.locator("progress").wait_for()
    job_page.stored_outputs()

    page.reload()
    job_page.wait_until_ready()
    job_page.live.locator("progress").wait_for()
    first = _step(job_page.live)
    page.wait_for_timeout(1500)
    assert _step(job_page.live) > first
    assert not job_page.plain.is_visible()

    page.evaluate(
        "window.done = false; void window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()"
        ".then(() => { window.done = true; })"
    )
    page.wait_for_function("window.done")
    assert "RUNNING" in job_page.live.inner_text()  # it stands still, and stays
    page.screenshot(path=str(pictures / "job_restarted.png"))
    job_page.stored_outputs()
    page.reload()
    job_page.wait_until_ready()
    page.get_by_text("model not found").wait_for(state="attached", timeout=30_000)

    assert not page.get_by_text("model not found").is_visible()
    assert job_page.plain.is_visible()
    assert "RUNNING" in job_page.plain.inner_text()
    assert "seen at" in job_page.plain.inner_text()
    page.screenshot(path=str(pictures / "job_restarted_reloaded.png"))
