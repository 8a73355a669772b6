"""The TFRecord format without TensorFlow: `framing` is the row of records in a file, `example` what is in a record.

The data sets write it and read it back; a batch prediction reads anybody's. May import `errors` alone.
"""

from __future__ import annotations

from mlhelpers.tfrecords.example import Value, example_class, serialize, single_value
from mlhelpers.tfrecords.framing import DamagedRecordError, frame, read_frames, skip_frames

__all__ = ["DamagedRecordError", "Value", "example_class", "frame", "read_frames", "serialize"]
__all__ += ["single_value", "skip_frames"]
