"""Files to and from Cloud Storage: Google's client, a real server on loopback, and a bad network between them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from faults import Fault, Proxy, google_error

from mlhelpers import storage
from mlhelpers.cloud import place
from mlhelpers.errors import CloudError, DataError
from mlhelpers.storage import cloud
from mlhelpers.storage.cloud import access

_SENT = "/upload/"
_LARGE = 9 << 20  # bytes: over 8 MiB Google's client opens a session and sends in chunks


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """Write a small file."""
    path = tmp_path / "note.txt"
    path.write_text("three epochs suffice")
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file that goes in chunks."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(os.urandom(_LARGE))
    return path


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlhelpers.storage.cloud.objects._CHUNK", 1 << 20)


def _bytes(address: str) -> bytes:
    """Return what the server has, by Google's client alone."""
    bucket, _, key = address.removeprefix("gs://").partition("/")
    return bytes(access.client(place()).bucket(bucket).blob(key).download_as_bytes())


def test_a_file_goes_and_comes_back(cloud_bucket: str, note: Path, tmp_path: Path) -> None:
    address = f"{cloud_bucket}/a folder/ü?.txt"

    assert cloud.upload(note, address, place()) is True
    cloud.download(address, tmp_path / "new" / "back.txt", place())

    assert (tmp_path / "new" / "back.txt").read_bytes() == note.read_bytes() == _bytes(address)
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["back.txt"]


def test_the_same_content_is_not_sent_again(cloud_bucket: str, note: Path, gcs_wire: Proxy) -> None:
    cloud.upload(note, f"{cloud_bucket}/x", place())

    assert cloud.upload(note, f"{cloud_bucket}/x", place()) is False
    assert gcs_wire.count("POST", _SENT) == 1

    note.write_text("four")
    assert cloud.upload(note, f"{cloud_bucket}/x", place()) is True
    assert _bytes(f"{cloud_bucket}/x") == b"four"


def test_an_empty_file_and_a_large_one_pass(
    cloud_bucket: str, large: Path, tmp_path: Path, small_chunks: None, gcs_wire: Proxy
) -> None:
    (tmp_path / "empty").touch()
    gone: list[int] = []
    cloud.upload(tmp_path / "empty", f"{cloud_bucket}/empty", place())
    cloud.upload(large, f"{cloud_bucket}/large", place(), gone.append)

    assert (_bytes(f"{cloud_bucket}/empty"), _bytes(f"{cloud_bucket}/large")) == (b"", large.read_bytes())
    assert sum(gone) == _LARGE
    assert gcs_wire.count("PUT", _SENT) == 9  # one chunk of a MiB each


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", _SENT, status=503, times=2),
        Fault("POST", _SENT, status=429),
        Fault("POST", _SENT, cut="before"),
        Fault("POST", _SENT, cut="sending"),
        Fault("POST", _SENT, cut="after"),  # written, and the answer lost
        Fault("POST", _SENT, cut="answering"),
        Fault("GET", "/o/x", status=503),
        Fault("GET", "/o/x", cut="before"),
    ],
    ids=lambda fault: f"{fault.method}-{fault.cut or fault.status}",
)
def test_what_is_lost_on_the_way_is_sent_again(cloud_bucket: str, note: Path, gcs_wire: Proxy, fault: Fault) -> None:
    fault.fitted = 0
    gcs_wire.add(fault)

    assert cloud.upload(note, f"{cloud_bucket}/x", place()) is True

    assert fault.fitted > fault.times  # the fault was met, and passed
    assert _bytes(f"{cloud_bucket}/x") == note.read_bytes()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", _SENT, nth=3, cut="before"),
        Fault("PUT", _SENT, nth=3, cut="sending"),
        Fault("PUT", _SENT, nth=9, cut="after"),
        Fault("PUT", _SENT, nth=3, status=503, times=2),
        Fault("PUT", _SENT, nth=3, status=410),  # the session is forgotten: the file begins anew
        Fault("PUT", _SENT, nth=3, status=404),
    ],
    ids=lambda fault: f"{fault.cut or fault.status}",
)
def test_a_large_file_survives_a_reset_in_the_middle(
    cloud_bucket: str, large: Path, small_chunks: None, gcs_wire: Proxy, fault: Fault
) -> None:
    fault.fitted = 0
    gcs_wire.add(fault)
    gone: list[int] = []

    assert cloud.upload(large, f"{cloud_bucket}/x", place(), gone.append) is True

    assert fault.fitted > fault.nth
    assert _bytes(f"{cloud_bucket}/x") == large.read_bytes()
    assert sum(gone) == _LARGE
    if fault.status in (404, 410):
        assert min(gone) < 0  # it is told that bytes go again


def test_a_service_that_does_not_answer_is_given_up_and_what_was_there_stays(
    cloud_bucket: str, note: Path, gcs_wire: Proxy
) -> None:
    cloud.upload(note, f"{cloud_bucket}/x", place())
    note.write_text("new")
    gcs_wire.add(Fault("POST", _SENT, status=503, times=10**6))

    with pytest.raises(
        CloudError, match=r"did not write gs://.*/x within 1\.5 seconds.*\(injected\)\. Nothing is half"
    ):
        cloud.upload(note, f"{cloud_bucket}/x", place())

    assert _bytes(f"{cloud_bucket}/x") == b"three epochs suffice"


def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(
    cloud_bucket: str, note: Path, gcs_wire: Proxy, gcs_server: str
) -> None:
    def meanwhile() -> None:
        blob = access.client(place()).bucket(cloud_bucket.removeprefix("gs://")).blob("x")
        blob.upload_from_string(b"theirs")

    gcs_wire.add(Fault("POST", _SENT, do=meanwhile))

    with pytest.raises(CloudError, match=r"Somebody else has written gs://.*/x since it was looked at. Theirs is left"):
        cloud.upload(note, f"{cloud_bucket}/x", place())

    assert _bytes(f"{cloud_bucket}/x") == b"theirs"


def test_what_arrives_damaged_there_is_taken_away_and_told(cloud_bucket: str, note: Path, gcs_wire: Proxy) -> None:
    # this server believes any checksum; Google's refuses with 400, which the next test plays
    gcs_wire.add(Fault("POST", _SENT, send=lambda body: body.replace(b"three", b"seven")))

    with pytest.raises(
        CloudError, match=r"arrived at gs://.*/x damaged .CRC-32C .* instead of .*What had arrived is del"
    ):
        cloud.upload(note, f"{cloud_bucket}/x", place())

    assert not storage.exists(f"{cloud_bucket}/x")


def test_what_the_service_refuses_as_damaged_goes_once_more(cloud_bucket: str, note: Path, gcs_wire: Proxy) -> None:
    said = google_error(400, "Provided CRC32C does not match calculated CRC32C.")
    gcs_wire.add(Fault("POST", _SENT, status=400, body=said))

    assert cloud.upload(note, f"{cloud_bucket}/x", place()) is True
    assert _bytes(f"{cloud_bucket}/x") == note.read_bytes()

    gcs_wire.add(Fault("POST", _SENT, status=400, body=said, times=10))
    note.write_text("new")
    with pytest.raises(CloudError, match=r"refused to write gs://.*/x: Provided CRC32C does not match"):
        cloud.upload(note, f"{cloud_bucket}/x", place())


def test_the_checksum_goes_with_the_file(cloud_bucket: str, note: Path, large: Path, gcs_wire: Proxy) -> None:
    import base64

    import google_crc32c

    def crc(path: Path) -> bytes:
        return base64.b64encode(google_crc32c.value(path.read_bytes()).to_bytes(4, "big"))

    bodies: list[bytes] = []
    gcs_wire.add(Fault("POST", _SENT, times=10, send=lambda body: bodies.append(body) or body))
    cloud.upload(note, f"{cloud_bucket}/note", place())
    cloud.upload(large, f"{cloud_bucket}/large", place())

    assert b'"crc32c": "' + crc(note) + b'"' in bodies[0]
    assert b'"crc32c": "' + crc(large) + b'"' in bodies[1]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "alt=media", status=503, times=2),
        Fault("GET", "alt=media", cut="before"),
        Fault("GET", "alt=media", cut="answering"),
        Fault("GET", "alt=media", damage=lambda body: body[:-1] + b"\0"),  # a wrong checksum: fetched once more
    ],
    ids=["503", "before", "answering", "damaged"],
)
def test_what_is_lost_on_the_way_back_is_fetched_again(
    cloud_bucket: str, large: Path, tmp_path: Path, gcs_wire: Proxy, fault: Fault
) -> None:
    cloud.upload(large, f"{cloud_bucket}/x", place())
    fault.fitted = 0
    gcs_wire.add(fault)
    gone: list[int] = []

    cloud.download(f"{cloud_bucket}/x", tmp_path / "back", place(), gone.append)

    assert fault.fitted > fault.times
    assert (tmp_path / "back").read_bytes() == large.read_bytes()
    assert sum(gone) == _LARGE


def test_what_always_arrives_damaged_is_refused_and_the_old_file_stays(
    cloud_bucket: str, note: Path, tmp_path: Path, gcs_wire: Proxy
) -> None:
    cloud.upload(note, f"{cloud_bucket}/x", place())
    (tmp_path / "back").write_text("old")
    gcs_wire.add(Fault("GET", "alt=media", times=9, damage=lambda body: body.replace(b"three", b"seven")))

    with pytest.raises(CloudError, match=r"x arrived damaged 2 times .*back is left as it was"):
        cloud.download(f"{cloud_bucket}/x", tmp_path / "back", place())

    assert {one.name for one in tmp_path.iterdir() if one.is_file()} == {"back", "note.txt"}
    assert (tmp_path / "back").read_text() == "old"


def test_a_copy_inside_the_cloud_moves_no_bytes_here(cloud_bucket: str, note: Path, gcs_wire: Proxy) -> None:
    cloud.upload(note, f"{cloud_bucket}/x", place())
    gcs_wire.add(Fault("POST", "/rewriteTo/", cut="after"))

    storage.copy(storage.plan_copy([f"{cloud_bucket}/x"], f"{cloud_bucket}/y"))

    assert _bytes(f"{cloud_bucket}/y") == note.read_bytes()
    assert not [one for one in gcs_wire.passed[:-1] if "alt=media" in one.target]
    assert "ifSourceGenerationMatch" in next(one.target for one in gcs_wire.passed if "rewriteTo" in one.target)


@pytest.mark.parametrize(
    ("status", "said", "message"),
    [
        (
            403,
            "x@y does not have storage.objects.create access. Permission 'storage.objects.create' denied on resource.",
            "You may not write gs://.*The permission storage.objects.create is missing: .*roles/storage.objectAdmin",
        ),
        (
            401,
            "Anonymous caller does not have access.",
            "credentials for Google Cloud have expired or were withdrawn.*gcloud auth",
        ),
        (
            400,
            "Bucket is a requester pays bucket but no user project provided.",
            "readers pay .requester pays., and your project is not charged unasked.*--billing-project=PROJECT",
        ),
    ],
)
def test_a_refusal_says_what_to_do(
    cloud_bucket: str, note: Path, gcs_wire: Proxy, status: int, said: str, message: str
) -> None:
    gcs_wire.add(Fault("POST", _SENT, status=status, body=google_error(status, said), times=9))

    with pytest.raises(CloudError, match=message):
        cloud.upload(note, f"{cloud_bucket}/x", place())


def test_no_error_tells_the_address_of_an_upload(cloud_bucket: str, large: Path, gcs_wire: Proxy) -> None:
    gcs_wire.add(Fault("PUT", _SENT, cut="before", times=10**6))

    with pytest.raises(CloudError) as refused:
        cloud.upload(large, f"{cloud_bucket}/x", place())

    told, chain = "", refused.value
    while chain is not None:  # as a traceback shows it
        told += str(chain)
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)  # type: ignore[assignment]
    assert "ConnectionError" in told
    assert "upload_id" not in told


def test_a_bucket_or_object_that_is_not_there_is_told(cloud_bucket: str, note: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no bucket gs://no-such-bucket"):
        cloud.upload(note, "gs://no-such-bucket/x", place())
    with pytest.raises(DataError, match=r"There is nothing at gs://.*/none"):
        cloud.download(f"{cloud_bucket}/none", tmp_path / "back", place())
    with pytest.raises(DataError, match="cannot be read: No such file"):
        cloud.upload(tmp_path / "none", f"{cloud_bucket}/x", place())
