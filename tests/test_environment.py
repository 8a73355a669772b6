"""What the environment check finds, and the cure it names."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from mlhelpers import environment, settings


def _finding(check: str) -> environment.Finding:
    return next(finding for finding in environment.check().findings if finding.check == check)


def test_here_everything_is_ready() -> None:
    report = environment.check()

    assert report.is_ready, str(report)
    assert [finding for finding in report.findings if finding.state == "missing"] == []


def test_what_is_found_is_true(home: Path) -> None:
    assert platform.python_version() in _finding("Python").found
    assert sys.executable in _finding("Python").found
    assert f"{psutil.virtual_memory().total / 1e9:.1f} GB" in _finding("memory").found
    assert str(home) in _finding("local store").found
    assert f"uvicorn {importlib.metadata.version('uvicorn')}" in _finding("serving").found
    assert int(_finding("cores").found) <= (psutil.cpu_count() or 1)


def test_it_only_looks(home: Path) -> None:
    environment.check()

    assert not home.exists()


def test_it_imports_no_heavy_package() -> None:
    code = "import sys; from mlhelpers import environment; environment.check(); print('tensorflow' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_every_line_that_is_not_ok_has_a_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "_installed", lambda name: None)
    monkeypatch.setattr(settings, "shipped_data", lambda: tmp_path)
    settings.use(mirror=tmp_path / "nowhere", home=tmp_path / "file" / "home")
    (tmp_path / "file").write_text("in the way")

    report = environment.check()

    assert not report.is_ready
    for finding in report.findings:
        assert bool(finding.cure) == (finding.state != "ok"), finding


def test_a_missing_package_is_named_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = environment._installed
    monkeypatch.setattr(environment, "_installed", lambda name: None if name == "uvicorn" else real(name))

    finding = _finding("serving")

    assert finding.state == "missing"
    assert finding.found.endswith("lacks uvicorn")
    assert re.fullmatch(r"pip install -e '.*\[serve\]'", finding.cure)


def test_a_package_that_is_too_old_is_named_with_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_installed", lambda name: "0.9.1")

    assert "uvicorn 0.9.1 (needs 0.34)" in _finding("serving").found


def test_the_cpu_build_of_tensorflow_counts_as_tensorflow() -> None:
    assert "tensorflow " in _finding("training").found


def test_what_the_offline_notebooks_do_not_need_is_only_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    real = environment._installed
    monkeypatch.setattr(environment, "_installed", lambda name: None if name == "google-cloud-storage" else real(name))

    report = environment.check()

    assert next(finding for finding in report.findings if finding.check.startswith("Vertex AI")).state == "note"
    assert report.is_ready


def test_another_python_is_told_with_the_ones_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "sys", SimpleNamespace(version_info=(3, 10, 1), executable="/python3.10"))

    finding = _finding("Python")

    assert finding.state == "missing"
    assert "3.11, 3.12 or 3.13" in finding.cure


def test_little_memory_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=4e9, available=1e9))

    assert _finding("memory") == environment.Finding(
        "memory", "4.0 GB, 1.0 GB free", "note", "Training wants about 3 GB: close other programs."
    )


def test_a_dead_mirror_is_a_note_and_the_shipped_files_stay(tmp_path: Path) -> None:
    with settings.using(mirror=tmp_path / "nowhere"):
        finding = _finding("mirror")

    assert finding.state == "note"
    assert "which is no folder" in finding.found
    assert "the shipped files are used meanwhile" in finding.cure


def test_a_store_that_cannot_be_written_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with settings.using(home=tmp_path / "file" / "home"):
        finding = _finding("local store")

    assert finding.state == "missing"
    assert "MLHELPERS_HOME" in finding.cure


def test_a_shipped_file_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"x")
    monkeypatch.setattr(settings, "shipped_data", lambda: tmp_path)

    finding = _finding("data: mnist")

    assert finding.state == "missing"
    assert "lacks train-labels-idx1-ubyte.gz" in finding.found
    assert "git checkout -- data/mnist" in finding.cure


def test_a_gpu_tool_that_fails_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'cannot talk to the driver'; exit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert _finding("GPU").found == "none that answers; nothing here needs one"

    program.write_text("#!/bin/sh\necho 'NVIDIA T4'; echo 'NVIDIA T4'\n")
    assert _finding("GPU").found == "NVIDIA T4, NVIDIA T4"


def test_the_notebook_shows_a_table_whose_text_cannot_become_markup() -> None:
    report = environment.Report((environment.Finding("x", "<script>", "missing", "a & b"),))

    shown = report._repr_html_()

    assert "&lt;script&gt;" in shown
    assert "a &amp; b" in shown
    assert "<script>" not in shown
    assert shown.count("<tr>") == 2


def test_the_text_is_a_table_of_three_columns() -> None:
    assert str(environment.check()).splitlines()[0].split() == ["check", "found", "cure"]
