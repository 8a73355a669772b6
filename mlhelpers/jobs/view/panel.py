"""A job as it is now, as HTML: its state, each replica's progress, its last lines.

The HTML holds no script and needs no widget, so that a stored notebook keeps it. Colours follow JupyterLab's themes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlhelpers.errors import MLHelpersError
from mlhelpers.jobs.bar import metric_text, number
from mlhelpers.jobs.base import JobState

if TYPE_CHECKING:
    from mlhelpers.jobs.job import Job

__all__ = ["STYLE", "Snapshot", "clock", "elapsed", "escaped", "framed", "log_html", "panel_html", "replicas_html"]
__all__ += ["state_html", "take_snapshot"]

_LINES = 8
_SHOWN_CHARACTERS = 200  # of a line of log
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_COLOURS = {"SUCCEEDED": "#00785a", "FAILED": "#b3261e", "CANCELLED": "#5b6070", "RUNNING": "#0a5fb4"}

STYLE = """<style>
.mlh-job { font-family: var(--jp-ui-font-family, system-ui, sans-serif); font-size: 13px; line-height: 1.5;
  color: var(--jp-ui-font-color1, #202330); max-width: 900px; }
/* JupyterLab's word on a widget whose kernel is gone, below a panel that says all that is known */
.jp-OutputArea-child:has(.mlh-job) + .jp-OutputArea-child .jupyter-widgets:not(:has(*)) { display: none; }
.mlh-job-head { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: center; }
.mlh-job-state { color: #fff; border-radius: 9px; padding: 0 10px; font-weight: 700; font-size: 12px; }
.mlh-job-soft { color: var(--jp-ui-font-color2, #5b6070); }
.mlh-job table.mlh-job-replicas { border-collapse: collapse; margin: 6px 0; font-size: 13px; table-layout: auto; }
.mlh-job .mlh-job-replicas th, .mlh-job .mlh-job-replicas td { text-align: left; padding: 2px 14px 2px 0;
  border: 0; background: none; font-variant-numeric: tabular-nums; white-space: nowrap; }
.mlh-job .mlh-job-replicas th { color: var(--jp-ui-font-color2, #5b6070); font-weight: 400; }
.mlh-job .mlh-job-replicas thead { border: 0; }
.mlh-job .widget-html, .mlh-job .widget-html-content { line-height: 1.5; height: auto; }
.mlh-job progress { width: 120px; vertical-align: middle; margin-right: 8px; }
.mlh-job pre.mlh-job-log { margin: 4px 0; padding: 6px 10px; overflow-x: auto; font-size: 12px; line-height: 1.45;
  white-space: pre; border-radius: 6px; border: 1px solid var(--jp-border-color2, #d5d8e0);
  background: var(--jp-layout-color1, #fff); color: var(--jp-ui-font-color1, #202330); }
.mlh-job-trouble { border-left: 3px solid #b3261e; padding-left: 10px; margin: 4px 0; white-space: pre-wrap; }
</style>"""


@dataclass(frozen=True)
class Snapshot:
    """A job at one moment.

    Attributes:
        handle: The job's handle.
        taken: When it was looked at, UTC.
        state: The state then; None where it could not be read.
        resource: What `Job.describe` said.
        tasks: The replicas that have a log.
        task: The one whose last lines these are.
        lines: The last lines of its log.
        trouble: Why something could not be read, or empty.
    """

    handle: str
    taken: datetime
    state: JobState | None = None
    resource: Mapping[str, Any] = field(default_factory=dict)
    tasks: Sequence[str] = ()
    task: str = ""
    lines: Sequence[str] = ()
    trouble: str = ""

    @property
    def is_over(self) -> bool:
        """Tell whether the job is known to be over."""
        return self.state is not None and self.state.is_final


def take_snapshot(job: Job, task: str | None = None) -> Snapshot:
    """Look at a job; what cannot be read is told in the snapshot, never raised.

    Args:
        job: The job.
        task: Whose last lines to read; the first replica's where None or where it has no log.
    """
    taken = datetime.now(UTC)
    try:
        resource = job.describe()
        state = JobState(resource["state"])
        tasks = job.tasks
        chosen = task if task in tasks else next(iter(tasks), "")
        lines = job.tail(_LINES, chosen) if chosen else []
    except (MLHelpersError, OSError) as error:
        return Snapshot(job.handle, taken, trouble=str(error))
    return Snapshot(job.handle, taken, state, resource, tasks, chosen, lines)


def panel_html(snapshot: Snapshot) -> str:
    """Return the whole panel of a job, as a stored notebook keeps it; says when it was seen while it is not over."""
    return framed(snapshot, elapsed(snapshot), replicas_html(snapshot))


def framed(snapshot: Snapshot, time: str, middle: str) -> str:
    """Return a panel: its head with the time, its middle, and the log.

    Args:
        snapshot: What was seen.
        time: HTML that stands beside the state.
        middle: HTML.
    """
    seen = "" if snapshot.is_over else f"seen at {snapshot.taken.astimezone():%H:%M:%S}"
    return (
        f'{STYLE}<div class="mlh-job"><div class="mlh-job-head">{state_html(snapshot)}'
        f'<span>{time}</span><span class="mlh-job-soft">{seen}</span></div>'
        f"{middle}{log_html(snapshot)}</div>"
    )


def state_html(snapshot: Snapshot) -> str:
    """Return the handle and the state, which a screen reader speaks when it changes."""
    state = snapshot.state or "UNKNOWN"
    colour = _COLOURS.get(state, "#7a5200")
    return (
        f"<b>{escaped(snapshot.handle)}</b> "
        f'<span class="mlh-job-state" role="status" aria-live="polite" data-state="{state}" '
        f'style="background:{colour}">{state}</span>'
    )


def elapsed(snapshot: Snapshot) -> str:
    """Return how long the job has run, or has waited, and how often the whole of it was tried again."""
    resource = snapshot.resource
    begin = resource.get("startTime")
    since = begin or resource.get("createTime")
    if not since:
        return ""
    end = resource.get("endTime")
    until = datetime.fromisoformat(end) if end else snapshot.taken
    text = clock((until - datetime.fromisoformat(since)).total_seconds())
    if not begin:
        text = f"waited {text}" if end else f"waiting for {text}"
    retries = resource.get("localOutput", {}).get("retries")
    return f"{text}, the whole job tried again {retries} x" if retries else text


def clock(seconds: float) -> str:
    """Return a length of time as a clock shows it.

    Example:
        >>> clock(75.4), clock(3725)
        ('1:15', '1:02:05')
    """
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def replicas_html(snapshot: Snapshot) -> str:
    """Return a table with a row for each replica: progress, steps, steps/s, metrics, starts."""
    replicas = snapshot.resource.get("localOutput", {}).get("replicas", [])
    if not replicas:
        return ""
    rows = "".join(f"<tr>{_cells(replica)}</tr>" for replica in replicas)
    unit = escaped(str((replicas[0].get("progress") or {}).get("unit") or "steps"))
    names = ("replica", "progress", f"{unit}/s", "metrics", "process")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return (
        f'<table class="mlh-job-replicas" aria-label="Replicas of the job"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def log_html(snapshot: Snapshot, caption: bool = True) -> str:
    """Return the error message of a failed job, what could not be read, and the log's last lines.

    Args:
        snapshot: The job.
        caption: Whether to write over the lines whose they are.
    """
    parts = []
    for trouble in (snapshot.resource.get("errorMessage"), snapshot.trouble):
        if trouble:
            parts.append(f'<div class="mlh-job-trouble" role="alert">{escaped(str(trouble))}</div>')
    if snapshot.lines and not snapshot.resource.get("errorMessage"):  # it ends with the last lines itself
        text = "\n".join(escaped(line[:_SHOWN_CHARACTERS]) for line in snapshot.lines)
        name = escaped(f"Last lines of {snapshot.task}")
        parts.append(f'<div class="mlh-job-soft">{name}</div>' if caption else "")
        parts.append(f'<pre class="mlh-job-log" tabindex="0" aria-label="{name}">{text}</pre>')
    return "".join(parts)


def _cells(replica: Mapping[str, Any]) -> str:
    progress = replica.get("progress") or {}
    task = escaped(str(replica.get("task", "")))
    step, total = number(progress.get("step")), number(progress.get("total_steps"))
    bar = ""
    if step is not None and total:
        bar = f'<progress value="{step:g}" max="{total:g}" aria-label="Progress of {task}"></progress>'
    of = f" / {total:,.0f}" if total else ""
    steps = "" if step is None else f"{step:,.0f}{of}"
    phase = escaped(str(progress.get("phase") or ""))
    speed, left = number(progress.get("steps_per_second")), number(progress.get("seconds_left"))
    pace = f"{speed:,.1f}" if speed else ""
    pace += f", {clock(left)} left" if left and "endTime" not in replica else ""
    cells = (
        f"{bar}{' '.join(filter(None, (steps, phase)))}",
        pace,
        _metrics(progress.get("metrics")),
        _process(replica),
    )
    return f'<th scope="row">{task}</th>' + "".join(f"<td>{cell}</td>" for cell in cells)


def _metrics(metrics: object) -> str:
    known = metrics if isinstance(metrics, Mapping) else {}
    numbers = ((name, number(value)) for name, value in known.items())
    return ", ".join(f"{escaped(str(name))} {metric_text(value)}" for name, value in numbers if value is not None)


def _process(replica: Mapping[str, Any]) -> str:
    """Return how the replica's process is: running or ended, and how often it was started again."""
    code = replica.get("exitCode")
    if code is not None:
        text = "finished" if code == 0 else f"exit code {code}" if code > 0 else f"signal {-code}"
    else:
        text = "ended" if "endTime" in replica else "running"
    restarts = replica.get("restarts")
    return f"{text}, started again {restarts} x" if restarts else text


def escaped(text: str) -> str:
    """Return text for HTML, without control characters."""
    return html.escape(_UNPRINTABLE.sub("", text))
