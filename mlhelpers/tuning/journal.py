"""Where a study is kept: Optuna's journal, a file of one line for each thing that happened, beside the study's job.

One process writes it, the study's controller; any number read it. A line is only ever added, so that a process killed
at any moment loses at most the line it was writing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlhelpers.errors import DataError, JobError, MissingExtraError
from mlhelpers.tuning.space import Space, Value, parents_first, used

if TYPE_CHECKING:
    import optuna
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial

__all__ = ["JOURNAL", "carry_over", "has_begun", "import_optuna", "open_study", "read_study", "suggest", "values_of"]

_NAME = "study"
JOURNAL = "study.journal"


def import_optuna() -> Any:
    """Import Optuna, which then keeps its remarks to itself.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("Optuna, which keeps the studies,", "tune") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_study(folder: Path, goal: str, pruner: BasePruner, fill: Callable[[optuna.Study], None]) -> optuna.Study:
    """Open a study to write it, made where it is not there.

    A new one is made aside and put in place with all that it begins with, so that there is never half of that.

    Args:
        folder: The folder of the study's job.
        goal: "minimize" or "maximize".
        pruner: Which trials to stop early.
        fill: Called with a new study, to give it the trials that it begins with.
    """
    made = import_optuna()
    path = folder / JOURNAL
    if not path.is_file():
        aside = path.with_suffix(".part")
        aside.unlink(missing_ok=True)
        fill(made.create_study(storage=_storage(aside), study_name=_NAME, direction=goal))
        aside.replace(path)
    _drop_half_line(path)
    found: optuna.Study = made.load_study(storage=_storage(path), study_name=_NAME, pruner=pruner)
    return found


def has_begun(folder: Path) -> bool:
    """Tell whether the study of a job's folder is there, with all that it begins with."""
    return (folder / JOURNAL).is_file()


def read_study(folder: Path) -> list[FrozenTrial]:
    """Return the trials of a study, in the order of their numbers; none where none has begun.

    Raises:
        DataError: The journal is damaged.
    """
    path = folder / JOURNAL
    if not path.is_file():
        return []
    optuna = import_optuna()
    try:
        storage = _storage(path)
        trials: list[FrozenTrial] = storage.get_all_trials(storage.get_study_id_from_name(_NAME), deepcopy=False)
    except KeyError:  # killed before its first line
        return []
    except (ValueError, OSError, optuna.exceptions.OptunaError) as error:
        raise DataError(f"The study's journal {path} cannot be read: {error}.") from error
    return trials


def carry_over(
    study: optuna.Study, folder: Path, space: Space, settle: Callable[[FrozenTrial], FrozenTrial | None]
) -> None:
    """Take the trials of an earlier study over: finished ones as they are, unfinished ones to be run again.

    Args:
        study: The new study, without trials.
        folder: The folder of the earlier study's job.
        space: What the new study may change.
        settle: Called with an unfinished trial; returns it finished where its job has ended well since, else None.

    Raises:
        JobError: The earlier study changed other parameters, or the same over other ranges.
    """
    from optuna.trial import TrialState, create_trial

    known = {name: parameter.distribution() for name, parameter in space.items()}
    for trial in read_study(folder):
        other = [name for name, was in trial.distributions.items() if known.get(name) != was]
        if other:
            raise JobError(
                f"The study in {folder} cannot be gone on with: it searched {', '.join(other)} in another way. Give "
                "the same parameters and ranges, or leave resumePreviousJobId out."
            )
        finished = trial if trial.state.is_finished() else settle(trial)
        if finished is not None:
            study.add_trial(finished)
        else:
            fixed = {"fixed_params": trial.params}
            study.add_trial(create_trial(state=TrialState.WAITING, system_attrs=fixed))


def suggest(trial: optuna.Trial, space: Space) -> None:
    """Have the sampler choose a value for every parameter that is used in a trial; chosen ones stay."""
    values: dict[str, Value] = {}
    for name in parents_first(space):
        if used(space, values, name):
            values[name] = space[name].decode(space[name].draw(trial, name))


def values_of(params: Mapping[str, Any], space: Space) -> dict[str, Value]:
    """Return what the trainer is given, from what Optuna holds."""
    return {name: space[name].decode(params[name]) for name in space if name in params}


def _storage(path: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    class Lock(JournalFileOpenLock):
        """Held by the kernel, so that it ends with the process, however that ends; Optuna's own waits half a minute."""

        def acquire(self) -> bool:
            self._file = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            return True

        def release(self) -> None:
            os.close(self._file)

    return JournalStorage(JournalFileBackend(str(path), lock_obj=Lock(str(path))))


def _drop_half_line(path: Path) -> None:
    """Cut off what a process was writing when it was killed or the disk was full."""
    if not path.is_file():
        return
    with path.open("rb+") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
