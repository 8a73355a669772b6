"""What a spec takes and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.jobs import JobSpec, JobState


@pytest.mark.parametrize("name", ["a", "First_1", "x" * 128])
def test_a_letter_and_up_to_127_letters_digits_underscores_are_a_name(name: str) -> None:
    assert name == JobSpec(name, "trainer.task").name


@pytest.mark.parametrize("name", ["", "1st", "_a", "my-job", "a b", "é", "x" * 129, "../up", "a\n", "a/b"])
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"is no job name. A name starts with a letter"):
        JobSpec(name, "trainer.task")


def test_a_refused_name_comes_with_one_that_would_do() -> None:
    with pytest.raises(UsageError, match=r"'my-job' is no job name.* for instance 'my_job'"):
        JobSpec("my-job", "trainer.task")


@pytest.mark.parametrize("module", ["", "trainer/task.py", "trainer.", "a b", "-m", "trainer..task"])
def test_what_is_no_dotted_name_is_refused_as_module(module: str) -> None:
    with pytest.raises(UsageError, match=r"is no module name. Write it as in an import"):
        JobSpec("a", module)


def test_a_mapping_of_arguments_becomes_flags() -> None:
    args = {"train_steps": 200, "learning_rate": 1e-3, "augment": False, "quick": True, "seed": None, "out": Path("/x")}

    spec = JobSpec("a", "trainer.task", args=args)

    assert spec.args == ("--train_steps=200", "--learning_rate=0.001", "--no-augment", "--quick", "--out=/x")


def test_a_list_of_arguments_stays_as_it_is() -> None:
    assert JobSpec("a", "trainer.task", args=["--x", 1, "-v", ""]).args == ("--x", "1", "-v", "")  # type: ignore[list-item]


def test_one_text_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(UsageError, match=r"args='--x 1' is one text. Give a list of words"):
        JobSpec("a", "trainer.task", args="--x 1")


def test_an_argument_that_has_no_text_form_is_refused_by_its_name() -> None:
    with pytest.raises(UsageError, match=r"The argument 'layers' has the value \[1, 2\]"):
        JobSpec("a", "trainer.task", args={"layers": [1, 2]})


@pytest.mark.parametrize("tier", ["basic", "BASIC", "Basic"])
def test_a_scale_tier_is_known_in_any_case(tier: str) -> None:
    assert JobSpec("a", "trainer.task", scale_tier=tier).scale_tier == "BASIC"


def test_an_unknown_scale_tier_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"There is no scale tier 'STANDARD1'. Did you mean 'STANDARD_1'"):
        JobSpec("a", "trainer.task", scale_tier="STANDARD1")


@pytest.mark.parametrize("labels", [{"Owner": "x"}, {"a": "B"}, {"a b": "x"}, {"": "x"}, {"k": "v" * 64}])
def test_a_malformed_label_is_refused(labels: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"The label .* is refused. Keys and values are lower-case"):
        JobSpec("a", "trainer.task", labels=labels)


@pytest.mark.parametrize("env", [{"A": 1}, {"A=B": "x"}, {"": "x"}, {"A": "x\0y"}])
def test_an_environment_that_no_process_could_have_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"env has .* Names and values must be texts"):
        JobSpec("a", "trainer.task", env=env)


def test_a_negative_grace_is_refused() -> None:
    with pytest.raises(UsageError, match=r"grace_s=-1 is negative"):
        JobSpec("a", "trainer.task", grace_s=-1)


def test_three_states_are_final() -> None:
    assert {"SUCCEEDED", "FAILED", "CANCELLED"} == {state for state in JobState if state.is_final}


def test_the_same_spec_under_another_name_differs_in_the_name_alone() -> None:
    spec = JobSpec("first", "trainer.task", args={"x": 1}, labels={"a": "b"})

    again = spec.named("second")

    assert again == JobSpec("second", "trainer.task", args={"x": 1}, labels={"a": "b"})
