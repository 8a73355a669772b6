"""Lines of a log, as a terminal would show them."""

from __future__ import annotations

import pytest

from mlhelpers.jobs.lines import last_lines, severity, shown


def test_the_last_lines_are_as_a_terminal_shows_them() -> None:
    tail = b"one\n\n10%\r50%\r100%\n\xff\nlast"

    assert last_lines(tail, count=3) == ["100%", "\ufffd", "last"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"plain", "plain"),
        (b"10%\r50%\r\x1b[32m100%\x1b[0m\r", "100%"),
        (b"windows\r", "windows"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", ""),
    ],
)
def test_a_line_is_shown_as_it_stood_at_last_without_colours(line: bytes, text: str) -> None:
    assert shown(line) == text


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("step 10/200  loss 0.5", "INFO"),
        ("DEBUG:root:x", "DEBUG"),
        ("WARNING:absl:x", "WARNING"),
        ("ERROR: x", "ERROR"),
        ("CRITICAL:root:x", "CRITICAL"),
        ("W1121 14:03:22.123456 140 file.cc:12] x", "WARNING"),
        ("E0000 00:00:1700000000.123456 140 file.cc:12] x", "ERROR"),
        ("2026-11-21 14:03:22.123456: W tensorflow/core/x.cc:1] x", "WARNING"),
        ("2026-11-21 14:03:22.123456: I tensorflow/core/x.cc:1] x", "INFO"),
        ("2026-11-21 14:03:22,123 - trainer - ERROR - x", "ERROR"),
        ("2026-11-21 14:03:22,123 WARNING x", "WARNING"),
        ("Traceback (most recent call last):", "ERROR"),
        ("ValueError: no", "ERROR"),
        ("tensorflow.python.framework.errors_impl.InvalidArgumentError: no", "ERROR"),
        ("KeyboardInterrupt", "INFO"),
        ("task.py:12: UserWarning: x", "WARNING"),
        ("an ERROR: in the middle", "INFO"),
        ("ERRORS: 0", "INFO"),
    ],
)
def test_a_line_tells_how_severe_it_is(line: str, level: str) -> None:
    assert severity(line) == level
