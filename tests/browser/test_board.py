"""TensorBoard in a frame of another page, in a real browser; a picture of it is left in data/runs/screenshots/."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlhelpers import board
from mlhelpers.frameworks import hidden

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def page_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serve a page that shows a board over one small run, as a notebook would; return its port."""
    folder = tmp_path_factory.mktemp("board")
    with hidden(["tensorflow"]):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        writer = EventFileWriter(str(folder / "run" / "train"))
        for step in range(3):
            values = [Summary.Value(tag="loss", simple_value=1 / (step + 1))]
            writer.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=values)))
        writer.close()
    frame = board.show(folder / "run")._repr_html_()
    (folder / "page.html").write_text(f"<!DOCTYPE html><html><body>{frame}</body></html>")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_curves_show_in_a_frame_under_either_name_of_this_machine(
    page_port: int, host: str, repository: Path
) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1100, "height": 640})
        page.goto(f"http://{host}:{page_port}/page.html")
        frame = page.frame_locator("iframe")
        frame.get_by_text("Time Series").first.wait_for(timeout=60_000)
        frame.get_by_text("loss").first.wait_for(timeout=60_000)
        pictures = repository / "data" / "runs" / "screenshots"
        pictures.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(pictures / f"board_{host}.png"))
        browser.close()
