"""The form for babyweight and the index page in a real browser: by keyboard alone, on a phone, faults in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlhelpers import datasets, serving
from mlhelpers.trainers import babyweight_sklearn

pytestmark = pytest.mark.browser

PHONE = {"width": 360, "height": 740}
WEIGHT = re.compile(r"^(\d+\.\d\d) lb = (\d+\.\d\d) kg$")


@pytest.fixture(scope="module")
def babies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("babies")
    datasets.prepare("babyweight", folder / "data", source="shipped")
    settings = babyweight_sklearn.Hyperparameters(data_dir=str(folder / "data"), output_dir=str(folder / "run"))
    return babyweight_sklearn.train(settings)


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """Give a page as wide as a phone's; a script's fault or a request to elsewhere fails the test."""
    faults: list[str] = []
    context = chromium.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(60_000)  # the first answer waits for scikit-learn to be imported
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.append(request.url) if "//127.0.0.1:" not in request.url else None)
    yield page
    context.close()
    assert not faults


def weight(page: Any) -> tuple[float, float]:
    match = WEIGHT.match(page.locator(".weight").inner_text())
    assert match is not None
    return float(match[1]), float(match[2])


def test_the_form_is_filled_in_with_the_keyboard_alone(page: Any, babies: Path) -> None:
    with serving.start(models={"babyweight": babies}) as server, serving.load(babies) as predictor:
        page.goto(f"{server.address}/forms/babyweight")
        page.get_by_role("group", name="The baby’s gender").wait_for()
        press = page.keyboard.press

        page.get_by_role("button", name="Predict the weight").focus()
        press("Enter")
        page.get_by_role("alert").get_by_text("Set all items.").wait_for()
        assert page.evaluate("document.activeElement.name") == "baby_gender"  # where the first missing item is
        press("Space")
        assert page.get_by_role("radio", name="Male", exact=True).is_checked()
        press("Tab")
        press("Space")
        press("Tab")
        assert page.evaluate("document.activeElement.id") == "mother_age"
        press("Home")
        for _ in range(11):
            press("ArrowRight")
        press("Tab")
        press("End")
        assert page.get_by_role("slider", name="Weeks of gestation").get_attribute("aria-valuetext") == "49 weeks"
        for _ in range(10):
            press("ArrowLeft")
        assert page.locator("output[for=gestation_weeks]").inner_text() == "39 weeks"
        press("Tab")
        press("Enter")
        page.locator(".weight").wait_for()

        [own] = predictor.predict(
            [{"is_male": "True", "mother_age": 26, "plurality": "Single(1)", "gestation_weeks": 39}]
        )
        pounds = round(own["predictions"][0], 2)
        assert weight(page) == (pounds, round(pounds * 0.45359237, 2))
        assert page.get_by_role("alert").inner_text() == ""

        page.get_by_role("slider", name="Weeks of gestation").focus()
        with page.expect_response("**/api/predict"):
            press("Home")  # thirty weeks: answered without the button, and without loading the page anew
        page.wait_for_function(
            "was => !document.querySelector('.weight').textContent.startsWith(was)", arg=f"{pounds:.2f}"
        )
        assert weight(page)[0] < pounds - 2


def test_each_control_has_a_name_and_room_for_a_finger_and_the_page_fits_a_phone(page: Any, babies: Path) -> None:
    with serving.start(models={"babyweight": babies}) as server:
        page.goto(f"{server.address}/form")
        page.get_by_role("button", name="Predict the weight").wait_for()
        controls = page.locator("#form input, #form button")
        for control in controls.all():
            place = control.locator("xpath=ancestor::label") if control.get_attribute("type") == "radio" else control
            box = place.bounding_box()
            assert box["height"] >= 44
            assert box["width"] >= 44
            assert control.evaluate("one => one.labels?.length || one.textContent")
        assert [group.get_attribute("id") for group in page.get_by_role("group").all()] == ["baby_gender", "plurality"]
        assert page.get_by_role("group", name="How many babies").get_by_role("radio").count() == 5
        assert [one.get_attribute("max") for one in page.get_by_role("slider").all()] == ["49", "49"]
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.locator("[aria-live=polite]").count() == 1
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
        assert len(ids) == len(set(ids))
        text = page.locator("main").inner_text()
        assert "synthetic" in text
        assert "The model asked is babyweight: ridge regression" in text
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(_CONTRAST, "#form button") >= 4.5
            assert page.evaluate(_CONTRAST, "legend") >= 4.5


# WCAG's contrast of an element's text and the first ground below it; the page's own ground is the scheme's
_CONTRAST = """selector => {
  const paint = document.createElement('canvas').getContext('2d');
  const light = colour => {
    paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...paint.getImageData(0, 0, 1, 1).data].map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const one = document.querySelector(selector);
  const own = getComputedStyle(one).backgroundColor;
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const ground = own === 'rgba(0, 0, 0, 0)' ? (dark ? 'rgb(18, 18, 18)' : 'white') : own;
  const [a, b] = [light(getComputedStyle(one).color), light(ground)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}"""


def test_faults_are_sentences_on_the_page(page: Any, home: Path, babies: Path) -> None:
    store = serving.ModelStore()
    with serving.start(token="a-secret") as server:
        page.goto(f"{server.address}/forms/babyweight")
        page.get_by_label("This server wants the token").wait_for()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("That is not the token.").wait_for()
        page.get_by_label("This server wants the token").fill("a-secret")
        page.keyboard.press("Enter")
        page.get_by_text("There is no model 'babyweight'. No model exists yet.").wait_for()
        assert "mlhelpers models create babyweight" in page.get_by_role("region", name="Commands").inner_text()
        assert not page.locator("#form").is_visible()

        store.create_model("babyweight")
        store.create_version("babyweight", "v1", babies)
        page.reload()
        page.get_by_label("This server wants the token").fill("a-secret")
        page.keyboard.press("Enter")
        page.get_by_text("Female").click()
        page.get_by_role("button", name="Predict the weight").click()
        page.get_by_text("Set all items.").wait_for()
        assert page.evaluate("document.activeElement.name") == "plurality"
        page.get_by_role("radio", name="2", exact=True).check()
        page.get_by_role("button", name="Predict the weight").click()
        page.locator(".weight").wait_for()

        loading = '{"error": "babyweight version v1 is still loading."}'
        head = {"Retry-After": "0.2", "Content-Type": "application/json"}
        page.route("**/api/predict", lambda route: route.fulfill(status=503, body=loading, headers=head), times=1)
        page.get_by_role("button", name="Predict the weight").click()
        page.get_by_role("alert").get_by_text("is still loading").wait_for()
        page.locator(".weight").wait_for()  # asked once more by itself

        store.delete_version("babyweight", "v1")
        store.delete_model("babyweight")
        page.get_by_role("button", name="Predict the weight").click()
        page.get_by_role("alert").get_by_text("There is no model 'babyweight'").wait_for()
        assert page.locator(".weight").count() == 0
        assert page.locator("#how").is_visible()
        server.stop()
        page.get_by_role("button", name="Predict the weight").click()
        page.get_by_role("alert").get_by_text("The server does not answer").wait_for()


def test_the_index_leads_to_the_pages_and_names_the_models(page: Any, babies: Path) -> None:
    with serving.start(models={"babyweight": babies}) as server:
        page.goto(server.address)
        page.get_by_text("1 model is served.").wait_for()
        assert page.locator("#models").inner_text() == "babyweight – POST /v1/models/babyweight:predict"
        for name, heading in (("/docs", "Prediction server"), ("/forms/babyweight", "A baby’s weight at birth")):
            page.get_by_role("link", name=name).click()
            page.wait_for_url(f"**{name}")
            assert page.get_by_role("heading", level=1).inner_text() == heading
            page.go_back()
