"""What a network answers is drawn by the page: these tests read the HTML."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mlhelpers.widget.answer import STYLE, answer_html, drawing_svg

PICTURE = np.linspace(0, 1, 784, dtype=np.float32).reshape(28, 28)
SURE = [0.0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
DOUBT = [0.0, 0.3, 0, 0, 0, 0, 0, 0.66, 0.04, 0]


class Balance(HTMLParser):
    """Fail where a tag is closed that was not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("probabilities", [None, SURE, DOUBT])
def test_every_tag_is_closed_and_nothing_is_fetched(probabilities: list[float] | None) -> None:
    parser = Balance()
    text = STYLE + answer_html(PICTURE, probabilities) + drawing_svg([np.array([[1.0, 2], [3, 4]])], 280, 20)
    parser.feed(text)

    assert parser.open == []
    assert "http" not in text
    assert "<script" not in text


def test_the_heights_of_the_bars_are_the_probabilities() -> None:
    heights = [float(height) for height in re.findall(r"height:([\d.]+)%", answer_html(PICTURE, DOUBT))]

    assert len(heights) == 10
    np.testing.assert_allclose(heights, np.array(DOUBT) * 85, atol=0.06)


def test_the_digit_and_how_sure_are_said() -> None:
    sure, doubt = answer_html(PICTURE, SURE), answer_html(PICTURE, DOUBT)

    assert '<div class="mlh-digit" data-digit="7">7</div>' in sure
    assert "<b>100 %</b>sure" in sure
    assert "<b>66 %</b>perhaps; or a 1 (30 %)" in doubt


def test_without_an_answer_a_person_is_asked_to_draw_and_no_bar_stands_out() -> None:
    empty = answer_html(np.zeros((28, 28), np.float32), None)

    assert "Draw a digit from 0 to 9" in empty
    assert "There is no answer." in answer_html(PICTURE, None)
    assert 'class="mlh-bar mlh-win"' not in empty


def test_a_screen_reader_hears_the_numbers() -> None:
    (spoken,) = re.findall(r'aria-label="Probabilities\. ([^"]*)"', answer_html(PICTURE, DOUBT))

    assert spoken.startswith("0: 0 %, 1: 30 %")
    assert spoken.count("%") == 10
    assert 'aria-live="polite"' in answer_html(PICTURE, DOUBT)


def test_the_picture_is_shown_pixel_by_pixel() -> None:
    (data,) = re.findall(r"data:image/png;base64,([\w+/=]+)", answer_html(PICTURE, SURE))
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))

    np.testing.assert_array_equal(shown, np.rint(PICTURE * 255))


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (1.0, "100 %"),
        (0.9996, "100 %"),
        (0.994, "99.4 %"),
        (0.85, "85 %"),
        (0.0, "0 %"),
        (0.0004, "0 %"),
        (0.012, "1.2 %"),
    ],
)
def test_shares_are_given_as_exactly_as_they_deserve(share: float, words: str) -> None:
    (spoken,) = re.findall(r"0: ([\d.]+ %)", answer_html(PICTURE, [share] + [0.0] * 9))

    assert spoken == words


def test_a_single_point_is_seen_in_the_still_picture() -> None:
    assert 'points="5.0,6.0 5.0,6.0"' in drawing_svg([np.array([[5.0, 6]])], 280, 20)
