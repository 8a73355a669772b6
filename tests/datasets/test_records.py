from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers.datasets.records import read_records, write_records
from mlhelpers.errors import DataError

EXAMPLES = [{"label": 3, "image_raw": b"\0\xff", "weight": 1.5}, {"label": -1, "image_raw": b"", "weight": 0.0}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "two.tfrecords"
    write_records(path, EXAMPLES)
    return path


def test_what_is_written_is_read_back(path: Path) -> None:
    assert list(read_records(path)) == EXAMPLES


def test_tensorflow_writes_the_same_bytes(path: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    oracle = tmp_path / "oracle.tfrecords"
    with tf.io.TFRecordWriter(str(oracle)) as writer:
        for example in EXAMPLES:
            message = tf.train.Example()
            message.features.feature["label"].int64_list.value.append(example["label"])
            message.features.feature["image_raw"].bytes_list.value.append(example["image_raw"])
            message.features.feature["weight"].float_list.value.append(example["weight"])
            writer.write(message.SerializeToString(deterministic=True))

    assert oracle.read_bytes() == path.read_bytes()


def test_a_truncated_file_is_refused_with_the_record_named(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])

    with pytest.raises(DataError, match=r"two.tfrecords is truncated in record 1"):
        list(read_records(path))


@pytest.mark.parametrize(("at", "message"), [(2, "its length does not match"), (20, "its data do not match")])
def test_an_altered_byte_is_refused(path: Path, at: int, message: str) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match=f"damaged at record 0: {message}"):
        list(read_records(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.tfrecords cannot be read: No such file"):
        list(read_records(tmp_path / "none.tfrecords"))


def test_an_example_that_cannot_be_made_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_records(tmp_path / "bad.tfrecords", [{"label": "three"}])  # type: ignore[dict-item]

    assert not list(tmp_path.glob("*bad*"))


def test_a_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    # a limit on file size is what a full disk looks like to the process: write() fails half-way
    code = (
        "import signal, resource, pathlib; from mlhelpers.datasets.records import write_records\n"
        "from mlhelpers.errors import DataError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: write_records(pathlib.Path('big.tfrecords'), ({'x': bytes(1000)} for _ in range(1000)))\n"
        "except DataError as error: print(error)"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert "big.tfrecords cannot be written: File too large" in done.stdout
    assert not list(tmp_path.glob("*big*"))
