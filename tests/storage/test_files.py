"""Buckets and their files: made, found, listed, deleted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlhelpers import storage
from mlhelpers.errors import DataError, UsageError


@pytest.fixture
def bucket(home: Path) -> Path:
    """Make gs://my-bucket with a few files."""
    folder = storage.make_bucket("gs://my-bucket")
    for name in ("a.csv", "data/b.csv", "data/deep/c.csv", "data/.hidden", "data/x.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def _addresses(address: str | None = None, recursive: bool = False) -> list[str]:
    return [entry.address for entry in storage.list_entries(address, recursive)]


def test_a_bucket_is_made_once(home: Path) -> None:
    assert storage.make_bucket("gs://my-bucket/") == home / "buckets" / "my-bucket"
    assert (home / "buckets" / "my-bucket").is_dir()
    with pytest.raises(DataError, match="There is a bucket gs://my-bucket already"):
        storage.make_bucket("gs://my-bucket")


@pytest.mark.parametrize("address", ["my-bucket", "gs://My-Bucket", "gs://", "gs://my-bucket/x", "/tmp/x"])
def test_what_is_no_buckets_name_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        storage.make_bucket(address)


@pytest.mark.parametrize(
    ("address", "there"),
    [
        ("gs://my-bucket", True),
        ("gs://my-bucket/a.csv", True),
        ("gs://my-bucket/data/", True),
        ("gs://my-bucket/*.csv", True),
        ("gs://my-bucket/*.txt", False),
        ("gs://my-bucket/none", False),
        ("gs://other-bucket", False),
    ],
)
def test_it_tells_what_is_there(bucket: Path, address: str, there: bool) -> None:
    assert storage.exists(address) is there


@pytest.mark.parametrize(
    ("address", "found"),
    [
        (None, ["gs://my-bucket/"]),
        ("gs://my-bucket", ["gs://my-bucket/a.csv", "gs://my-bucket/data/"]),
        ("gs://my-bucket/data/deep", ["gs://my-bucket/data/deep/c.csv"]),
        ("gs://my-bucket/a.csv", ["gs://my-bucket/a.csv"]),
        ("gs://my-bucket/*", ["gs://my-bucket/a.csv", "gs://my-bucket/data/"]),
        ("gs://my-bucket/*/?.csv", ["gs://my-bucket/data/b.csv"]),
        ("gs://my-bucket/data/[a-b].*", ["gs://my-bucket/data/b.csv"]),
        (
            "gs://my-bucket/**/*.csv",
            ["gs://my-bucket/a.csv", "gs://my-bucket/data/b.csv", "gs://my-bucket/data/deep/c.csv"],
        ),
    ],
)
def test_what_is_at_an_address_is_listed(bucket: Path, address: str | None, found: list[str]) -> None:
    assert _addresses(address) == found


@pytest.mark.parametrize(("address", "recursive"), [("gs://my-bucket/**", False), ("gs://my-bucket", True)])
def test_two_asterisks_or_going_down_list_every_file_once(bucket: Path, address: str, recursive: bool) -> None:
    names = ["a.csv", "data/.hidden", "data/b.csv", "data/deep/c.csv", "data/x.txt"]

    assert sorted(_addresses(address, recursive)) == [f"gs://my-bucket/{name}" for name in names]


def test_an_entry_has_size_and_time(bucket: Path) -> None:
    os.utime(bucket / "a.csv", (1e9, 1e9))

    (entry,) = storage.list_entries("gs://my-bucket/a.csv")

    assert (entry.size, entry.modified, entry.is_folder, entry.path) == (5, 1e9, False, bucket / "a.csv")


def test_plain_folders_are_listed_alike(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "x").write_text("")

    assert _addresses(f"{tmp_path}/plain") == _addresses(f"{tmp_path}/plain/x*") == [f"{tmp_path}/plain/x"]


def test_a_file_that_is_being_written_is_not_listed(bucket: Path) -> None:
    with storage.write_aside(bucket / "new.csv") as aside:
        aside.write_text("half")
        assert "new.csv" not in str([*_addresses("gs://my-bucket/**"), *_addresses("gs://my-bucket", recursive=True)])
        assert "new.csv" not in str([*_addresses("gs://my-bucket"), *_addresses("gs://my-bucket/*")])

    assert "gs://my-bucket/new.csv" in _addresses("gs://my-bucket/*")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("gs://my-bukcet/x", r"There is no bucket gs://my-bukcet\. Did you mean gs://my-bucket\? Make it with"),
        ("gs://zzz/*", r"There is no bucket gs://zzz\. Make it with  mlhelpers storage mb gs://zzz"),
        ("gs://my-bucket/dta", r"nothing at 'gs://my-bucket/dta'\. Did you mean 'gs://my-bucket/data'\?"),
        ("gs://my-bucket/*.png", r"There is nothing at 'gs://my-bucket/\*\.png'\.$"),
    ],
)
def test_what_is_not_there_is_told_with_the_nearest(bucket: Path, address: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        storage.list_entries(address)


def test_a_file_is_deleted_and_its_empty_folders_go(bucket: Path) -> None:
    storage.delete(storage.plan_delete(["gs://my-bucket/data/deep/c.csv"]))

    assert not (bucket / "data" / "deep").exists()
    assert (bucket / "data" / "b.csv").exists()


def test_a_bucket_stays_when_its_last_file_goes(bucket: Path) -> None:
    storage.delete(storage.plan_delete(["gs://my-bucket/**"]))

    assert list(bucket.iterdir()) == []


def test_a_bucket_goes_with_all_that_is_in_it_when_asked(bucket: Path) -> None:
    with pytest.raises(UsageError, match=r"'gs://my-bucket/' is a folder. Delete it with all that is in it with  -r"):
        storage.plan_delete(["gs://my-bucket"])

    storage.delete(storage.plan_delete(["gs://my-bucket"], recursive=True))

    assert not bucket.exists()


def test_planning_a_deletion_deletes_nothing(bucket: Path) -> None:
    entries = storage.plan_delete(["gs://my-bucket/*", "gs://my-bucket/a.csv"], recursive=True)

    assert [entry.address for entry in entries] == ["gs://my-bucket/a.csv", "gs://my-bucket/data/"]
    assert (bucket / "data" / "deep" / "c.csv").exists()


def test_wildcards_mean_files_alone_unless_asked(bucket: Path) -> None:
    assert [entry.address for entry in storage.plan_delete(["gs://my-bucket/*"])] == ["gs://my-bucket/a.csv"]


def test_what_is_in_no_bucket_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")

    with pytest.raises(UsageError, match="is in no bucket"):
        storage.plan_delete([str(tmp_path / "x")])


def test_a_link_is_deleted_and_what_it_leads_to_stays(bucket: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    (bucket / "link").symlink_to(outside)
    (bucket / "data" / "link").symlink_to(outside)

    storage.delete(storage.plan_delete(["gs://my-bucket/link", "gs://my-bucket/data"], recursive=True))

    assert (outside / "mine").exists()
    assert [one.name for one in bucket.iterdir()] == ["a.csv"]


def test_an_address_that_a_link_leads_out_of_the_bucket_is_refused(bucket: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    (bucket / "link").symlink_to(outside)

    with pytest.raises(UsageError, match="a link leads out of the bucket"):
        storage.plan_delete(["gs://my-bucket/link/mine"])
    assert all("mine" not in entry.address for entry in storage.plan_delete(["gs://my-bucket/**"]))
    with pytest.raises(DataError, match="There is nothing at"):
        storage.plan_delete(["gs://my-bucket/link/*"])


def test_what_has_the_signs_of_wildcards_in_its_name_is_found_by_it(bucket: Path, tmp_path: Path) -> None:
    (bucket / "we[i]rd").mkdir()
    (bucket / "we[i]rd" / "x?").write_text("")

    assert _addresses("gs://my-bucket/we[i]rd") == ["gs://my-bucket/we[i]rd/x?"]
    assert _addresses("gs://my-bucket/we[i]rd/x?") == ["gs://my-bucket/we[i]rd/x?"]
    assert storage.exists("gs://my-bucket/we[i]rd")


def test_a_link_out_of_the_bucket_is_no_folder_and_is_not_listed_through(bucket: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    (bucket / "link").symlink_to(outside)
    (bucket / "inside").symlink_to(bucket / "data" / "deep")

    assert _addresses("gs://my-bucket") == [
        *("gs://my-bucket/a.csv", "gs://my-bucket/data/", "gs://my-bucket/inside/", "gs://my-bucket/link"),
    ]
    assert _addresses("gs://my-bucket/inside") == ["gs://my-bucket/inside/c.csv"]
    for recursive in (False, True):
        assert "gs://my-bucket/link" in _addresses("gs://my-bucket/l*", recursive)
        for address in ("gs://my-bucket/link", "gs://my-bucket/link/"):
            with pytest.raises(UsageError, match=r"a link leads out of the bucket, to .*outside"):
                storage.list_entries(address, recursive)
    (entry,) = storage.plan_delete(["gs://my-bucket/link/"])
    assert (entry.address, entry.is_folder, entry.size) == ("gs://my-bucket/link", False, 0)


def test_a_slash_behind_a_file_makes_no_folder_of_it(bucket: Path) -> None:
    with pytest.raises(DataError, match=r"nothing at 'gs://my-bucket/a\.csv/'\. Did you mean 'gs://my-bucket/a\.csv'"):
        storage.list_entries("gs://my-bucket/a.csv/")


def test_going_down_without_an_address_lists_every_file_of_every_bucket(bucket: Path) -> None:
    (storage.make_bucket("gs://other-bucket") / "x").write_text("")

    assert _addresses(None, recursive=True) == [*_addresses("gs://my-bucket", recursive=True), "gs://other-bucket/x"]
