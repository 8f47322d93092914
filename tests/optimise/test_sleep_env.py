"""The environment of cell sleep, by PettingZoo's own test and by the problem it stands for."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.optimise.envs.sleep import NAME, CellSleepEnv
from mndt.optimise.sleep.problem import Setting, play, start
from mndt.optimise.sleep.scores import always_on, price_of


@pytest.mark.parametrize("setting", ["a", "b", "c"])
def test_pettingzoo_finds_nothing_wrong(setting: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, of environments that are not ours
        from pettingzoo.test import parallel_api_test

        parallel_api_test(CellSleepEnv(setting=setting), num_cycles=120)


def test_rewards_add_up_to_cost_and_unserved_traffic() -> None:
    env = CellSleepEnv(setting="c")
    env.reset(seed=5)
    rng, total, course = np.random.default_rng(0), 0.0, []
    while env.agents:
        actions = {agent: int(rng.integers(0, 3)) for agent in env.agents}
        course.append(np.array(list(actions.values()), np.int8))
        _, rewards, *_ = env.step(actions)
        total += sum(rewards.values())
    fleet, traffic = env._fleet, env._traffic
    outcome = play(fleet, traffic, Setting.RESERVE, lambda moment: course[moment.slot - 4], begin=4)
    cost = outcome.energy_wh.sum() + outcome.switching_wh.sum()
    cost += (outcome.unserved * price_of(fleet, traffic)).sum()
    unit = always_on(fleet, traffic).sum() / traffic.shape[1] / len(fleet.grid)
    assert total == pytest.approx(-cost / unit)


def test_the_same_seed_gives_the_same_day() -> None:
    first, second = CellSleepEnv(), CellSleepEnv()
    a, _ = first.reset(seed=3)
    b, _ = second.reset(seed=3)
    assert all((a[agent]["observation"] == b[agent]["observation"]).all() for agent in a)
    c, _ = first.reset(seed=4)
    assert any((a[agent]["observation"] != c[agent]["observation"]).any() for agent in a)
    assert first.metadata["name"] == NAME


def test_wrong_use_is_said() -> None:
    with pytest.raises(InputError, match="setting"):
        CellSleepEnv(setting="d")
    with pytest.raises(InputError, match="reset first"):
        CellSleepEnv().step({})


def test_all_on_is_the_start() -> None:
    env = CellSleepEnv()
    seen, _ = env.reset(seed=1)
    assert (env._status == start(env._fleet)).all()
    assert all(one["observation"][10] == 1 for one in seen.values())
