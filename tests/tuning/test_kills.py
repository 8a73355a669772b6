"""Studies that are killed at random moments: no finished trial is lost, none is run twice, nothing is left behind.

`make test` makes two rounds, `make soak` forty others.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from mlhelpers import jobs, settings, tuning
from mlhelpers.errors import JobError
from mlhelpers.jobs.local.store import Store

Tune = Callable[..., tuning.Study]

_TRIALS = 5
_KILLS = 3


def _victims(name: str, chance: random.Random) -> list[int]:
    """Return whom a kill meets: the study's controller, its supervisor, or everything that runs over this home."""
    home = settings.current().home
    row = Store(home / "jobs").job(name)
    assert row is not None
    supervisor = [int(row["supervisor"].split("/")[-2])] if row["supervisor"] else []
    replicas = jobs.attach(name).describe()["localOutput"]["replicas"]
    everything = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("MLHELPERS_HOME") == str(home):
                everything.append(process.pid)
    return chance.choice([[one["pid"] for one in replicas if "endTime" not in one], supervisor, everything])


def _round(tune: Tune, seed: int) -> None:
    """Start a study, kill it three times, go on with it until it is done."""
    chance = random.Random(seed)
    study = tune(trials=_TRIALS, args={"pause": 0.05}, name=f"s{seed}_0", job={"max_restarts": 5})
    finished: dict[int, float | None] = {}
    for attempt in range(_KILLS + 1):
        if attempt < _KILLS:
            time.sleep(chance.uniform(0.2, 4.0))
            for pid in _victims(study.name, chance):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with suppress(JobError):
            study.wait(90 if attempt == _KILLS else 2, progress=False)
        for trial in study.results:
            if trial.is_over:  # what was finished once stays so, with the same result
                assert finished.setdefault(trial.number, trial.objective) == trial.objective
        if study.state is jobs.JobState.FAILED:
            study = study.resume(f"s{seed}_{attempt + 1}")
    assert study.wait(90, progress=False) is jobs.JobState.SUCCEEDED
    results = {trial.number: trial for trial in study.results}
    assert sorted(results) == list(range(1, _TRIALS + 1))
    assert all(results[number].objective == objective for number, objective in finished.items())
    rows = [
        row
        for number in range(_KILLS + 2)
        for row in Store(settings.current().home / "jobs").trials(f"s{seed}_{number}")
    ]
    done = [row["trial"] for row in rows if row["state"] == "SUCCEEDED"]
    assert len(done) == len(set(done)), "a finished trial was run again"


@pytest.mark.parametrize("seed", range(2))
def test_a_study_killed_three_times_at_random_moments_ends_with_all_its_trials(tune: Tune, seed: int) -> None:
    _round(tune, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 140))
def test_forty_studies_killed_three_times_each(tune: Tune, seed: int) -> None:
    _round(tune, seed)
