"""Trainers that know nothing of mlhelpers: what becomes of gs:// addresses, given to them and made by them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mlhelpers import jobs
from mlhelpers.errors import JobError

Submit = Callable[..., jobs.Job]
_SENTENCE = r"The trainer asked Cloud Storage by itself\. Here a bucket is a folder, and only a gs:// address that is"


def test_a_trainer_that_opens_the_address_it_is_given_finds_the_file(submit: Submit, home: Path) -> None:
    (home / "buckets" / "my-bucket").mkdir(parents=True)
    (home / "buckets" / "my-bucket" / "words.txt").write_text("found")
    job = submit("import sys\nprint(open(sys.argv[1]).read())", args=["gs://my-bucket/words.txt"])
    job.wait(progress=False)

    assert job.log() == "found\n"


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nopen(f'gs://{sys.argv[1]}/words.txt')",
        "import os, sys\nos.listdir('gs://' + sys.argv[1])",
        "import subprocess, sys\nsubprocess.check_call(['gsutil', 'cp', f'gs://{sys.argv[1]}/words.txt', '.'])",
    ],
    ids=["open", "listdir", "gsutil"],
)
def test_a_trainer_that_makes_the_address_itself_fails_with_a_sentence_that_says_so(
    submit: Submit, home: Path, code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # without gsutil, wherever it is installed
    (home / "buckets" / "my-bucket").mkdir(parents=True)
    (home / "buckets" / "my-bucket" / "words.txt").write_text("there")
    job = submit(code, args=["my-bucket"], max_restarts=0, max_retries=0)

    with pytest.raises(JobError, match=_SENTENCE):
        job.wait(progress=False)

    assert re.search(_SENTENCE, job.describe()["errorMessage"])
