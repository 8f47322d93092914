"""The twin's environment on a small town: the engine answers for what the agent chose."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import mndt
from mndt.city.synthetic import synthetic_city
from mndt.errors import InputError
from mndt.optimise import envs
from mndt.optimise.envs.twin import TwinAssociationEnv, _best_columns, utilities
from mndt.state import Mode
from mndt.users.population import UserParameters


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    city = synthetic_city(size_m=400, lanes=60, areas=30, outdoor_sites=3, indoor_sites=2)
    cache: Path = tmp_path_factory.mktemp("maps")
    return mndt.build_world(city, users=UserParameters(count=60), cache_dir=cache, n_jobs=1)


def rows_of(env, observation):
    return observation.reshape(len(env.unwrapped.state.users), -1)


def test_it_passes_gymnasiums_checker_and_ours(world):
    env = gymnasium.make(envs.TWIN_ASSOCIATION, world=lambda: world, episode_steps=7)
    assert env.unwrapped is env
    check_env(env)
    envs.check(env, steps=20)


def test_the_engine_serves_users_where_they_chose_to_be(world):
    env = TwinAssociationEnv(world, candidates=None)
    first, _ = env.reset(seed=1)
    n_users, n_cells = len(env.state.users), len(world.city.cells)
    wish = np.arange(n_users) % n_cells
    heard = rows_of(env, first)[:, n_cells : 2 * n_cells] > 0
    observation, *_, info = env.step(wish + 1)
    served, rows = env.state.serving, rows_of(env, observation)
    present = env.state.users.mode != Mode.ABSENT
    able = heard[np.arange(n_users), wish] & present
    assert able.sum() > n_users / 2
    np.testing.assert_array_equal(served[able], wish[able])
    assert (rows[able, wish[able]] == 1).all()
    assert (rows[able, :n_cells].sum(axis=1) == 1).all()
    assert info["active"].any()


def test_who_decides_nothing_gets_the_strongest_cell_and_keeps_it(world):
    env = TwinAssociationEnv(world, candidates=2)
    env.reset(seed=2)
    before = env.state
    links = world.channel.links(before.users, before.settings, np.uint32(0))
    env.step(env.action_space.sample() * 0)
    first = env.state.serving
    strongest = np.argmax(links.gain * links.even_power_w() / links.noise_w, axis=1)
    assert (first == strongest).mean() > 0.99  # links are ranked in steps of 1/64 dB
    for _ in range(5):
        env.step(env.action_space.sample() * 0)
    np.testing.assert_array_equal(env.state.serving, first)


def test_candidates_come_strongest_first(world):
    env = TwinAssociationEnv(world, candidates=3)
    observation, _ = env.reset(seed=3)
    heard = rows_of(env, observation)[:, 3:6]
    assert (heard[:, 0] == 1).all()
    assert (np.diff(heard, axis=1) <= 0).all()


@pytest.mark.parametrize("count", [1, 4, 16, 17, 40])
def test_the_strongest_are_the_first_of_a_stable_sort(count):
    snr = np.random.default_rng(0).integers(0, 30, (200, 40)).astype(np.float32)
    by_hand = [sorted(range(40), key=lambda c, row=row: -row[c])[:count] for row in snr]
    assert _best_columns(snr, count).tolist() == by_hand


def test_reward_is_the_mean_utility_of_the_active_or_what_the_caller_says(world):
    plain = TwinAssociationEnv(world)
    own = TwinAssociationEnv(world, reward=lambda kpis: kpis.throughput_bps)
    for env in (plain, own):
        env.reset(seed=4)
    action = plain.action_space.sample()
    for _ in range(3):
        observation, reward, *_, info = plain.step(action)
        _, other, *_ = own.step(action)
    assert other == info["throughput_bps"] > 0
    seen = rows_of(plain, observation)[info["active"], -1]
    assert info["active"].sum() > 3
    assert reward == pytest.approx(seen.mean(), abs=1e-6)
    assert -1 < reward <= 1


def test_utility_is_half_the_decades_of_mbit_per_s(world):
    _, kpis = mndt.step(world, mndt.start(world))
    rate = np.where(kpis.user_active, kpis.user_rate_bps, 0.0)
    by_hand = [np.clip(np.log10(r / 1e6) / 2, -1, 1) if r > 0 else -1.0 for r in rate]
    np.testing.assert_allclose(utilities(kpis), by_hand, atol=1e-6)


def test_what_does_not_fit_is_answered_in_a_sentence(world):
    with pytest.raises(InputError, match="candidates is 9, allowed is 1 to 5"):
        TwinAssociationEnv(world, candidates=9)
    with pytest.raises(InputError, match="did you mean 'helsinki'"):
        TwinAssociationEnv("helsinky")
    with pytest.raises(InputError, match="episode_steps is 0"):
        TwinAssociationEnv(world, episode_steps=0)
    with pytest.raises(ResetNeeded):
        TwinAssociationEnv(world).step(np.zeros(60, int))


@pytest.mark.parametrize("what", [None, 7, lambda: 3])
def test_a_world_is_a_world(world, what):
    for given in (what, world.city, lambda: world.city):
        with pytest.raises(InputError, match=r"world is of type \w+, allowed is a mndt\.World, .*build_world\(city\)"):
            TwinAssociationEnv(given)


@pytest.mark.parametrize("reward", ["throughput", 3.0, {}])
def test_a_reward_is_a_function(world, reward):
    with pytest.raises(InputError, match=r"reward is .*, allowed is a function of the second's KPIs, or None"):
        TwinAssociationEnv(world, reward=reward)
