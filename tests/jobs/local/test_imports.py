"""What stands between a submission and the trainer's first line is kept small."""

from __future__ import annotations

import subprocess
import sys


def test_a_supervisor_starts_its_trainer_without_a_library() -> None:
    code = "import sys, mlhelpers.jobs.local.supervisor; print(*sorted({n.split('.')[0] for n in sys.modules}))"

    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()

    assert {"psutil", "click", "yaml", "tqdm", "numpy"}.isdisjoint(loaded)
