"""The web app in a real browser: files, drops, pastes, the camera; keyboard, phone, and nothing from elsewhere."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from colour_detector import PASSWORD, picture_file, scene, web_app
from PIL import Image
from skimage import data

from mlhelpers import detection

pytestmark = pytest.mark.browser

_SHOTS = os.environ.get("MLHELPERS_SCREENSHOTS")  # a folder; whoever wants to look sets it


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with web_app() as found:
        yield found


@pytest.fixture(scope="module")
def camera_browser() -> Iterator[Any]:
    """Start Chromium with a camera that shows a test film."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        flags += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(camera_browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Open the page as a person with the password does; whatever goes wrong on it fails the test."""
    faults: list[str] = []
    context = camera_browser.new_context(
        http_credentials={"username": "any", "password": PASSWORD}, **getattr(request, "param", {})
    )
    made = context.new_page()
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
    made.on(
        "request",
        lambda sent: faults.append(sent.url) if not sent.url.startswith((address, f"blob:{address}")) else None,
    )
    made.goto(address)
    made.locator("#model option").first.wait_for(state="attached")
    yield made
    context.close()
    assert not faults


def _choose(page: Any, content: bytes, name: str = "scene.jpg") -> None:
    page.locator("#file").set_input_files({"name": name, "mimeType": "image/jpeg", "buffer": content})


def _keep(page: Any, name: str) -> None:
    if _SHOTS:
        page.screenshot(path=Path(_SHOTS, f"{name}.png"), full_page=True)


def _names(page: Any) -> list[str]:
    return sorted(page.locator(".box").evaluate_all("all => all.map(one => one.dataset.name)"))


def test_a_picture_is_marked_where_its_objects_are(page: Any) -> None:
    _keep(page, "empty")
    _choose(page, picture_file(scene((800, 600))))
    page.get_by_text("Found 2: person 1, dog 1").wait_for()

    assert _names(page) == ["dog", "person"]
    shown = page.locator("#picture").bounding_box()
    frame = page.locator(".box[data-name=dog]").bounding_box()
    assert frame["x"] - shown["x"] == pytest.approx(0.5 * shown["width"], abs=3)
    assert frame["y"] - shown["y"] == pytest.approx(0.6 * shown["height"], abs=3)
    assert frame["width"] == pytest.approx(0.4 * shown["width"], abs=3)
    widths = {
        name: page.locator(f".box[data-name={name}]").evaluate("box => box.style.borderWidth") for name in _names(page)
    }
    assert widths == {"person": "5px", "dog": "4px"}  # int(10 · score) − 4
    _keep(page, "desk")


def test_the_slider_shows_more_without_asking_again(page: Any) -> None:
    _choose(page, picture_file(scene()))
    page.get_by_text("Found 2").wait_for()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))

    page.locator("#threshold").focus()
    for _ in range(6):
        page.keyboard.press("ArrowLeft")

    page.get_by_text("Found 3: person 1, dog 1, kite 1").wait_for()
    assert page.locator("#at").inner_text() == "0.40"
    assert page.locator(".box[data-name=kite]").evaluate("box => box.style.borderWidth") == "1px"
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.get_by_text("Nothing scores 0.95 or more; 3 score less").wait_for()
    assert sent == []


def test_a_class_is_chosen_with_the_keyboard_and_original_shows_the_picture_alone(page: Any) -> None:
    _choose(page, picture_file(scene()))
    page.get_by_text("Found 2").wait_for()
    assert [text.split() for text in page.locator("#classes label").all_inner_texts()] == [
        ["original"],
        ["everything", "2"],
        ["person", "1"],
        ["dog", "1"],
    ]

    page.get_by_role("radio", name="everything").focus()
    page.keyboard.press("ArrowDown")
    assert _names(page) == ["person"]
    page.keyboard.press("ArrowDown")
    assert _names(page) == ["dog"]
    page.keyboard.press("ArrowDown")
    assert page.get_by_role("radio", name="original").is_checked()
    assert _names(page) == []


def test_a_screen_reader_hears_what_is_there(page: Any) -> None:
    _choose(page, picture_file(scene()))
    page.get_by_role("status").get_by_text("Found 2").wait_for()

    assert page.get_by_role("img", name="scene.jpg: person 1, dog 1").count() == 1
    page.get_by_text("The boxes as a table").click()
    rows = page.get_by_role("table", name="Boxes shown").get_by_role("row")
    assert rows.all_inner_texts()[1].split() == ["person", "0.93", "40", "60", "80", "210"]
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, button')]"
        ".filter(one => !(one.labels?.length || one.textContent.trim()))"
        ".map(one => one.outerHTML)"
    )
    assert unnamed == []


def test_another_model_answers_without_a_restart(page: Any) -> None:
    _choose(page, picture_file(scene()))
    page.get_by_text("(colours,").wait_for()

    page.get_by_label("Model").select_option("slow colours")

    page.get_by_text("(slow colours,").wait_for()
    assert page.locator("#about").inner_text() == "About slow colours."


def test_a_file_is_dropped_and_a_picture_pasted(page: Any) -> None:
    for kind, holder in {"drop": "dataTransfer", "paste": "clipboardData"}.items():
        content = base64.b64encode(picture_file(scene(), "PNG")).decode()
        page.evaluate(
            """([kind, holder, content]) => {
                const data = new DataTransfer();
                const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
                data.items.add(new File([bytes], `${kind}.png`, { type: "image/png" }));
                const Kind = kind === "drop" ? DragEvent : ClipboardEvent;
                document.dispatchEvent(new Kind(kind, { [holder]: data, bubbles: true, cancelable: true }));
            }""",
            [kind, holder, content],
        )
        page.get_by_role("img", name=f"{kind}.png: person 1, dog 1").wait_for()


def test_the_camera_takes_a_picture_and_is_given_back(page: Any) -> None:
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the picture").wait_for()
    page.locator("#shoot:enabled").wait_for()
    page.keyboard.press("Enter")  # the button has the focus

    page.get_by_role("img", name="the camera’s picture").wait_for()
    page.locator("#status").get_by_text("pixels).").wait_for()
    assert page.evaluate("document.getElementById('video').srcObject") is None


def test_what_is_no_picture_is_told_in_a_sentence_and_the_next_one_works(page: Any) -> None:
    _choose(page, picture_file(scene()))
    page.get_by_text("Found 2").wait_for()
    _choose(page, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" * 9, "phone.heic")
    page.get_by_role("alert").get_by_text("This is a HEIC picture").wait_for()
    assert page.locator(".box").count() == 0
    _keep(page, "refused")
    _choose(page, picture_file(scene())[:700], '<img src=x onerror="alert(1)">.jpg')
    page.get_by_role("alert").get_by_text("it is no readable picture").wait_for()
    assert page.locator("img").count() == 1

    _choose(page, picture_file(scene()))
    page.get_by_text("Found 2").wait_for()
    assert page.locator("#fault").inner_text() == ""


def test_a_photo_from_a_phone_held_upright_is_marked_as_it_is_seen(page: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held upright: the file lies on its side
    _choose(page, picture_file(scene((600, 800)).transpose(Image.Transpose.ROTATE_90), exif=exif))
    page.get_by_text("600 × 800 pixels").wait_for()

    shown = page.locator("#picture").bounding_box()
    frame = page.locator(".box[data-name=person]").bounding_box()
    assert shown["height"] > shown["width"]
    assert (frame["x"] - shown["x"]) / shown["width"] == pytest.approx(0.1, abs=0.02)
    assert (frame["y"] - shown["y"]) / shown["height"] == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}], indirect=True
)
def test_it_fits_a_phone_and_its_targets_fit_a_thumb(page: Any) -> None:
    assert page.get_by_text("Take a photo").is_visible()
    _keep(page, "phone_empty")
    _choose(page, picture_file(scene((3000, 4000))))
    page.get_by_text("Found 2").wait_for()
    _keep(page, "phone")

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate(
        "[...document.querySelectorAll('.button, button, select, #classes label, summary')]"
        ".filter(one => one.offsetParent && one.getBoundingClientRect().height < 44).map(one => one.outerHTML)"
    )
    assert small == []


@pytest.mark.parametrize("page", [{"color_scheme": "dark"}], indirect=True)
def test_it_can_be_read_in_the_dark(page: Any) -> None:
    _choose(page, picture_file(scene()))
    page.get_by_text("Found 2").wait_for()
    _keep(page, "dark")
    assert page.evaluate("getComputedStyle(document.body).colorScheme || 'dark'") != "light"


def test_the_shipped_model_finds_the_cat(camera_browser: Any) -> None:
    with detection.start_app() as app:
        page = camera_browser.new_page(http_credentials={"username": "me", "password": app.password})
        page.goto(app.address)
        _choose(page, picture_file(Image.fromarray(data.chelsea())), "chelsea.jpg")
        page.locator("#status").get_by_text("(nanodet,").wait_for()
        page.get_by_label("Show scores from").fill("0.4")
        page.locator("#classes").get_by_text("cat").wait_for()
        _keep(page, "cat")
        page.close()
