from __future__ import annotations

import os
import sys
import time

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.tuning.checking import Help, ask_for_help, check_flags, check_tag


def _ask(code: str, patience_s: float = 20.0) -> Help:
    return ask_for_help([sys.executable, "-c", code], dict(os.environ), os.getcwd(), patience_s)


def test_flags_and_tags_are_read_from_the_page() -> None:
    page = _ask("print('usage: --batch-size N, --nnsize=N [--no-x]\\n--help\\nreports to tuning: rmse, loss')")

    assert page == Help(frozenset({"batch_size", "nnsize", "no_x"}), ("rmse", "loss"))


def test_a_long_line_of_a_page_is_not_broken() -> None:
    code = (
        "import argparse\np = argparse.ArgumentParser(description='reports to tuning: ' + ', '.join('abcdefgh' * 16))"
    )
    page = _ask(code + "\np.add_argument('--x')\np.parse_args()")

    assert page.flags == {"x"}
    assert page.tags is not None
    assert len(page.tags) == 128


@pytest.mark.parametrize(
    "code",
    [
        "print('training')",
        "raise SystemExit('no')",
        "import nothing_of_that_name, sys; print('--x')",
        "print('--help')",
    ],
)
def test_a_page_that_says_nothing_leaves_the_flags_unknown(code: str) -> None:
    assert _ask(code) == Help()


def test_a_trainer_that_takes_no_help_and_trains_is_ended() -> None:
    began = time.monotonic()

    assert _ask("import time\nprint('--x', flush=True)\ntime.sleep(60)", patience_s=1.0) == Help()
    assert time.monotonic() - began < 20


def test_our_trainers_say_what_they_take_and_report() -> None:
    page = ask_for_help([sys.executable, "-m", "mlhelpers.trainers.babyweight"], dict(os.environ), os.getcwd())

    assert page.flags is not None
    assert {"batch_size", "nnsize", "nembeds", "train_examples"} <= page.flags
    assert page.tags is not None
    assert "rmse" in page.tags


def test_what_is_no_flag_is_refused_with_the_nearest() -> None:
    check_flags(Help(), ["anything"], "trainer.task")
    check_flags(Help(frozenset({"batch_size"})), ["batch-size", "batch_size"], "trainer.task")
    with pytest.raises(UsageError, match=r"no flag of trainer\.task 'batchsize'\. Did you mean 'batch_size'\?"):
        check_flags(Help(frozenset({"batch_size", "nnsize"})), ["batchsize"], "trainer.task")


def test_a_tag_that_is_not_reported_is_refused_with_the_nearest() -> None:
    check_tag(["loss", "rmse"], "rmse", "trainer.task")
    with pytest.raises(UsageError, match=r"'rsme'\. Did you mean 'rmse'\?"):
        check_tag(["loss", "rmse"], "rsme", "trainer.task")
    with pytest.raises(UsageError, match="reports no metric"):
        check_tag([], "rmse", "trainer.task")
