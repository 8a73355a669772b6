"""Every command tells what it does, with an example, and a slip is answered with the nearest name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from mlhelpers import cli


def _commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            try:
                found = command.get_command(context, name)
            except ImportError:  # its own test shall fail, not the collection of all
                found = None
            yield from _commands(found, (*words, name)) if found else [(*words, name)]


_ALL = list(_commands(cli._root))


@pytest.mark.parametrize("words", _ALL, ids=lambda words: " ".join(words) or "mlhelpers")
def test_help_tells_and_shows_an_example(words: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(cli._root, [*words, "--help"])

    assert answer.exit_code == 0
    assert "Example" in answer.output
    assert "mlhelpers " + " ".join(words) in answer.output.split("Example", 1)[1]


@pytest.mark.parametrize("words", _ALL, ids=lambda words: " ".join(words) or "mlhelpers")
def test_every_option_is_explained(words: tuple[str, ...]) -> None:
    command = cli._root
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found  # type: ignore[assignment]

    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{' '.join(words)} {parameter.opts[0]} has no help"


def test_an_unknown_command_is_wrong_usage_and_gets_the_nearest(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["modles"])

    assert end.value.code == 2
    assert "There is no command 'modles'. Did you mean 'models'?" in capfd.readouterr().err


def test_an_error_of_ours_is_one_line_and_exit_one_or_two(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["data", "prepare", "minst", "--output-dir", "x"])

    assert end.value.code == 2
    told = capfd.readouterr().err
    assert "There is no data set 'minst'. Did you mean 'mnist'?" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("words", [["--help"], ["jobs", "--help"], ["serve", "--help"], ["predict", "--help"]])
def test_help_answers_without_a_heavy_package(words: list[str]) -> None:
    code = f"""
import json, sys
from mlhelpers.cli import main
try:
    main({words!r})
except SystemExit:
    print("\\n" + json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))

    assert loaded & {"tensorflow", "keras", "matplotlib", "google.cloud", "ipycanvas", "uvicorn"} == set()


def test_python_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlhelpers.cli", "--version"], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.startswith("mlhelpers, version ")
