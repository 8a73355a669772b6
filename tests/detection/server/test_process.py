"""The web app as a process of its own, with a shipped model and a real photo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import requests
from colour_detector import picture_file
from PIL import Image
from sklearn.datasets import load_sample_image

from mlhelpers import detection
from mlhelpers.errors import UsageError


def test_it_answers_with_the_shipped_model_and_ends_with_its_block() -> None:
    photo = picture_file(Image.fromarray(load_sample_image("china.jpg")))
    with detection.start_app() as app:
        answer = requests.post(f"{app.address}/api/detect?threshold=0.3", photo, auth=("any", app.password), timeout=30)
        refused = requests.get(app.address, timeout=30)
        running = psutil.Process(app.pid)
        words = " ".join(running.cmdline())
    assert (answer.status_code, refused.status_code) == (200, 401)
    assert answer.json()["model"] == "nanodet"
    assert answer.json()["size"] == {"width": 640, "height": 427}
    assert app.password not in words
    assert not running.is_running()


def test_a_wrong_model_is_told_to_whoever_starts_it() -> None:
    with pytest.raises(UsageError, match=r"There is no detector 'nanodett'\. Did you mean 'nanodet'"):
        detection.start_app("nanodett")


def test_the_command_prints_the_password_that_it_made_and_ends_in_peace_when_interrupted() -> None:
    command = [sys.executable, "-m", "mlhelpers.cli", "detect", "serve", "--port", "0"]
    environment = {key: text for key, text in os.environ.items() if key != "MLHELPERS_DETECT_PASSWORD"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[2]
            password = server.stdout.readline().split()[1]
            assert requests.get(f"{address}/api/models", auth=("me", password), timeout=30).ok
            began = time.monotonic()
            server.send_signal(signal.SIGINT)
            said, faults = server.communicate(timeout=20)
        finally:
            server.kill()
    assert (server.returncode, faults) == (0, "")
    assert time.monotonic() - began < 4
    assert password not in said
