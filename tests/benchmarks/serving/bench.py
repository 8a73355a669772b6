"""Prediction servers side by side: one 28x28 digit as JSON, the shipped model, two cores shared with the load.

Every server loads the same model, answers with class and ten probabilities, and is held against the model's own answer
before it is measured. The load is wrk's, at 1 and at 16 connections; servers take turns, round by round, and tables
show the median over the rounds. Peers lie in environments of their own below data/runs/benchmarks/serving, made by pip
when they are first asked for; all of them run LiteRT, their best case, and FastAPI the SavedModel besides.

- `requests/s`, `p99`: at 1 and at 16 connections; an answer that is not 200, or a broken connection, is counted wrong.
- `start`: from the start of the process to its first answer; `memory`: resident, of all its processes, after the load
  (what several of them share counts in each).
- `beyond`: our median latency at 1 connection over the sum of a LiteRT call in this process and an empty ASGI answer of
  the same uvicorn. The budget is 2.5.
- `--many N` sends ours N requests at 16 connections and tells the errors and the memory before and after.

wrk is Debian's (`apt install wrk`). Figures mean something only beside each other, on a machine that is idle.

    .venv/bin/python tests/benchmarks/serving/bench.py
    .venv/bin/python tests/benchmarks/serving/bench.py --only ours kserve --rounds 1
    .venv/bin/python tests/benchmarks/serving/bench.py --only ours --many 100000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests
from tabulate import tabulate

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
MODEL = ROOT / "data" / "models" / "mnist"
CONNECTIONS = (1, 16)
START_S = 90.0
TOLERANCE = 1e-5  # between LiteRT and TensorFlow


@dataclass(frozen=True)
class Peer:
    """A server: how it starts on a port, where it answers, what it needs.

    Attributes:
        title: What the table calls it.
        command: Its command in words; {python}, {bin}, {port}, {folder} are filled in.
        path: Where it answers.
        packages: What pip installs; nothing where this environment serves.
        environment: Variables besides.
        speaks: The protocol: "v1" ({"instances": …}) or "v2".
    """

    title: str
    command: str
    path: str = "/predict"
    packages: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    speaks: str = "v1"


_UVICORN = "{python} -m uvicorn --port {port} --log-level warning --no-access-log"
_LITERT = "ai-edge-litert==2.3.0"
_FASTAPI = ("fastapi==0.165.0", "uvicorn[standard]==0.54.0", _LITERT)
PEERS = {
    "ours": Peer(
        "mlhelpers", "{python} -m mlhelpers.cli serve --port {port} --model mnist={model}", "/v1/models/mnist:predict"
    ),
    "empty": Peer("an empty ASGI answer", f"{_UVICORN} empty_asgi:app"),
    "fastapi-savedmodel": Peer(
        "FastAPI, SavedModel",
        f"{_UVICORN} fastapi_peer:app",
        packages=("fastapi==0.165.0", "uvicorn[standard]==0.54.0", "tensorflow-cpu==2.21.0"),
        environment={"MODEL": "savedmodel"},
    ),
    "fastapi-litert": Peer(
        "FastAPI, LiteRT", f"{_UVICORN} fastapi_peer:app", packages=_FASTAPI, environment={"MODEL": "litert"}
    ),
    "kserve": Peer(
        "kserve, LiteRT",
        "{python} kserve_peer.py {port}",
        "/v1/models/mnist:predict",
        packages=("kserve==0.21.0", _LITERT),
    ),
    "litserve": Peer("LitServe, LiteRT", "{python} litserve_peer.py {port}", packages=("litserve==0.2.19", _LITERT)),
    "bentoml": Peer(
        "BentoML, LiteRT",
        "{bin}/bentoml serve bentoml_peer:Digits --port {port}",
        packages=("bentoml==1.4.39", _LITERT),
    ),
    "mlserver": Peer(
        "MLServer, LiteRT",
        "{bin}/mlserver start {folder}",
        "/v2/models/mnist/infer",
        packages=("mlserver==1.7.1", _LITERT),
        speaks="v2",
    ),
}


def picture() -> np.ndarray:
    """Return one digit (784,), float32 in 0..1: strokes of a 7, soft at the edges."""
    rows, columns = np.mgrid[0:28, 0:28]
    bar = np.exp(-(((rows - 7) / 1.3) ** 2)) * ((columns > 7) & (columns < 20))
    stem = np.exp(-(((columns - 19 + (rows - 7) * 0.45) / 1.4) ** 2)) * ((rows > 6) & (rows < 23))
    return np.round(np.clip(bar + stem, 0, 1), 4).astype(np.float32).reshape(-1)


def body(speaks: str) -> bytes:
    """Return the request of a protocol."""
    values = [round(float(value), 4) for value in picture()]
    grid = [values[row : row + 28] for row in range(0, 784, 28)]
    if speaks == "v1":
        return json.dumps({"instances": [grid]}).encode()
    entry = {"name": "inputs", "shape": [1, 28, 28], "datatype": "FP32", "data": values}
    return json.dumps({"inputs": [entry]}).encode()


def probabilities(answer: Any, speaks: str) -> np.ndarray:
    """Return the ten probabilities of an answer."""
    if speaks == "v1":
        return np.array(answer["predictions"][0]["probabilities"])
    return np.array(next(output["data"] for output in answer["outputs"] if output["name"] == "probabilities"))


def in_process() -> tuple[np.ndarray, float]:
    """Return the model's own answer and the median milliseconds of a LiteRT call."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(MODEL / "model.tflite"), num_threads=2).get_signature_runner("serving_default")
    given, times = picture()[None], []
    for _ in range(3000):
        began = time.perf_counter()
        found = run(inputs=given)
        times.append(1e3 * (time.perf_counter() - began))
    return found["probabilities"][0], statistics.median(times[500:])


def make_environment(name: str, folder: Path) -> Path:
    """Return the folder of a peer's programs; made with pip where it is not there."""
    peer = PEERS[name]
    if not peer.packages:
        return Path(sys.executable).parent
    place = folder / name
    wanted = place / "packages.txt"
    if not wanted.is_file() or wanted.read_text() != "\n".join(peer.packages):
        shutil.rmtree(place, ignore_errors=True)
        print(f"making the environment of {name}: {', '.join(peer.packages)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([place / "bin" / "python", "-m", "pip", "install", "-q", *peer.packages], check=True)
        wanted.write_text("\n".join(peer.packages))
    return place / "bin"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(name: str, programs: Path, scratch: Path) -> Iterator[tuple[str, psutil.Process, float]]:
    """Run a server inside the block: its address, its process, and the seconds to its first answer."""
    peer, port = PEERS[name], free_port()
    folder = scratch / name
    folder.mkdir(exist_ok=True)
    if name == "mlserver":
        own = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port(), "parallel_workers": 0}
        (folder / "settings.json").write_text(json.dumps({**own, "host": "127.0.0.1", "debug": False}))
        model = {"name": "mnist", "implementation": "mlserver_peer.Digits"}
        (folder / "model-settings.json").write_text(json.dumps(model))
    words = peer.command.format(python=programs / "python", bin=programs, port=port, folder=folder, model=MODEL).split()
    paths = [HERE / "peers", *([ROOT] if name == "ours" else [])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "DIGITS": str(MODEL)}
    environment |= dict(peer.environment) | {"MLHELPERS_HOME": str(scratch / "home"), "DO_NOT_TRACK": "1"}
    log = (scratch / f"{name}.log").open("wb")
    began = time.perf_counter()
    process = psutil.Popen(words, cwd=HERE / "peers", env=environment, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        _await_answer(address + peer.path, body(peer.speaks), process, scratch / f"{name}.log")
        yield address, process, time.perf_counter() - began
    finally:
        for one in [*_tree(process), process]:
            with suppress(psutil.Error):
                one.kill()
        process.wait()
        log.close()


def _await_answer(url: str, request: bytes, process: psutil.Process, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(requests.RequestException):
            if requests.post(url, data=request, headers={"Content-Type": "application/json"}, timeout=10).ok:
                return
        time.sleep(0.02)
    raise SystemExit(f"{url} does not answer. Its log ends:\n{log.read_text(errors='replace')[-2000:]}")


def _tree(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        found: list[psutil.Process] = process.children(recursive=True)
        return found
    return []


def memory_mb(process: psutil.Process) -> float:
    """Return the resident memory of a server's processes."""
    return sum(one.memory_info().rss for one in [process, *_tree(process)]) / 2**20


def load(url: str, request: Path, connections: int, seconds: float) -> dict[str, float]:
    """Send requests for some seconds; return what wrk tells."""
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "-s", str(HERE / "post.lua"), url]
    done = subprocess.run(words, env=os.environ | {"BODY": str(request)}, capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("FIGURES "))
    figures: dict[str, float] = json.loads(line.removeprefix("FIGURES "))
    return figures | {"per_second": figures["requests"] / figures["seconds"]}


def measure(name: str, programs: Path, scratch: Path, wanted: np.ndarray, seconds: float) -> dict[str, Any]:
    """Start a server, hold its answer against the model's own, load it; return its figures."""
    peer = PEERS[name]
    request = scratch / f"{peer.speaks}.json"
    request.write_bytes(body(peer.speaks))
    with running(name, programs, scratch) as (address, process, start_s):
        url = address + peer.path
        if name != "empty":
            headers = {"Content-Type": "application/json"}
            answer = requests.post(url, data=request.read_bytes(), headers=headers, timeout=10).json()
            apart = float(np.abs(probabilities(answer, peer.speaks) - wanted).max())
            if apart > TOLERANCE:
                raise SystemExit(f"{name} answers {apart:g} away from the model.")
        load(url, request, 4, min(2.0, seconds))
        figures: dict[str, Any] = {str(count): load(url, request, count, seconds) for count in CONNECTIONS}
        return figures | {"start_s": start_s, "memory_mb": memory_mb(process)}


def send_many(count: int, programs: Path, scratch: Path) -> dict[str, float]:
    """Send ours a number of requests at 16 connections; return the errors and the memory before and after."""
    request = scratch / "v1.json"
    request.write_bytes(body("v1"))
    with running("ours", programs, scratch) as (address, process, _):
        url = address + PEERS["ours"].path
        load(url, request, 16, 5)
        before, sent, wrong = memory_mb(process), 0, 0
        while sent < count:
            found = load(url, request, 16, 10)
            sent, wrong = sent + int(found["requests"]), wrong + int(found["wrong"] + found["broken"])
        return {"sent": sent, "wrong": wrong, "before_mb": before, "after_mb": memory_mb(process)}


def _median(rounds: list[dict[str, Any]], *keys: str) -> float:
    values = []
    for one in rounds:
        value: Any = one
        for key in keys:
            value = value[key]
        values.append(float(value))
    return statistics.median(values)


def show(figures: Mapping[str, list[dict[str, Any]]], call_ms: float) -> None:
    """Print the table, and how far ours is from the least that there can be."""
    rows = []
    for name, rounds in figures.items():
        row = [PEERS[name].title]
        for count in map(str, CONNECTIONS):
            row += [f"{_median(rounds, count, 'per_second'):.0f}", f"{_median(rounds, count, 'p99_ms'):.2f}"]
        wrong = sum(one[str(count)]["wrong"] + one[str(count)]["broken"] for one in rounds for count in CONNECTIONS)
        row += [f"{_median(rounds, 'start_s'):.2f}", f"{_median(rounds, 'memory_mb'):.0f}", f"{wrong:.0f}"]
        rows.append(row)
    heads = ["server"]
    for count in CONNECTIONS:
        heads += [f"requests/s at {count}", "p99 ms"]
    print(tabulate(rows, [*heads, "start s", "memory MB", "wrong"], tablefmt="github", disable_numparse=True))
    print(f"a LiteRT call in process: {call_ms:.3f} ms")
    if "ours" in figures and "empty" in figures:
        least = call_ms + _median(figures["empty"], "1", "p50_ms")
        ours = _median(figures["ours"], "1", "p50_ms")
        print(f"ours at 1 connection: {ours:.3f} ms, {ours / least:.2f} times a LiteRT call and an empty ASGI answer")


def main() -> None:
    """Measure, print, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), metavar="SERVER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of load, at each number of connections")
    parser.add_argument("--many", type=int, default=0, help="requests to ours in a row, after the rounds")
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "runs" / "benchmarks")
    flags = parser.parse_args()
    flags.folder = flags.folder.resolve()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed. On Debian and Ubuntu:  apt install wrk")
    programs = {name: make_environment(name, flags.folder / "serving") for name in flags.only}
    wanted, call_ms = in_process()
    figures: dict[str, list[dict[str, Any]]] = {name: [] for name in flags.only}
    many = {}
    with tempfile.TemporaryDirectory(prefix="mlhelpers-bench-") as place:
        for number in range(flags.rounds):
            for name in flags.only:
                print(f"round {number + 1} of {flags.rounds}: {name}", flush=True)
                figures[name].append(measure(name, programs[name], Path(place), wanted, flags.seconds))
        if flags.many:
            many = send_many(flags.many, programs["ours"], Path(place))
    show(figures, call_ms)
    if many:
        print(
            "many requests: {sent} sent, {wrong} wrong, {before_mb:.0f} MB before, {after_mb:.0f} MB after".format(
                **many
            )
        )
    told = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "litert_ms": call_ms, "many": many}
    flags.folder.mkdir(parents=True, exist_ok=True)
    path = flags.folder / f"serving-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(told | {"figures": figures}, indent=1) + "\n")
    print(f"figures: {path}")


if __name__ == "__main__":
    main()
