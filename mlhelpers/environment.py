"""What this machine has for the series, and the cure for what it lacks: `mlhelpers check`, and a table in notebook 00.

Only looks: imports no heavy package, asks no network, makes no folder. May import `errors`, `settings`, `datasets`.
Taught in notebook 00.
"""

from __future__ import annotations

import html
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from packaging.requirements import Requirement
from tabulate import tabulate

from mlhelpers import datasets, settings

__all__ = ["Finding", "Report", "check"]

_PYTHONS = ((3, 11), (3, 13))  # oldest and newest that requirements.lock is made for
_MEMORY_GB = 3.0
_DISK_GB = 2.0
_EXTRAS = {
    "data": "data sets",
    "train": "training",
    "tune": "studies",
    "serve": "serving",
    "frameworks": "other frameworks",
    "detect": "object detection",
    "notebooks": "notebooks and widgets",
    "vertex": "Vertex AI (optional)",
    "emulator": "its emulator (optional)",
    "bigquery": "BigQuery (optional)",
}
_OPTIONAL = ("vertex", "emulator", "bigquery")
# the same package under another name
_TWINS = {"tensorflow": ("tensorflow-cpu", "tensorflow-macos", "tf-nightly")}


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        check: What was looked at.
        found: What is there.
        state: "ok"; "note" for what is worth knowing; "missing" for what keeps a notebook from running.
        cure: What to do about it; empty where nothing needs to be done.
    """

    check: str
    found: str
    state: str = "ok"
    cure: str = ""


@dataclass(frozen=True)
class Report:
    """The whole table; shows itself in a notebook and as text.

    Attributes:
        findings: Its lines.
    """

    findings: tuple[Finding, ...]

    @property
    def is_ready(self) -> bool:
        """Whether the offline notebooks can run."""
        return all(finding.state != "missing" for finding in self.findings)

    def rows(self) -> list[dict[str, str]]:
        """Return the lines as plain data with the keys check, found, state and cure."""
        return [asdict(finding) for finding in self.findings]

    def __str__(self) -> str:
        rows = [(finding.check, finding.found, finding.cure) for finding in self.findings]
        return tabulate(rows, headers=("check", "found", "cure"), tablefmt="plain", disable_numparse=True)

    def _repr_html_(self) -> str:
        marks = {"ok": ("#2e7d32", "✓"), "note": ("#b26a00", "●"), "missing": ("#c62828", "✗")}
        lines = []
        for finding in self.findings:
            colour, mark = marks[finding.state]
            cells = "".join(
                f'<td style="text-align:left">{html.escape(text)}</td>'
                for text in (finding.check, finding.found, finding.cure)
            )
            lines.append(f'<tr><td style="color:{colour};font-weight:bold">{mark}</td>{cells}</tr>')
        head = "".join(f'<th style="text-align:left">{title}</th>' for title in ("", "check", "found", "cure"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def check() -> Report:
    """Look at this machine, the installed packages and the folders.

    Returns:
        One finding per line of the table, in a fixed order.

    Example:
        >>> check().findings[0].check
        'Python'
    """
    return Report(
        (
            *_machine(),
            *(_extra(extra, what) for extra, what in _EXTRAS.items()),
            *_places(),
            *_shipped(),
        )
    )


def _machine() -> Iterator[Finding]:
    version = sys.version_info[:2]
    fits = _PYTHONS[0] <= version <= _PYTHONS[1]
    cure = "" if fits else "Make the environment with Python 3.11, 3.12 or 3.13: make run PYTHON=python3.13"
    yield Finding("Python", f"{platform.python_version()} ({sys.executable})", "ok" if fits else "missing", cure)
    yield Finding("system", f"{platform.system()} {platform.release()}, {platform.machine()}")

    yield Finding("cores", str(settings.cores()))
    memory = psutil.virtual_memory()
    tight = memory.available < _MEMORY_GB * 1e9
    cure = f"Training wants about {_MEMORY_GB:.0f} GB: close other programs." if tight else ""
    found = f"{memory.total / 1e9:.1f} GB, {memory.available / 1e9:.1f} GB free"
    yield Finding("memory", found, "note" if tight else "ok", cure)
    yield Finding("GPU", _gpu())


def _gpu() -> str:
    """Name the NVIDIA GPUs by asking the driver's own tool."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "none; nothing here needs one"
    try:
        answer = subprocess.run(
            [program, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "none that answers; nothing here needs one"
    names = [line.strip() for line in answer.stdout.splitlines() if line.strip()]
    return ", ".join(names) if answer.returncode == 0 and names else "none that answers; nothing here needs one"


def _extra(extra: str, what: str) -> Finding:
    """Compare the packages that an extra names with those that are installed."""
    present: list[str] = []
    lacking: list[str] = []
    if not (requirements := _requirements(extra)):  # the package is on the path, but was never installed
        return Finding(what, "unknown: mlhelpers is not installed", "missing", _install(extra))
    for name, minimum in requirements:
        version = _installed(name)
        if version is None:
            lacking.append(name)
        elif _numbers(version) < _numbers(minimum):
            lacking.append(f"{name} {version} (needs {minimum})")
        else:
            present.append(f"{name} {version}")
    found = ", ".join(present) or "nothing"
    if not lacking:
        return Finding(what, found)
    state = "note" if extra in _OPTIONAL else "missing"
    return Finding(what, f"{found}; lacks {', '.join(lacking)}", state, _install(extra))


def _requirements(extra: str) -> list[tuple[str, str]]:
    """Return the (package, oldest version) pairs of an extra, as the installed metadata of mlhelpers gives them."""
    try:
        lines = importlib.metadata.requires("mlhelpers") or []
    except importlib.metadata.PackageNotFoundError:
        lines = []
    asked = [Requirement(line) for line in lines]
    # a line of this extra, and for this system: what another one needs is not lacking here
    asked = [one for one in asked if one.marker and one.marker.evaluate({"extra": extra})]
    asked = [one for one in asked if one.marker and not one.marker.evaluate({"extra": ""})]
    return [(one.name, next((bound.version for bound in one.specifier), "0")) for one in asked]


def _installed(name: str) -> str | None:
    """Return the version of a package, or of its twin, without importing it."""
    for candidate in (name, *_TWINS.get(name, ())):
        try:
            return importlib.metadata.version(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, enough to tell older from newer."""
    return tuple(int(part) for part in re.findall(r"\d+", version.split("dev")[0].split("rc")[0])[:3])


def _install(extra: str) -> str:
    repository = Path(__file__).resolve().parent.parent
    if (repository / "pyproject.toml").is_file():
        return f"pip install -e '{repository}[{extra}]'"
    return f"pip install 'mlhelpers[{extra}]'"


def _places() -> Iterator[Finding]:
    chosen = settings.current()
    ground = next(folder for folder in (chosen.home, *chosen.home.parents) if folder.exists())
    found = f"{chosen.home}" if ground == chosen.home else f"{chosen.home} (made when it is first used)"
    if ground.is_dir() and os.access(ground, os.W_OK):
        yield Finding("local store", found)
    else:
        yield Finding("local store", f"{found}, not writable", "missing", "Set MLHELPERS_HOME to a folder of yours.")
    free = shutil.disk_usage(ground).free
    tight = free < _DISK_GB * 1e9
    cure = f"Jobs and models want about {_DISK_GB:.0f} GB: make room, or set MLHELPERS_HOME to another disk."
    yield Finding("disk", f"{free / 1e9:.1f} GB free there", "note" if tight else "ok", cure if tight else "")

    if chosen.mirror is None:
        yield Finding("mirror", "none; the shipped files are used")
    elif chosen.mirror.startswith(("http://", "https://")) or Path(chosen.mirror).is_dir():
        yield Finding("mirror", chosen.mirror)
    else:
        cure = "Set MLHELPERS_MIRROR to a folder that exists, or unset it; the shipped files are used meanwhile."
        yield Finding("mirror", f"{chosen.mirror}, which is no folder", "note", cure)
    yield Finding("jobs run", f"{chosen.backend}" + (f", project {chosen.project}" if chosen.project else ""))


def _shipped() -> Iterator[Finding]:
    """Look for the files that the repository ships; their checksums are held when they are loaded."""
    folder = settings.shipped_data()
    for name in datasets.names():
        files = [folder / name / file.name for file in datasets.get(name).FILES.values() if file.is_shipped]
        lacking = [file.name for file in files if not file.is_file()]
        cure = f"git checkout -- data/{name}   (or set MLHELPERS_MIRROR)" if lacking else ""
        found = f"{len(files)} files in {folder / name}" if files else "no file; it comes with a package"
        found = f"lacks {', '.join(lacking)}" if lacking else found
        yield Finding(f"data: {name}", found, "missing" if lacking else "ok", cure)
    model = folder / "models" / "mnist"
    whole = (model / "signature.json").is_file()
    cure = "" if whole else "git checkout -- data/models   (or train one: notebook 05)"
    yield Finding("model: mnist", str(model) if whole else "none", "ok" if whole else "note", cure)
