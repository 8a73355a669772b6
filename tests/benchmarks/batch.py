"""Batch prediction beside doing it by hand: the test digits, repeated. `make bench` runs everything.

- `records`: our job on a TFRecord file with the shipped model, from the call of `batch_predict` to the job's end, files
  included. The budget is 20,000 images/s on two cores.
- `loop`: the same records read, predicted by LiteRT in batches of 64 with two threads, and written as JSON, in one
  plain Python loop.
- `savedmodel`: TensorFlow's own way: tf.data reads and parses in batches of 64, the SavedModel's signature predicts.
- `text`: our job on the same images as lines of JSON, an object with 784 numbers of four decimals each.

Each in processes of its own, interpreter and imports included; all have to agree on every digit. Rounds are interleaved
and the table shows medians, which mean something only beside each other, on a machine that is idle. The figures of
every round go to data/runs/benchmarks as JSON.

    .venv/bin/python tests/benchmarks/batch.py
    .venv/bin/python tests/benchmarks/batch.py --quick       does it run? The figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tabulate import tabulate

HERE = Path(__file__).resolve().parent
BATCH = 64
ROWS = {
    "records": "our job, TFRecord",
    "loop": "LiteRT in a plain loop, TFRecord",
    "savedmodel": "tf.data and SavedModel, TFRecord",
    "text": "our job, lines of JSON",
}


def model() -> Path:
    from mlhelpers import settings

    return settings.shipped_data() / "models" / "mnist"


def ours(path: Path, output: Path, data_format: str) -> None:
    from mlhelpers import serving

    serving.batch_predict(model(), str(path), output, data_format=data_format).wait(progress=False)


def records(path: Path, output: Path) -> None:
    ours(path, output, "tf-record")


def text(path: Path, output: Path) -> None:
    ours(path.with_suffix(".json"), output, "text")


def loop(path: Path, output: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    from mlhelpers.tfrecords import example_class, read_frames

    def batches() -> Iterator[np.ndarray]:
        pictures = []
        with path.open("rb") as stream:
            for data in read_frames(stream, path):
                feature = example_class().FromString(data).features.feature["image_raw"]
                pictures.append(np.frombuffer(feature.bytes_list.value[0], np.uint8).reshape(28, 28))
                if len(pictures) == BATCH:
                    yield np.array(pictures)
                    pictures = []
        if pictures:
            yield np.array(pictures)

    run = Interpreter(str(model() / "model.tflite"), num_threads=2).get_signature_runner("pixels")
    write(output, (run(pixels=batch) for batch in batches()))


def savedmodel(path: Path, output: Path) -> None:
    import tensorflow as tf

    spec = {"image_raw": tf.io.FixedLenFeature([], tf.string)}

    def pixels(batch: Any) -> Any:
        raw = tf.io.parse_example(batch, spec)["image_raw"]
        return tf.reshape(tf.io.decode_raw(raw, tf.uint8), [-1, 28, 28])

    data = tf.data.TFRecordDataset(str(path)).batch(BATCH).map(pixels, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    loaded = tf.saved_model.load(str(model()))
    run = loaded.signatures["pixels"]
    answers = (run(pixels=batch) for batch in data)
    write(output, ({name: value.numpy() for name, value in one.items()} for one in answers))


def write(output: Path, answers: Iterator[dict[str, np.ndarray]]) -> None:
    """Write answers as the standard library does."""
    output.mkdir()
    with (output / "prediction.results-00000-of-00001").open("w") as stream:
        for one in answers:
            for digit, row in zip(one["classes"].tolist(), one["probabilities"].tolist(), strict=True):
                stream.write(json.dumps({"classes": digit, "probabilities": row}) + "\n")


def make_inputs(folder: Path, repeats: int, lines: int) -> None:
    """Write the two input files."""
    from mlhelpers import datasets
    from mlhelpers.datasets.records import read_records

    datasets.prepare("mnist", folder / "mnist")
    once = folder / "mnist" / "test.tfrecords"
    content = once.read_bytes()
    with (folder / "digits.tfrecords").open("wb") as stream:
        for _ in range(repeats):
            stream.write(content)
    with (folder / "digits.json").open("w") as stream:
        for record in islice(read_records(once), lines):
            levels = [round(level / 255, 4) for level in record["image_raw"]]
            stream.write(json.dumps({"inputs": levels}) + "\n")


def measure(row: str, folder: Path, home: Path) -> dict[str, Any]:
    """Run one row in a process of its own; return what it took, and its digits."""
    output = folder / "out"
    shutil.rmtree(output, ignore_errors=True)
    environment = os.environ | {"MLHELPERS_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--row", row, "--folder", str(folder)]
    began = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    digits = [
        json.loads(line)["classes"]
        for path in sorted(output.glob("prediction.results-*"))
        for line in path.read_bytes().splitlines()
    ]
    return {"images_per_s": len(digits) / seconds, "seconds": seconds, "images": len(digits), "digits": digits}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help="which; all if none is named")
    parser.add_argument("--repeats", type=int, default=30, help="of the 10,000 test digits, in the TFRecord file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("data/runs/benchmarks"), help="where the figures go")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.row:
        globals()[flags.row](flags.folder / "digits.tfrecords", flags.folder / "out")
        return
    rounds, repeats, lines = (1, 1, 200) if flags.quick else (flags.rounds, flags.repeats, 10_000)
    figures: dict[str, list[dict[str, float]]] = {row: [] for row in flags.rows or ROWS}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_inputs(folder, repeats, lines)
        wanted: list[int] = []
        for _ in range(rounds):
            for row, found in figures.items():
                measured = measure(row, folder, folder / "home")
                digits = measured.pop("digits")
                wanted = wanted or digits
                differing = sum(one != other for one, other in zip(digits, wanted, strict=False))
                if differing:
                    raise SystemExit(f"{row} sees {differing} digits differently: this is not the same model.")
                found.append(measured)
                print(f"{row}: {measured['images_per_s']:,.0f} images/s", flush=True)
    base = median(one["images_per_s"] for one in next(iter(figures.values())))
    table = [
        [ROWS[row], int(found[0]["images"]), speed := median(one["images_per_s"] for one in found), speed / base]
        for row, found in figures.items()
    ]
    print(tabulate(table, ["", "images", "images/s", "of ours"], floatfmt=("", "", ",.0f", ".2f")))
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    flags.folder.mkdir(parents=True, exist_ok=True)
    path = flags.folder / f"batch-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"machine": machine, "figures": figures}, indent=1) + "\n")
    print(f"The figures of every round: {path}")


if __name__ == "__main__":
    main()
