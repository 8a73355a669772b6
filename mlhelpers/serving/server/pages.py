"""The server's pages: plain files below `pages/`, one line each in `PAGES`; they work offline and load nothing else.

To add a page, put its HTML, script and style there and name each here. Scripts and styles stand in files of their own:
the Content-Security-Policy lets nothing else run. A page carries no data of its own, so it is shown without a token; it
asks the server's paths for what it shows, and those want one.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["PAGES", "SECURITY", "Page", "read_page"]

_HTML, _SCRIPT, _STYLE = (f"text/{kind}; charset=utf-8".encode() for kind in ("html", "javascript", "css"))


class Page(NamedTuple):
    """A file and what it is."""

    file: str
    content_type: bytes


PAGES = {
    "/": Page("index.html", _HTML),
    "/docs": Page("docs.html", _HTML),
    "/forms/babyweight": Page("babyweight.html", _HTML),
    "/form": Page("babyweight.html", _HTML),  # where the original had it
    "/pages/page.js": Page("page.js", _SCRIPT),  # what the pages share
    "/pages/page.css": Page("page.css", _STYLE),
    "/pages/index.js": Page("index.js", _SCRIPT),
    "/pages/docs.js": Page("docs.js", _SCRIPT),
    "/pages/babyweight.js": Page("babyweight.js", _SCRIPT),
    "/pages/babyweight.css": Page("babyweight.css", _STYLE),
}

SECURITY = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        b"form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
]


@cache
def read_page(file: str) -> bytes:
    """Return a file below `pages/`; only names of `PAGES` come here."""
    return (Path(__file__).parent / "pages" / file).read_bytes()
