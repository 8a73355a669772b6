"""Where things are and where things run: explicit argument > `use(...)` of this process > environment > default.

Everything is read when it is asked for, never at import, so that a test or a notebook can change it.

| field | environment variable | default |
|---|---|---|
| home | MLHELPERS_HOME | `~/.mlhelpers`: jobs, models, buckets, downloads |
| mirror | MLHELPERS_MIRROR | none: a folder or http(s) address with `<data set>/<file>` below it |
| backend | MLHELPERS_BACKEND | `local` |
| project | GOOGLE_CLOUD_PROJECT | none |
| region | MLHELPERS_REGION | `us-central1` |
| bucket | MLHELPERS_BUCKET | none |
| vertex_endpoint | MLHELPERS_VERTEX_ENDPOINT | none: Google's own; `mlhelpers emulator` prints its address |
| serving_image | MLHELPERS_SERVING_IMAGE | none: the prediction server's place in the project's Artifact Registry |
| prices | MLHELPERS_PRICES | none: a dated file of prices per hour, as `cloud/prices.py` describes it |
| max_jobs | MLHELPERS_MAX_JOBS | as many as this machine has cores: so many jobs run at once, the others queue |

May import `errors` alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from mlhelpers.errors import DataError, UsageError, unknown_name

__all__ = ["Settings", "cores", "current", "home_folder", "shipped_data", "use", "using"]

_ENVIRONMENT = {
    "home": "MLHELPERS_HOME",
    "mirror": "MLHELPERS_MIRROR",
    "backend": "MLHELPERS_BACKEND",
    "project": "GOOGLE_CLOUD_PROJECT",
    "region": "MLHELPERS_REGION",
    "bucket": "MLHELPERS_BUCKET",
    "vertex_endpoint": "MLHELPERS_VERTEX_ENDPOINT",
    "serving_image": "MLHELPERS_SERVING_IMAGE",
    "prices": "MLHELPERS_PRICES",
    "max_jobs": "MLHELPERS_MAX_JOBS",
}


_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container, "QUOTA PERIOD" in microseconds (cgroup v2)


def cores() -> int:
    """Return how many cores this process may use: a container or a job scheduler can give it fewer than there are."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no container, or one without a limit: "max"
        quota, period = _CPU_QUOTA.read_text().split()
        count = min(count, max(1, -(-int(quota) // int(period))))
    return count


@dataclass(frozen=True)
class Settings:
    """The settings in force, all resolved.

    Attributes:
        home: Folder of the local store, absolute.
        mirror: Folder or http(s) address that holds data files as `<data set>/<file>`, or None.
        backend: Where jobs run: "local" or "vertex".
        project: Google Cloud project, or None.
        region: Google Cloud region.
        bucket: Cloud Storage bucket name, or None.
        vertex_endpoint: Address of Vertex AI's REST surface where it is not Google's own, or None.
        serving_image: Address of the container image that serves models in the cloud, or None for our own.
        prices: Path of a file of prices per hour, or None.
        max_jobs: How many local jobs run at once, one per core where nothing is said; the others wait in the queue.
    """

    home: Path
    mirror: str | None = None
    backend: str = "local"
    project: str | None = None
    region: str = "us-central1"
    bucket: str | None = None
    vertex_endpoint: str | None = None
    serving_image: str | None = None
    prices: str | None = None
    max_jobs: int = field(default_factory=cores)


_in_process: dict[str, str] = {}


def current() -> Settings:
    """Return the settings in force now.

    Raises:
        UsageError: `max_jobs` is no whole number over 0.
    """
    values = {name: os.environ[variable] for name, variable in _ENVIRONMENT.items() if os.environ.get(variable)}
    values |= _in_process
    home = Path(values.pop("home", "") or Path.home() / ".mlhelpers").expanduser().absolute()
    settings = Settings(home=home)
    if text := values.pop("max_jobs", ""):
        settings = replace(settings, max_jobs=_count("max_jobs", text))
    return replace(settings, **values)  # type: ignore[arg-type]  # only text fields are left in values


def use(backend: str | None = None, **values: str | int | os.PathLike[str] | None) -> Settings:
    """Set settings for this process, over the environment.

    Args:
        backend: Where jobs run from now on: "local" or "vertex".
        **values: Any other field of `Settings` by name; None takes an earlier choice back.

    Returns:
        The settings in force afterwards.

    Raises:
        UsageError: A name that is no setting.
    """
    known = [each.name for each in fields(Settings)]
    for name in values:
        if name not in known:
            raise unknown_name("setting", name, known)
    if backend is not None:
        values["backend"] = backend
    for name, value in values.items():
        if value is None:
            _in_process.pop(name, None)
        else:
            _in_process[name] = str(value) if isinstance(value, int) else os.fspath(value)
    return current()


@contextmanager
def using(**values: str | int | os.PathLike[str] | None) -> Iterator[Settings]:
    """Set settings for the length of a `with` block, then restore what was there before."""
    before = dict(_in_process)
    try:
        yield use(**values)  # type: ignore[arg-type]  # `use` checks the names itself
    finally:
        _in_process.clear()
        _in_process.update(before)


def home_folder(*parts: str) -> Path:
    """Return a folder of the local store, made if it is missing.

    Args:
        *parts: Folders below the home, for instance "jobs".

    Raises:
        DataError: The folder cannot be made or written to.
    """
    folder = current().home.joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be made: {error.strerror}. Set MLHELPERS_HOME to a folder you may write to."
        ) from error
    return folder


def shipped_data() -> Path:
    """Return the folder with the data files and models that the project ships (`data/` of the repository)."""
    package = Path(__file__).parent
    installed = package / "_data"  # a wheel carries data/ inside the package
    return installed if installed.is_dir() else package.parent / "data"


def _count(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"The setting {name} ({_ENVIRONMENT[name]}) is {text!r}. Give a whole number, 1 or more.")
    return int(text)
