"""`mlhelpers completion`, asked the way a shell asks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mlhelpers
from mlhelpers.cli import main


@pytest.mark.parametrize(
    ("shell", "install"),
    [
        ("bash", '~/.bashrc:  eval "$(mlhelpers completion bash)"'),
        ("zsh", '~/.zshrc:  eval "$(mlhelpers completion zsh)"'),
        ("fish", "mlhelpers completion fish | source"),
    ],
)
def test_the_script_begins_with_the_line_that_installs_it(
    shell: str, install: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["completion", shell])

    out = capfd.readouterr().out
    assert end.value.code == 0
    assert out.splitlines()[0].startswith("# ")
    assert install in out.splitlines()[0]
    assert f"_MLHELPERS_COMPLETE={shell}_complete" in out


@pytest.mark.skipif(shutil.which("bash") is None, reason="NO BASH here")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [("mlhelpers jo", {"jobs"}), ("mlhelpers jobs stream", {"stream-logs"}), ("mlhelpers storage ls --rec", None)],
)
def test_bash_completes_with_the_script(typed: str, offered: set[str] | None, tmp_path: Path) -> None:
    command = tmp_path / "mlhelpers"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m mlhelpers.cli "$@"\n')
    command.chmod(0o755)
    script = f"""
eval "$(mlhelpers completion bash)"
COMP_WORDS=({typed}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_mlhelpers_completion mlhelpers
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    root = str(Path(mlhelpers.__file__).parents[1])
    env = os.environ | {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([root, os.environ["PYTHONPATH"]]),
    }

    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=False, timeout=60)

    assert set(done.stdout.split()) == (offered or {"--recursive"}), done.stderr


def test_an_unknown_shell_is_wrong_usage(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["completion", "csh"])

    assert end.value.code == 2
    assert "'csh' is not one of 'bash', 'zsh', 'fish'" in capfd.readouterr().err
