"""A CustomJob in our words."""

from __future__ import annotations

from typing import Any

import pytest

from mlhelpers.jobs import JobState
from mlhelpers.jobs.vertex.description import STATES, description, short, state_of

_NAME = "projects/p-1/locations/us-central1/customJobs/12"


def _job(state: str, **fields: Any) -> dict[str, Any]:
    return {"name": _NAME, "displayName": "first", "state": state, "createTime": "2030-01-01T00:00:00Z"} | fields


def test_every_state_of_the_api_has_one_of_ours() -> None:
    from google.cloud.aiplatform_v1 import JobState as Theirs

    assert {state.name for state in Theirs} == set(STATES)


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        ("JOB_STATE_PAUSED", JobState.QUEUED, "is paused, and can go on"),
        ("JOB_STATE_EXPIRED", JobState.FAILED, "has expired"),
        ("JOB_STATE_PARTIALLY_SUCCEEDED", JobState.SUCCEEDED, "some results are missing"),
        ("JOB_STATE_UPDATING", JobState.RUNNING, ""),
        ("JOB_STATE_PENDING", JobState.PREPARING, ""),
    ],
)
def test_states_that_we_have_no_word_for_are_mapped_and_told(theirs: str, ours: JobState, said: str) -> None:
    told = description(_job(theirs), [])

    assert told["state"] == str(ours)
    assert told["vertexOutput"]["state"] == theirs
    assert said in told.get("errorMessage", "")


def test_a_state_that_is_new_to_us_is_not_taken_for_the_end() -> None:
    assert not state_of(_job("JOB_STATE_OF_NEXT_YEAR")).is_final


def test_a_failure_has_the_services_words_and_the_last_lines() -> None:
    told = description(_job("JOB_STATE_FAILED", error={"code": 3, "message": "exit code 1"}), ["a", "b"])

    assert told["errorMessage"] == "exit code 1\nIts last lines:\n  a\n  b"


def test_the_handle_and_the_page_in_the_console_are_told() -> None:
    told = description(_job("JOB_STATE_RUNNING", webAccessUris={"workerpool0-0": "https://x"}), [])["vertexOutput"]

    assert told["handle"] == "vertex://p-1/us-central1/12"
    assert told["console"].endswith("/locations/us-central1/training/12?project=p-1")
    assert told["webAccessUris"] == {"workerpool0-0": "https://x"}


def test_our_own_mark_is_not_shown_as_a_label() -> None:
    assert short(_job("JOB_STATE_RUNNING", labels={"mlhelpers_mark": "1", "a": "b"}))["labels"] == {"a": "b"}
