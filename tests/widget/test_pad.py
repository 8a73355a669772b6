"""The drawing pad without a browser: events are fed to the canvas as the page would send them."""

from __future__ import annotations

import builtins
import datetime
import gc
import importlib
import io
import re
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import ipycanvas.canvas
import numpy as np
import pytest
from PIL import Image

from mlhelpers import serving, strokes
from mlhelpers.errors import DataError, MissingExtraError, UsageError
from mlhelpers.widget import DigitPad

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
SEVEN = [[(60, 50), (200, 50), (110, 230)]]


def always(digit: int) -> Any:
    """Return a recogniser that is always sure of one digit."""
    return lambda image: np.eye(10)[digit]


def by_area(image: np.ndarray) -> np.ndarray:
    """Recognise the amount of ink: 0 for little, 9 for much."""
    return np.eye(10)[min(9, int(image.sum() // 20))]


def send(pad: DigitPad, event: str, *points: tuple[float, float]) -> None:
    """Send what the page would send."""
    content: dict[str, Any] = {"event": event}
    if event.startswith("touch"):
        content["touches"] = [{"x": x, "y": y} for x, y in points]
    elif points:
        content["x"], content["y"] = points[0]
    pad.canvas._handle_frontend_event(pad.canvas, content, [])


def draw(pad: DigitPad, points: list[tuple[float, float]], end: str = "mouse_up") -> None:
    send(pad, "mouse_down", points[0])
    for point in points[1:]:
        send(pad, "mouse_move", point)
    send(pad, end, points[-1])


def drawn(pad: DigitPad) -> list[list[tuple[float, ...]]]:
    return [[tuple(point) for point in stroke.tolist()] for stroke in pad.strokes]


def shown(pad: DigitPad) -> str:
    """Return all the HTML in the pad."""
    return pad._answer.value + pad._error_line.value


@pytest.fixture
def pad() -> DigitPad:
    return DigitPad(predict=by_area)


def test_a_fresh_pad_is_empty(pad: DigitPad) -> None:
    assert pad.strokes == []
    assert pad.image.shape == (28, 28)
    assert pad.image.dtype == np.float32
    assert not pad.image.any()
    assert pad.prediction is None
    assert pad.probabilities is None
    assert pad.error == ""
    assert "Draw a digit" in shown(pad)


def test_strokes_that_are_set_are_recognised_without_a_browser(pad: DigitPad) -> None:
    pad.strokes = SEVEN

    np.testing.assert_array_equal(pad.image, strokes.rasterize(SEVEN))
    assert pad.prediction == np.argmax(by_area(pad.image))
    assert pad.probabilities == by_area(pad.image).tolist()


def test_the_mouse_draws_strokes(pad: DigitPad) -> None:
    draw(pad, [(60, 50), (200, 50), (110, 230)])
    draw(pad, [(100, 140), (170, 140)])

    assert drawn(pad) == [[(60, 50), (200, 50), (110, 230)], [(100, 140), (170, 140)]]
    np.testing.assert_array_equal(pad.image, strokes.rasterize(pad.strokes))
    assert pad.prediction == np.argmax(by_area(pad.image))


def test_moving_without_the_button_draws_nothing(pad: DigitPad) -> None:
    for event in ("mouse_move", "mouse_up", "mouse_out", "touch_end", "touch_cancel"):
        send(pad, event, (10, 10))

    assert pad.strokes == []


def test_a_click_is_a_dot(pad: DigitPad) -> None:
    draw(pad, [(100, 100)])

    assert drawn(pad) == [[(100, 100)]]
    assert 0 < pad.image.sum() < 12


def test_leaving_the_paper_ends_the_stroke_at_its_edge(pad: DigitPad) -> None:
    send(pad, "mouse_down", (200, 100))
    send(pad, "mouse_move", (260, 100))
    send(pad, "mouse_out", (301, 104))
    send(pad, "mouse_move", (120, 120))
    send(pad, "mouse_up", (120, 120))

    assert drawn(pad) == [[(200, 100), (260, 100), (280, 104)]]


def test_a_press_after_a_lost_release_begins_a_new_stroke(pad: DigitPad) -> None:
    send(pad, "mouse_down", (10, 10))
    send(pad, "mouse_move", (20, 20))
    draw(pad, [(100, 100), (150, 150)])

    assert drawn(pad) == [[(10, 10), (20, 20)], [(100, 100), (150, 150)]]


def test_a_finger_draws(pad: DigitPad) -> None:
    send(pad, "touch_start", (60, 50))
    send(pad, "touch_move", (200, 50))
    send(pad, "touch_move", (110, 230))
    send(pad, "touch_end")

    assert drawn(pad) == [[(60, 50), (200, 50), (110, 230)]]
    assert pad.prediction is not None


def test_a_second_finger_changes_nothing(pad: DigitPad) -> None:
    send(pad, "touch_start", (60, 50))
    send(pad, "touch_start", (60, 50), (250, 250))
    send(pad, "touch_move", (90, 50), (240, 250))
    send(pad, "touch_end", (240, 250))

    assert drawn(pad) == [[(60, 50), (90, 50)]]


def test_a_finger_that_leaves_and_comes_back_draws_two_strokes(pad: DigitPad) -> None:
    send(pad, "touch_start", (250, 50))
    send(pad, "touch_move", (300, 60))
    send(pad, "touch_move", (310, 90))
    send(pad, "touch_move", (270, 100))
    send(pad, "touch_move", (200, 100))
    send(pad, "touch_cancel")

    assert drawn(pad) == [[(250, 50), (280, 60)], [(270, 100), (200, 100)]]


def test_bars_move_while_the_pen_is_still_down(pad: DigitPad) -> None:
    send(pad, "mouse_down", (60, 50))
    pad._asked_at = time.monotonic() - 1  # the last answer is long ago
    send(pad, "mouse_move", (200, 50))

    assert pad.prediction is not None
    assert pad.strokes == []


def test_a_slow_network_is_asked_only_when_the_pen_is_lifted() -> None:
    asked: list[float] = []

    def slow(image: np.ndarray) -> np.ndarray:
        asked.append(float(image.sum()))
        time.sleep(0.06)
        return np.eye(10)[1]

    pad = DigitPad(predict=slow)
    pad.strokes = SEVEN
    asked.clear()
    send(pad, "mouse_down", (60, 50))
    for x in range(70, 200, 10):
        pad._asked_at = time.monotonic() - 1
        send(pad, "mouse_move", (x, 50))
    assert asked == []
    send(pad, "mouse_up", (200, 50))

    assert len(asked) == 1


def test_undo_takes_the_last_stroke_and_clear_takes_all(pad: DigitPad) -> None:
    draw(pad, [(60, 50), (200, 50)])
    before = pad.image
    draw(pad, [(100, 140), (170, 240)])
    pad._undo.click()

    assert drawn(pad) == [[(60, 50), (200, 50)]]
    np.testing.assert_array_equal(pad.image, before)

    pad._clear.click()
    assert pad.strokes == []
    assert not pad.image.any()
    assert pad.prediction is None
    assert pad.probabilities is None


def test_undo_and_clear_on_a_fresh_sheet_are_fine(pad: DigitPad) -> None:
    pad.undo()
    pad.clear()

    assert pad.strokes == []
    assert pad._undo.disabled
    assert pad._clear.disabled


def test_the_buttons_wake_with_the_first_stroke(pad: DigitPad) -> None:
    draw(pad, [(60, 50), (200, 50)])

    assert not pad._undo.disabled
    assert not pad._clear.disabled


def test_two_pads_share_no_ink() -> None:
    one, other = DigitPad(predict=always(1)), DigitPad(predict=always(2))
    send(one, "mouse_down", (10, 10))
    draw(other, [(100, 100), (150, 150)])
    send(one, "mouse_move", (30, 30))
    send(one, "mouse_up", (30, 30))

    assert drawn(one) == [[(10, 10), (30, 30)]]
    assert drawn(other) == [[(100, 100), (150, 150)]]
    assert (one.prediction, other.prediction) == (1, 2)
    other.clear()
    assert len(one.strokes) == 1


def test_whoever_watches_the_strokes_finds_their_answer_there_already(pad: DigitPad) -> None:
    seen: list[Any] = []
    pad.observe(lambda change: seen.append((len(change.new), pad.prediction)), "strokes")
    pad.observe(lambda change: seen.append(change.new), "prediction")
    draw(pad, [(60, 50), (200, 50)])
    digit = pad.prediction
    pad.clear()

    assert seen == [digit, (1, digit), None, (0, None)]


@pytest.mark.parametrize("trait", ["image", "prediction", "probabilities", "error"])
def test_what_the_pad_finds_out_cannot_be_set(pad: DigitPad, trait: str) -> None:
    with pytest.raises(Exception, match="read-only"):
        setattr(pad, trait, getattr(pad, trait))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([[(1, 2), (np.nan, 3)]], "Point 1 of stroke 0 is"),
        ([np.zeros((3, 4))], r"Stroke 0 has the shape \(3, 4\)"),
        ([(1, 2)], "wrap it in a list"),
    ],
)
def test_strokes_that_are_none_are_refused_and_the_drawing_stays(pad: DigitPad, bad: Any, message: str) -> None:
    pad.strokes = SEVEN
    before = (drawn(pad), pad.prediction)

    with pytest.raises(UsageError, match=message):
        pad.strokes = bad
    assert (drawn(pad), pad.prediction) == before


def test_a_stroke_cannot_be_changed_behind_the_pads_back(pad: DigitPad) -> None:
    mine = np.array(SEVEN[0], dtype=float)
    pad.strokes = [mine]
    mine += 100

    assert drawn(pad) == [[(60, 50), (200, 50), (110, 230)]]
    with pytest.raises(ValueError, match="read-only"):
        pad.strokes[0][0, 0] = 5


class Served:
    """A recogniser with the face of a served model."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.instances: list[Any] = []

    def predict(self, instances: list[Any]) -> Any:
        self.instances += instances
        return self.answer


def test_a_served_model_is_asked_as_the_wire_has_it() -> None:
    model = Served([{"classes": 4, "probabilities": [0.0, 0, 0, 0, 1, 0, 0, 0, 0, 0]}])
    pad = DigitPad(predict=model)
    pad.strokes = SEVEN

    assert pad.prediction == 4
    (instance,) = model.instances
    assert list(instance) == ["inputs"]
    assert isinstance(instance["inputs"], list)
    np.testing.assert_allclose(np.reshape(instance["inputs"], (28, 28)), pad.image)


def test_without_a_model_the_shipped_network_reads_a_seven() -> None:
    pad = DigitPad()
    pad.strokes = SEVEN

    assert pad.error == ""
    assert pad.prediction == 7
    assert sum(pad.probabilities) == pytest.approx(1, abs=1e-3)


def test_the_shipped_network_reads_mnist_from_pictures(repository: Path) -> None:
    from mlhelpers import datasets

    split = datasets.load("mnist")
    with serving.shipped("mnist") as model:
        pad = DigitPad(predict=model)
        right = 0
        for digit, label in zip(split.test["images"][:100], split.test["labels"][:100], strict=True):
            pad.read_picture(digit)
            right += pad.prediction == label

    assert right >= 95


def fail(image: np.ndarray) -> np.ndarray:
    raise RuntimeError("the server <is> down")


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (fail, r"^RuntimeError: the server <is> down$"),
        (lambda image: None, r"predict answered an array of shape \(\); the pad needs ten|predict answered None"),
        (lambda image: np.zeros(3), r"predict answered an array of shape \(3,\); the pad needs ten probabilities"),
        (lambda image: np.full(10, np.nan), r"predict answered \[nan, .*a probability is a finite number"),
        (lambda image: np.arange(10.0) - 4, r"predict answered \[-4\.0, .*lack its softmax\?"),
        (lambda image: "seven", r"predict answered 'seven'; the pad needs ten"),
        (Served([]), r"The model answered '\[\]'; the pad needs one answer with 'probabilities'"),
        (Served([{"classes": 1}]), r"needs one answer with 'probabilities'"),
        (Served(None), r"The model answered 'None'"),
    ],
)
def test_what_goes_wrong_is_shown_and_drawing_goes_on(predict: Any, message: str) -> None:
    pad = DigitPad(predict=predict)
    draw(pad, [(60, 50), (200, 50)])

    assert re.search(message, pad.error)
    assert pad.prediction is None
    assert pad.probabilities is None
    assert 'role="alert"' in shown(pad)
    assert "There is no answer" in shown(pad)
    assert "<is>" not in shown(pad)

    draw(pad, [(100, 140), (170, 240)])
    assert len(pad.strokes) == 2
    assert pad.image.any()


def test_an_error_goes_away_with_the_next_good_answer() -> None:
    answers: list[Any] = [RuntimeError("once"), np.eye(10)[3]]

    def predict(image: np.ndarray) -> Any:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    pad = DigitPad(predict=predict)
    pad.strokes = SEVEN
    assert "once" in pad.error
    pad.strokes = [*SEVEN, [(100, 140), (170, 240)]]

    assert pad.error == ""
    assert 'role="alert"' not in shown(pad)
    assert pad.prediction == 3


def test_drawing_commands_are_not_held_back_after_an_error() -> None:
    pad = DigitPad(predict=fail)
    draw(pad, [(60, 50), (200, 50)])

    assert ipycanvas.canvas._CANVAS_MANAGER._caching is False


@pytest.mark.parametrize("predict", [7, "mnist", [0.1] * 10])
def test_what_cannot_predict_is_refused(predict: Any) -> None:
    with pytest.raises(UsageError, match=r"predict=.* cannot predict: give a function from a \(28, 28\) image"):
        DigitPad(predict=predict)


@pytest.mark.parametrize("size", [0, 20, 5000, 280.0, True, "large"])
def test_an_absurd_size_is_refused(size: Any) -> None:
    with pytest.raises(UsageError, match=r"size=.* is no size for the paper: give 56 to 2000 pixels"):
        DigitPad(predict=always(1), size=size)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Record what is sent to the page to be drawn."""
    sent: list[Any] = []
    manager = ipycanvas.canvas._CANVAS_MANAGER
    monkeypatch.setattr(manager, "_send_custom", lambda command, buffers=(): sent.append((command, list(buffers))))
    return sent


def names(commands: list[Any]) -> list[str]:
    """Return the names of the drawing commands, in order."""
    known = {number: name for name, number in ipycanvas.canvas.COMMANDS.items()}
    return [known[command[0]] for batch, _ in commands for command in batch]


def test_a_page_that_is_loaded_again_gets_the_whole_drawing(pad: DigitPad, commands: list[Any]) -> None:
    pad.strokes = [*SEVEN, [(100, 140), (170, 240)]]
    commands.clear()
    send(pad, "client_ready")

    assert len(commands) == 1
    told = names(commands)
    assert told.count("strokeLines" if "strokeLines" in told else "strokeLine") == 2
    # the new page has to be told which canvas is meant before anything is drawn on it
    last_switch = max(index for index, name in enumerate(told) if name == "switchCanvas")
    assert last_switch < told.index("fillRect")
    assert commands[0][0][last_switch][1] == [f"IPY_MODEL_{pad.canvas.model_id}"]


def test_each_move_is_one_message(pad: DigitPad, commands: list[Any]) -> None:
    send(pad, "mouse_down", (60, 50))
    commands.clear()
    send(pad, "mouse_move", (80, 50))

    assert len(commands) == 1


def test_the_shipped_network_is_warm_once_the_page_is_ready() -> None:
    pad = DigitPad()
    assert pad._predict is None
    send(pad, "client_ready")

    assert hasattr(pad._predict, "predict")
    assert pad.prediction is None


def test_a_picture_is_read_in_place_of_a_drawing(pad: DigitPad, tmp_path: Path) -> None:
    page = np.full((200, 300), 255, np.uint8)
    page[40:160, 140:160] = 0
    path = tmp_path / "one.png"
    Image.fromarray(page).save(path)
    pad.strokes = SEVEN
    pad.read_picture(path)

    assert pad.strokes == []
    np.testing.assert_array_equal(pad.image, strokes.from_picture(page))
    assert pad.prediction == np.argmax(by_area(pad.image))

    pad.undo()
    assert not pad.image.any()
    assert pad.prediction is None


def test_drawing_after_a_picture_starts_afresh(pad: DigitPad) -> None:
    pad.read_picture(np.eye(20))
    draw(pad, [(60, 50), (200, 50)])

    np.testing.assert_array_equal(pad.image, strokes.rasterize([[(60, 50), (200, 50)]]))


def test_a_picture_that_cannot_be_read_leaves_the_drawing(pad: DigitPad, tmp_path: Path) -> None:
    pad.strokes = SEVEN
    with pytest.raises(DataError, match="cannot be read"):
        pad.read_picture(tmp_path / "none.png")
    with pytest.raises(UsageError, match="shape"):
        pad.read_picture(np.zeros(784))

    assert drawn(pad) == [[(60, 50), (200, 50), (110, 230)]]


def colab(monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    """Make this look like Colab, with its widget manager enabled or not."""
    output = types.SimpleNamespace(_widgets=types.SimpleNamespace(_installed_url=url))
    module = types.ModuleType("google.colab")
    module.output = output  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google.colab", module)


def everything_in(widget: Any) -> list[Any]:
    return [widget, *(inner for child in getattr(widget, "children", ()) for inner in everything_in(child))]


def test_colab_without_its_widget_manager_gets_two_lines_and_an_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    colab(monkeypatch, None)
    pad = DigitPad(predict=by_area)
    parts = everything_in(pad)
    text = "".join(part.value for part in parts if isinstance(getattr(part, "value", None), str))
    (upload,) = [part for part in parts if type(part).__name__ == "FileUpload"]

    assert pad.canvas not in parts
    assert "from google.colab import output\noutput.enable_custom_widget_manager()" in text

    file = io.BytesIO()
    Image.fromarray(np.uint8(255 * np.eye(40))).save(file, "PNG")
    upload.value = (
        {"name": "a.png", "type": "image/png", "size": 1, "content": file.getvalue(), "last_modified": NOW},
    )
    assert pad.prediction is not None
    assert pad.error == ""

    upload.value = ({"name": "b.png", "type": "image/png", "size": 1, "content": b"text", "last_modified": NOW},)
    assert "The picture cannot be read" in pad.error


def test_colab_with_its_widget_manager_gets_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    colab(monkeypatch, "https://widgets.example/manager.js")
    pad = DigitPad(predict=by_area)

    assert pad.canvas in everything_in(pad)
    assert "google.colab" not in "".join(str(getattr(part, "value", "")) for part in everything_in(pad))


@pytest.mark.parametrize("module", ["mlhelpers.widget.pad", "mlhelpers.widget.paper"])
def test_missing_packages_are_named_with_the_cure(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] in ("ipycanvas", "ipywidgets"):
            raise ImportError(f"No module named {name!r}")
        return original(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.startswith("mlhelpers.widget")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(
        MissingExtraError, match=r"is not installed\. Install it with:  pip install 'mlhelpers\[notebooks\]'"
    ):
        importlib.import_module(module)


def test_the_pad_is_short_in_words_and_long_in_a_snapshot(pad: DigitPad) -> None:
    pad.strokes = SEVEN
    still = pad.snapshot()._repr_html_()

    assert repr(pad) == f"<DigitPad: 1 strokes, prediction {pad.prediction}>"
    assert f'data-digit="{pad.prediction}"' in still
    assert "<polyline" in still
    assert "data:image/png;base64," in still
    assert "<script" not in still


def test_callbacks_from_many_threads_lose_no_stroke(pad: DigitPad) -> None:
    def draw_some(row: int) -> None:
        for column in range(10):
            pad._guarded(lambda column=column: draw(pad, [(10 + column, row), (20 + column, row)]))

    threads = [threading.Thread(target=draw_some, args=(row,)) for row in (50, 100, 150, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert pad.error == ""
    assert len(pad.strokes) == 40
    assert all(len(stroke) == 2 for stroke in pad.strokes)


def test_lifting_the_pen_is_answered_within_the_budget() -> None:
    pad = DigitPad()
    pad.strokes = SEVEN
    times = []
    for _ in range(15):
        send(pad, "mouse_down", (60, 50))
        for x in range(60, 200, 4):
            send(pad, "mouse_move", (x, 50 + x / 10))
        begin = time.perf_counter()
        send(pad, "mouse_up", (200, 70))
        times.append(time.perf_counter() - begin)
        pad.clear()

    assert min(times) < 0.05  # half of the 100 ms, the page needs the rest


def test_a_pad_that_is_closed_can_be_forgotten() -> None:
    pad = DigitPad(predict=always(1))
    pad.strokes = SEVEN
    pad.close()
    gc.collect()

    assert pad.prediction == 1
