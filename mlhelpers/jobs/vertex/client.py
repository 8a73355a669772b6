"""Custom jobs over the wire, as plain JSON: asked for, found by name or mark, listed, made once, cancelled."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mlhelpers.cloud import ledger
from mlhelpers.cloud.clients import client
from mlhelpers.cloud.place import Place
from mlhelpers.cloud.refusals import asking, create_once, retrying
from mlhelpers.errors import JobError, UnreachableError, unknown_name
from mlhelpers.jobs.vertex.description import MARK

__all__ = ["CustomJobs"]

_REQUEST_S = 60.0
_PATIENCE_S = 60.0
_SHOWN = 100
_NUMBER = re.compile(r"\d+")


class CustomJobs:
    """The custom jobs of one place; a child class names another kind of job, asked for by methods of the same form.

    Args:
        place: Where.

    Attributes:
        kind: What the ledger calls such a job.
        noun: What the methods of Google's client call it.
        collection: What its resource name calls it.
        message: Google's class of it.
    """

    kind, noun, collection, message = "custom_job", "custom_job", "customJobs", "CustomJob"

    def __init__(self, place: Place) -> None:
        self.place = place
        self._names: dict[str, str] = {}  # a job's name -> its resource name, where it is known

    def get(self, name: str) -> dict[str, Any]:
        """Return a job by its name or number.

        Raises:
            JobError: There is none.
            CloudError: The service refused, or could not be reached.
        """
        from google.api_core import exceptions

        resource = self.resource(name)
        try:
            return self._json(self._ask(f"look at the job {name!r}", f"get_{self.noun}", {"name": resource}))
        except Exception as error:
            if isinstance(error.__cause__, exceptions.NotFound):
                self._names.pop(name, None)
                raise self._missing(name) from error
            raise

    def resource(self, name: str) -> str:
        """Return the full resource name of a job; the newest one, should several have the name.

        Raises:
            JobError: There is none of that name; a number is taken as it is.
            CloudError: The service refused, or could not be reached.
        """
        if _NUMBER.fullmatch(name):
            return f"{self.place.parent}/{self.collection}/{name}"
        if name not in self._names:
            found = self.list(f'display_name="{name}"')
            if not found:
                raise self._missing(name)
            self._names[name] = found[0]["name"]
        return self._names[name]

    def is_taken(self, name: str) -> bool:
        """Tell whether there is a job of this name.

        Raises:
            CloudError: The service refused, or could not be reached.
        """
        return bool(self.list(f'display_name="{name}"'))

    def list(self, condition: str = "") -> list[dict[str, Any]]:
        """Return the jobs that a filter holds for, newest first; all pages, for the service names no order.

        Args:
            condition: A filter of the API's own, for instance 'display_name="first"'.

        Raises:
            CloudError: The service refused, or could not be reached.
        """
        request = {"parent": self.place.parent, "filter": condition, "page_size": _SHOWN}
        with asking(f"list the jobs of {self.place.project} in {self.place.region}"):
            # the pager asks for further pages with the same policy
            ask = getattr(self._client, f"list_{self.noun}s")
            pages = ask(request=request, retry=retrying(_PATIENCE_S), timeout=_REQUEST_S)
            found = [self._json(job) for job in pages]
        return sorted(found, key=lambda job: str(job.get("createTime", "")), reverse=True)

    def create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make a job, once and no more, and note it in the ledger before and after.

        Args:
            request: A CustomJob, as JSON.

        Raises:
            CloudError: The service refused, or could not be reached; the ledger keeps what may yet have been made.
        """
        from google.cloud import aiplatform_v1

        title, place = str(request["displayName"]), self.place
        entry = ledger.intend(self.kind, place.project, place.region, title, place.endpoint, request.get("labels", {}))
        marked = dict(request) | {"labels": {**request.get("labels", {}), MARK: entry.mark}}
        made_of = getattr(aiplatform_v1, self.message)
        ask = {"parent": place.parent, self.noun: made_of(_message(made_of, marked))}
        send = getattr(self._client, f"create_{self.noun}")

        def find() -> Any:
            found = self.list(f'labels.{MARK}="{entry.mark}"')
            return found[0] if found else None

        def create() -> Any:
            return self._json(send(request=ask, retry=None, timeout=_REQUEST_S))

        try:
            with asking(f"start the job {title!r}"):
                made: dict[str, Any] = create_once(create, find, _PATIENCE_S)
        except UnreachableError as error:
            raise UnreachableError(
                f"{error} It may have been made all the same: see  mlhelpers jobs list --backend vertex  before you "
                "submit it again."
            ) from error
        except Exception:
            ledger.forget(entry)  # it was refused
            raise
        ledger.made(entry, made["name"])
        self._names[title] = made["name"]
        return made

    def cancel(self, name: str) -> None:
        """Ask a job to end.

        Raises:
            JobError: There is none.
            CloudError: The service refused, or could not be reached.
        """
        self._ask(f"cancel the job {name!r}", f"cancel_{self.noun}", {"name": self.resource(name)})

    @property
    def _client(self) -> Any:
        return client("jobs", self.place)

    def _ask(self, what: str, method: str, request: Mapping[str, Any]) -> Any:
        call: Callable[..., Any] = getattr(self._client, method)
        with asking(what):
            return call(request=request, retry=retrying(_PATIENCE_S), timeout=_REQUEST_S)

    def _missing(self, name: str) -> JobError:
        known = [str(job.get("displayName", "")) for job in self.list()[:_SHOWN]]
        where = f"It was looked for in the project {self.place.project}, {self.place.region}."
        return JobError(str(unknown_name("job", name, [one for one in known if one], where)))

    @staticmethod
    def _json(message: Any) -> dict[str, Any]:
        from google.protobuf import json_format

        found: dict[str, Any] = json_format.MessageToDict(type(message).pb(message))
        return found


def _message(kind: Any, values: Mapping[str, Any]) -> Any:
    """Return JSON as a message, strictly: a field that the API does not know is refused by Google's own class."""
    from google.protobuf import json_format

    return json_format.ParseDict(dict(values), kind.pb()())
