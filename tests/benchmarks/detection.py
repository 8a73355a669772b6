"""Pictures a second through each detector that is on this machine, at 640x480, from pixels to boxes.

Each picture of scikit-image is brought to 640x480 and looked at in turn; what is measured is `Detector.detect`:
resizing, network, decoding and suppression. Beside the time on the wall stands the processor's: on a machine that is
busy with other things the first says more of those. The machine's load is written down with the figures.

    python tests/benchmarks/detection.py [--quick] [--models nanodet ssdlite …] [--folder FOLDER]
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from mlhelpers.detection import MODELS, load
from mlhelpers.detection.cards import SHIPPED
from mlhelpers.settings import cores

WANTED = {"nanodet": 25, "ssdlite": 20, "centernet": 20}  # pictures a second on two cores
PHOTOS = ("astronaut", "chelsea", "coffee")


def pictures() -> list[np.ndarray]:
    photos = (Image.fromarray(getattr(skimage.data, name)()) for name in PHOTOS)
    return [np.asarray(photo.resize((640, 480))) for photo in photos]


def measured(model: str, rounds: int) -> dict[str, float]:
    began = time.perf_counter()
    detector = load(model)
    seen = pictures()
    for picture in seen:
        detector.detect(picture)
    loaded = time.perf_counter() - began
    wall, processor = [], []
    for k in range(rounds * len(seen)):
        start, used = time.perf_counter(), time.process_time()
        detector.detect(seen[k % len(seen)])
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    median = statistics.median(wall)
    return {
        "pictures_per_second": round(1 / median, 1),
        "best_pictures_per_second": round(1 / min(wall), 1),
        "median_ms": round(median * 1e3, 1),
        "p95_ms": round(statistics.quantiles(wall, n=20)[-1] * 1e3, 1),
        "processor_ms": round(statistics.median(processor) * 1e3, 1),
        "load_ms": round(loaded * 1e3),
        "wanted_pictures_per_second": WANTED.get(Path(model).name, 0),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few pictures, to see that it runs")
    parser.add_argument("--models", nargs="+", default=[name for name, card in MODELS.items() if card.place == SHIPPED])
    parser.add_argument("--folder", type=Path, default=Path("data/runs/benchmarks"))
    given = parser.parse_args()
    report = {
        "machine": f"{platform.machine()}, {cores()} cores",
        "load_before": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "figures": {model: measured(model, 2 if given.quick else 60) for model in given.models},
    }
    given.folder.mkdir(parents=True, exist_ok=True)
    (given.folder / "detection.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
