"""What is said about a trainer's end."""

from __future__ import annotations

import pytest

from mlhelpers.jobs.hints import cause, ending, is_permanent


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (0, "exited with code 0"),
        (3, "exited with code 3"),
        (-9, "was ended by the signal SIGKILL"),
        (-11, "was ended by the signal SIGSEGV"),
        (-63, "was ended by the signal 63"),
    ],
)
def test_an_end_is_told_in_words(exit_code: int, words: str) -> None:
    assert ending(exit_code) == words


@pytest.mark.parametrize(
    ("exit_code", "line", "hint"),
    [
        (1, "ModuleNotFoundError: No module named 'tensorflow'", "pip install 'mlhelpers[train]'"),
        (
            1,
            "ModuleNotFoundError: No module named 'sklearn.svm'",
            "'sklearn.svm' is not there for the trainer: mend the import, or install the package that provides it",
        ),
        (2, "task.py: error: unrecognized arguments: --x", "does not take these arguments"),
        (2, "Error: No such option: --x", "does not take these arguments"),
        (1, "OSError: [Errno 28] No space left on device", "The disk is full"),
        (1, "MemoryError", "Memory ran out"),
        (1, "FileNotFoundError: [Errno 2] No such file or directory: 'gs://b/x'", "asked Cloud Storage by itself"),
        # TensorFlow's own, on Linux, where it speaks to Cloud Storage itself
        (1, "\t when reading metadata of gs://b/x", "only a gs:// address that is given as an argument"),
        (1, "errors_impl.NotFoundError: Could not find directory gs://b/data", "asked Cloud Storage by itself"),
        (
            1,
            "google.auth.exceptions.DefaultCredentialsError: Your default credentials",
            "asked Cloud Storage by itself",
        ),
        (1, "FileNotFoundError: [Errno 2] No such file or directory: 'gsutil'", "asked Cloud Storage by itself"),
        (1, "FileNotFoundError: [Errno 2] No such file or directory: 'x.csv'", "give full paths"),
        (1, "PermissionError: [Errno 13] Permission denied: '/out'", "may not write there"),
        (1, "OSError: [Errno 98] Address already in use", "same port"),
        (1, "SyntaxError: invalid syntax", "a slip in the line"),
        (-9, "step 100", "lack of memory"),
        (-4, "", "instructions that this processor lacks"),
        (2, "", "Code 2 mostly means wrong arguments"),
    ],
)
def test_a_usual_cause_is_named_with_its_cure(exit_code: int, line: str, hint: str) -> None:
    assert hint in cause(exit_code, ["before", line])


def test_no_cause_is_made_up() -> None:
    assert cause(1, ["ValueError: the loss is nan"]) == ""


@pytest.mark.parametrize(
    ("exit_code", "line"),
    [
        (1, "ModuleNotFoundError: No module named 'x'"),
        (1, "ImportError: cannot import name 'x' from 'y'"),
        (1, "SyntaxError: invalid syntax"),
        (1, "IndentationError: unexpected indent"),
        (1, "FileNotFoundError: [Errno 2] No such file or directory: 'gs://b/x'"),
        (1, "/usr/bin/python3: No module named trainer.tusk"),
        (2, "task.py: error: unrecognized arguments: --x"),
        (65, "mlhelpers.trainers.mnist: train.tfrecords is damaged"),
    ],
)
def test_a_failure_that_would_come_again_is_permanent(exit_code: int, line: str) -> None:
    assert is_permanent(exit_code, ["before", line])


@pytest.mark.parametrize(
    ("exit_code", "line"),
    [
        (1, "ValueError: the loss is nan"),
        (1, "TypeError: unsupported operand type(s)"),
        (1, "FileNotFoundError: [Errno 2] No such file or directory: 'x'"),
        (1, "OSError: [Errno 110] Connection timed out"),
        (1, "the word ImportError in the middle of a line"),
        (3, "ImportError: of an earlier start"),
        (-9, ""),
        (1, ""),
    ],
)
def test_any_other_failure_may_go_away(exit_code: int, line: str) -> None:
    assert not is_permanent(exit_code, [line])
