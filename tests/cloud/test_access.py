"""Whose credentials are used, and what is said where there are none or they have expired."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlhelpers.cloud.access import credentials
from mlhelpers.cloud.place import Place
from mlhelpers.cloud.refusals import asking
from mlhelpers.errors import CloudError

_SECRET = "a-secret-that-nobody-shall-see"


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away every place in which credentials are looked for."""
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)


class _Expired(http.server.BaseHTTPRequestHandler):
    """Google's answer to a refresh token that was withdrawn."""

    def do_POST(self) -> None:
        body = json.dumps({"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
        self.send_response(400)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def token_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Expired)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/token"
    server.shutdown()
    server.server_close()
    thread.join()


def test_without_credentials_one_sentence_says_how_to_get_them(nobody: None) -> None:
    with pytest.raises(CloudError, match=r"gcloud auth application-default login.*in Colab"):
        credentials(Place("my-project", "us-central1"))


def test_an_emulator_on_this_machine_wants_none(nobody: None) -> None:
    from google.auth.credentials import AnonymousCredentials

    assert isinstance(
        credentials(Place("my-project", "us-central1", endpoint="http://127.0.0.1:1")), AnonymousCredentials
    )


def test_expired_credentials_say_so_and_show_no_secret(
    nobody: None, token_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.auth.transport.requests import Request
    from google.oauth2.credentials import Credentials

    found = Credentials(None, refresh_token=_SECRET, token_uri=token_server, client_id="me", client_secret=_SECRET)  # type: ignore[no-untyped-call]
    with pytest.raises(CloudError, match=r"have expired or were withdrawn\. Log in once") as raised, asking("look"):
        found.refresh(Request())

    assert _SECRET not in str(raised.value)


def test_a_file_of_credentials_that_is_broken_is_told_with_the_command(
    nobody: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"type": "nothing", "private_key": _SECRET}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))

    with pytest.raises(CloudError, match="gcloud auth application-default login") as raised:
        credentials(Place("my-project", "us-central1"))
    assert _SECRET not in str(raised.value)
