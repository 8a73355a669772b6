from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, fields

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.trainers.flags import flag, parse
from mlhelpers.trainers.mnist import Hyperparameters


@dataclass(frozen=True)
class Toy:
    """Train a toy.

    Example:
        --data_dir toys
    """

    tuning_metrics = ("rmse", "loss")

    data_dir: str = flag(help="where the data are")
    learning_rate: float | None = flag(None, help="step size", minimum=1e-9, maximum=10, tunable=True)
    kind: str = flag("plain", help="which toy", choices=("plain", "fancy"))
    shuffle: bool | None = flag(None, help="new order each epoch")
    steps: int = flag(10, help="how many, 100 % of them", minimum=1)
    sizes: tuple[int, ...] = flag((128, 32, 4), help="hidden units, layer by layer", minimum=1, tunable=True)
    files: tuple[str, ...] | None = flag(None, help="files to read")


def toy(*words: str) -> Toy:
    return parse(Toy, words, "toys.toy")


def test_a_flag_left_out_has_its_default() -> None:
    assert Toy("d", None, "plain", None, 10) == toy("--data_dir", "d")


@pytest.mark.parametrize("spelling", ["--learning_rate=0.1", "--learning-rate=0.1"])
def test_underscores_and_dashes_mean_the_same_flag(spelling: str) -> None:
    assert toy("--data_dir=d", spelling).learning_rate == 0.1


def test_a_switch_is_turned_off_with_no() -> None:
    assert toy("--data_dir=d", "--shuffle").shuffle is True
    assert toy("--data_dir=d", "--no-shuffle").shuffle is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required: --data_dir"),
        (["--data_dir=d", "--lerning_rate=1"], r"no flag '--lerning_rate'. Did you mean --learning_rate\?"),
        (["--data_dir=d", "--lerning-rate=1"], r"no flag '--lerning-rate'. Did you mean --learning_rate\?"),
        (["--data_dir=d", "--xyz"], "no flag '--xyz'. Known flags: --data_dir, --learning_rate"),
        (["--data_dir=d", "stray"], "'stray' stands after no flag"),
        (["--data_dir=d", "--steps=ten"], "invalid int value: 'ten'"),
        (["--data_dir=d", "--steps=0"], "--steps was given 0; allowed is at least 1"),
        (["--data_dir=d", "--learning_rate=11"], "--learning_rate was given 11.0; allowed is 1e-09 to 10"),
        (["--data_dir=d", "--learning_rate=nan"], "--learning_rate was given nan; allowed is 1e-09 to 10"),
        (["--data_dir=d", "--kind=odd"], "invalid choice: 'odd'.*plain.*fancy"),
        (["--data_dir=d", "--step=3"], "no flag '--step'. Did you mean --steps"),
    ],
)
def test_wrong_words_are_refused_with_what_is_allowed(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        toy(*words)


def test_the_flags_of_the_original_trainer_are_taken_with_its_defaults() -> None:
    words = "--data_dir=d --output_dir=o --architecture=tutorial --job-dir=junk --eval_delay_secs=10"
    settings = parse(Hyperparameters, words.split(), "m")

    assert (
        settings.job_dir,
        settings.eval_batch_size,
        settings.eval_steps,
        settings.eval_delay_secs,
        settings.min_eval_frequency,
    ) == ("junk", 100, 100, 10, 1)


def test_help_names_every_flag_and_never_imports_tensorflow() -> None:
    code = (
        "import sys, runpy; sys.argv = ['m', '--help']\n"
        "try: runpy.run_module('mlhelpers.trainers.mnist', run_name='__main__')\n"
        "finally: assert not {'tensorflow', 'keras'} & set(sys.modules), 'imported'"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    for field in fields(Hyperparameters):
        assert f"--{field.name}" in done.stdout


@pytest.mark.parametrize(
    "words", [["--sizes", "64", "16"], ["--sizes=64 16"], ["--sizes", "64,16"], ["--sizes", "64, 16"]]
)
def test_several_values_come_as_words_or_in_one(words: list[str]) -> None:
    assert toy("--data_dir=d", *words).sizes == (64, 16)


def test_several_values_have_their_default_and_end_at_the_next_flag() -> None:
    assert toy("--data_dir=d").sizes == (128, 32, 4)
    assert toy("--data_dir=d", "--files", "a.csv", "b.csv", "--sizes", "8").files == ("a.csv", "b.csv")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sizes", "64", "wide"], "'64 wide' should be one or more of int"),
        (["--sizes", " "], "expected at least one argument"),
        (["--sizes", "64", "0"], "--sizes was given 0; allowed is at least 1"),
    ],
)
def test_one_wrong_value_of_several_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        toy("--data_dir=d", *words)


def test_texts_keep_their_blanks_and_part_at_commas() -> None:
    assert toy("--data_dir=d", "--files", "My Data/a.csv,b.csv", "c.csv").files == ("My Data/a.csv", "b.csv", "c.csv")


def test_help_ends_with_the_example_of_the_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        toy("--help")

    assert capsys.readouterr().out.endswith("example:\n  python -m toys.toy --data_dir toys\n")


def test_help_says_in_lines_of_their_own_what_a_study_reads_and_changes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        toy("--help")

    lines = capsys.readouterr().out.splitlines()
    assert "reports to tuning: rmse, loss" in lines
    assert "tunable: learning_rate, sizes" in lines


def test_help_of_what_nobody_tunes_has_no_such_lines(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True)
    class Plain:
        """Train something."""

        steps: int = flag(1, help="how many")

    with pytest.raises(SystemExit):
        parse(Plain, ["--help"], "plain")

    assert "tun" not in capsys.readouterr().out
