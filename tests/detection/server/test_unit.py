"""The unit file is one that systemd takes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers.detection.server.unit import unit_text
from mlhelpers.errors import UsageError


@pytest.mark.parametrize("port", [80, 8502])
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path, port: int) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd on this machine")
    unit = tmp_path / "mlhelpers-detect.service"
    unit.write_text(unit_text("0.0.0.0", port, ["--model", '/srv/my models/50 % "birds"']))

    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)

    said = [line for line in checked.stderr.splitlines() if "mlhelpers-detect" in line]
    assert (checked.returncode, said) == (0, [])


def test_the_unit_starts_this_installation_with_its_password_as_a_credential() -> None:
    text = unit_text("127.0.0.1", 8502, ["--model", "nanodet"])

    command = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert command == (
        f"ExecStart={sys.executable} -m mlhelpers.cli detect serve --host 127.0.0.1 --port 8502 --model nanodet"
        " --password-file %d/password"
    )
    assert "\nLoadCredential=password:/etc/mlhelpers/detect-password\n" in text
    assert "{" not in text.split("[Unit]")[1]


def test_words_are_quoted_as_systemd_reads_them() -> None:
    assert '--model "/a b/50%% \\"x\\" $$y"' in unit_text("h", 1, ["--model", '/a b/50% "x" $y'])


@pytest.mark.parametrize(("port", "word"), [(0, "x"), (70_000, "x"), (80, "two\nlines")])
def test_what_cannot_stand_in_a_unit_is_refused(port: int, word: str) -> None:
    with pytest.raises(UsageError):
        unit_text("127.0.0.1", port, [word])
