"""From a shard's bytes to instances: a line of JSON, a line of text, a record as it is, or an example."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from mlhelpers.errors import DataError, PredictionError
from mlhelpers.serving.batch.examples import ExampleReader
from mlhelpers.serving.batch.shards import Shard
from mlhelpers.serving.instances import KEY
from mlhelpers.serving.signature import Signature
from mlhelpers.tfrecords import read_frames

__all__ = ["ShardReader", "first_item", "instance_reader", "takes_one_text", "without_key"]

_BUFFER = 1 << 20
_LONGEST_LINE = 1 << 26
_MARK = b"\xef\xbb\xbf"
_NO_KEY = object()


class ShardReader:
    """The lines or records of a shard, one after the other; memory stays that of one, whatever the shard's size.

    Args:
        shard: The shard.
        data_format: "text", "tf-record" or "tf-record-gzip".

    Raises:
        DataError: While it is iterated: the file cannot be read, is another one than when it was cut, or is damaged in
            a way that hides what comes behind.
    """

    def __init__(self, shard: Shard, data_format: str) -> None:
        self.done = 0
        self._shard = shard
        self._format = data_format
        self._stream: BinaryIO | None = None

    @property
    def share(self) -> float:
        """How much of the shard is done, 0 to 1."""
        if self._shard.count is not None:
            return self.done / self._shard.count
        return self._stream.tell() / self._shard.size if self._stream and not self._stream.closed else 0.0

    def __iter__(self) -> Iterator[tuple[int, bytes | Exception]]:
        """Yield the number in the file, from 1, and the bytes, or what is wrong with them."""
        path = Path(self._shard.path)
        try:
            with path.open("rb", buffering=_BUFFER) as self._stream:
                self._stream.seek(self._shard.start)
                for number, item in enumerate(self._items(self._stream, path), start=self._shard.first + 1):
                    yield number, item
                    self.done += 1
                if self._shard.count is not None and self._stream.tell() != self._shard.stop:
                    raise DataError(f"{path} was changed while it was read. Submit the prediction again.")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path} is damaged after record {self.done}: {error}. Compress it again.") from error
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error

    def _items(self, stream: BinaryIO, path: Path) -> Iterator[bytes | Exception]:
        if self._format == "text":
            return self._lines(stream)
        if self._shard.count is None:
            return read_frames(gzip.GzipFile(fileobj=stream), path)  # type: ignore[arg-type]  # it reads bytes
        return islice(read_frames(stream, path, self._shard.first), self._shard.count)

    def _lines(self, stream: BinaryIO) -> Iterator[bytes | Exception]:
        for number in range(self._shard.count or 0):
            line = stream.readline(_LONGEST_LINE)
            if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                while (rest := stream.readline(_BUFFER)) and not rest.endswith(b"\n"):
                    pass
                yield PredictionError(f"is longer than {_LONGEST_LINE:,} bytes")
            else:
                yield line.removeprefix(_MARK) if number == self._shard.start == 0 else line


def first_item(path: Path, data_format: str) -> bytes | None:
    """Return the first line that is not empty, or the first record, of a file; None where there is none to be had.

    Raises:
        DataError: The file cannot be read.
    """
    count = None if data_format == "tf-record-gzip" else 1000
    reader = ShardReader(Shard(str(path), 0, path.stat().st_size, 0, count), data_format)
    for _, item in islice(reader, 1000):
        if isinstance(item, bytes) and (item.strip() or data_format != "text"):
            return item
    return None


def takes_one_text(signature: Signature) -> bool:
    """Tell whether a signature has a single input that is one text."""
    tensors = list(signature.inputs.values())
    return len(tensors) == 1 and tensors[0].dtype == "string" and tensors[0].instance_size == 1


def instance_reader(
    signature: Signature, data_format: str, features: Mapping[str, str] | None
) -> Callable[[bytes], Any]:
    """Return the function that makes an instance of a line's or a record's bytes.

    It raises PredictionError where they are none.

    Args:
        signature: The signature that the instances are for.
        data_format: "text", "tf-record" or "tf-record-gzip".
        features: Input -> feature, where records are examples; None where a record is the instance itself.
    """
    if data_format != "text":
        return (lambda record: record) if features is None else ExampleReader(signature, features).instance
    return _text_instance if takes_one_text(signature) else _json_instance


def without_key(signature: Signature, instance: Any) -> tuple[Any, dict[str, Any]]:
    """Return an instance without its entry "key", and that entry; where the signature has its own "key" none is."""
    if not isinstance(instance, dict) or KEY in (*signature.inputs, *signature.outputs):
        return instance, {}
    key = instance.pop(KEY, _NO_KEY)
    return instance, {} if key is _NO_KEY else {KEY: key}


def _json_instance(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if not line.strip():
            raise PredictionError("The line is empty.") from None
        hint = " JSON has no NaN or Infinity." if b"NaN" in line or b"Infinity" in line else ""
        raise PredictionError(f"The line is not JSON: {error}.{hint}") from None


def _text_instance(line: bytes) -> Any:
    """Return what a JSON string, object or list says; any other line is the text itself."""
    if not line.strip():
        raise PredictionError("The line is empty.")
    if line.lstrip()[:1] in (b'"', b"{", b"["):
        try:
            return orjson.loads(line)
        except orjson.JSONDecodeError:
            pass
    return line.removesuffix(b"\n").removesuffix(b"\r")
