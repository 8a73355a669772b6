"""The trials of a study, read quickly from its journal, and from where the last look ended.

A table is opened in a fresh process, and a live panel looks twice a second; Optuna's import and its replay of the
journal take seconds where a study is large. So the lines that the controller has Optuna write are read here directly
(optuna/storages/journal/_storage.py tells what each means). A line of another kind leaves the whole to Optuna.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError
from mlhelpers.tuning.journal import JOURNAL, read_study
from mlhelpers.tuning.results import Trial, trial_of
from mlhelpers.tuning.space import Space

__all__ = ["TrialReader"]


class _State(IntEnum):
    """Optuna's TrialState, by its numbers in the journal."""

    RUNNING = 0
    COMPLETE = 1
    PRUNED = 2
    FAIL = 3
    WAITING = 4


_OVER = (_State.COMPLETE, _State.PRUNED, _State.FAIL)
_OF_STUDY = (0, 2, 3)  # CREATE_STUDY, SET_STUDY_USER_ATTR, SET_STUDY_SYSTEM_ATTR: nothing of a trial
_CREATE, _PARAMETER, _STATE, _VALUE, _USER, _SYSTEM = 4, 5, 6, 7, 8, 9


class _UnknownLineError(Exception):
    """The journal holds a line that the controller never has written."""


@dataclass(slots=True)
class _Record:
    """What the journal has said of one trial, under the names of Optuna's FrozenTrial."""

    number: int
    begun: str = ""
    state: _State = _State.RUNNING
    value: float | None = None
    params: dict[str, Any] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    intermediate_values: dict[int, float] = field(default_factory=dict)


class TrialReader:
    """Reads the trials of one study, the first time all and from then on what has come since.

    Not for two threads at once.

    Args:
        folder: The folder of the study's job.
        space: Names and kinds of the parameters.
    """

    def __init__(self, folder: Path, space: Space) -> None:
        self._folder, self._path, self._space = folder, folder / JOURNAL, space
        self._forget()

    def read(self) -> list[Trial]:
        """Return the trials begun by now, in the order of their numbers; none where none has begun.

        Raises:
            DataError: The journal is damaged.
        """
        try:
            self._apply(self._new_lines())
        except _UnknownLineError:
            self._forget()
            return [trial_of(found, self._space) for found in read_study(self._folder)]
        except OSError as error:
            raise DataError(f"The study's journal {self._path} cannot be read: {error}.") from error
        return [self._trial(record) for record in self._records]

    def _forget(self) -> None:
        self._offset = 0
        self._records: list[_Record] = []
        self._over: dict[int, Trial] = {}  # a trial that is over changes no more
        self._choices: dict[str, Sequence[Any] | None] = {}  # of a categorical distribution, by its text

    def _trial(self, record: _Record) -> Trial:
        found = self._over.get(record.number)
        if found is None:
            found = trial_of(record, self._space)
            if record.state in _OVER:
                self._over[record.number] = found
            elif record.state is _State.RUNNING and not found.start_time:
                found = replace(found, start_time=record.begun)  # its job has not begun yet
        return found

    def _new_lines(self) -> list[dict[str, Any]]:
        """Return the lines that have come since the last look; half of a line waits for its other half."""
        if not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.splitlines()
        try:
            found: list[dict[str, Any]] = json.loads(b"[" + b",".join(lines) + b"]")
        except ValueError as error:
            raise DataError(f"The study's journal {self._path} cannot be read: {error}.") from error
        self._offset += len(whole)
        return found

    def _apply(self, lines: Sequence[Mapping[str, Any]]) -> None:
        records = self._records
        for line in lines:
            kind = line["op_code"]
            if kind in _OF_STUDY:
                continue
            if kind == _CREATE:
                records.append(self._created(line))
                continue
            if not _CREATE < kind <= _SYSTEM:
                raise _UnknownLineError
            record = records[line["trial_id"]]
            if record.state in _OVER:
                continue
            if kind == _VALUE:
                record.intermediate_values[line["step"]] = line["intermediate_value"]
            elif kind == _PARAMETER:
                value = self._external(line["param_value_internal"], line["distribution"])
                record.params[line["param_name"]] = value
            elif kind == _USER:
                record.user_attrs.update(line["user_attr"])
            elif kind == _SYSTEM:
                record.system_attrs.update(line["system_attr"])
            else:
                record.state = _State(line["state"])
                if line["values"]:
                    (record.value,) = line["values"]

    def _created(self, line: Mapping[str, Any]) -> _Record:
        """Return a new trial: an empty one, or one that was taken over from an earlier study as it was."""
        texts = line.get("distributions", {})
        values = line.get("values")
        return _Record(
            number=len(self._records),
            begun=line["datetime_start"] or "",
            state=_State(line.get("state", _State.RUNNING)),
            value=values[0] if values else line.get("value"),
            params={name: self._external(value, texts[name]) for name, value in line.get("params", {}).items()},
            user_attrs=dict(line.get("user_attrs", {})),
            system_attrs=dict(line.get("system_attrs", {})),
            intermediate_values={int(step): value for step, value in line.get("intermediate_values", {}).items()},
        )

    def _external(self, inner: float, distribution: str) -> Any:
        """Return a parameter's value: the journal holds the place of a categorical one, and numbers as they are."""
        if distribution not in self._choices:
            self._choices[distribution] = json.loads(distribution)["attributes"].get("choices")
        choices = self._choices[distribution]
        return inner if choices is None else choices[int(inner)]
