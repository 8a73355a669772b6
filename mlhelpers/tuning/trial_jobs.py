"""The trials of a study as jobs of the local engine: made from one template, started, looked at.

A trial's job is called STUDY.NUMBER. Its trainer finds itself in the folder JOB_DIR/NUMBER, with its parameters as
flags behind the study's arguments, and with the environment of a trial on the service: CLOUD_ML_TRIAL_ID,
CLOUD_ML_HP_METRIC_TAG, CLOUD_ML_HP_METRIC_FILE, and "trial" in TF_CONFIG.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlhelpers.errors import JobError
from mlhelpers.jobs import JobSpec, Plan
from mlhelpers.jobs.lines import last_lines
from mlhelpers.jobs.local.engine import LocalBackend
from mlhelpers.jobs.local.environment import base_environment, trainer_arguments, trainer_environment
from mlhelpers.jobs.local.launch import own_files
from mlhelpers.jobs.local.nursery import Nursery
from mlhelpers.jobs.local.store import FIRST, Store
from mlhelpers.jobs.local.warm import WarmPython
from mlhelpers.jobs.metric_file import read_metric_file
from mlhelpers.tuning.checking import check_tag
from mlhelpers.tuning.local import TAG_IS_KNOWN
from mlhelpers.tuning.space import Choice, Value
from mlhelpers.tuning.spec import StudySpec

__all__ = ["TrialJobs"]

# what a trial would else import itself; the last ones are what our trainers have in common
_PRELOAD = ("mlhelpers.frameworks:import_tensorflow", "mlhelpers.trainers.base", "mlhelpers.trainers.export")
_WRONG_USAGE = 2
_DRY_RUN_S = 60.0
_TRUTH_EVERY_S = 1.0


class TrialJobs:
    """The jobs of one study's trials.

    Args:
        study: The study's name.
        store: The folder of the engine's store.
        template: What `local.plan` wrote of a trial.
    """

    def __init__(self, study: str, store: Path, template: Mapping[str, Any]) -> None:
        self._study = study
        self._folder = store
        self._store = Store(store)
        self._template = template
        self._asked_at: dict[int, float] = {}
        self._warm: WarmPython | None = None
        self._backend = LocalBackend(store)

    @property
    def base_spec(self) -> JobSpec:
        """The trainer with the arguments that all trials share, and the study's hyperparameters."""
        job = self._template["job"]
        return JobSpec(
            self._study,
            job["module"],
            args=job["args"],
            labels=job["labels"],
            max_restarts=job["max_restarts"],
            max_retries=job["max_retries"],
            grace_s=job["grace_s"],
            cloud={"hyperparameters": self._template["hyperparameters"]},
        )

    def name_of(self, number: int) -> str:
        """Return the name of a trial's job."""
        return f"{self._study}.{number}"

    def reports(self, name: str) -> dict[str, dict[int, float]]:
        """Return what the first replica of a trial's job has reported: tag -> step -> value."""
        return read_metric_file(Path(own_files(self._folder / name, FIRST)["CLOUD_ML_HP_METRIC_FILE"]))

    def rows(self) -> list[dict[str, Any]]:
        """Return what the store knows of the trials: name, trial, state, start_time, end_time, error_message."""
        return self._store.trials(self._study)

    def row(self, name: str) -> dict[str, Any] | None:
        """Return what the store knows of a trial's job, also of an earlier study's; None where there is none."""
        return self._store.job(name)

    def is_due(self, number: int) -> bool:
        """Tell whether it is time to ask whether a trial's supervisor still lives."""
        now = time.monotonic()
        if now - self._asked_at.setdefault(number, now) < _TRUTH_EVERY_S:
            return False
        self._asked_at[number] = now
        return True

    def submit(self, number: int, values: Mapping[str, Value]) -> None:
        """Submit a trial's job.

        Args:
            number: The trial's.
            values: Its parameters.

        Raises:
            JobError: The job cannot be made.
        """
        template, folder = self._template, self._folder / self.name_of(number)
        args, job_dir = self._arguments(number, values)
        training_input = {"scaleTier": "BASIC", "pythonModule": template["job"]["module"], "args": args}
        if job_dir is not None:
            training_input["jobDir"] = job_dir
        environment = template["environment"] | self._environment(number, training_input, job_dir)
        command = [*template["command"], *trainer_arguments(args, job_dir)]
        request = {
            "jobId": self.name_of(number),
            "labels": template["job"]["labels"],
            "trainingInput": training_input,
            "local": {
                "cluster": self._cluster(number),
                "replicas": {task: own_files(folder, task) for task in template["replicas"]},
                "command": command if self._warm is None else self._warm.command(command),
                "cwd": template["cwd"],
                "environment": environment,
                "trial": number,
                "nested": template["nested"],
            },
        }
        self._backend.submit(Plan("local", self.base_spec, request))

    def check_tag(self, study: StudySpec) -> None:
        """Find out in a short run whether the trainer reports the study's metric, where its help page does not say.

        The run takes the middle of every range, has the number 0, and is ended at its first report; its folders are
        removed afterwards, but for what the arguments name themselves.

        Args:
            study: The study.

        Raises:
            UsageError: It ran to its end and reported other metrics, or none.
            JobError: It refused its arguments.
        """
        if (self._folder / self._study / TAG_IS_KNOWN).exists() or self.rows():
            return
        print(f"a short run, to see whether the trainer reports {study.metric!r}", flush=True)
        place = self._folder / self._study / "short_run"
        try:
            code, tags, lines = self._short_run(study, place)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        if study.metric in tags:
            print("it does", flush=True)
        elif code is None:
            print(f"it has not within {_DRY_RUN_S:g} s: unchecked", flush=True)
        elif code == 0:
            check_tag(tags, study.metric, self.base_spec.module)
        elif code == _WRONG_USAGE:
            raise JobError(
                "\n".join(["The trainer refuses its arguments, in the short run before the trials:", *lines])
            )
        else:  # these parameters may be bad ones: the trials will show
            print("\n".join([f"it ended with code {code}: unchecked", *lines]), flush=True)

    def _short_run(self, study: StudySpec, place: Path) -> tuple[int | None, list[str], list[str]]:
        """Run the trainer until it reports the metric, ends or takes too long: exit code, tags, last lines."""
        files = own_files(place, FIRST)
        for path in files.values():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        middle = {name: _middle(parameter) for name, parameter in study.space.items() if not parameter.when}
        args, _ = self._arguments(0, middle)
        job_dir = None if self._template["job"]["job_dir"] is None else str(place / "job_dir")
        training_input = {"pythonModule": self.base_spec.module, "args": args}
        environment = base_environment() | self._template["environment"]
        environment |= self._environment(0, training_input, job_dir) | files | {"TF_CONFIG": '{"task": {"trial": "0"}}'}
        log, metric_file = place / "log", Path(files["CLOUD_ML_HP_METRIC_FILE"])
        command = [*self._template["command"], *trainer_arguments(args, job_dir)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._template["cwd"],
                env=environment,
                start_new_session=True,
            )
        deadline = time.monotonic() + _DRY_RUN_S
        try:
            while process.poll() is None and time.monotonic() < deadline:
                if study.metric in read_metric_file(metric_file):
                    break
                time.sleep(0.1)
            tags = list(read_metric_file(metric_file))
            return process.poll(), tags, last_lines(log.read_bytes()[-65536:])
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _arguments(self, number: int, values: Mapping[str, Value]) -> tuple[list[str], str | None]:
        """Return the trainer's words, and the trial's folder where the study has one."""
        job = self._template["job"]
        args = [*job["args"], *(f"--{name}={value}" for name, value in values.items())]
        return args, None if job["job_dir"] is None else f"{str(job['job_dir']).rstrip('/')}/{number}"

    def _environment(self, number: int, training_input: Mapping[str, Any], job_dir: str | None) -> dict[str, str]:
        found = trainer_environment(job_dir, {"job_name": self._study, **training_input})
        tag = self._template["hyperparameters"]["hyperparameterMetricTag"]
        found |= {"CLOUD_ML_TRIAL_ID": str(number), "CLOUD_ML_HP_METRIC_TAG": tag}
        if threads := self._template["cluster"]["threads"]:  # the engine sets those of the arithmetic
            found |= {"TF_NUM_INTEROP_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        return found

    def _cluster(self, number: int) -> dict[str, Any]:
        """Return the trial's cluster; of several graphics processors it has one, in turn."""
        cluster: dict[str, Any] = self._template["cluster"]
        gpus = cluster.get("gpus") or []
        if gpus and sum(cluster["counts"].values()) == 1:
            return {**cluster, "gpus": [gpus[(number - 1) % len(gpus)]]}
        return cluster

    @contextmanager
    def kept_warm(self) -> Iterator[None]:
        """Keep at hand, inside the block, what trials start from: supervisors, and a Python with TensorFlow."""
        with Nursery() as nursery:
            self._backend = LocalBackend(self._folder, nursery.start)
            try:
                with self._tensorflow_kept_warm():
                    yield
            finally:
                self._backend = LocalBackend(self._folder)

    @contextmanager
    def _tensorflow_kept_warm(self) -> Iterator[None]:
        """Keep a Python with TensorFlow at hand, for trials that use it."""
        if not self._template["imports_tensorflow"]:
            yield
            return
        environment = base_environment() | self._template["environment"]
        with WarmPython(_PRELOAD, environment, self._folder / self._study / "warm.log") as warm:
            self._warm = warm
            try:
                yield
            finally:
                self._warm = None


def _middle(parameter: Any) -> Value:
    if isinstance(parameter, Choice):
        return parameter.values[len(parameter.values) // 2]
    middle = (
        (parameter.low * parameter.high) ** 0.5 if parameter.scale == "log" else (parameter.low + parameter.high) / 2
    )
    return int(middle) if parameter.kind == "INTEGER" else middle
