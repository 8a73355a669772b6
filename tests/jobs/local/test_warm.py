"""Trials that start from a process which is warm: like cold ones in all that a trainer and the engine can see."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mlhelpers import datasets, jobs
from mlhelpers.jobs import JobState
from mlhelpers.jobs.base import Plan
from mlhelpers.jobs.local import engine, launch, processes
from mlhelpers.jobs.local.cluster import Machine
from mlhelpers.jobs.local.environment import base_environment
from mlhelpers.jobs.local.warm import WarmPython
from mlhelpers.jobs.local.warm import client as client_module

Until = Callable[..., None]
Submit = Callable[..., jobs.Job]

_TOKEN = "0123456789abcdef" * 2
_SHOW_PARENT = "import os; print(os.getppid(), flush=True)\n"


def _environment(**changes: str) -> dict[str, str]:
    mine = base_environment() | {"PYTHONUNBUFFERED": "1"} | changes
    del mine["PYTEST_CURRENT_TEST"]  # pytest changes it between a fixture and the test
    return mine


class Trials:
    """Runs trainers, in a folder of their own, as the engine would."""

    def __init__(self, folder: Path, warm: WarmPython) -> None:
        self.folder = folder
        self.warm = warm
        folder.mkdir()

    def write(self, code: str, module: str = "task") -> None:
        (self.folder / f"{module}.py").write_text(textwrap.dedent(code))

    def start(self, *words: str, is_warm: bool = True, **changes: str) -> subprocess.Popen[str]:
        command = [sys.executable, *(words or ("-m", "task"))]
        return subprocess.Popen(
            self.warm.command(command) if is_warm else command,
            cwd=self.folder,
            env=_environment(MLHELPERS_JOB_TOKEN=_TOKEN) | changes,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
        )

    def run(self, *words: str, is_warm: bool = True, **changes: str) -> tuple[int, str, str]:
        """Return exit code, output and errors."""
        process = self.start(*words, is_warm=is_warm, **changes)
        out, errors = process.communicate(timeout=60)
        return process.returncode, out, errors

    def server(self) -> psutil.Process:
        assert self.warm.pid is not None
        return psutil.Process(self.warm.pid)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "warm.log"


@pytest.fixture
def trials(tmp_path: Path, log: Path) -> Iterator[Trials]:
    with WarmPython(["json"], _environment(), log) as warm:
        yield Trials(tmp_path / "trials", warm)


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _ended(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=30)
    return process.returncode


def test_a_trial_runs_in_a_child_of_the_server(trials: Trials, log: Path) -> None:
    trials.write(_SHOW_PARENT)

    assert trials.run() == (0, f"{trials.warm.pid}\n", "")

    assert log.read_text() == ""


SEEN = {
    "its end": "print('end', end='')",
    "exit without a code": "import sys; sys.exit()",
    "exit code": "import sys; sys.exit(3)",
    "a large exit code": "import sys; sys.exit(259)",
    "a text as exit code": "import sys; sys.exit('no data')",
    "exception": "def f(): raise ValueError('nan')\nf()",
    "exception with a cause": "try: 1/0\nexcept Exception as error: raise OSError('x') from error",
    "excepthook": "import sys\nsys.excepthook = lambda *words: print('hook', words[1])\nraise ValueError(3)",
    "syntax": "def f(:\n",
    "interrupt": "raise KeyboardInterrupt",
    "SIGTERM": "import os, signal; print(1); os.kill(os.getpid(), signal.SIGTERM)",
    "SIGKILL": "import os; os.kill(os.getpid(), 9)",
    "SIGSEGV": "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.kill(os.getpid(), 11)",
    "abort": "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.abort()",
    "arguments and path": """
        import os, sys
        print(*map(ascii, [*sys.argv, *sys.orig_argv, *sys.path, os.getcwd(), __name__, __file__]), sep='\\n')
        print(__spec__.name, __package__, type(__loader__))
        print(sys.modules['__main__'].__dict__ is globals(), sorted(globals()), sys.stdout.encoding, sys.stdout.errors)
    """,
    "environment": "import os; print(sorted(os.environ.items()))",
    "file descriptors": "import os; print(os.listdir('/proc/self/fd'))",
    "signals": """
        import signal
        print([(number, str(signal.getsignal(number))) for number in signal.Signals], signal.pthread_sigmask(0, ()))
    """,
    "session": "import os; print(os.getsid(0) == os.getpgrp() == os.getpid(), os.isatty(1), os.umask(0))",
    "input": "import sys; print(repr(sys.stdin.read()))",
    "atexit and threads": """
        import atexit, threading, time
        atexit.register(lambda: print('registered'))
        threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()
        threading.Thread(target=lambda: time.sleep(60), daemon=True).start()
        from concurrent.futures import ThreadPoolExecutor
        ThreadPoolExecutor(1).submit(lambda: (time.sleep(0.2), print('pool')))
        print('last line')
    """,
    "finalisers": """
        import json, os, other
        class Noisy:
            def __init__(self, name): self.name = name
            def __del__(self): print('finalised', os.path.basename(self.name))
        kept, json.held = Noisy('a/kept'), None
        file = open('written.txt', 'w'); file.write('not closed')
        other.file = open('other.txt', 'w'); other.file.write('not closed')
        json.dangling = open('held.txt', 'w'); json.dangling.write('not closed')
    """,
    "processes": """
        import multiprocessing
        def square(x): return x * x
        if __name__ == '__main__':
            for method in ('fork', 'spawn', 'forkserver'):
                with multiprocessing.get_context(method).Pool(2) as pool: print(pool.map(square, [2, 3]))
    """,
    "pickle": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A, A.__module__)",
    "much output": "for i in range(300): print(i, 'x' * 80_000)",
    "bytes": "import os, sys; sys.stdout.buffer.write(os.environb[b'MLHELPERS_ODD']); sys.stderr.write('\\udcff')",
}


@pytest.mark.parametrize("code", SEEN.values(), ids=list(SEEN))
def test_a_trainer_sees_and_shows_what_it_would_if_it_were_started_cold(trials: Trials, log: Path, code: str) -> None:
    is_readable = code != SEEN["syntax"]
    note = "import os, pathlib\nif __name__ == '__main__': pathlib.Path('parent').write_text(str(os.getppid()))\n"
    trials.write((note if is_readable else "") + textwrap.dedent(code))
    trials.write("file = None", "other")
    words = ("-m", "task", "--rate=0.1", "", "two words", "ä\udcff")
    changes = {
        "PYTHONPATH": os.pathsep.join(["relative", str(trials.folder), os.environ["PYTHONPATH"]]),
        "MLHELPERS_ODD": "ö\udcfe\n=",
    }
    shown = []
    for is_warm in (False, True):
        process = trials.start(*words, is_warm=is_warm, **changes)
        out, errors = process.communicate(timeout=60)
        files = {path.name: path.read_text() for path in trials.folder.glob("*.txt")}
        shown.append((process.returncode, out, errors, files))
        for path in [*trials.folder.glob("*.txt"), *(trials.folder.glob("parent") if not is_warm else [])]:
            path.unlink()

    assert shown[1] == shown[0]
    assert not is_readable or (trials.folder / "parent").read_text() == str(trials.warm.pid), log.read_text()
    assert shown[0][3] in ({}, dict.fromkeys(["written.txt", "other.txt", "held.txt"], "not closed"))


@pytest.mark.parametrize("words", [("-P", "-m", "task"), ("-m", "absent"), ("-m", "package"), ("-m", "task.x")])
def test_modules_are_found_and_missed_as_cold(trials: Trials, words: tuple[str, ...]) -> None:
    (trials.folder / "package").mkdir()
    (trials.folder / "package" / "__main__.py").write_text("import sys; print(__package__, sys.argv[0], sys.path[0])")
    trials.write("print('found')")

    assert trials.run(*words) == trials.run(*words, is_warm=False)


def test_safe_path_leaves_the_working_folder_out_and_pythonpath_in(trials: Trials, tmp_path: Path) -> None:
    trials.write("print('the original')")
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "task.py").write_text("print('the copy')")

    assert trials.run("-P", "-m", "task", PYTHONPATH=str(copy)) == (0, "the copy\n", "")


def test_nothing_of_one_trial_reaches_the_next(trials: Trials) -> None:
    trials.write("""
        import json, os, sys
        print(os.environ.get('MLHELPERS_LEFT'), hasattr(json, 'left'), sorted(set(sys.argv[1:])), 'added' in sys.path)
        os.environ['MLHELPERS_LEFT'] = '1'
        json.left = True
        sys.path.append('added')
    """)

    assert [trials.run("-m", "task", str(i))[1] for i in range(2)] == [
        "None False ['0'] False\n",
        "None False ['1'] False\n",
    ]


def test_many_trials_leave_no_process_and_no_file_open(trials: Trials, until: Until) -> None:
    trials.write("import random, os; print(os.getpid(), random.random())")
    trials.run()
    time.sleep(0.2)
    before = trials.server().num_fds()

    lines = [trials.run()[1] for _ in range(20)]
    for _ in range(3):
        together = [trials.start() for _ in range(4)]
        lines += [process.communicate(timeout=30)[0] for process in together]

    assert len({line.split()[0] for line in lines}) == len({line.split()[1] for line in lines}) == 32
    until(lambda: trials.server().children() == [] and trials.server().num_fds() == before, 2)


def test_each_trial_draws_its_own_numbers_from_numpy(tmp_path: Path) -> None:
    with WarmPython(["numpy.random"], _environment()) as warm:
        trials = Trials(tmp_path / "trials", warm)
        trials.write(_SHOW_PARENT + "import numpy as np; print(np.random.rand())")
        shown = [trials.run()[1].split() for _ in range(2)]
        server = str(warm.pid)

    assert [parent for parent, _ in shown] == [server, server]
    assert shown[0][1] != shown[1][1]


def test_a_server_in_which_a_thread_runs_declines_and_the_trial_starts_cold(tmp_path: Path, log: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    )
    with WarmPython(["threaded"], _environment(PYTHONPATH=str(tmp_path)), log) as warm:
        trials = Trials(tmp_path / "trials", warm)
        trials.write(_SHOW_PARENT)

        assert trials.run() == (0, f"{os.getpid()}\n", "")

    assert log.read_text() == "declined: 2 threads run here, and a fork is safe with one alone\n"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"KERAS_BACKEND": "jax"}, "other variables than at the import: KERAS_BACKEND"),
        ({"PYTHONUNBUFFERED": ""}, "other variables than at the import: PYTHONUNBUFFERED"),
        ({"MLHELPERS_JOB_TOKEN": "short"}, "no place for the value of MLHELPERS_JOB_TOKEN"),
    ],
    ids=["a variable", "buffering", "token"],
)
def test_what_would_come_too_late_has_the_trial_start_cold(
    trials: Trials, log: Path, changes: dict[str, str], reason: str
) -> None:
    trials.write(_SHOW_PARENT)

    assert trials.run(**changes) == (0, f"{os.getpid()}\n", "")
    assert log.read_text() == f"declined: {reason}\n"


def test_what_differs_between_trials_does_not(trials: Trials) -> None:
    trials.write(_SHOW_PARENT)
    names = ("CLOUD_ML_TRIAL_ID", "TF_CONFIG", "AIP_MODEL_DIR", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")

    assert trials.run(**dict.fromkeys(names, "3"))[1] == f"{trials.warm.pid}\n"


def test_a_trial_waits_for_a_server_that_still_imports(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time; time.sleep(1.5)\ndef ready(): time.sleep(0.1); slow = True")
    begin = time.monotonic()
    with WarmPython(["slow:ready"], _environment(PYTHONPATH=str(tmp_path))) as warm:
        assert time.monotonic() - begin < 1, "entering the block waited for the imports"
        trials = Trials(tmp_path / "trials", warm)
        trials.write(_SHOW_PARENT)

        assert trials.run()[1] == f"{warm.pid}\n"


def test_a_server_that_cannot_import_leaves_the_trials_cold(tmp_path: Path, log: Path) -> None:
    with WarmPython(["no_such_module"], _environment(), log) as warm:
        trials = Trials(tmp_path / "trials", warm)
        trials.write(_SHOW_PARENT)

        assert trials.run()[1] == f"{os.getpid()}\n"

    assert "No module named 'no_such_module'" in log.read_text()


def test_a_command_that_outlives_the_server_runs_cold(trials: Trials) -> None:
    trials.write(_SHOW_PARENT)
    command = trials.warm.command([sys.executable, "-m", "task"])
    trials.warm.__exit__(None, None, None)

    done = subprocess.run(command, cwd=trials.folder, env=_environment(), capture_output=True, text=True, check=True)

    assert done.stdout == f"{os.getpid()}\n"


@pytest.mark.parametrize(
    ("answers", "is_over", "code", "out"),
    [
        (b"", True, 0, "cold\n"),
        (b"", False, 0, "cold\n"),
        (b"D", False, 0, "cold\n"),
        (b"SD", False, 0, "cold\n"),
        (b"S", True, -signal.SIGKILL, ""),
        (b"SE\0\3\0\0", False, 3, ""),
        (b"SE\x0f\0\0\0", False, -signal.SIGTERM, ""),
    ],
    ids=["gone", "silent", "declined", "fork failed", "killed after the fork", "exit code", "signal"],
)
def test_the_command_ends_as_the_server_says_or_runs_cold(
    tmp_path: Path, answers: bytes, is_over: bool, code: int, out: str
) -> None:
    impatient = tmp_path / "client.py"
    impatient.write_text(Path(client_module.__file__).read_text().replace("_PATIENCE_S = 120.0", "_PATIENCE_S = 0.5"))
    (tmp_path / "task.py").write_text("print('cold')")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{tmp_path.name}-{os.getpid()}")
        listener.listen()
        command = [sys.executable, "-I", "-S", str(impatient), listener.getsockname().decode().replace("\0", "@")]
        process = subprocess.Popen(
            [*command, sys.executable, "-m", "task"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        connection, _ = listener.accept()
        message, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 4)
        while len(message) < 4 + int.from_bytes(message[:4], sys.byteorder):
            message += connection.recv(1 << 16)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.sendall(answers)
        if is_over:
            connection.close()

        assert (process.communicate(timeout=10)[0], process.returncode) == (out, code)

    connection.close()


@pytest.mark.parametrize(
    "command",
    [["python", "-m", "task"], [sys.executable, "task.py"], [sys.executable, "-X", "dev", "-m", "task"], ["true"]],
    ids=" ".join,
)
def test_a_command_of_another_kind_stays_as_it_is(trials: Trials, command: list[str]) -> None:
    assert trials.warm.command(command) == command


@pytest.mark.parametrize(("gpus", "is_served"), [(("0",), False), ((), True)])
def test_nothing_is_kept_warm_where_there_are_gpus(
    monkeypatch: pytest.MonkeyPatch, gpus: tuple[str, ...], is_served: bool
) -> None:
    monkeypatch.setattr("mlhelpers.jobs.local.warm.this_machine", lambda: Machine(2, 1 << 34, gpus))
    command = [sys.executable, "-m", "task"]

    with WarmPython([], _environment()) as warm:
        assert (warm.pid is not None, warm.command(command) != command) == (is_served, is_served)


_SLEEPS = _SHOW_PARENT + "import time; print(os.getpid(), flush=True); time.sleep(60)"


def _begin(trials: Trials) -> tuple[subprocess.Popen[str], psutil.Process]:
    """Start a trial that sleeps; return its command's process and its own."""
    trials.write(_SLEEPS)
    client = trials.start()
    assert _first_line(client) == str(trials.warm.pid)
    return client, psutil.Process(int(_first_line(client)))


def test_a_trial_is_found_by_its_token(trials: Trials) -> None:
    client, child = _begin(trials)

    assert {process.pid for process in processes.of_token(_TOKEN)} == {client.pid, child.pid}
    assert trials.server().environ()["MLHELPERS_JOB_TOKEN"] != _TOKEN

    assert processes.stop(lambda: processes.of_token(_TOKEN), 5.0)
    assert _ended(client) == -signal.SIGTERM


def test_a_trial_whose_command_is_killed_is_killed_with_all_of_its_group(trials: Trials, until: Until) -> None:
    trials.write("""
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        helper = subprocess.Popen(["sleep", "60"])
        print(os.getpid(), helper.pid, flush=True)
        time.sleep(60)
    """)
    client = trials.start()
    both = [psutil.Process(int(number)) for number in _first_line(client).split()]

    client.kill()

    assert _ended(client) == -signal.SIGKILL
    until(lambda: not any(process.is_running() for process in both), 2)
    trials.write(_SHOW_PARENT)
    assert trials.run()[1] == f"{trials.warm.pid}\n", "the server lives on"


def test_a_server_that_is_killed_takes_its_trials_along(trials: Trials, until: Until) -> None:
    client, child = _begin(trials)

    trials.server().kill()

    assert _ended(client) == -signal.SIGKILL
    until(lambda: not child.is_running(), 2)


def test_all_end_with_the_process_that_wanted_them_warm(tmp_path: Path, until: Until) -> None:
    (tmp_path / "task.py").write_text(_SLEEPS)
    code = """if True:
        import subprocess, sys, os
        from mlhelpers.jobs.local.warm import WarmPython
        with WarmPython([], os.environ) as warm:
            subprocess.run(warm.command([sys.executable, "-m", "task"]))
    """
    changes = {"MLHELPERS_JOB_TOKEN": _TOKEN, "PYTHONPATH": str(Path(jobs.__file__).parents[2])}
    owner = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=_environment(**changes), stdout=subprocess.PIPE, text=True
    )
    server, child = (psutil.Process(int(_first_line(owner))) for _ in range(2))

    owner.kill()

    until(lambda: not server.is_running() and not child.is_running(), 2)
    _ended(owner)


_COUNTS_SIGNALS = """
import signal, sys, time
count = 0
def told(number, frame):
    global count
    count += 1
signal.signal(signal.SIGTERM, told)
print("ready", flush=True)
while not count: time.sleep(0.01)
time.sleep(0.5)
print(count)
sys.exit(7)
"""


def test_a_signal_to_the_command_reaches_the_trial_once(trials: Trials) -> None:
    trials.write(_COUNTS_SIGNALS)
    client = trials.start()
    assert _first_line(client) == "ready"

    subprocess.run(["kill", "-TERM", str(client.pid)], check=True)

    assert client.communicate(timeout=30)[0] == "1\n"
    assert client.returncode == 7


def test_a_parent_that_tells_both_is_not_heard_twice_and_learns_the_trials_own_end(trials: Trials) -> None:
    trials.write(_COUNTS_SIGNALS)
    client = trials.start()
    assert _first_line(client) == "ready"

    assert processes.stop(lambda: _collected(client), 10.0)

    assert client.communicate(timeout=30)[0] == "1\n"
    assert client.returncode == 7


def _collected(client: subprocess.Popen[str]) -> list[psutil.Process]:
    client.poll()
    return processes.of_token(_TOKEN)


def test_a_trial_that_is_cancelled_while_the_server_imports_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time; time.sleep(2)")
    with WarmPython(["slow"], _environment(PYTHONPATH=str(tmp_path))) as warm:
        trials = Trials(tmp_path / "trials", warm)
        trials.write("open('ran', 'w')")
        client = trials.start()
        time.sleep(0.5)
        client.terminate()

        assert client.wait(1) == -signal.SIGTERM
        client.communicate()
        trials.write(_SHOW_PARENT)
        assert trials.run()[1] == f"{warm.pid}\n"

    assert not (trials.folder / "ran").exists()


@pytest.fixture
def warm_jobs(monkeypatch: pytest.MonkeyPatch, home: Path, log: Path) -> Iterator[WarmPython]:
    """Have the engine start its trainers warm."""
    with WarmPython(["json"], _environment(), log) as warm:

        def plan(*words: object) -> Plan:
            made = launch.local_plan(*words)  # type: ignore[arg-type]
            local = made.request["local"]
            return replace(made, request=made.request | {"local": local | {"command": warm.command(local["command"])}})

        monkeypatch.setattr(engine, "local_plan", plan)
        monkeypatch.setattr(launch, "base_environment", _environment)
        yield warm


def test_a_job_runs_warm_from_its_start_to_its_end(submit: Submit, warm_jobs: WarmPython, log: Path) -> None:
    job = submit(_SHOW_PARENT + "import sys; print(sys.argv[1:])", args=["--rate=1"])

    assert job.wait(30) is JobState.SUCCEEDED
    assert job.log() == f"{warm_jobs.pid}\n['--rate=1']\n", log.read_text()


def test_a_warm_job_is_cancelled(submit: Submit, warm_jobs: WarmPython, until: Until) -> None:
    job = submit(_SLEEPS)
    until(lambda: job.log().count("\n") == 2)

    job.cancel()

    until(lambda: job.state is JobState.CANCELLED)
    assert not psutil.pid_exists(int(job.log().split()[1]))


def test_nothing_of_a_warm_job_outlives_its_supervisor(submit: Submit, warm_jobs: WarmPython, until: Until) -> None:
    job = submit(_SLEEPS)
    until(lambda: job.log().count("\n") == 2)
    child = psutil.Process(int(job.log().split()[1]))
    client = psutil.Process(job.describe()["localOutput"]["replicas"][0]["pid"])
    supervisor = client.parent()
    assert supervisor is not None

    supervisor.kill()

    until(lambda: not client.is_running() and not child.is_running(), 3)
    assert job.state is JobState.FAILED


def test_a_job_whose_server_is_killed_is_started_again_cold(
    submit: Submit, warm_jobs: WarmPython, until: Until
) -> None:
    job = submit(
        _SHOW_PARENT + "import pathlib, time\nif not pathlib.Path('again').exists():\n"
        "    pathlib.Path('again').touch(); print('sleeps', flush=True); time.sleep(60)"
    )
    until(lambda: "sleeps" in job.log())
    assert warm_jobs.pid is not None

    os.kill(warm_jobs.pid, signal.SIGKILL)

    assert job.wait(30) is JobState.SUCCEEDED
    assert "master-replica-0 was ended by the signal SIGKILL; it is started again (1 of 5)" in [
        entry.message for entry in job.follow("service")
    ]


# as a trainer may leave it: the writer is not closed, and TensorFlow itself holds on to it
_LEAVES_A_WRITER = """
import os, sys
from mlhelpers.frameworks import import_tensorflow
tf = import_tensorflow()
tf.summary.create_file_writer(sys.argv[1]).set_as_default()
tf.summary.scalar("loss", 1.0, step=1)
print(os.getppid(), float(tf.random.uniform([])), tf.config.threading.get_intra_op_parallelism_threads())
"""


@pytest.mark.slow
def test_tensorflow_trains_warm_as_it_does_cold(tmp_path: Path, log: Path) -> None:
    datasets.prepare("iris", tmp_path / "data")
    files = [
        f"--{part}-files={tmp_path}/data/iris_{name}.csv" for part, name in (("train", "training"), ("eval", "test"))
    ]
    metrics, events = {}, {}
    with WarmPython(["mlhelpers.frameworks:import_tensorflow"], _environment(), log) as warm:
        trials = Trials(tmp_path / "trials", warm)
        for is_warm in (True, False):
            run = tmp_path / f"run_{is_warm}"
            words = ("-m", "mlhelpers.trainers.iris", *files, "--train-steps=30", "--seed=3", f"--job-dir={run}")
            code, out, errors = trials.run(*words, is_warm=is_warm, TF_NUM_INTRAOP_THREADS="1")
            assert (code, errors) == (0, ""), out
            metrics[is_warm] = json.loads((run / "metrics.json").read_text())
            del metrics[is_warm]["seconds"]
        trials.write(_LEAVES_A_WRITER)
        shown = []
        for number, is_warm in enumerate((True, True, False)):
            code, out, errors = trials.run("-m", "task", f"events{number}", is_warm=is_warm)
            assert (code, errors) == (0, ""), out
            shown.append(out.split())
            (written,) = (trials.folder / f"events{number}").iterdir()
            events[number] = written.stat().st_size
        server = str(warm.pid)
        threads = trials.server().num_threads()

    assert metrics[True] == metrics[False]
    assert metrics[True]["steps"] == 30
    assert [parent for parent, *_ in shown] == [server, server, str(os.getpid())]
    assert len({drawn for _, drawn, _ in shown}) == 3
    assert events[0] == events[1] == events[2] > 100
    assert (threads, log.read_text()) == (1, "")
