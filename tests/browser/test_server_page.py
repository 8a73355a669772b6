"""The prediction server's own page in a real browser: read, used with the keyboard, and quiet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlhelpers import serving

pytestmark = pytest.mark.browser


def test_a_model_is_tried_with_the_keyboard_alone(chromium: Any, tiny_export: Path) -> None:
    faults: list[str] = []
    with serving.start(models={"tiny": tiny_export}, token="a-secret") as server:
        page = chromium.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url) if server.address not in request.url else None)
        page.goto(f"{server.address}/docs")

        page.get_by_label("This server wants the token").wait_for()
        page.keyboard.type("wrong")  # the field has the focus
        page.keyboard.press("Enter")
        page.get_by_text("That is not the token.").wait_for()
        page.get_by_label("This server wants the token").fill("a-secret")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="tiny").wait_for()
        assert page.get_by_role("table", name="Signature pixels").get_by_role("row").count() == 2

        page.get_by_label("Signature").focus()
        page.keyboard.press("ArrowDown")
        assert '"pixels"' in page.get_by_label("Request body").input_value()
        page.get_by_role("button", name="Send").focus()
        page.keyboard.press("Enter")
        page.get_by_text("answered by version v1").wait_for()
        assert '"classes"' in page.get_by_role("region", name="Answer of").inner_text()

        page.get_by_label("Request body").fill('{"instances": [{"inputs": ["<img src=x onerror=alert(1)>"]}]}')
        page.get_by_role("button", name="Send").click()
        page.get_by_text("400 after").wait_for()
        assert "<img src=x" in page.get_by_role("region", name="Answer of").inner_text()
        assert page.locator("img").count() == 0
    assert not faults
