"""Trials that fail: why one did, and when there are so many that the study is over."""

from __future__ import annotations

from collections.abc import Sequence

from mlhelpers.jobs import JobState
from mlhelpers.tuning.results import Trial

__all__ = ["too_many_failures", "why"]

_HOPELESS = 3  # failed trials with which a study ends that has had no result


def why(state: JobState, message: str, metric: str, has_reports: bool, others: Sequence[str]) -> str:
    """Return why a trial is infeasible; the first line says it, for a table shows no more.

    Args:
        state: Its job's.
        message: Its job's error message, or empty.
        metric: The tag that the study wants.
        has_reports: Whether the trainer has reported that.
        others: What else it has reported.
    """
    if state is JobState.CANCELLED:
        return message or "The trial was cancelled."
    if state is JobState.FAILED:
        return _with_cause(message or "The trial failed.")
    if has_reports:
        return f"The trainer's last {metric} was not a number."
    reported = f"it reported {', '.join(sorted(others))}" if others else "it reported nothing"
    return f"The trainer succeeded and did not report {metric!r}: {reported}."


def too_many_failures(trials: Sequence[Trial], total: int, max_failed: int) -> str:
    """Return why a study is to end because of its failed trials; empty where it goes on.

    Args:
        trials: Those that have begun.
        total: How many there are to be.
        max_failed: With more failed ones it ends; with 0 it ends when three have failed and none has succeeded, or half
            of all have failed.
    """
    failed = [trial for trial in trials if trial.state == "INFEASIBLE"]
    good = [trial for trial in trials if trial.is_over and trial.state != "INFEASIBLE"]
    if max_failed:
        is_over = len(failed) > max_failed
    else:
        is_over = (len(failed) >= _HOPELESS and not good) or len(failed) * 2 > max(total, 2 * _HOPELESS)
    if not is_over:
        return ""
    allowed = f"maxFailedTrials is {max_failed}" if max_failed else "maxFailedTrials is 0, which leaves it to the study"
    last = failed[-1]
    return f"{len(failed)} of {len(trials)} trials failed ({allowed}). The last one, trial {last.number}: {last.error}"


def _with_cause(message: str) -> str:
    """Return a failed job's message with the trainer's last line in its first one."""
    first, *rest = message.splitlines()
    if not rest or not any(line.startswith("Its last lines:") for line in rest):
        return message
    return "\n".join([f"{first.rstrip('.')}: {rest[-1].strip()}", *rest])
