"""A bucket's folder and its objects are the same, whoever writes."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any

import pytest
from vertex import Vertex


@pytest.fixture
def bucket(vertex: Vertex) -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    return storage.Client(project="test-project", credentials=AnonymousCredentials()).bucket("staging")


def test_files_written_into_the_folder_are_objects_with_true_checksums(vertex: Vertex, bucket: Any) -> None:
    path = vertex.home / "buckets/staging/written/by hand.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"first")
    (found,) = bucket.list_blobs(prefix="written/")
    assert (found.name, found.size) == ("written/by hand.txt", 5)
    assert found.md5_hash == base64.b64encode(hashlib.md5(b"first").digest()).decode()
    assert found.download_as_bytes(checksum="crc32c") == b"first"

    path.write_bytes(b"second one")
    changed = bucket.get_blob("written/by hand.txt")
    assert changed.generation > found.generation
    assert changed.download_as_bytes(checksum="md5") == b"second one"


def test_objects_are_files_of_the_folder_and_keep_what_is_said_of_them(vertex: Vertex, bucket: Any) -> None:
    data = os.urandom(3 << 20)
    blob = bucket.blob("uploaded/data.bin", chunk_size=1 << 20)  # several requests: a resumable upload
    blob.metadata = {"made": "here"}
    blob.upload_from_string(data, content_type="application/x-own")

    assert (vertex.home / "buckets/staging/uploaded/data.bin").read_bytes() == data
    (found,) = bucket.list_blobs(prefix="uploaded/")
    assert (found.content_type, found.metadata) == ("application/x-own", {"made": "here"})
    assert found.generation == blob.generation
    blob.delete(if_generation_match=blob.generation)
    assert not (vertex.home / "buckets/staging/uploaded/data.bin").exists()


def test_a_file_that_a_trainer_wrote_is_not_overwritten_where_none_was_expected(vertex: Vertex, bucket: Any) -> None:
    from google.api_core.exceptions import PreconditionFailed

    path = vertex.home / "buckets/staging/there.txt"
    path.write_bytes(b"a trainer's")
    with pytest.raises(PreconditionFailed):
        bucket.blob("there.txt").upload_from_string("another's", if_generation_match=0)
    assert path.read_bytes() == b"a trainer's"
