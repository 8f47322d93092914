"""`mndt/Allocation-v0`: Gymnasium's checker, the books of reward and cost, and every constraint refused by name."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from mndt.errors import InputError
from mndt.optimise import envs
from mndt.optimise.allocation.methods import make_method
from mndt.optimise.allocation.problem import check, play
from mndt.optimise.allocation.scenarios import FIRST_TRAINING_SEED, episode
from mndt.optimise.envs.allocation import choice_of

SMALL = {"n_users": 40, "n_cells": 6, "n_blocks": 9, "n_steps": 5}


def made(**changes):
    return gymnasium.make(envs.ALLOCATION, **SMALL | changes).unwrapped


@pytest.mark.parametrize("scenario", ["table2", "table2-umi"])
def test_it_passes_gymnasiums_checker(scenario):
    check_env(made(scenario=scenario), skip_render_check=True)


def test_samples_respect_every_constraint():
    env = made(n_users=53)  # one place is left
    env.action_space.seed(0)
    for _ in range(30):
        action = env.action_space.sample()
        check(choice_of(action, 53), env.action_space.limits, 53)
        assert action in env.action_space
    assert len({env.action_space.sample()["cell"].tobytes() for _ in range(5)}) == 5


def test_an_episode_is_the_one_that_methods_play():
    env = made()
    env.reset(options={"scenario_seed": 7})
    method, rewards, costs, over = make_method("fundamentals", episode("table2", 7, **SMALL), 0), [], [], False
    while not over:
        seen, reward, over, truncated, info = env.step(env.action_of(method(env.moment)))
        rewards.append(reward)
        costs.append(info["cost"])
        assert not truncated
        assert seen in env.observation_space
        assert info["floor"] == pytest.approx(0.95 * env._episode.demand.sum())
    same = episode("table2", 7, **SMALL)
    outcome = play(same, make_method("fundamentals", same, 0))
    assert len(rewards) == 5
    assert sum(rewards) == pytest.approx(outcome.throughput, rel=1e-6)
    assert sum(costs) / same.demand.sum() == pytest.approx(outcome.satisfaction, rel=1e-6)
    assert info["satisfaction"] == pytest.approx(outcome.satisfaction, rel=1e-6)
    np.testing.assert_allclose(seen["unmet"], np.maximum(same.demand - outcome.received, 0), atol=1e-4)
    assert seen["time_left"] == 0


def test_observations_are_the_state_of_the_paper():
    env = made(scenario="table2-umi")
    seen, info = env.reset(seed=3)
    found = episode("table2-umi", info["scenario_seed"], **SMALL)
    np.testing.assert_allclose(seen["gain_db"], 10 * np.log10(found.gain_at(0)), atol=1e-4)
    np.testing.assert_allclose(seen["unmet"], found.demand, rtol=1e-6)
    assert seen["time_left"] == 1
    assert info["scenario_seed"] >= FIRST_TRAINING_SEED
    after, *_ = env.step(env.action_space.sample())
    assert after["time_left"] == pytest.approx(0.8)
    np.testing.assert_allclose(after["gain_db"], 10 * np.log10(found.gain_at(1)), atol=1e-4)


def test_episodes_follow_from_the_seed():
    env, seeds = made(), []
    for seed in (5, None, None, 5, None, 6):
        _, info = env.reset(seed=seed)
        seeds.append(info["scenario_seed"])
    assert seeds[:2] == seeds[3:5]
    assert len(set(seeds)) == 4


def feasible():
    """Users 0 to 5 in cell 0, the others where there is room; equal powers."""
    cell = np.arange(40, dtype=np.int32) // 7
    return {"cell": cell, "block": np.arange(40, dtype=np.int32) % 7, "power_w": np.full(40, 0.01, np.float32)}


@pytest.mark.parametrize(
    ("name", "at", "value", "sentence"),
    [
        ("cell", 3, 6, "cell is 6 of user 3, allowed is 0 to 5"),
        ("block", 3, -1, "block is -1 of user 3, allowed is 0 to 8"),
        ("block", 3, 4, "block is 4 of cell 0 held by 2 users, allowed is a block once in a cell"),
        ("power_w", 3, 2.0, "W in cell 0, allowed is up to 0.251189 W"),
        ("power_w", 3, -0.1, "power_w is -0.1"),
        ("power_w", 3, np.nan, "power_w is nan"),
    ],
)
def test_a_violated_constraint_is_refused_by_name_and_leaves_no_trace(name, at, value, sentence):
    env = made()
    env.reset(options={"scenario_seed": 1})
    wrong = feasible()
    wrong[name][at] = value
    assert wrong not in env.action_space
    with pytest.raises(InputError) as caught:
        env.step(wrong)
    assert sentence in str(caught.value)
    assert env.moment.step == 0
    assert env.moment.received.sum() == 0
    assert feasible() in env.action_space


def test_other_kinds_of_actions_and_arguments_are_answered_in_a_sentence():
    env = made()
    env.reset(seed=0)
    for action, sentence in (
        (np.zeros(40), "action is of type ndarray, allowed is a dictionary of cell, block, power_w"),
        ({"cell": np.zeros(40, int)}, "action is ['cell'], allowed is a dictionary"),
        (feasible() | {"cell": np.zeros(40)}, "cell is of float64, allowed is whole numbers"),
        (feasible() | {"block": np.zeros(39, int)}, "block is of shape (39,)"),
    ):
        with pytest.raises(InputError) as caught:
            env.step(action)
        assert sentence in str(caught.value)
    for changes, sentence in (
        ({"floor": 1.5}, "floor is 1.5, allowed is 0 to 1"),
        ({"n_user": 5}, "argument is 'n_user'"),
        ({"scenario": "table3"}, "scenario is 'table3'"),
    ):
        with pytest.raises(InputError) as caught:
            made(**changes)
        assert sentence in str(caught.value)
    with pytest.raises(InputError, match="scenario_seed is -1"):
        env.reset(options={"scenario_seed": -1})


def test_no_step_before_the_first_reset_and_none_after_the_end():
    env = made(n_steps=1)
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
    env.reset(seed=0)
    assert env.step(env.action_space.sample())[2]
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
