"""The policy `allocation` in a small twin, and rules of power of a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mndt
from mndt.city.synthetic import synthetic_city
from mndt.errors import InputError
from mndt.state import Action
from mndt.users.population import UserParameters
from mndt.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    city = synthetic_city(size_m=400.0, lanes=60, areas=40, outdoor_sites=2, indoor_sites=3)
    cache: Path = tmp_path_factory.mktemp("maps")
    return mndt.build_world(city, users=UserParameters(count=900), cache_dir=cache, n_jobs=1)


def delivered(world: World, policy: Any, steps: int = 25) -> tuple[float, list[Any]]:
    state, found = mndt.start(world, time_s=8 * 3600), []
    for _ in range(steps):
        state, kpis = mndt.step(world, state, policy(state))
        found.append((state, kpis))
    return float(sum(kpis.throughput_bps for _, kpis in found)), found


def test_powers_decided_together_deliver_more_than_equal_ones(world: World) -> None:
    ours, found = delivered(world, mndt.make_policy("allocation", world))
    fair, _ = delivered(world, mndt.make_policy("proportional-fair", world))
    assert ours > fair
    for state, _ in found:
        spent_w = state.allocation.power_w.sum(axis=1, dtype=np.float64)
        assert (spent_w <= state.settings.power_w * (1 + 1e-6)).all()
        assert (state.allocation.power_w[state.allocation.user_of_block < 0] == 0).all()


def test_the_policy_says_how_long_it_thought(world: World) -> None:
    policy = mndt.make_policy("allocation", world)
    delivered(world, policy, 3)
    assert policy.spent_s > 0  # type: ignore[attr-defined]


def test_a_rule_of_power_is_called_within_the_second(world: World) -> None:
    seen = []

    def rule(expected: Any, user_of_block: Any, waiting_bits: Any) -> Any:
        seen.append((user_of_block >= 0).sum())
        assert (waiting_bits[user_of_block[user_of_block >= 0]] > 0).all()
        return np.where(user_of_block >= 0, np.float32(1e-3), np.float32(0.0))

    _, found = delivered(world, lambda state: Action(blocks="proportional-fair", power=rule), 3)
    assert len(seen) == 3
    assert all(np.isclose(state.allocation.power_w.max(), 1e-3) for state, _ in found)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda held: np.full(held.shape, 1.0, np.float64), "power"),
        (lambda held: np.full(held.shape, 100.0, np.float32), "at most the"),
        (lambda held: np.full(held.shape, np.nan, np.float32), "0 W or more"),
        (lambda held: np.zeros(3, np.float32), "power"),
    ],
)
def test_what_a_rule_cannot_give_is_refused(world: World, answer: Any, sentence: str) -> None:
    action = Action(blocks="random", power=lambda expected, held, bits: answer(held))
    with pytest.raises(InputError, match=sentence):
        mndt.step(world, mndt.start(world, time_s=8 * 3600), action)
