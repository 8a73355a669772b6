"""What we have made in a project: found by the mark that it carries, and deleted for good.

Requests and filters after the reference of google.cloud.aiplatform.v1. Nothing is deleted that does not stand on the
ledger or carry our mark.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from mlhelpers.cloud.access import credentials
from mlhelpers.cloud.clients import client
from mlhelpers.cloud.ledger import Entry
from mlhelpers.cloud.place import Place
from mlhelpers.cloud.refusals import asking, retrying
from mlhelpers.errors import CloudError, MissingExtraError

__all__ = ["FOUND_BY_MARK", "MARK", "answers", "delete", "find", "place_of"]

MARK = "mlhelpers_mark"  # the label that whatever we make carries
# kind -> (the client that is asked, the resource's name in its methods)
_METHODS = {
    "endpoint": ("endpoints", "endpoint"),
    "custom_job": ("jobs", "custom_job"),
    "tuning_job": ("jobs", "hyperparameter_tuning_job"),
    "batch_job": ("jobs", "batch_prediction_job"),
    "model": ("models", "model"),
}
FOUND_BY_MARK = tuple(_METHODS)
_OVER = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
_ROLES = {"object": "roles/storage.objectAdmin", "bucket": "roles/storage.admin"}
_ROLE = "roles/aiplatform.user"
_PATIENCE_S = 600.0  # for an undeployment; Google's own take minutes
_QUESTION_S = 30.0
_POLL_S, _POLL_HERE_S = 5.0, 0.1


def place_of(entry: Entry) -> Place:
    """Return where a thing was made, whatever the settings say now."""
    return Place(entry.project, entry.region, None, entry.endpoint)


def answers(place: Place) -> bool:
    """Tell whether anybody listens at an emulator's address; of Google's own service it is taken for granted."""
    if not place.is_here:
        return True
    split = urlsplit(str(place.endpoint))
    try:
        with socket.create_connection((str(split.hostname), split.port or 80), timeout=2.0):
            return True
    except OSError:
        return False


def find(kind: str, place: Place, mark: str | None = None) -> Iterator[Entry]:
    """Yield what there is of a kind in a place that carries our mark.

    Args:
        kind: One of `FOUND_BY_MARK`.
        place: Where.
        mark: The mark of one submission; any of ours where None.

    Raises:
        CloudError: Google's service refused, or did not answer.
    """
    which, noun = _METHODS[kind]
    condition = f"labels.{MARK}:*" if mark is None else f"labels.{MARK}={mark}"
    with asking(f"list the {noun.replace('_', ' ')}s of {place.project} in {place.region}"):
        ask = getattr(client(which, place), f"list_{noun}s")
        request = {"parent": place.parent, "filter": condition}
        for found in ask(request=request, retry=retrying(_QUESTION_S)):
            labels = dict(found.labels)
            if MARK in labels and mark in (None, labels[MARK]):  # whatever a server makes of the filter
                made = found.create_time
                when = made.strftime("%Y-%m-%dT%H:%M:%SZ") if made else ""
                own = labels.pop(MARK)
                title, region = found.display_name, place.region
                yield Entry(kind, own, place.project, region, title, found.name, place.endpoint, labels, when)


def delete(entry: Entry) -> bool:
    """Delete a thing, and wait until it is gone: an endpoint is undeployed first, a job that runs cancelled.

    Args:
        entry: The thing, with its name.

    Returns:
        Whether it was there.

    Raises:
        CloudError: It is still there; the message says why.
    """
    from google.api_core.exceptions import NotFound

    place = place_of(entry)
    with asking(f"delete the {entry.kind.replace('_', ' ')} {entry.title!r}", _ROLES.get(entry.kind, _ROLE)):
        try:
            _HOW[entry.kind](entry, place)
        except NotFound:
            return False
        except TimeoutError as error:
            raise CloudError(
                f"It is still being deleted after {_PATIENCE_S:g} s. Run  mlhelpers cleanup  again."
            ) from error
    return True


def _delete_endpoint(entry: Entry, place: Place) -> None:
    """Undeploy all models, then delete; one that has traffic is undeployed only if that goes to another."""
    asked = client("endpoints", place)
    deployed = [one.id for one in asked.get_endpoint(name=entry.name, retry=retrying(_QUESTION_S)).deployed_models]
    while deployed:
        gone = deployed.pop()
        request = {"endpoint": entry.name, "deployed_model_id": gone}
        request["traffic_split"] = {deployed[0]: 100} if deployed else {}
        _done(asked.undeploy_model(request=request, retry=retrying(_QUESTION_S)))
    _delete_resource(entry, place)


def _delete_job(entry: Entry, place: Place) -> None:
    """Cancel the job where it runs, wait until it has ended, then delete it."""
    which, noun = _METHODS[entry.kind]
    asked = client(which, place)

    def is_over() -> bool:
        job = getattr(asked, f"get_{noun}")(name=entry.name, retry=retrying(_QUESTION_S))
        return job.state.name.removeprefix("JOB_STATE_") in _OVER

    if not is_over():
        getattr(asked, f"cancel_{noun}")(name=entry.name, retry=retrying(_QUESTION_S))
        deadline = time.monotonic() + _PATIENCE_S
        while not is_over():
            if time.monotonic() > deadline:
                raise CloudError(f"It is still ending, {_PATIENCE_S:g} s after it was cancelled. Run this again later.")
            time.sleep(_POLL_HERE_S if place.is_here else _POLL_S)
    _delete_resource(entry, place)


def _delete_resource(entry: Entry, place: Place) -> None:
    which, noun = _METHODS[entry.kind]
    _done(getattr(client(which, place), f"delete_{noun}")(name=entry.name, retry=retrying(_QUESTION_S)))


def _done(operation: Any) -> None:
    """Wait for a long-running operation; a lost connection while it is asked for is no end of it."""
    operation.result(timeout=_PATIENCE_S, retry=retrying(_QUESTION_S))


def _delete_object(entry: Entry, place: Place) -> None:
    bucket, _, path = entry.name.removeprefix("gs://").partition("/")
    _storage(place).bucket(bucket).blob(path).delete(retry=retrying(_QUESTION_S))


def _delete_bucket(entry: Entry, place: Place) -> None:
    """Delete a bucket that was made from here, where it is empty; Cloud Storage refuses what has just come into it."""
    bare = entry.name.removeprefix("gs://").strip("/")
    asked = _storage(place)
    labels = asked.get_bucket(bare, retry=retrying(_QUESTION_S)).labels
    if labels.get(MARK) != entry.mark and (labels or not place.is_here):  # the emulator's server keeps no labels
        raise CloudError("It does not carry the mark of the one that was made from here: it is another of that name.")
    if any(True for _ in asked.list_blobs(bare, max_results=1, retry=retrying(_QUESTION_S))):
        raise CloudError(f"It is not empty. See what it holds:  mlhelpers storage ls gs://{bare} --backend vertex")
    asked.bucket(bare).delete(retry=retrying(_QUESTION_S))


def _storage(place: Place) -> Any:
    """Return Google's client for Cloud Storage; a real bucket is never looked for in an emulator, nor the reverse."""
    try:
        from google.cloud import storage
    except ImportError as error:
        raise MissingExtraError("Google's client for Cloud Storage", "vertex") from error
    emulated = os.environ.get("STORAGE_EMULATOR_HOST", "")
    if place.is_here and not emulated:
        raise CloudError(
            "It was made in an emulator of Cloud Storage, which does not run: STORAGE_EMULATOR_HOST is unset."
        )
    if emulated and not place.is_here:
        raise CloudError(
            f"It was made in Cloud Storage, and STORAGE_EMULATOR_HOST={emulated} leads elsewhere: unset it."
        )
    return storage.Client(project=place.project, credentials=credentials(place))


_HOW: dict[str, Callable[[Entry, Place], None]] = {
    "endpoint": _delete_endpoint,
    **dict.fromkeys(("custom_job", "tuning_job", "batch_job"), _delete_job),
    "model": _delete_resource,
    "object": _delete_object,
    "bucket": _delete_bucket,
}
