"""What to run: `JobSpec`, in words that every place to run understands, and checked when it is made."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

from mlhelpers.errors import UsageError, unknown_name
from mlhelpers.jobs.machines import SCALE_TIERS, WHOLE_NUMBER, Pool, Tier, check_forms
from mlhelpers.labels import checked_labels

__all__ = ["MAX_RUNNING_S", "SCALE_TIERS", "JobSpec", "Pool", "Tier"]

MAX_RUNNING_S = 604800.0  # seven days, as on the service
_NO_MACHINES = Pool()
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
_VERSION = re.compile(r"\d+\.\d+")


@dataclass(frozen=True)
class JobSpec:
    """What to run, in words that every backend understands; checked when it is made.

    Attributes:
        name: The job's name: a letter, then letters, digits and underscores, 128 at most. A name is used once.
        module: The trainer's module, run as `python -m MODULE`, for instance "mlhelpers.trainers.mnist".
        args: The trainer's arguments: a list as on a command line, or a mapping from flag to value, in which
            True becomes `--flag`, False `--no-flag`, None is left out and anything else `--flag=value`.
        env: Environment variables on top of those of the submitting process.
        package_path: Folder of a package of your own that holds the module; None for an installed module.
        packages: Built packages (.tar.gz, .zip, .whl; paths or gs:// addresses) that the trainer needs.
        job_dir: Folder or gs:// address for results, handed to the trainer as a last argument `--job-dir`.
        staging_bucket: Bucket to which the cloud uploads the package; noted, and without effect on this machine.
        scale_tier: One of `SCALE_TIERS`; `standard-1` and `STANDARD_1` are the same.
        master: The machine of the first replica; beyond its kind nothing can be said, there is always one.
        workers: Machines that train beside the master.
        parameter_servers: Machines that hold the weights for the others.
        evaluators: Machines that evaluate while the others train.
        use_chief: Whether TF_CONFIG calls the first replica "chief" (TensorFlow 2) rather than "master"; None asks
            the runtime version, and without one it is "chief".
        runtime_version: The service's runtime that a command names; what is installed here runs instead.
        python_version: The service's Python that a command names; this Python runs instead.
        labels: Your own marks, lower-case text.
        region: Where to run in the cloud; noted, and without effect on this machine.
        max_running_s: Seconds after which a running job is ended; seven days where None, as on the service.
        max_restarts: How often each failed replica is started again before the whole job is retried.
        max_retries: How often the whole job is retried before it has failed.
        cloud: Fields of the cloud's own by their names there (serviceAccount, network, …); without effect here.
        grace_s: Seconds that a cancelled trainer is given to end by itself, and the other replicas after the first
            one has succeeded.

    Raises:
        UsageError: A field that is malformed; the message says which, and what is allowed.

    Example:
        >>> JobSpec("first", "trainer.task", args={"train_steps": 200, "augment": False}).args
        ('--train_steps=200', '--no-augment')
    """

    name: str
    module: str
    args: Sequence[str] | Mapping[str, object] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    package_path: str | os.PathLike[str] | None = None
    packages: Sequence[str | os.PathLike[str]] = ()
    job_dir: str | os.PathLike[str] | None = None
    staging_bucket: str | None = None
    scale_tier: str = "BASIC"
    master: Pool = _NO_MACHINES
    workers: Pool = _NO_MACHINES
    parameter_servers: Pool = _NO_MACHINES
    evaluators: Pool = _NO_MACHINES
    use_chief: bool | None = None
    runtime_version: str | None = None
    python_version: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    max_running_s: float | None = None
    max_restarts: int = 5
    max_retries: int = 3
    cloud: Mapping[str, Any] = field(default_factory=dict)
    grace_s: float = 10.0

    def __post_init__(self) -> None:
        check_forms(self, _FORMS)
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} is no job name. A name starts with a letter and has letters, digits and underscores "
                f"alone, 128 at most{_suggestion(self.name)}."
            )
        if not isinstance(self.module, str) or not all(part.isidentifier() for part in self.module.split(".")):
            raise UsageError(
                f"{self.module!r} is no module name. Write it as in an import, without '.py' and with dots for "
                "slashes: for instance trainer.task."
            )
        tier = str(self.scale_tier).upper().replace("-", "_")
        if tier not in SCALE_TIERS:
            raise unknown_name("scale tier", self.scale_tier, SCALE_TIERS)
        object.__setattr__(self, "scale_tier", tier)
        object.__setattr__(self, "args", _words(self.args))
        object.__setattr__(self, "env", _text_mapping("env", self.env))
        object.__setattr__(self, "labels", checked_labels(self.labels))
        object.__setattr__(self, "packages", _paths("packages", self.packages))
        for name in ("package_path", "job_dir"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, os.fspath(value))
        _check_numbers(self)
        _check_versions(self)
        _check_packages(self.packages)
        _check_machines(self)

    @property
    def words(self) -> tuple[str, ...]:
        """The trainer's arguments as words of a command line."""
        return tuple(self.args)

    @property
    def primary(self) -> str:
        """What TF_CONFIG calls the first replica: "chief" or, for runtimes before 2.0, "master"."""
        if self.use_chief is not None:
            return "chief" if self.use_chief else "master"
        return "master" if (self.runtime_version or "2").startswith(("0.", "1.")) else "chief"

    def named(self, name: str) -> JobSpec:
        """Return the same spec under another name, to run it again."""
        return replace(self, name=name)


# field -> (its types, how it is written); what may be left out may be None too
_PATH = ((str, os.PathLike), "a path, for instance 'data/out'")
_SECONDS = (Real, "seconds as a number, for instance 60")
_FORMS: Mapping[str, tuple[Any, str]] = {
    "package_path": _PATH,
    "job_dir": _PATH,
    "staging_bucket": (str, "a text, for instance 'gs://my-bucket'"),
    "scale_tier": (str, "a text, for instance 'BASIC'"),
    "runtime_version": (str, "a text, for instance '2.11'"),
    "python_version": (str, "a text, for instance '3.11'"),
    "region": (str, "a text, for instance 'us-central1'"),
    "use_chief": (bool, "True or False"),
    "max_running_s": _SECONDS,
    "grace_s": _SECONDS,
    "max_restarts": WHOLE_NUMBER,
    "max_retries": WHOLE_NUMBER,
    **dict.fromkeys(("env", "labels", "cloud"), (Mapping, "a mapping, for instance {'name': 'value'}")),
    **dict.fromkeys(
        ("master", "workers", "parameter_servers", "evaluators"),
        (Pool, "a Pool, as Pool('n1-standard-4', 2)"),
    ),
}


def _check_numbers(spec: JobSpec) -> None:
    if spec.grace_s < 0:
        raise UsageError(f"grace_s={spec.grace_s!r} is negative. Give the seconds that a trainer has to end by itself.")
    if spec.max_running_s is not None and spec.max_running_s <= 0:
        raise UsageError(f"max_running_s={spec.max_running_s!r} is refused. Give the seconds a job may run, over 0.")
    for name in ("max_restarts", "max_retries"):
        if getattr(spec, name) < 0:
            raise UsageError(f"{name}={getattr(spec, name)!r} is negative. Give 0 for none, 1 for one, …")


def _check_versions(spec: JobSpec) -> None:
    versions = {"runtime": (spec.runtime_version, "1.14"), "Python": (spec.python_version, "3.7")}
    for name, (version, example) in versions.items():
        if version is not None and not _VERSION.fullmatch(version):
            raise UsageError(
                f"{version!r} is no {name} version. Write two numbers with a dot, for instance {example}; it is noted, "
                "and what is installed here runs."
            )


def _check_packages(packages: Sequence[str | os.PathLike[str]]) -> None:
    seen: dict[str, str] = {}
    for path in packages:
        package = os.fspath(path)
        name = package.rstrip("/").rpartition("/")[2]
        if name in seen:
            raise UsageError(
                f"Two packages have the file name {name!r}: {seen[name]} and {package}. One would take the other's "
                "place: rename one, or give it once."
            )
        seen[name] = package


def _check_machines(spec: JobSpec) -> None:
    """Apply the service's rules on machines (its reference of trainingInput)."""
    others = {"worker": spec.workers, "parameter server": spec.parameter_servers, "evaluator": spec.evaluators}
    for role, pool in {"master": spec.master, **others}.items():
        if pool.count < 0 or pool.accelerator_count < 0:
            raise UsageError(f"The {role} count {min(pool.count, pool.accelerator_count)} is negative.")
    given = [role for role, pool in {"master": spec.master, **others}.items() if pool.is_given]
    if spec.scale_tier != "CUSTOM":
        if given:
            raise UsageError(
                f"The scale tier {spec.scale_tier} ({SCALE_TIERS[spec.scale_tier].meaning}) brings its own machines, "
                f"yet machines of the {' and the '.join(given)} were given too. Use the tier CUSTOM, or leave them out."
            )
        return
    if not (spec.master.machine_type or spec.master.image_uri):
        raise UsageError(
            "The scale tier CUSTOM needs a machine type for the master: --master-machine-type n1-standard-4 "
            "(masterType in a config file)."
        )
    for role, pool in others.items():
        flag = role.replace(" ", "-")
        if pool.is_given and not (pool.machine_type or pool.image_uri):
            asked = f"{pool.count} {role}s were" if pool.count else f"An accelerator of the {role}s was"
            raise UsageError(f"{asked} asked for without a machine type: give --{flag}-machine-type too.")
        if pool.is_given and not pool.count:
            machine = f"machine type {pool.machine_type}" if pool.machine_type else f"image {pool.image_uri}"
            raise UsageError(f"The {role}s have the {machine}, and no count: give --{flag}-count too.")
    if spec.runtime_version and spec.master.image_uri:
        raise UsageError("Give --runtime-version or --master-image-uri, not both: an image brings its own runtime.")


def _words(args: object) -> tuple[str, ...]:
    if isinstance(args, str):
        raise UsageError(f"args={args!r} is one text. Give a list of words, ['--train_steps', '200'], or a mapping.")
    if not isinstance(args, Iterable) or isinstance(args, bytes):
        raise UsageError(f"args={args!r} is refused. Give a list of words, ['--train_steps', '200'], or a mapping.")
    if not isinstance(args, Mapping):
        return tuple(os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in args)
    words = []
    for flag, value in args.items():
        bare = str(flag).removeprefix("--")
        if value is None:
            continue
        if isinstance(value, bool):
            words.append(f"--{bare}" if value else f"--no-{bare}")
        elif isinstance(value, str | int | float | os.PathLike):
            words.append(f"--{bare}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
        else:
            raise UsageError(
                f"The argument {bare!r} has the value {value!r}. Give a text, a number, a path or True/False."
            )
    return tuple(words)


def _paths(what: str, paths: object) -> tuple[str, ...]:
    if isinstance(paths, str | bytes | os.PathLike):
        raise UsageError(f"{what}={paths!r} is one path. Give a list: {what}=[{paths!r}].")
    if not isinstance(paths, Iterable):
        raise UsageError(f"{what}={paths!r} is refused. Give a list of paths, for instance ['a.whl'].")
    found = []
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise UsageError(f"{what} holds {path!r}. Give paths, for instance ['a.whl'].")
        found.append(str(os.fspath(path)))
    return tuple(found)


def _text_mapping(what: str, mapping: Mapping[str, str]) -> dict[str, str]:
    for key, value in mapping.items():
        if not isinstance(key, str) or not isinstance(value, str) or not key or "=" in key or "\0" in key + value:
            raise UsageError(
                f"{what} has {key!r}: {value!r}. Names and values must be texts, for instance {{'SEED': '1'}}."
            )
    return dict(mapping)


def _suggestion(name: object) -> str:
    bare = re.sub(r"[^A-Za-z0-9_]+", "_", str(name)).lstrip("_0123456789")[:128]
    return f", for instance {bare!r}" if bare else ""
