"""`mlhelpers completion`, asked the way a shell asks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

import mlhelpers
from mlhelpers import cli
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


@pytest.mark.parametrize(
    "typed",
    [
        *("storage cp", "storage cp a", "storage ls", "data prepare mnist --output-dir"),
        *("local train --package-path", "local train --job-dir", "local predict --model-dir"),
        *("local train --module-name a -- --data_dir", "jobs submit training first -- --data_dir"),
        *(
            "predict --json-instances",
            "predict --json-request",
            "predict --text-instances",
            "versions create a --origin",
        ),
        *(f"jobs submit training first --{option}" for option in ("config", "package-path", "packages", "job-dir")),
    ],
)
def test_file_names_are_left_to_the_shell(typed: str) -> None:
    completion = ShellComplete(cli._root, {}, "mlhelpers", "_MLHELPERS_COMPLETE")

    found = completion.get_completions(typed.split(), "x")

    assert [(item.value, item.type) for item in found] == [("x", "file")]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", ["basic", "standard-1", "premium-1", "basic-gpu", "basic-tpu", "custom"]),
        ("STA", ["STANDARD_1"]),
        ("basic-", ["basic-gpu", "basic-tpu"]),
    ],
)
def test_scale_tiers_complete_as_they_are_begun(typed: str, offered: list[str]) -> None:
    completion = ShellComplete(cli._root, {}, "mlhelpers", "_MLHELPERS_COMPLETE")

    found = completion.get_completions(["jobs", "submit", "training", "first", "--scale-tier"], typed)

    assert [item.value for item in found] == offered


def test_an_unknown_shell_is_wrong_usage(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["completion", "csh"])

    assert end.value.code == 2
    assert "'csh' is not one of 'bash', 'zsh', 'fish'" in capfd.readouterr().err
