"""Lines of a log: as a terminal would show them, and how severe they are. Needs the standard library alone."""

from __future__ import annotations

import re

__all__ = ["LONGEST_LINE", "last_lines", "severity", "shown"]

LONGEST_LINE = 1 << 16  # what is longer, in bytes, is shown as it comes, before its end is there
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LETTERS = {"D": "DEBUG", "I": "INFO", "W": "WARNING", "E": "ERROR", "F": "CRITICAL"}
_WORDS = {"WARN": "WARNING", "FATAL": "CRITICAL"}
_LEVEL = re.compile(
    r"(?P<word>DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b[: ]"  # logging's own form, and absl's
    r"|(?P<glog>[IWEF])\d{4,8} \d\d:\d\d:\d+"  # glog's: I1121 14:03:22.123456, also before absl has a clock
    r"|\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]\d+: (?P<tf>[IWEF]) "  # TensorFlow's C++ side
    r"|\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\S*[ -]+(?:\S+[ -]+)?(?P<dated>DEBUG|INFO|WARNING|ERROR|CRITICAL)\b"
)
_ERROR = re.compile(r"Traceback \(most recent call last\)|(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception)\b(?::|$)")
_WARNING = re.compile(r"\S+:\d+: \w*Warning: ")


def shown(line: bytes) -> str:
    """Return a line as a terminal would show it: what follows the last carriage return, without colour codes."""
    last = next((part for part in reversed(line.split(b"\r")) if part.strip()), b"")
    return _COLOUR.sub("", last.decode(errors="replace"))


def last_lines(tail: bytes, count: int = 20) -> list[str]:
    """Return the last lines of a log's end, as a terminal would show them, without empty ones."""
    lines = [shown(line).rstrip() for line in tail.split(b"\n")]
    return [line[:300] for line in lines if line][-count:]


def severity(line: str) -> str:
    """Return how severe a line says it is; "INFO" where it says nothing.

    Example:
        >>> severity("WARNING:root:nearly full"), severity("ValueError: no"), severity("step 10/200")
        ('WARNING', 'ERROR', 'INFO')
    """
    if found := _LEVEL.match(line):
        word = found["word"] or found["dated"]
        return _WORDS.get(word, word) if word else _LETTERS[found["glog"] or found["tf"]]
    if _ERROR.match(line):
        return "ERROR"
    return "WARNING" if _WARNING.match(line) else "INFO"
