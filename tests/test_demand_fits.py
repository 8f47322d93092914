from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mndt.cli import main
from mndt.users.demand.patterns import generate, load


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve places, three days, hours in any order."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("counts") / "counts.csv"
    hour = np.arange(72)
    rows = [
        f"cell{c},{3600 * t},{np.exp(7 - np.cos(t % 24 / 24 * 6.28) + 0.2 * rng.standard_normal()):.0f},{10 + c}"
        for c in range(12)
        for t in hour
    ]
    path.write_text("cell_id,time,bytes,users\n" + "\n".join(rng.permutation(rows)) + "\n")
    return path


def test_fit_writes_a_file_that_generates(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours.npz"
    result = CliRunner().invoke(main, ["fit", "demand", str(table), "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.output.splitlines()[-1])["figures"]
    assert (figures["places"], figures["slot_minutes"], figures["days"]) == (12, 60, 3)
    assert "sorted" in result.output
    made = generate(load(str(out)), [4], np.random.default_rng(0)).traffic
    assert made.shape == (4, 72)
    assert 300 < np.median(made) < 4000
    again = CliRunner().invoke(main, ["fit", "demand", str(table), "--out", str(out)])
    assert again.exit_code == 2
    assert "--force" in again.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--column", "traffic=volume"], "--column traffic is 'volume'"),
        (["--column", "traffic"], "OURS=NAME"),
        (["--out", "fit.csv"], "a file .npz"),
        (["--slot-minutes", "60"], "length of a slot is"),
    ],
)
def test_what_does_not_fit_is_one_sentence(table: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "x.npz")]
    result = CliRunner().invoke(main, ["fit", "demand", str(table), *out, *arguments])
    assert result.exit_code == 2
    assert words in result.output
    assert not (tmp_path / "x.npz").exists()
