"""What is in Cloud Storage, found as in a folder of this machine, and deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import Fault, Proxy, google_error

from mlhelpers import storage
from mlhelpers.cloud import place
from mlhelpers.errors import CloudError, DataError, UsageError
from mlhelpers.storage.cloud import access

_NAMES = ("a.csv", "data/.hidden", "data/b.csv", "data/deep/c.csv", "data/x.txt")


def _put(address: str, content: bytes = b"x") -> None:
    """Write an object by Google's client alone."""
    bucket, _, key = address.removeprefix("gs://").partition("/")
    access.client(place()).bucket(bucket).blob(key).upload_from_string(content)


def _there(address: str) -> set[str]:
    return {blob.name for blob in access.client(place()).list_blobs(address.removeprefix("gs://"))}


@pytest.fixture
def bucket(cloud_bucket: str, gcs_wire: Proxy) -> str:
    """Return the address of a bucket with a few objects."""
    for name in _NAMES:
        _put(f"{cloud_bucket}/{name}", name.encode())
    gcs_wire.clear()
    return cloud_bucket


@pytest.fixture
def folder(bucket: str) -> str:
    """Return the address of a bucket of the local store with the same files."""
    made = storage.make_bucket("gs://the-same", backend="local")
    for name in _NAMES:
        path = Path(str(made), name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return "gs://the-same"


_ADDRESSES = (
    "",
    "/",
    "/data",
    "/data/",
    "/data/deep",
    "/a.csv",
    "/*",
    "/*.csv",
    "/*/?.csv",
    "/data/[a-b].*",
    "/**/*.csv",
)
_ADDRESSES += ("/**", "/data/**", "/d*/", "/*/deep/*", "/none", "/*.png", "/a.csv/", "/dat", "/**/deep/*")


@pytest.mark.parametrize("recursive", [False, True])
def test_cloud_and_local_store_agree_on_what_is_there(bucket: str, folder: str, recursive: bool) -> None:
    def seen(address: str, key: str, backend: str) -> list[tuple[str, int]] | str:
        try:
            entries = storage.list_entries(address + key, recursive, backend=backend)
        except DataError as error:
            return str(error).replace(address, "")
        return sorted((one.address.removeprefix(address).replace("//", "/"), one.size) for one in entries)

    for key in _ADDRESSES:
        assert seen(bucket, key, "vertex") == seen(folder, key, "local"), key
        assert storage.exists(bucket + key) is storage.exists(folder + key, backend="local"), key


def test_an_entry_has_size_time_and_generation(bucket: str) -> None:
    (entry,) = storage.list_entries(f"{bucket}/a.csv")

    assert (entry.size, entry.is_folder, entry.path) == (5, False, storage.CloudPath(bucket[5:], "a.csv"))
    assert entry.modified > 1.7e9
    assert isinstance(entry.path, storage.CloudPath)
    assert (entry.path.generation or 0) > 0
    assert len(entry.path.crc32c) == 8


def test_buckets_are_listed(bucket: str) -> None:
    assert f"{bucket}/" in [entry.address for entry in storage.list_entries()]


def test_a_bucket_that_is_not_there_is_told_with_the_nearest(bucket: str) -> None:
    assert not storage.exists("gs://no-such-thing/x")
    with pytest.raises(DataError, match=rf"no bucket {bucket}x in Cloud Storage\. Did you mean {bucket}\?.*storage mb"):
        storage.list_entries(f"{bucket}x/*")


def test_a_folder_is_not_listed_through_for_wildcards_beside_it(bucket: str, gcs_wire: Proxy) -> None:
    storage.list_entries(f"{bucket}/a*")

    assert [one.target for one in gcs_wire.passed if "/o?" in one.target and "prefix=a&" not in one.target] == []


def test_markers_of_folders_are_no_files_and_go_with_the_folder(bucket: str) -> None:
    _put(f"{bucket}/data/", b"")
    _put(f"{bucket}/data/deep/", b"")

    assert [one.address.rpartition("/")[2] for one in storage.list_entries(f"{bucket}/data/deep")] == ["c.csv"]
    assert len(storage.list_entries(f"{bucket}/data", recursive=True)) == 4

    storage.delete(storage.plan_delete([f"{bucket}/data"], recursive=True))
    assert _there(bucket) == {"a.csv"}


def test_a_plan_deletes_nothing_and_a_deletion_what_was_planned(bucket: str) -> None:
    entries = storage.plan_delete([f"{bucket}/*", f"{bucket}/a.csv"], recursive=True)
    assert [entry.address for entry in entries] == [f"{bucket}/a.csv", f"{bucket}/data/"]
    assert _there(bucket) == set(_NAMES)

    storage.delete(entries)
    assert _there(bucket) == set()
    storage.delete(entries)  # what is gone is no error


def test_a_bucket_goes_with_all_that_is_in_it_when_asked(bucket: str, gcs_wire: Proxy) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        storage.plan_delete([bucket])
    gcs_wire.add(
        Fault("DELETE", "/o/", status=503), Fault("DELETE", "/o/", cut="after"), Fault("DELETE", "/b/", cut="after")
    )

    storage.delete(storage.plan_delete([bucket], recursive=True))

    assert not storage.exists(bucket)


def test_what_was_written_since_it_was_listed_is_not_deleted(bucket: str, gcs_wire: Proxy) -> None:
    (entry,) = storage.plan_delete([f"{bucket}/a.csv"])
    # this server deletes whatever the precondition says: Google's answer is put in, and the request looked at
    gcs_wire.add(Fault("DELETE", "/o/", status=412, body=google_error(412, "At least one of the pre-conditions")))

    with pytest.raises(CloudError, match="has been written again since it was listed, and is left as it is"):
        storage.delete([entry])

    assert isinstance(entry.path, storage.CloudPath)
    assert f"ifGenerationMatch={entry.path.generation}" in gcs_wire.asked[-1][1]
    assert "a.csv" in _there(bucket)


def test_a_listing_without_permission_says_which(bucket: str, gcs_wire: Proxy) -> None:
    said = "x@y does not have storage.objects.list access. Permission 'storage.objects.list' denied on resource"
    gcs_wire.add(Fault("GET", "/o?", status=403, body=google_error(403, said), times=9))

    with pytest.raises(
        CloudError, match=r"The permission storage\.objects\.list is missing.*roles/storage\.objectAdmin"
    ):
        storage.list_entries(bucket)
