"""Table II: what is computed from records, what is played again, and a small table end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mndt.cli import main
from mndt.errors import InputError
from mndt.experiments import _table2_jobs, table2
from mndt.experiments._table2_jobs import Job, Record, made, play_all
from mndt.experiments._table2_training import scene_of
from mndt.optimise.allocation.scenarios import FIRST_TRAINING_SEED, TEST_SEEDS, episode

SMALL = (("n_users", 30), ("n_cells", 5), ("n_blocks", 8), ("n_steps", 3))
LEAST = {"n_users": 60, "n_cells": 8, "n_steps": 3}


def records(**changes: list[tuple[float, float]]) -> dict[str, list[Record]]:
    """Two seeds of every row: throughput and satisfaction."""
    usual = {row.key: [(90.0, 0.9), (110.0, 0.8)] for row in [*table2.ROWS, table2.AGAIN]}
    return {key: [Record(*pair, ms=5.0, powerless=0.1) for pair in pairs] for key, pairs in (usual | changes).items()}


def test_ratios_are_to_the_best_run_that_ignores_demands_on_each_seed():
    found = table2.figures_of(
        "table2-umi",
        records(
            ignoring=[(100.0, 0.9), (100.0, 0.9)],
            ignoring_again=[(90.0, 0.9), (110.0, 0.9)],
            ignoring_planned=[(120.0, 0.9), (105.0, 0.9)],
            ours=[(98.0, 0.96), (107.8, 0.94)],
            planner_99=[(115.0, 0.99), (115.0, 0.99)],
        ),
    )
    assert found["ratio_ours_to_ignoring_table2_umi"] == pytest.approx((98 + 107.8) / (100 + 110))
    assert found["ratio_planner_99_to_ignoring_table2_umi"] == pytest.approx(230 / (120 + 110))
    assert found["satisfaction_ours_table2_umi"] == pytest.approx(0.95)
    assert found["satisfaction_min_ours_table2_umi"] == 0.94
    assert found["throughput_interval_ours_table2_umi"] == pytest.approx(12.706 * 4.9, rel=1e-3)  # t of one degree


def test_unsuffixed_figures_are_the_worst_scenario():
    a = table2.figures_of("table2", records(ours=[(95.0, 0.97), (95.0, 0.96)]))
    b = table2.figures_of("table2-umi", records(ours=[(80.0, 0.99), (80.0, 0.98)]))
    found = table2.worst(a | b, ["table2", "table2-umi"])
    assert found["throughput_ours"] == 80
    assert found["satisfaction_min_ours"] == 0.96
    assert found["ratio_ours_to_ignoring"] == b["ratio_ours_to_ignoring_table2_umi"]
    assert found["ratio_ours_to_ignoring"] < a["ratio_ours_to_ignoring_table2"]
    assert "table2-45" not in table2.JUDGED


def test_the_papers_lines_are_the_papers():
    found = table2.figures_of("table2", records())
    lines = table2.table(found, ["table2"]).splitlines()
    assert lines[1].split() == ["ours", "461,000", "0.890", "95.28"]
    assert lines[2].split() == ["equally", "dividing", "412,000", "0.795", "99.02"]
    assert lines[3].split() == ["ignoring", "demands", "518,000", "1.000", "91.45"]
    assert len(lines) == 1 + 3 + 1 + len(table2.ROWS)


def test_finished_episodes_are_not_played_again_and_others_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    jobs = [Job("table2", seed, "fundamentals", size=SMALL) for seed in (0, 1)]
    first = play_all(jobs[:1], tmp_path, 1)
    assert first[jobs[0]].throughput > 0
    played: list[int] = []
    honest = _table2_jobs.play_one
    monkeypatch.setattr(_table2_jobs, "play_one", lambda task: (played.append(task[0].seed), honest(task)))
    both = play_all(jobs, tmp_path, 1)
    assert played == [1]
    assert both[jobs[0]] == first[jobs[0]]
    monkeypatch.setattr(_table2_jobs, "sources_digest", lambda: b"changed")
    play_all(jobs[:1], tmp_path, 1)
    assert played == [1, 0]


def test_a_torn_record_counts_as_none(tmp_path: Path):
    job = Job("table2", 0, "fundamentals", size=SMALL)
    sound = play_all([job], tmp_path, 1)[job]
    (file,) = tmp_path.glob("*.json")
    file.write_text(file.read_text()[:20])
    again = play_all([job], tmp_path, 1)[job]
    assert (again.throughput, again.satisfaction) == (sound.throughput, sound.satisfaction)


def test_training_sees_no_test_seed_and_no_episode_twice():
    seen = [scene_of(("table2",), seed, SMALL, number).demand.tobytes() for seed in range(3) for number in range(4)]
    assert len(set(seen)) == 12
    assert seen[0] == episode("table2", FIRST_TRAINING_SEED + 10_000, **dict(SMALL)).demand.tobytes()
    assert max(TEST_SEEDS) < FIRST_TRAINING_SEED


def test_trained_weights_are_what_the_learned_method_plays_with(tmp_path: Path):
    file = tmp_path / "weights.npz"
    scene, shipped = made(Job("table2", 0, "learned", size=SMALL))
    from mndt.optimise.allocation.methods import shipped_forecast

    np.savez(file, **{name: array + 3.0 for name, array in shipped_forecast().items()})
    _, trained = made(Job("table2", 0, "learned", size=SMALL, weights=str(file)))
    moment, _ = scene.advance(scene.start(), shipped(scene.start()))
    assert moment is not None
    assert shipped(moment).power_w.tobytes() != trained(moment).power_w.tobytes()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table2, "QUICK", LEAST)


def test_a_small_table_from_the_command_line(tmp_path: Path, tiny: None):
    wanted = [
        "reproduce",
        "table2",
        "--quick",
        "--seeds",
        "2",
        "--scenario",
        "table2",
        "--out",
        str(tmp_path),
        "--json",
    ]
    done = CliRunner().invoke(main, wanted, catch_exceptions=False)
    assert done.exit_code == 0
    content = json.loads(done.stdout.splitlines()[-1])
    assert content["name"] == "table2"
    assert content["seeds"] == [0, 1]
    figures = content["figures"]
    for row in table2.ROWS:
        for name in ("throughput", "satisfaction", "satisfaction_min", "ms"):
            assert figures[f"{name}_{row.key}_table2"] == figures[f"{name}_{row.key}"]
    assert 0.8 < figures["ratio_ours_to_ignoring"] <= 1.02
    assert figures["throughput_ours"] > figures["throughput_fundamentals"]
    assert (tmp_path / "frontier.png").read_bytes()[:4] == b"\x89PNG"


def test_what_does_not_fit_is_answered_in_a_sentence(tmp_path: Path):
    with pytest.raises(InputError, match="--seeds is 101, allowed is 1 to 100"):
        table2.run(seeds=101, out=tmp_path)
    with pytest.raises(InputError, match="scenario is 'table3'"):
        table2.run(seeds=1, scenarios=["table3"], out=tmp_path)
    with pytest.raises(InputError, match="--scenario is table2-city, allowed is table2, table2-umi, table2-45 with"):
        table2.run(quick=True, scenarios=["table2-city"], out=tmp_path)
    assert not list(tmp_path.iterdir())
