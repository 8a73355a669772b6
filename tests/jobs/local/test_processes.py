"""Processes told apart, found and stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from mlhelpers.jobs.local import processes
from mlhelpers.jobs.local.identity import TOKEN_VARIABLE, identity

_STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"], env=os.environ | {TOKEN_VARIABLE: "token-of-this-test"})
    yield process
    process.kill()
    process.wait()


def test_a_process_is_found_by_its_identity(sleeper: subprocess.Popen[bytes]) -> None:
    found = processes.find(identity(sleeper.pid))

    assert found is not None
    assert found.pid == sleeper.pid


def test_the_same_number_with_another_start_is_another_process(sleeper: subprocess.Popen[bytes]) -> None:
    known = identity(sleeper.pid)

    assert processes.find(known.rpartition("/")[0] + "/1") is None
    assert processes.find("another-boot" + known[12:]) is None


def test_a_process_that_has_ended_is_not_found_even_before_it_is_collected(sleeper: subprocess.Popen[bytes]) -> None:
    known = identity(sleeper.pid)

    sleeper.kill()
    time.sleep(0.2)

    assert processes.find(known) is None


@pytest.mark.parametrize("text", ["", "x", "a/b/c", "a/1"])
def test_a_text_that_is_no_identity_finds_nothing(text: str) -> None:
    assert processes.find(text) is None


def test_a_process_that_never_was_has_no_identity() -> None:
    with pytest.raises(ProcessLookupError, match="there is no process"):
        identity(2**22 + 1)


def test_processes_are_found_by_their_token(sleeper: subprocess.Popen[bytes]) -> None:
    assert [process.pid for process in processes.of_token("token-of-this-test")] == [sleeper.pid]
    assert processes.of_token("another") == []


def test_stop_kills_what_does_not_end_by_itself() -> None:
    stubborn = subprocess.Popen(
        [sys.executable, "-c", _STUBBORN],
        env=os.environ | {TOKEN_VARIABLE: "stubborn"},
        stdout=subprocess.PIPE,
    )
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    begin = time.monotonic()

    assert processes.stop(lambda: processes.of_token("stubborn"), grace_s=0.3)

    assert 0.3 <= time.monotonic() - begin < 2
    assert stubborn.wait() == -9
    stubborn.stdout.close()


def test_stop_does_not_wait_for_the_grace_when_all_have_ended(sleeper: subprocess.Popen[bytes]) -> None:
    begin = time.monotonic()

    assert processes.stop(lambda: processes.of_token("token-of-this-test"), grace_s=10)

    assert time.monotonic() - begin < 2
    assert sleeper.wait() == -15
