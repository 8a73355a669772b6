"""How quickly the web app answers a photo of two million pixels: alone, and when sixteen come at once.

    python tests/benchmarks/detection_app.py [MODEL …]

Prints the load of the machine with the figures; they mean what README says only where that is below 1.
"""

import io
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import requests
from PIL import Image
from sklearn.datasets import load_sample_image

from mlhelpers import detection

ALONE, AT_ONCE = 60, 96


def photo() -> bytes:
    """Return a JPEG of 1632x1224 pixels, as phones made them."""
    stream = io.BytesIO()
    Image.fromarray(load_sample_image("china.jpg")).resize((1632, 1224)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def measure(model: str) -> None:
    """Print the figures of one model."""
    content = photo()
    with detection.start_app(model) as app, requests.Session() as session:

        def ask(_: int) -> tuple[float, int]:
            began = time.perf_counter()
            address = f"{app.address}/api/detect?threshold=0.1"
            answer = session.post(address, content, auth=("any", app.password), timeout=60)
            return 1e3 * (time.perf_counter() - began), answer.status_code

        for number in range(5):
            ask(number)
        server = psutil.Process(app.pid)
        before = sum(server.cpu_times()[:2])
        alone = [ask(number) for number in range(ALONE)]
        cpu_ms = 1e3 * (sum(server.cpu_times()[:2]) - before) / ALONE
        with ThreadPoolExecutor(16) as crowd:
            together = list(crowd.map(ask, range(AT_ONCE)))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    for words, answers in (("alone", alone), ("16 at once", together)):
        half, most = np.percentile([ms for ms, _ in answers], [50, 95])
        statuses = dict(Counter(status for _, status in answers))
        print(f"{model}, {words}: p50 {half:.0f} ms, p95 {most:.0f} ms, statuses {statuses}, load {load:.1f}")
    print(f"{model}: {cpu_ms:.0f} ms of one core's time a picture")


if __name__ == "__main__":
    for name in sys.argv[1:] or ["nanodet"]:
        measure(name)
