"""The wheel alone, in an empty environment, is the whole product."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def call(*command: object, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_runs_in_an_empty_environment(tmp_path: Path) -> None:
    call(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("mndt-*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    bin_dir = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    call(bin_dir / "pip", "install", "--quiet", wheel, cwd=tmp_path)
    assert call(bin_dir / "mndt", "--version", cwd=tmp_path).strip().endswith("0.1.0")
    call(bin_dir / "mndt", "-q", "run", "helsinki", "--minutes", "0.1", "--out", "run", cwd=tmp_path)
    call(bin_dir / "mndt", "-q", "report", "run", "--out", "report.html", cwd=tmp_path)
    assert (tmp_path / "report.html").stat().st_size > 100_000
