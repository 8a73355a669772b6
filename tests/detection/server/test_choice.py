"""Models on offer are loaded once, when first asked for, and only so many stay."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from colour_detector import ColourDetector

from mlhelpers.detection.server.choice import Choice, NotOfferedError
from mlhelpers.detection.server.shelf import choice_of_models
from mlhelpers.errors import ModelError, UsageError


def test_sixteen_who_ask_at_once_share_one_loading() -> None:
    loads: Counter[str] = Counter()

    def load(name: str) -> ColourDetector:
        time.sleep(0.05)
        loads[name] += 1
        return ColourDetector(name)

    choice = Choice({"a": {}, "b": {}}, "a", load)
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(choice.detector, ["a", "b"] * 8))

    assert loads == {"a": 1, "b": 1}
    assert len(set(map(id, found))) == 2


def test_who_asks_for_another_model_does_not_wait_for_one_that_loads() -> None:
    go_on = threading.Event()
    choice = Choice({"a": {}, "b": {}}, "a", lambda name: (name == "b" and go_on.wait(5), ColourDetector(name))[1])
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(choice.detector, "b")
        assert choice.detector("a").name == "a"  # type: ignore[attr-defined]
        go_on.set()
        slow.result(5)


def test_only_the_three_used_last_stay_in_memory() -> None:
    loads: list[str] = []
    choice = Choice({name: {} for name in "abcd"}, "a", lambda name: (loads.append(name), ColourDetector(name))[1])
    for name in "abcabdab":
        choice.detector(name)
    assert loads == ["a", "b", "c", "d"]
    choice.detector("c")
    assert loads == ["a", "b", "c", "d", "c"]


def test_a_model_that_failed_to_load_is_tried_again() -> None:
    fails = iter([True, False])

    def load(name: str) -> ColourDetector:
        if next(fails):
            raise ModelError("not yet")
        return ColourDetector(name)

    choice = Choice({"a": {}}, "a", load)
    with pytest.raises(ModelError):
        choice.detector("a")
    assert choice.detector("a")


def test_an_unknown_name_gets_the_nearest() -> None:
    choice = Choice({"nanodet": {}}, "nanodet", ColourDetector)

    assert choice.named(None) == "nanodet"
    with pytest.raises(NotOfferedError, match=r"There is no model 'nanodett'\. Did you mean 'nanodet'"):
        choice.named("nanodett")


def test_the_shelf_offers_what_is_shipped_and_nothing_that_would_have_to_be_fetched() -> None:
    choice = choice_of_models()

    assert choice.default == "nanodet"
    assert "faster_rcnn_resnet101" not in choice.offered
    assert "Apache-2.0" in choice.offered["nanodet"]["about"]


def test_a_model_that_lies_in_the_store_or_is_named_is_offered(home: Path, tmp_path: Path) -> None:
    (home / "detectors" / "ssd_mobilenet_v1").mkdir(parents=True)
    own = [tmp_path / "one" / "nanodet", tmp_path / "two" / "birds.tflite", tmp_path / "three" / "birds"]
    for path in own:
        path.mkdir(parents=True)

    choice = choice_of_models([*map(str, own), "nanodet"])

    assert {"nanodet 2", "birds.tflite", "birds", "nanodet", "ssd_mobilenet_v1"} <= set(choice.offered)
    assert choice.default == "nanodet 2"
    assert str(tmp_path) not in str(choice.offered)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no detector"):
        choice_of_models([str(tmp_path / "none")])
