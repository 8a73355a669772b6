"""Whose credentials are used: application default credentials, which Colab and Workbench provide too."""

from __future__ import annotations

from typing import Any

from mlhelpers.cloud.place import Place
from mlhelpers.errors import CloudError, MissingExtraError

__all__ = ["LOG_IN", "credentials"]

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LOG_IN = (
    "Log in once:  gcloud auth application-default login  (in Colab:  from google.colab import auth; "
    "auth.authenticate_user())"
)


def credentials(place: Place) -> Any:
    """Return the credentials with which a place is asked.

    Args:
        place: Where; an emulator on this machine is asked without any.

    Raises:
        MissingExtraError: Google's packages are not installed.
        CloudError: There are none, with the command that makes them.
    """
    try:
        import google.auth
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import DefaultCredentialsError
    except ModuleNotFoundError as error:
        raise MissingExtraError("Google's client for Vertex AI", "vertex") from error
    if place.is_here:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    try:
        found, _ = google.auth.default(scopes=[_SCOPE])
    except DefaultCredentialsError as error:
        raise CloudError(f"No credentials for Google Cloud are there. {LOG_IN}") from error
    return found
