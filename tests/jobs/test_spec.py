"""The rules on versions and packages (the other rules of a spec are in test_base)."""

from __future__ import annotations

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.jobs import JobSpec


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
