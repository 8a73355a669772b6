"""The rules on versions and packages (the other rules of a spec are in test_base)."""

from __future__ import annotations

from typing import Any

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.jobs import JobSpec, Pool


@pytest.mark.parametrize("version", ["1.4", "1.14", "2.11"])
def test_an_old_version_is_taken(version: str) -> None:
    assert JobSpec("a", "m", runtime_version=version, python_version=version).runtime_version == version


@pytest.mark.parametrize("version", ["", "1", "v1.4", "1.14.0", "latest", "1.x"])
@pytest.mark.parametrize(("field", "name"), [("runtime_version", "runtime"), ("python_version", "Python")])
def test_a_version_of_another_form_is_refused(field: str, name: str, version: str) -> None:
    with pytest.raises(UsageError, match=rf"is no {name} version. Write two numbers with a dot"):
        JobSpec("a", "m", **{field: version})  # type: ignore[arg-type]


def test_two_packages_of_one_file_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"Two packages have the file name 'x\.tar\.gz': a/x.* and gs://b-b/x"):
        JobSpec("a", "m", packages=["a/x.tar.gz", "y.whl", "gs://b-b/x.tar.gz"])


@pytest.mark.parametrize(
    ("field", "value", "form"),
    [
        ("max_restarts", "x", "a whole number"),
        ("max_retries", 1.5, "a whole number"),
        ("max_restarts", True, "a whole number"),
        ("max_running_s", "60s", "seconds as a number"),
        ("grace_s", None, "seconds as a number"),
        ("runtime_version", 2.1, "a text, for instance '2.11'"),
        ("python_version", 3, "a text, for instance '3.11'"),
        ("workers", 2, "a Pool"),
        ("args", 5, "a list of words"),
        ("packages", 5, "a list of paths"),
        ("env", ["A"], "a mapping"),
        ("labels", "a=b", "a mapping"),
        ("job_dir", 1, "a path"),
        ("use_chief", "yes", "True or False"),
    ],
)
def test_a_field_of_another_type_is_refused_with_its_form(field: str, value: Any, form: str) -> None:
    with pytest.raises(UsageError) as refused:
        JobSpec("a", "m", **{field: value})

    assert f"{field}={value!r} is refused. Give {form}" in str(refused.value)


def test_one_package_that_is_no_list_is_refused() -> None:
    with pytest.raises(UsageError, match=r"packages='a\.whl' is one path\. Give a list: packages=\['a\.whl'\]"):
        JobSpec("a", "m", packages="a.whl")
    with pytest.raises(UsageError, match="packages holds 1"):
        JobSpec("a", "m", packages=[1])  # type: ignore[list-item]


@pytest.mark.parametrize("tier", ["standrd-1", "Standrd-1"])
def test_a_slip_in_a_tier_is_told_with_the_nearest_however_it_is_spelled(tier: str) -> None:
    with pytest.raises(UsageError, match="Did you mean 'STANDARD_1'"):
        JobSpec("a", "m", scale_tier=tier)


@pytest.mark.parametrize(
    ("pool", "flag"),
    [
        (Pool(accelerator_type="T4", accelerator_count=1), "--worker-machine-type"),
        (Pool("small", accelerator_type="T4", accelerator_count=1), "--worker-count"),
        (Pool(image_uri="gcr.io/x"), "--worker-count"),
    ],
)
def test_machines_that_are_half_said_are_refused(pool: Pool, flag: str) -> None:
    with pytest.raises(UsageError, match=f"give {flag} too"):
        JobSpec("a", "m", scale_tier="CUSTOM", master=Pool("small"), workers=pool)
