"""Where in the cloud: a project, a region, a bucket, and the address that answers for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from mlhelpers.errors import UsageError
from mlhelpers.settings import current

__all__ = ["Place", "place"]

_PROJECT = re.compile(r"(?:[a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|\d+")
_REGION = re.compile(r"[a-z]+(?:-[a-z]+)+\d+")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Place:
    """A place in the cloud, checked when it is made.

    Attributes:
        project: The project's id, or its number.
        region: For instance "us-central1".
        bucket: The staging bucket's bare name, or None.
        endpoint: Address of the service where it is not Google's own, for instance "http://127.0.0.1:8600".

    Raises:
        UsageError: A field is malformed, or the endpoint is neither https nor on this machine.
    """

    project: str
    region: str
    bucket: str | None = None
    endpoint: str | None = None

    def __post_init__(self) -> None:
        if not _PROJECT.fullmatch(self.project):
            raise UsageError(
                f"{self.project!r} is no project id: 6 to 30 lower-case letters, digits and '-', as gcloud projects "
                "list  shows in its first column."
            )
        if not _REGION.fullmatch(self.region):
            raise UsageError(f"{self.region!r} is no region. Write one as us-central1; a zone or 'global' is none.")
        if self.endpoint is not None:
            split = urlsplit(self.endpoint)
            if split.scheme not in ("http", "https") or not split.hostname:
                raise UsageError(f"The endpoint {self.endpoint!r} is no address. Write it as http://127.0.0.1:8600.")
            if split.scheme == "http" and not self.is_here:
                raise UsageError(f"The endpoint {self.endpoint!r} is elsewhere, and http is not safe: write https://…")

    @property
    def parent(self) -> str:
        """The resource under which everything lies: "projects/PROJECT/locations/REGION"."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def is_here(self) -> bool:
        """Tell whether an emulator on this machine answers, which costs nothing and wants no credentials."""
        return self.endpoint is not None and urlsplit(self.endpoint).hostname in _LOOPBACK

    @property
    def host(self) -> str:
        """Host (and port) that answers, without the scheme."""
        if self.endpoint is None:
            return f"{self.region}-aiplatform.googleapis.com"
        return urlsplit(self.endpoint).netloc

    @property
    def scheme(self) -> str:
        """The scheme of the address: "https", or "http" on this machine."""
        return "https" if self.endpoint is None else urlsplit(self.endpoint).scheme


def place(project: str | None = None, region: str | None = None, bucket: str | None = None) -> Place:
    """Return the place that the settings and the arguments name.

    Args:
        project: The project; the setting where None.
        region: The region; the setting where None.
        bucket: The staging bucket, bare or with gs://; the setting where None.

    Raises:
        UsageError: There is no project, or something is malformed.
    """
    settings = current()
    project = project or settings.project
    if project is None:
        raise UsageError(
            'Vertex AI needs a project, and none is set. Name yours:  mlhelpers.use("vertex", project="my-project", '
            'bucket="my-bucket")  or  export GOOGLE_CLOUD_PROJECT=my-project'
        )
    bucket = bucket or settings.bucket
    bare = None if bucket is None else bucket.removeprefix("gs://").rstrip("/")
    return Place(project, region or settings.region, bare, settings.vertex_endpoint)
