"""The server as Vertex AI's serving container: its variables, and its Dockerfile run without Docker."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import pytest
from app_server import ask

from mlhelpers.errors import ModelError, UsageError
from mlhelpers.serving.server.container import container_from

BODY = json.dumps({"instances": [[0.5] * 784]}).encode()
DOCKERFILE = "mlhelpers/serving/server/Dockerfile"


def test_without_a_port_it_is_no_container() -> None:
    assert container_from({"AIP_STORAGE_URI": "gs://bucket/model"}) is None


def test_routes_have_the_platforms_local_defaults() -> None:
    container = container_from({"AIP_HTTP_PORT": "8080"})

    assert container is not None
    assert (container.port, container.predict_route, container.health_route) == (8080, "/predict", "/health")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"AIP_HTTP_PORT": "http"}, "AIP_HTTP_PORT is 'http'; it should be a port"),
        ({"AIP_HTTP_PORT": "0"}, "it should be a port"),
        ({"AIP_HTTP_PORT": "65536"}, "it should be a port"),
        ({"AIP_HTTP_PORT": "8080", "AIP_PREDICT_ROUTE": "predict"}, "AIP_PREDICT_ROUTE is 'predict'"),
        ({"AIP_HTTP_PORT": "8080", "AIP_HEALTH_ROUTE": "/a b"}, "AIP_HEALTH_ROUTE is '/a b'"),
    ],
)
def test_a_variable_that_cannot_be_is_refused_by_name(variables: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        container_from(variables)


def test_which_model_has_to_be_said(tiny_export: Path, tmp_path: Path) -> None:
    container = container_from({"AIP_HTTP_PORT": "8080"})
    stored = container_from({"AIP_HTTP_PORT": "8080", "AIP_STORAGE_URI": str(tiny_export)})
    assert container is not None
    assert stored is not None

    assert stored.model({}) == ("model", {"model": tiny_export})
    assert container.model({"digits": tiny_export}) == ("digits", {"digits": tiny_export})
    with pytest.raises(UsageError, match="which model it serves is not said"):
        container.model({})
    missing = container_from({"AIP_HTTP_PORT": "8080", "AIP_STORAGE_URI": str(tmp_path / "none")})
    assert missing is not None
    with pytest.raises(ModelError, match="does not exist"):
        missing.model({})


def _steps(repository: Path) -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions: (name, what it says)."""
    lines = (repository / DOCKERFILE).read_text("utf-8").splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]  # type: ignore[misc]


def _variables(steps: list[tuple[str, str]], workdir: Path) -> dict[str, str]:
    text = " ".join(said for name, said in steps if name == "ENV")
    return {key: value.replace("/srv", str(workdir)) for key, value in re.findall(r"(\w+)=(\S+)", text)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_image_copies_what_is_there_and_pins_what_it_installs(repository: Path) -> None:
    steps = _steps(repository)
    copied = [name for step, said in steps if step == "COPY" for name in said.split()[:-1]]
    installs = [said for step, said in steps if step == "RUN" and "install " in said]

    assert copied
    assert all((repository / name).exists() for name in copied)
    assert len(installs) == 2
    assert all("requirements.lock" in said or "--require-hashes" in said for said in installs)
    assert not re.search(r"https?://", "".join(said for _, said in steps))  # whatever index pip is set to


@pytest.mark.parametrize("python", ["this one", pytest.param("the image's", marks=pytest.mark.slow)])
def test_the_images_command_answers_as_the_platform_asks(
    repository: Path, tmp_path: Path, tiny_export: Path, python: str
) -> None:
    steps = _steps(repository)
    workdir = tmp_path / "srv"
    workdir.mkdir()
    for said in (said for step, said in steps if step == "COPY"):
        *names, _ = said.split()
        for name in names:
            source, target = repository / name, workdir / name
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    binaries = _installed(steps, workdir, tmp_path) if python == "the image's" else Path(sys.executable).parent
    port = _free_port()
    platform = {
        "AIP_HTTP_PORT": str(port),
        "AIP_PREDICT_ROUTE": "/v1/endpoints/12/deployedModels/34:predict",
        "AIP_HEALTH_ROUTE": "/v1/endpoints/12/deployedModels/34",
        "AIP_STORAGE_URI": str(tiny_export),
    }
    # as in the image: nothing of this machine's environment
    environment = {"PATH": f"{binaries}:/usr/bin:/bin", **_variables(steps, workdir), **platform}
    environment["MLHELPERS_HOME"] = str(tmp_path / "home")
    command = json.loads(next(said for step, said in steps if step == "CMD"))
    process = subprocess.Popen(command, cwd=workdir, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"Serving at http://127.0.0.1:{port}")
        statuses = set()
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 30
        while time.monotonic() < deadline and 200 not in statuses:
            statuses.add(ask(address, "GET", platform["AIP_HEALTH_ROUTE"]).status)
        answer = ask(address, "POST", platform["AIP_PREDICT_ROUTE"], BODY)

        assert statuses <= {200, 503}
        assert answer.status == 200
        assert list(json.loads(answer.body)) == ["predictions"]
        assert ask(address, "GET", platform["AIP_PREDICT_ROUTE"]).status == 405
        connections = Path(f"/proc/{process.pid}/net/tcp")
        if connections.exists():
            assert f" 00000000:{port:04X} " in connections.read_text()  # every address: the platform is outside
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


def _installed(steps: list[tuple[str, str]], workdir: Path, tmp_path: Path) -> Path:
    """Run the image's RUN steps in an environment of their own; return the folder of its programs."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    extras = next(said for step, said in steps if step == "ARG").split("=", 1)[1].strip('"')
    for said in (said for step, said in steps if step == "RUN" and "useradd" not in said):
        command = said.replace("uv pip install --system", "uv pip install")
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        environment: dict[str, Any] = {**os.environ, "PATH": path, "EXTRAS": extras, "VIRTUAL_ENV": str(folder)}
        environment.pop("PYTHONPATH", None)  # tests/no_network would keep pip from the index
        done = subprocess.run(
            ["sh", "-c", command], cwd=workdir, env=environment, capture_output=True, text=True, timeout=250
        )
        if done.returncode and re.search(r"No matching distribution|[Cc]onnect|resolve|dns|error sending", done.stderr):
            pytest.skip(f"NO PACKAGE INDEX: {done.stderr.strip().splitlines()[-1][:200]}")
        assert done.returncode == 0, done.stderr
    return folder / "bin"


def test_health_is_503_while_the_model_loads_and_where_it_cannot(
    own_export: Path, home: Path, repository: Path
) -> None:
    (own_export / "model.tflite").write_bytes(b"broken")
    port = _free_port()
    environment = {**os.environ, "AIP_HTTP_PORT": str(port), "AIP_STORAGE_URI": str(own_export)}
    process = subprocess.Popen(
        [sys.executable, "-m", "mlhelpers.cli", "serve"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.5)
        answer = ask(f"http://127.0.0.1:{port}", "GET", "/health")

        assert answer.status == 503
        assert json.loads(answer.body) == {"error": "The model is not loaded yet."}
        assert ask(f"http://127.0.0.1:{port}", "POST", "/predict", BODY).status == 500
    finally:
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert "The container's model cannot be loaded" in log
