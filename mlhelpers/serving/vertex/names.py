"""What our names are called on Vertex AI, and where a plan says that things will lie. Pure: nothing is asked.

| here | there |
|---|---|
| the model MNIST | the Model with the id `mnist`, and the Endpoint with the id `mnist`; both are called MNIST |
| its version v1 | a version of that Model with the alias `v1`; on the Endpoint a DeployedModel called v1 |
| the default version | the version with the alias `default` |

Ids are chosen by us, so that a plan can name them before anything is there, and a request that is sent twice cannot
make the same thing twice. Their forms are those of `UploadModelRequest.model_id`, `CreateEndpointRequest.endpoint_id`
and `Model.version_aliases` of google.cloud.aiplatform_v1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlhelpers.cloud.place import Place
from mlhelpers.errors import UsageError
from mlhelpers.serving.registry.resources import check_name
from mlhelpers.settings import current

__all__ = ["BUCKET", "DEFAULT", "MARK", "PROJECT", "Where", "endpoint_id", "endpoint_number", "model_id"]
__all__ += ["planned", "refuse_placeholders", "to_alias", "to_version"]

PROJECT, BUCKET = "PROJECT", "BUCKET"  # stand in a plan for what is not set
DEFAULT = "default"
MARK = "mlhelpers_mark"
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_ENDPOINT = re.compile(r"projects/[^/]+/locations/([^/]+)/endpoints/([^/]+)")
_MOST = 63


@dataclass(frozen=True)
class Where:
    """Where a plan puts things; a project or bucket that is not set is shown as PROJECT or BUCKET.

    Attributes:
        project: The project's id.
        region: For instance "us-central1".
        bucket: The bucket's bare name.
    """

    project: str
    region: str
    bucket: str

    @property
    def parent(self) -> str:
        """The resource under which everything lies: "projects/PROJECT/locations/REGION"."""
        return f"projects/{self.project}/locations/{self.region}"

    def model(self, name: str, version: str | None = None) -> str:
        """Return the resource name of a model, or of one of its versions by alias."""
        return f"{self.parent}/models/{model_id(name)}" + (f"@{to_alias(version)}" if version else "")

    def endpoint(self, name: str) -> str:
        """Return the resource name of the endpoint that answers for a model."""
        return f"{self.parent}/endpoints/{endpoint_id(name)}"

    def files(self, model: str, version: str) -> str:
        """Return the folder in the bucket that gets a version's files."""
        return f"gs://{self.bucket}/models/{model}/{version}"


def planned(place: Place | None = None) -> Where:
    """Return where a plan puts things.

    Args:
        place: Where; the settings, with PROJECT and BUCKET for what they do not say, where None.
    """
    if place is not None:
        return Where(place.project, place.region, place.bucket or BUCKET)
    settings = current()
    bucket = (settings.bucket or BUCKET).removeprefix("gs://").rstrip("/")
    return Where(settings.project or PROJECT, settings.region, bucket)


def refuse_placeholders(where: Where) -> None:
    """Refuse to send what was planned without a project or bucket.

    Raises:
        UsageError: It was.
    """
    missing = [
        name for name, unset in (("project", where.project == PROJECT), ("bucket", where.bucket == BUCKET)) if unset
    ]
    if missing:
        said = ", ".join(f'{name}="my-{name}"' for name in missing)
        raise UsageError(
            f"This was planned without a {' and a '.join(missing)}, to be read and not sent. Name yours with  "
            f'mlhelpers.use("vertex", {said})  and plan again.'
        )


def model_id(name: str) -> str:
    """Return the id of the Model of a name: the same in lower case.

    Raises:
        UsageError: The name is malformed, or too long for Vertex AI.
    """
    check_name("model", name)
    if len(name) > _MOST:
        raise UsageError(f"The model name {name!r} has {len(name)} characters; Vertex AI takes {_MOST} at most.")
    return name.lower()


def endpoint_id(name: str) -> str:
    """Return the id of the Endpoint of a name: lower case, with '-' for '_', which an endpoint's id cannot have.

    Raises:
        UsageError: The name is malformed, too long, or ends with an underscore.
    """
    found = model_id(name).replace("_", "-")
    if found.endswith("-"):
        raise UsageError(f"The model name {name!r} ends with '_', and an endpoint's id on Vertex AI cannot. Rename it.")
    return found


def endpoint_number(text: str) -> str | None:
    """Return the id in an endpoint's full name or number; None for any other text, such as a model's name.

    Args:
        text: "projects/P/locations/R/endpoints/ID", or digits.
    """
    if found := _ENDPOINT.fullmatch(text):
        return found[2]
    return text if text.isascii() and text.isdigit() else None


def to_alias(version: str) -> str:
    """Return the alias of a version: '_' becomes '-', which no name here has, so the way back is known.

    Raises:
        UsageError: The name is malformed, or no alias can be made of it.
    """
    check_name("version", version)
    alias = version.replace("_", "-")
    if alias == DEFAULT or not _ALIAS.fullmatch(alias):
        why = "is kept for the default version" if alias == DEFAULT else "cannot be made an alias of Vertex AI"
        raise UsageError(
            f"The version name {version!r} {why}: it has to begin with a lower-case letter, end with one or with a "
            "digit, and have two characters at least, for instance v1."
        )
    return alias


def to_version(alias: str) -> str:
    """Return the version of an alias, or of a DeployedModel's display name."""
    return alias.replace("-", "_")
