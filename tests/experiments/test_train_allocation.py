"""`mndt train allocation`: what it writes, going on, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from mndt.cli import main
from mndt.errors import InputError
from mndt.experiments import train_allocation
from mndt.optimise.allocation.methods import make_method
from mndt.optimise.allocation.problem import play
from mndt.optimise.allocation.scenarios import episode

SMALL = ["--users", "120", "--cells", "6"]


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["-q", "train", "allocation", *arguments])
    return result.exit_code, result.output


def test_training_writes_weights_that_work_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    code, said = call(*SMALL, "--rounds", "4", "--out", str(tmp_path / "whole"), "--json")
    assert code == 0
    assert json.loads(said.splitlines()[-1])["figures"]["rounds"] == 4
    for rounds in ("2", "4"):
        more = ["--resume"] if rounds == "4" else []
        assert call(*SMALL, "--rounds", rounds, "--out", str(tmp_path / "parts"), *more)[0] == 0
    one, other = (dict(np.load(tmp_path / name / "forecast.npz")) for name in ("whole", "parts"))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    curve = pq.read_table(tmp_path / "parts" / "curve.parquet").to_pydict()
    assert curve["round"] == [1, 2, 3, 4]
    assert all(0 < share <= 1 for share in curve["satisfaction"])
    assert "--scenario table2 --seed 0" in (tmp_path / "whole" / "forecast.md").read_text()
    scene = episode("table2", 0, n_users=120, n_cells=6)
    assert play(scene, make_method("learned", scene, weights=one), checked=True).satisfaction > 0.5


def test_a_budget_of_time_ends_with_whole_files(tmp_path: Path) -> None:
    found = train_allocation.train(out=tmp_path / "a", minutes=0.001, n_users=60, n_cells=4)
    assert found.figures["rounds"] == 1
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "checkpoint.npz", "curve.parquet", "forecast.md", "forecast.npz",
    ]  # fmt: skip


def test_training_ends_when_trials_bring_nothing_more() -> None:
    kept = {"satisfaction": [0.96, 0.97], "throughput": 1000.0}
    assert not train_allocation._settled([kept] * 2, 0.95)
    assert train_allocation._settled([kept] * 3, 0.95)
    assert not train_allocation._settled([kept, kept, kept | {"throughput": 1010.0}], 0.95)
    assert not train_allocation._settled([kept, kept | {"satisfaction": [0.94, 0.99]}, kept], 0.95)


def test_what_cannot_be_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for arguments, sentence in (
        (["--out", str(tmp_path / "mine")], "a new or empty folder"),
        (["--out", str(tmp_path / "none"), "--resume"], "leave out --resume"),
        (["--out", str(tmp_path / "b"), "--scenario", "table3"], "table2-umi"),
        (["--out", str(tmp_path / "mine"), "--stage", "edges"], "a new or empty folder"),
        (["--out", str(tmp_path / "mine"), "--stage", "demand"], "a new or empty folder"),
    ):
        code, said = call(*arguments)
        assert code == 2, said
        assert sentence in said
        assert "Traceback" not in said
    (tmp_path / "mine" / "checkpoint.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="train anew"):
        train_allocation.train(out=tmp_path / "mine", resume=True)
    assert not (tmp_path / "b").exists()
