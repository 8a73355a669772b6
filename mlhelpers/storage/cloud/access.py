"""Google's client for Cloud Storage, how long it is patient, and what its refusals mean."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mlhelpers.cloud import Place
from mlhelpers.cloud import asking as asking_google
from mlhelpers.cloud.access import credentials
from mlhelpers.errors import CloudError, DataError, MissingExtraError, UsageError

__all__ = ["BUCKET_ROLE", "OBJECT_ROLE", "asking", "client", "patience"]

OBJECT_ROLE = "roles/storage.objectAdmin"  # objects.get, list, create and delete
BUCKET_ROLE = "roles/storage.admin"  # buckets.create, get, list and delete besides
_EMULATOR = "STORAGE_EMULATOR_HOST"  # Google's own client reads it
_PATIENCE_S = 120.0
_FIRST_WAIT_S = 0.5


def client(place: Place) -> Any:
    """Return `google.cloud.storage.Client` for a place; the same one for the same place, for all threads.

    Raises:
        MissingExtraError: Google's packages are not installed.
        UsageError: Vertex AI is asked on this machine, and Cloud Storage would be asked at Google.
        CloudError: There are no credentials.
    """
    host = os.environ.get(_EMULATOR)
    if place.is_here and not host:
        raise UsageError(
            f"Vertex AI is asked at {place.endpoint}, on this machine, and {_EMULATOR} names no Cloud Storage beside "
            "it. Set it to the address that  mlhelpers emulator  prints."
        )
    return _client(place, host)


@functools.lru_cache(maxsize=16)
def _client(place: Place, host: str | None) -> Any:
    try:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError("Google's client for Cloud Storage", "vertex") from error
    who = AnonymousCredentials() if host else credentials(place)  # type: ignore[no-untyped-call]
    return Client(project=place.project, credentials=who)


def patience() -> Any:
    """Return the policy with which a request is sent again that does no harm a second time.

    Every request that changes an object carries the generation it may replace, so that all of them are such.
    """
    from google.cloud.storage.retry import DEFAULT_RETRY  # type: ignore[import-untyped]

    return DEFAULT_RETRY.with_timeout(_PATIENCE_S).with_delay(initial=_FIRST_WAIT_S, maximum=30.0, multiplier=2.0)


@contextmanager
def asking(what: str, bucket: str, role: str = OBJECT_ROLE) -> Iterator[None]:
    """Turn the client's errors inside the block into ours. No address of an upload, which is as good as a key, is told.

    Args:
        what: What is being asked, to complete "Google Cloud refused to …".
        bucket: The bucket's bare name.
        role: The role that suffices.

    Raises:
        DataError: There is no such bucket or object.
        CloudError: Google Cloud refused, or did not answer.
    """
    import urllib3
    from google.api_core import exceptions
    from google.auth.exceptions import InvalidOperation, RefreshError

    with asking_google(what, role):
        try:
            yield
        except exceptions.NotFound:
            raise DataError(
                f"Google Cloud could not {what}: there is no such object, or no bucket gs://{bucket}. See what is "
                f"there with  mlhelpers storage ls gs://{bucket} --backend vertex"
            ) from None
        except exceptions.GoogleAPICallError as error:
            said = _said(error)
            if "requester pays" in said.lower():
                raise CloudError(
                    f"gs://{bucket} is a bucket whose readers pay (requester pays), and your project is not charged "
                    f"unasked. To {what} at your cost:  gcloud storage cp --billing-project=PROJECT …"
                ) from None
            raise exceptions.from_http_status(error.code or 500, said) from None  # type: ignore[no-untyped-call]
        except exceptions.RetryError as error:
            raise CloudError(
                f"Google Cloud did not {what} within {_PATIENCE_S:g} seconds, however often it was asked "
                f"({_said(error.cause)}). Nothing is half written. Try again later."
            ) from None
        except InvalidOperation:  # what asks without credentials was refused, and there are none to renew
            raise RefreshError from None
        except (urllib3.exceptions.HTTPError, ConnectionError) as error:
            raise CloudError(
                f"The connection to Google Cloud was lost ({type(error).__name__}) when it was asked to {what}."
            ) from None


def _said(error: Any) -> str:
    """Return what the service says of an error, without the address that was asked."""
    response = getattr(error, "response", None)
    if response is None:
        return type(error).__name__
    with suppress(ValueError, KeyError, TypeError):
        return str(response.json()["error"]["message"])
    is_page = "<" in response.text
    return f"{response.status_code} {response.reason if is_page else response.text.strip()[:200] or response.reason}"
