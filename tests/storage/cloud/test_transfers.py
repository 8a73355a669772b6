"""Many files to and from Cloud Storage, planned as on this machine, copied several at once; and files opened."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import Fault, Proxy

from mlhelpers import storage
from mlhelpers.cloud import place
from mlhelpers.errors import CloudError, DataError, UsageError
from mlhelpers.storage.cloud import access


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a few files."""
    folder = tmp_path / "here"
    for name in ("a.csv", "b.csv", "data/c.csv", "data/deep/d.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    monkeypatch.chdir(folder)
    return folder


def _copy(*paths: str, recursive: bool = False) -> list[storage.Transfer]:
    return storage.copy(storage.plan_copy(paths[:-1], paths[-1], recursive))


def _objects(address: str) -> dict[str, str]:
    blobs = access.client(place()).list_blobs(address.removeprefix("gs://"))
    return {blob.name: blob.download_as_text() for blob in blobs}


def _files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def _write(address: str, meanwhile: Callable[[], object]) -> None:
    with storage.open_file(address, "wb") as stream:
        stream.write(b"mine")
        meanwhile()


@pytest.mark.parametrize(
    ("words", "recursive", "files"),
    [
        (("a.csv", ""), False, {"a.csv": "a.csv"}),
        (("a.csv", "/x"), False, {"x": "a.csv"}),
        (("a.csv", "b.csv", "/x/"), False, {"x/a.csv": "a.csv", "x/b.csv": "b.csv"}),
        (("*.csv", ""), False, {"a.csv": "a.csv", "b.csv": "b.csv"}),
        (("data", ""), True, {"data/c.csv": "data/c.csv", "data/deep/d.csv": "data/deep/d.csv"}),
        (("data", "/new"), True, {"new/c.csv": "data/c.csv", "new/deep/d.csv": "data/deep/d.csv"}),
        (("data/**", ""), False, {"c.csv": "data/c.csv", "d.csv": "data/deep/d.csv"}),
    ],
)
def test_files_and_folders_find_their_place(
    cloud_bucket: str, words: tuple[str, ...], recursive: bool, files: dict[str, str]
) -> None:
    _copy(*words[:-1], cloud_bucket + words[-1], recursive=recursive)

    assert _objects(cloud_bucket) == files


def test_from_the_cloud_to_the_cloud_and_back(cloud_bucket: str, here: Path) -> None:
    _copy("data", cloud_bucket, recursive=True)
    _copy(f"{cloud_bucket}/data", f"{cloud_bucket}/x", recursive=True)
    _copy(f"{cloud_bucket}/x", "back", recursive=True)

    assert _files(here / "back") == {"c.csv": "data/c.csv", "deep/d.csv": "data/deep/d.csv"}


@pytest.mark.parametrize(
    ("words", "recursive", "message"),
    [
        (("{}/data", "back"), False, "is a folder. Copy it with all that is in it with  -r"),
        (("a.csv", "b.csv", "{}/x"), False, "2 things cannot become the one file"),
        (("{}/a.csv", "{}/a.csv"), False, "would be copied onto itself"),
        (("{}/data", "{}/data/deep"), True, "cannot be copied into itself"),
        (("a.csv", "{}/../x"), False, "a path inside a bucket has no"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    cloud_bucket: str, words: tuple[str, ...], recursive: bool, message: str, gcs_wire: Proxy
) -> None:
    _copy("a.csv", "data", cloud_bucket, recursive=True)
    gcs_wire.clear()

    with pytest.raises(UsageError) as refused:
        _copy(*(word.format(cloud_bucket) for word in words), recursive=recursive)

    assert message in str(refused.value)
    assert {method for method, _ in gcs_wire.asked} <= {"GET"}


@pytest.mark.parametrize("name", ["data/../../../outside", "data//x", "data/./x"])
def test_an_objects_name_does_not_lead_out_of_the_folder(
    cloud_bucket: str, name: str, here: Path, gcs_wire: Proxy
) -> None:
    # no name that this server can keep as a file: the listing is changed on its way
    _copy("a.csv", f"{cloud_bucket}/data/harmless")
    before = _files(here.parent)
    gcs_wire.add(
        Fault("GET", "/o?", times=9, damage=lambda body: body.replace(b'"data/harmless"', f'"{name}"'.encode()))
    )

    with pytest.raises(UsageError, match="its name can be no file's on this machine"):
        _copy(f"{cloud_bucket}/data", "back", recursive=True)

    assert _files(here.parent) == before


def test_an_object_and_a_folder_of_its_name_are_told_before_the_copy(cloud_bucket: str, gcs_wire: Proxy) -> None:
    _copy("a.csv", f"{cloud_bucket}/data/x")
    _copy("a.csv", f"{cloud_bucket}/data/y")
    gcs_wire.add(Fault("GET", "/o?", times=9, damage=lambda body: body.replace(b'"data/y"', b'"data/x/y"')))

    with pytest.raises(UsageError, match=r"would become the file .*x, and gs://.*/data/x/y a file inside it"):
        _copy(f"{cloud_bucket}/data", "back", recursive=True)


def test_a_bucket_that_is_not_there_is_told_before_anything_is_sent(cloud_bucket: str) -> None:
    with pytest.raises(DataError, match="no bucket gs://no-such-thing in Cloud Storage"):
        _copy("a.csv", "gs://no-such-thing/x")


def test_several_go_at_once_and_each_is_told_in_the_callers_thread(cloud_bucket: str, gcs_wire: Proxy) -> None:
    for number in range(8):
        Path(f"{number}.bin").write_bytes(b"x" * 1000)
    meeting = threading.Barrier(4, timeout=20)  # four must be under way at the same time, or it breaks
    gcs_wire.add(Fault("POST", "/upload/", times=8, do=meeting.wait))
    told: list[tuple[str, bool]] = []
    gone: list[int] = []

    storage.copy(
        storage.plan_copy(["*.bin"], cloud_bucket),
        lambda one: told.append((one.target.name, threading.current_thread() is threading.main_thread())),
        gone.append,
    )

    assert sorted(told) == [(f"{number}.bin", True) for number in range(8)]
    assert sum(gone) == 8000


def test_a_copy_that_was_interrupted_goes_on_with_what_is_missing(cloud_bucket: str, gcs_wire: Proxy) -> None:
    plan = storage.plan_copy(["data", "a.csv"], f"{cloud_bucket}/", recursive=True)
    gcs_wire.add(Fault("POST", r"/upload/", nth=3, status=403, times=9))
    with pytest.raises(CloudError, match="You may not write"):
        storage.copy(plan)
    assert len(_objects(cloud_bucket)) == 2
    gcs_wire.clear()

    passed_over = storage.copy(plan)

    assert len(passed_over) == 2
    assert gcs_wire.count("POST", "/upload/") == 1
    assert len(_objects(cloud_bucket)) == 3
    assert len(_copy(f"{cloud_bucket}/data", "back/", recursive=True)) == 0
    assert len(_copy(f"{cloud_bucket}/data", "back/", recursive=True)) == 2  # nothing fetched twice either


def test_whoever_stops_a_copy_does_not_wait_for_a_large_file(
    cloud_bucket: str, gcs_wire: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlhelpers.storage.cloud.objects._CHUNK", 1 << 20)
    Path("large").write_bytes(b"x" * (12 << 20))
    small_is_told = threading.Event()
    gcs_wire.add(Fault("PUT", "/upload/", do=lambda: small_is_told.wait(20)))

    def stop(_: storage.Transfer) -> None:
        small_is_told.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.copy(storage.plan_copy(["a.csv", "large"], f"{cloud_bucket}/"), stop)

    assert gcs_wire.count("PUT", "/upload/") < 12
    assert _objects(cloud_bucket) == {"a.csv": "a.csv"}


def test_a_process_that_is_killed_leaves_no_half_object(cloud_bucket: str, gcs_wire: Proxy) -> None:
    Path("large").write_bytes(b"x" * (40 << 20))
    killed = threading.Event()
    code = (
        "from mlhelpers import settings, storage; settings.use('vertex', project='test-project');"
        f"storage.copy(storage.plan_copy(['large'], '{cloud_bucket}/large'))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)

    def kill() -> None:
        process.kill()  # in the middle: one chunk of two is there
        process.wait()
        killed.set()

    gcs_wire.add(Fault("PUT", "/upload/", nth=2, do=kill))
    try:
        assert killed.wait(60)
    finally:
        process.kill()
        process.wait()

    assert gcs_wire.count("PUT", "/upload/") == 1
    assert not storage.exists(f"{cloud_bucket}/large")
    gcs_wire.clear()
    assert _copy("large", f"{cloud_bucket}/large") == []
    assert storage.list_entries(f"{cloud_bucket}/large")[0].size == 40 << 20


def test_a_file_is_opened_read_and_written(cloud_bucket: str, gcs_wire: Proxy) -> None:
    for address in (f"{cloud_bucket}/notes.txt", "notes.txt"):
        with storage.open_file(address, "w") as stream:
            stream.write("größer")
        with storage.open_file(address) as stream:
            assert stream.read() == "größer"
        with storage.open_file(address, "rb") as stream:
            assert stream.read() == "größer".encode()
        with pytest.raises(ZeroDivisionError):
            _write(address, lambda: 1 / 0)
        with storage.open_file(address) as stream:
            assert stream.read() == "größer"


def test_what_somebody_writes_while_a_file_is_open_is_not_overwritten(cloud_bucket: str) -> None:
    theirs = access.client(place()).bucket(cloud_bucket[5:]).blob("x")

    with pytest.raises(CloudError, match="Somebody else has written"):
        _write(f"{cloud_bucket}/x", lambda: theirs.upload_from_string("theirs"))

    assert _objects(cloud_bucket) == {"x": "theirs"}


@pytest.mark.parametrize(
    ("address", "mode", "message"),
    [("x", "a", "The mode 'a' is refused"), ("data", "r", "is a folder"), ("gs://b-1/x/", "r", "is a folder")],
)
def test_what_cannot_be_opened_is_refused(gcs_wire: Proxy, address: str, mode: str, message: str) -> None:
    with pytest.raises(UsageError, match=message), storage.open_file(address, mode):
        pass


@pytest.mark.parametrize("address", ["none", "gs://bucket-x/none"])
def test_what_is_not_there_cannot_be_opened(gcs_wire: Proxy, address: str) -> None:
    with pytest.raises(DataError, match="none"), storage.open_file(address):
        pass


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(UsageError, match=r"There is no backend 'vertx'. Did you mean 'vertex'"):
        storage.exists("a.csv", backend="vertx")


def test_the_room_needs_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import mlhelpers.storage;"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert told == "['mlhelpers']\n"
