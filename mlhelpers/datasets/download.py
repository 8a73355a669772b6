"""One file over http(s), in pieces if it must be: progress bar, retries, and going on where an earlier try ended."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import requests
from filelock import FileLock
from requests.adapters import HTTPAdapter
from tqdm.auto import tqdm
from urllib3.util import Retry

from mlhelpers.errors import DataError

__all__ = ["download"]

_TIMEOUT_S = 20
_CHUNK_BYTES = 1 << 16


def download(address: str, part: Path, max_size_bytes: int, label: str) -> None:
    """Download an address into a file, appending to what an earlier try left there.

    A connection that breaks off is taken up again (HTTP range requests, RFC 9110 section 14) as long as every
    attempt brings something; two processes that want the same file wait for one another.

    Args:
        address: http(s) address.
        part: The file to fill. What it holds already is believed to be the beginning; the caller checks the whole.
        max_size_bytes: More than this is refused.
        label: What the progress bar calls it.

    Raises:
        ConnectionError: The server cannot be reached, or answers with an error.
        DataError: The file is larger than allowed, or cannot be written (no permission, disk full).
    """
    with FileLock(f"{part}.lock"), requests.Session() as session:
        retry = Retry(total=2, backoff_factor=0.2, status_forcelist=[429, 500, 502, 503, 504], raise_on_status=False)
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.mount("https://", HTTPAdapter(max_retries=retry))
        while True:
            before = _size(part)
            try:
                _go_on(session, address, part, max_size_bytes, label)
                return
            except requests.RequestException as error:
                if isinstance(error, requests.HTTPError) or _size(part) <= before:
                    raise ConnectionError(_reason(error)) from error  # an attempt that brought nothing is the last
            except OSError as error:
                raise DataError(f"{part} cannot be written: {error.strerror or error}.") from error


def _go_on(session: requests.Session, address: str, part: Path, max_size_bytes: int, label: str) -> None:
    have = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(address, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is left to send: the part is whole, and the caller checks it
        answer.raise_for_status()
        if answer.status_code != HTTPStatus.PARTIAL_CONTENT:
            have = 0  # the server sends it all again
        length = int(answer.headers.get("Content-Length", 0))
        with (
            part.open("ab" if have else "wb") as stream,
            tqdm(total=have + length or None, initial=have, unit="B", unit_scale=True, desc=label) as bar,
        ):
            for chunk in answer.iter_content(_CHUNK_BYTES):
                have += len(chunk)
                if have > max_size_bytes:
                    raise DataError(f"{address} sends more than the {max_size_bytes:,} bytes expected. It is given up.")
                stream.write(chunk)
                bar.update(len(chunk))


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {_TIMEOUT_S} s"
    return "the server cannot be reached or broke the connection off"
