"""Constraints by name, episodes, and every method on states of all kinds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.learn.forecaster import fit, start_weights
from mndt.optimise.allocation import forecast, forecast_training
from mndt.optimise.allocation.methods import METHODS, make_method
from mndt.optimise.allocation.outlook import Outlook
from mndt.optimise.allocation.problem import Choice, Episode, Limits, Moment, check, play
from mndt.optimise.allocation.solver import Effort

Array = np.ndarray
QUICK = Effort(power_steps=10)


def town(
    seed: int, n_users: int = 60, n_cells: int = 6, n_blocks: int = 14, n_steps: int = 5, walk_m: float = 10
) -> Episode:
    """People who walk through a town of a few cells."""
    rng = np.random.default_rng(seed)
    start, step, cell = (
        rng.uniform(0, 400, (n_users, 2)),
        rng.normal(0, walk_m, (n_users, 2)),
        rng.uniform(0, 400, (n_cells, 2)),
    )

    def gain_at(number: int) -> Array:
        distance_m = np.linalg.norm((start + number * step)[:, None] - cell, axis=2)
        return (1e-4 * np.maximum(distance_m, 5.0) ** -2.7).astype(np.float32)

    limits = Limits(rng.uniform(0.2, 1.0, n_cells).astype(np.float32), n_blocks, 7e-16)
    return Episode(limits, rng.uniform(0, 5 * n_steps, n_users), gain_at, n_steps)


def violated(choice: Choice, limits: Limits) -> str:
    with pytest.raises(InputError) as caught:
        check(choice, limits, 3)
    return str(caught.value)


def test_a_violated_constraint_is_named() -> None:
    limits = Limits(np.array([1.0, 0.5], np.float32), n_blocks=3, noise_w=1e-13, users_per_cell=2)
    fine = Choice(np.array([0, 0, 1], np.int32), np.array([0, 1, 0], np.int32), np.array([0.5, 0.5, 0.5], np.float32))
    check(fine, limits, 3)
    assert "block is 0 of cell 0 held by 2 users" in violated(replace(fine, block=np.zeros(3, np.int32)), limits)
    crowded = replace(fine, cell=np.zeros(3, np.int32), block=np.arange(3, dtype=np.int32))
    assert "0 with 3 users" in violated(crowded, limits)
    assert "up to 0.5 W" in violated(replace(fine, power_w=np.array([0.1, 0.1, 0.51], np.float32)), limits)
    assert "cell is -1 of user 1" in violated(replace(fine, cell=np.array([0, -1, 1], np.int32)), limits)
    assert "block is 3 of user 2" in violated(replace(fine, block=np.array([0, 1, 3], np.int32)), limits)
    assert "0 or more" in violated(replace(fine, power_w=np.array([0.5, -0.1, 0.1], np.float32)), limits)
    assert "0 or more" in violated(replace(fine, power_w=np.array([0.5, np.nan, 0.1], np.float32)), limits)
    assert "decide for everyone" in violated(replace(fine, block=np.zeros(2, np.int32)), limits)


@given(seed=st.integers(0, 1000), n_users=st.integers(1, 40), n_cells=st.integers(1, 5), n_steps=st.integers(1, 4))
@settings(max_examples=8, deadline=None)
def test_every_method_keeps_every_constraint(seed: int, n_users: int, n_cells: int, n_steps: int) -> None:
    episode = town(seed, n_users, n_cells, -(-n_users // n_cells), n_steps)
    for name in METHODS:
        knobs = {} if name in ("fundamentals", "chain") else {"effort": QUICK}
        outcome = play(episode, make_method(name, episode, seed, **knobs), checked=True)
        assert outcome.throughput > 0
        assert 0 <= outcome.satisfaction <= 1 + 1e-9


def test_same_seed_same_episode() -> None:
    episode = town(5)
    for name in METHODS:
        one, other = (play(episode, make_method(name, episode, 3)).received for _ in range(2))
        assert np.array_equal(one, other)


def test_who_favours_the_short_satisfies_more_for_less() -> None:
    found = {}
    for name, knobs in (("ignoring", {}), ("weighted", {"lambda_": 3.0}), ("equally-dividing", {})):
        outcomes = [play(e, make_method(name, e, **knobs)) for e in map(town, range(6))]
        found[name] = sum(o.throughput for o in outcomes), np.mean([o.satisfaction for o in outcomes])
    assert found["ignoring"][0] > found["weighted"][0] > found["equally-dividing"][0]
    assert min(found["weighted"][1], found["equally-dividing"][1]) > found["ignoring"][1] + 0.2


def test_a_planner_knows_better_than_the_causal_rule() -> None:
    ours, rule = [], []
    for episode in (town(seed, n_steps=8, walk_m=60) for seed in range(4)):
        planner = play(episode, make_method("planner", episode, lambda_=3.0))
        causal = play(episode, make_method("weighted", episode, lambda_=3.0))
        ours.append(planner.throughput + 3.0 * np.minimum(planner.received, planner.demand).sum())
        rule.append(causal.throughput + 3.0 * np.minimum(causal.received, causal.demand).sum())
    assert all(our >= other for our, other in zip(ours, rule, strict=True))
    assert sum(ours) > 1.002 * sum(rule)


def test_an_unknown_method_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="equally-dividing"):
        make_method("magic", town(0))


def test_a_network_learns_whether_and_by_how_much() -> None:
    rng = np.random.default_rng(0)
    seen = rng.standard_normal((20_000, 3)).astype(np.float32)
    chance = 1.0 / (1.0 + np.exp(-2.0 * seen[:, 0] * seen[:, 1]))
    yes = rng.random(len(seen)) < chance
    amount = (yes * rng.exponential(0.2, len(seen))).astype(np.float32)
    weights, _ = fit(start_weights(3), seen, yes, amount, epochs=150)
    found = forecast.foretell(weights, seen)
    assert np.abs(found.short - chance).mean() < 0.05
    assert np.abs(found.lack - 0.2 * chance).mean() < 0.02
    assert found.lack.sum() == pytest.approx(amount.sum(), rel=0.06)


@pytest.mark.parametrize("floor", [0.5, 0.8, 0.99])
def test_lambda_is_the_least_that_keeps_the_floor(floor: float) -> None:
    moment, rate, weights = town(1).start(), np.ones(60, np.float32), start_weights(forecast.FEATURES)
    seen = forecast.features(moment, rate, Outlook()(moment), 1.0)
    weights["w3"][:, 1], weights["b3"][1] = 0.3, -1.5
    weights["w1"][-1], weights["w2"] = -0.4, np.abs(weights["w2"])  # the larger lambda, the less is lacking

    def kept(lambda_: float) -> float:
        lack = forecast.foretell(weights, forecast.with_lambda(seen, lambda_)).lack
        return float(1.0 - np.minimum(lack * forecast.unit(moment, rate), moment.unmet).sum() / moment.demand.sum())

    found = forecast.least_lambda(weights, moment, seen, rate, floor, None)
    enough = [lambda_ for lambda_ in forecast.LAMBDAS if kept(lambda_) >= floor]
    assert found == (enough[0] if enough else forecast.LAMBDAS[-1])
    assert 0.5 * found <= forecast.least_lambda(weights, moment, seen, rate, floor, found) <= found * 1.01


def test_training_goes_on_where_it_stopped() -> None:
    whole = forecast_training.train(town, rounds=4)
    parted = forecast_training.train(town, rounds=4, course=forecast_training.train(town, rounds=2))
    assert all(np.array_equal(whole.weights[name], parted.weights[name]) for name in whole.weights)
    assert [line["round"] for line in whole.curve] == [1, 2, 3, 4]


def test_weights_of_an_untrained_network_favour_all_who_lack_something_alike() -> None:
    moment: Moment = town(1).start()
    seen = forecast.features(moment, np.ones(60, np.float32), Outlook()(moment), 1.0)
    assert seen.shape == (60, forecast.FEATURES)
    assert np.isfinite(seen).all()
    assert (forecast.foretell(start_weights(forecast.FEATURES), seen).short == 0.5).all()
