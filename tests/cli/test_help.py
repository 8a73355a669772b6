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


def _command(words: tuple[str, ...]) -> click.Command:
    command: click.Command = cli._root
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    return command


_ALL = list(_commands(cli._root))


@pytest.mark.parametrize("words", _ALL, ids=lambda words: " ".join(words) or "mlhelpers")
def test_help_tells_and_shows_an_example(words: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(cli._root, [*words, "--help"])

    assert answer.exit_code == 0
    assert "Example" in answer.output
    assert "mlhelpers " + " ".join(words) in answer.output.split("Example", 1)[1]


@pytest.mark.parametrize("words", _ALL, ids=lambda words: " ".join(words) or "mlhelpers")
def test_every_option_is_explained(words: tuple[str, ...]) -> None:
    for parameter in _command(words).params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{' '.join(words)} {parameter.opts[0]} has no help"


# commands that print no result of their own: what they do is silent, told on stderr, or another program's output
_WITHOUT_RESULT = {
    *("completion", "serve", "detect serve", "emulator", "local train", "jobs cancel"),
    *("models delete", "versions delete", "storage mb", "storage cp", "storage rm"),
}


@pytest.mark.parametrize("words", _ALL, ids=lambda words: " ".join(words) or "mlhelpers")
def test_every_command_that_prints_a_result_takes_a_format(words: tuple[str, ...]) -> None:
    command = _command(words)
    name = " ".join(words)
    if isinstance(command, click.Group) or name in _WITHOUT_RESULT or name.startswith("data request"):
        return

    option = next((one for one in command.params if "--format" in one.opts), None)
    assert option is not None, f"{name} has no --format"
    assert isinstance(option.type, click.Choice)
    assert set(option.type.choices) == {"table", "json", "yaml"}


@pytest.mark.parametrize("words", _ALL, ids=lambda words: " ".join(words) or "mlhelpers")
def test_an_option_with_a_default_shows_it(words: tuple[str, ...]) -> None:
    for parameter in _command(words).params:
        if isinstance(parameter, click.Option) and not parameter.hidden and not parameter.is_flag:
            default = parameter.to_info_dict()["default"]
            if default not in (None, "", ()) and not parameter.multiple:
                assert parameter.show_default, f"{' '.join(words)} {parameter.opts[0]} hides its default {default!r}"


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


@pytest.mark.parametrize(
    "words",
    [
        *(["--help"], ["jobs", "--help"], ["serve", "--help"], ["predict", "--help"], ["storage", "--help"]),
        *(
            ["local", "predict", "--help"],
            ["jobs", "submit", "training", "--help"],
            ["jobs", "list"],
            ["storage", "ls"],
        ),
    ],
)
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

    heavy = {"tensorflow", "keras", "matplotlib", "ipycanvas", "uvicorn", "tabulate", "polars", "pandas"}
    # the bare namespace google.cloud is in every process where an installed package made it with a .pth file
    assert {name for name in loaded if name in heavy or name.startswith("google.cloud.")} == set()


def test_python_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlhelpers.cli", "--version"], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.startswith("mlhelpers, version ")
