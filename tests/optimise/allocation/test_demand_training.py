"""Training of single-step demands, small enough for tests."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("optax")

from mndt.experiments import train_demand
from mndt.learn import demand_policy
from mndt.optimise.allocation import demand_training as training
from mndt.optimise.allocation.methods import equally_dividing
from mndt.optimise.allocation.pipeline import make_pipeline
from mndt.optimise.allocation.problem import play
from mndt.optimise.allocation.scenarios import episode

SMALL = {"n_users": 200, "n_cells": 8, "n_blocks": 27, "n_steps": 6}
town = partial(episode, "table2-umi", **SMALL)


def test_an_untrained_policy_decides_what_equally_dividing_decides():
    scene = town(1)
    course = training.Course(demand_policy.first())
    equal = play(scene, equally_dividing(scene, bonus=training.LAMBDA))
    from mndt.optimise.allocation.learned_stages import learned_demand

    mine = play(scene, training.by_solver(partial(learned_demand, weights=course.params), training.LAMBDA))
    assert mine.throughput == pytest.approx(equal.throughput, rel=1e-6)


def test_the_lower_the_floor_the_less_is_asked_for():
    curves = [training.train(town, rounds=14, floor=floor).curve for floor in (0.5, 1.0)]
    less, more = (np.mean([row["action"] for row in curve[-3:]]) for curve in curves)
    assert less < more - 0.5
    assert all(np.isfinite(list(row.values())).all() for curve in curves for row in curve)


def test_the_multiplier_rises_only_while_the_floor_is_not_kept():
    kept = training.train(town, rounds=3, floor=0.3, algorithm="ppo-lagrangian")
    missed = training.train(town, rounds=3, floor=1.0, algorithm="ppo-lagrangian")
    assert kept.multiplier.value == 0.0 < missed.multiplier.value


def test_training_goes_on_where_it_stopped_and_its_weights_are_a_stage(tmp_path: Path):
    arguments = {"n_users": 120, "n_cells": 6, "scenarios": ("table2",)}
    train_demand.train_demand(out=tmp_path / "whole", rounds=3, **arguments)
    train_demand.train_demand(out=tmp_path / "parts", rounds=2, **arguments)
    found = train_demand.train_demand(out=tmp_path / "parts", rounds=3, resume=True, **arguments)
    assert found.figures["rounds"] == 3
    one, other = (demand_policy.read(tmp_path / name / "demand.npz") for name in ("whole", "parts"))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert "--users 120 --cells 6 --rounds 3" in (tmp_path / "whole" / "demand.md").read_text()
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == ["curve.parquet", "demand.md", "demand.npz"]
    scene = town(1)
    method = make_pipeline("learned", "strongest", "random", "equal", weights=tmp_path / "whole" / "demand.npz")
    assert play(scene, method, checked=True).satisfaction > 0.3


def test_training_ends_when_the_floor_is_kept_and_nothing_more_is_gained():
    row = {"satisfaction": 0.96, "throughput": 1000.0}
    curve = [row | {"round": float(n + 1)} for n in range(2 * train_demand.STRETCH)]
    assert train_demand.settled(curve, 2, 0.95)
    assert not train_demand.settled(curve[:-1], 2, 0.95)
    assert not train_demand.settled(curve, 2, 0.97)
    rising = [row | {"throughput": 1000.0 + row["round"]} for row in curve]
    assert not train_demand.settled(rising, 2, 0.95)
    one_low = [row | {"satisfaction": 0.9 if row["round"] % 2 else 0.99} for row in curve]
    assert not train_demand.settled(one_low, 2, 0.92)
