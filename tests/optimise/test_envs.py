"""The compact study against plain Python, closed forms, Gymnasium's checker, and its own."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import pickle
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from study_by_hand import ByHand, umi_snr

from mndt.errors import InputError
from mndt.optimise import envs
from mndt.optimise.envs import AssociationEnv, AssociationVectorEnv, CheckError, Setting, check

HARD = {
    "n_users": 7, "n_cells": 4, "side_m": 3000.0, "speed_mps": 40.0, "power_dbm": 20.0, "episode_steps": 30,
}  # fmt: skip
"""Cells out of reach, users that cross the area within an episode."""


def places(env):
    users = env.unwrapped.studies.users
    return list(zip(users["x_m"].tolist(), users["y_m"].tolist(), strict=True)), users["present"].tolist()


# The laws ----------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    mode=st.sampled_from(["multi", "single"]),
    share=st.sampled_from(["resource-fair", "rate-fair", "proportional"]),
    interference=st.booleans(),
    broadcast=st.booleans(),
    stay_s=st.sampled_from([None, 5.0]),
    seed=st.integers(0, 2**31),
)
def test_every_second_is_what_plain_python_makes_of_it(mode, share, interference, broadcast, stay_s, seed):
    rules = {"mode": mode, "share": share, "interference": interference, "broadcast": broadcast}
    env = AssociationEnv(**HARD, **rules, stay_s=stay_s, away_s=5.0)
    observation, _ = env.reset(seed=seed)
    by_hand = ByHand(env.studies.cells[:2].T.tolist(), **rules, snr=lambda a, b: umi_snr(a, b, power_dbm=20.0))
    by_hand.start(*places(env))
    np.testing.assert_allclose(observation, by_hand.observation(), atol=1e-4)
    env.action_space.seed(seed)
    for _ in range(env.setting.episode_steps):
        action = env.action_space.sample()
        expected = by_hand.step(action.tolist())
        links, rates = by_hand.links, [r for r, here in zip(by_hand.rate, by_hand.present, strict=True) if here]
        told = sum(map(len, links)), sum(map(bool, links)), np.mean(rates) if rates else 0.0
        observation, reward, _, _, info = env.step(action)
        assert reward == pytest.approx(expected, abs=1e-4)
        assert (info["links"], info["connected"]) == told[:2]
        assert info["mean_rate_bps"] == pytest.approx(1e6 * told[2], rel=1e-3)
        by_hand.look(*places(env))
        np.testing.assert_allclose(observation, by_hand.observation(), atol=1e-4)


def test_a_lone_user_gets_shannons_rate_over_the_whole_band():
    env = AssociationEnv(n_users=1, cells_m=[(0.0, 0.0)], side_m=2000.0, speed_mps=0.0)
    env.reset(seed=5)
    (place,), _ = places(env)
    *_, info = env.step([1])
    assert info["mean_rate_bps"] == pytest.approx(9e6 * np.log2(1 + umi_snr(place, (0, 0))), rel=1e-4)


def test_beyond_the_break_point_loss_grows_with_the_fourth_power_of_distance():
    env = AssociationEnv(n_users=1, cells_m=[(0.0, 0.0)], side_m=20_000.0, power_dbm=60.0)
    env.reset(seed=0)
    seen = []
    for x_m in (1000.0, 2000.0):
        env.studies.users["x_m"], env.studies.users["y_m"], env.studies.users["to_x_m"] = x_m, 0.0, x_m
        env.studies.users["to_y_m"] = 0.0
        env.step([0])
        seen.append(float(env.studies.snr[0]))
    assert seen[0] / seen[1] == pytest.approx(16.0, rel=1e-3)


def test_users_walk_at_their_speed_and_stay_inside():
    env = AssociationEnv(n_users=200, speed_mps=3.0, side_m=(150.0, 80.0), episode_steps=300)
    env.reset(seed=1)
    before, _ = places(env)
    full_steps = 0
    for _ in range(300):
        env.step(np.zeros(200, int))
        now, _ = places(env)
        moved_m = np.array([np.hypot(b[0] - a[0], b[1] - a[1]) for a, b in zip(before, now, strict=True)])
        assert moved_m.max() <= 3.0 + 1e-4
        full_steps += int((moved_m > 2.999).sum())
        xy = np.array(now)
        assert (xy >= 0).all()
        assert (xy <= [150.0, 80.0]).all()
        before = now
    assert full_steps > 0.9 * 200 * 300  # shorter only onto a goal


def test_random_waypoint_crowds_the_middle_as_it_is_known_to():
    """In the long run a user is at a uniform point of a leg that is chosen in proportion to its length."""
    env = AssociationEnv(n_users=4000, n_cells=1, speed_mps=2.0, side_m=100.0, episode_steps=200)
    env.reset(seed=2)
    start = np.array(places(env)[0]) / 100
    for _ in range(200):
        env.step(np.zeros(4000, int))
    x = np.array(places(env)[0]) / 100
    rng = np.random.default_rng(0)
    a, b, share = rng.random((2, 200_000)), rng.random((2, 200_000)), rng.random(200_000)
    spread = np.average((a + share * (b - a) - 0.5) ** 2, axis=1, weights=np.hypot(*(b - a))).mean()
    assert start.mean() == pytest.approx(0.5, abs=0.01)
    assert start.var() == pytest.approx(1 / 12, rel=0.04)  # evenly spread at first
    assert x.var() == pytest.approx(spread, rel=0.04)
    assert spread < 0.9 / 12


def test_users_are_present_for_the_share_of_time_they_were_given():
    env = AssociationEnv(n_users=400, n_cells=2, stay_s=20.0, away_s=60.0, episode_steps=200)
    env.reset(seed=3)
    shares = []
    for _ in range(200):
        observation, *_ = env.step(np.full(400, 1))
        rows, here = observation.reshape(400, -1), np.array(places(env)[1], bool)
        shares.append(here.mean())
        assert not rows[~here, :4].any()
        assert (rows[~here, 4] == -1).all()
        assert (rows[here, 2:4].max(axis=1) == 1).all()
    assert shares[0] == pytest.approx(0.25, abs=0.07)
    assert np.mean(shares) == pytest.approx(0.25, abs=0.03)


def test_with_nobody_present_there_is_nothing_to_reward():
    env = AssociationEnv(n_users=1, stay_s=1.0, away_s=1e6, episode_steps=50)
    env.reset(seed=0)
    assert [env.step([1])[1] for _ in range(5)] == [0.0] * 5


def test_named_sizes_and_what_overrides_them():
    assert [Setting(size=s).counts for s in ("small", "medium", "large")] == [(5, 3), (15, 7), (30, 13)]
    setting = Setting(size="large", n_users=60, cells_m=[(1, 2), (30, 40)])
    assert setting.counts == (60, 2)
    assert setting.places_m().tolist() == [[1, 30], [2, 40]]
    assert Setting(size="medium").sides_m == (200.0, 300.0)
    few, many = Setting(n_cells=5).places_m(), Setting(n_cells=50).places_m()
    assert (many[:, :5] == few).all()
    apart = np.hypot(*(many[:, :, None] - many[:, None, :])) + 1e9 * np.eye(50)
    assert apart.min() > 0.4 * 200 / np.sqrt(50)  # spread, not thrown


# Promises ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"size": "large", "mode": "single", "broadcast": True, "stay_s": 20.0, "away_s": 10.0},
        {"physics": "mobile-env", "share": "rate-fair"},
        {"size": "medium", "share": "proportional", "interference": False, "episode_steps": 7},
        {"n_users": 1, "n_cells": 1, "power_dbm": -10.0},
    ],
    ids=str,
)
def test_it_passes_gymnasiums_checker_and_ours(changes):
    env = gymnasium.make(envs.ASSOCIATION, **changes)
    assert env.unwrapped is env  # no wrapper on the way
    check_env(env)
    check(env)


def test_no_step_before_the_first_reset():
    with pytest.raises(ResetNeeded):
        AssociationEnv().step(np.zeros(5, int))
    with pytest.raises(ResetNeeded):
        AssociationVectorEnv(2).step(np.zeros((2, 5), int))


def test_copies_and_pickles_go_on_alike():
    env = AssociationEnv(**HARD)
    env.reset(seed=9)
    env.step(np.ones(7, int))
    others = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    expected = [env.step(np.full(7, a))[0].tobytes() for a in (0, 2, 3, 0)]
    for other in others:
        assert [other.step(np.full(7, a))[0].tobytes() for a in (0, 2, 3, 0)] == expected


def test_a_generator_put_in_by_hand_is_obeyed():
    env, seen = AssociationEnv(), []
    for seed in (1, 1, 2):
        env.np_random = np.random.default_rng(seed)
        seen.append(env.reset()[0].tobytes())
    assert seen[0] == seen[1] != seen[2]


def test_a_batch_takes_one_seed_a_list_or_none():
    batch = gymnasium.make_vec(envs.ASSOCIATION, num_envs=3, size="medium")
    first, _ = batch.reset(seed=4)
    assert (batch.reset(seed=[4, 5, 6])[0] == first).all()
    one = AssociationEnv(size="medium")
    assert (one.reset(seed=6)[0] == first[2]).all()
    assert (batch.reset()[0][2] == one.reset()[0]).all()
    assert len({row.tobytes() for row in AssociationVectorEnv(8).reset()[0]}) == 8
    with pytest.raises(InputError, match="seed is 2 seeds, allowed is one number or 3"):
        batch.reset(seed=[1, 2])


def test_a_batch_begins_anew_by_itself():
    batch = gymnasium.make_vec(envs.ASSOCIATION, num_envs=2, max_episode_steps=3)
    batch.reset(seed=0)
    ends = []
    for _ in range(8):
        _, rewards, terminated, truncated, infos = batch.step(batch.action_space.sample())
        ends.append(bool(truncated.all()))
        assert not terminated.any()
        assert infos["links"].shape == infos["_links"].shape == (2,)
        if len(ends) % 4 == 0:
            assert (rewards == 0).all()
    assert ends == [False, False, True, False] * 2


def test_gymnasiums_own_loop_over_environments_does_the_same_as_the_batch():
    ours = gymnasium.make_vec(envs.ASSOCIATION, num_envs=3, episode_steps=5)
    loop = gymnasium.make_vec(envs.ASSOCIATION, num_envs=3, episode_steps=5, vectorization_mode="sync")
    np.testing.assert_array_equal(ours.reset(seed=1)[0], loop.reset(seed=1)[0])
    for _ in range(14):
        action = ours.action_space.sample()
        a, b = ours.step(action), loop.step(action)
        for mine, theirs in zip(a[:4], b[:4], strict=True):
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype


def test_one_name_imports_and_makes():
    code = "import gymnasium; print(gymnasium.make('mndt.optimise.envs:mndt/Association-v0').action_space)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "MultiDiscrete([4 4 4 4 4])"


def test_without_gymnasium_the_remedy_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'mndt\[rl\]'"):
        importlib.reload(envs)


# What does not fit ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": "smal"}, "size is 'smal', allowed is large, medium, small; did you mean 'small'?"),
        ({"n_user": 3}, "did you mean 'n_users'?"),
        ({"n_users": 0}, "n_users is 0, allowed is 1 to 100,000"),
        ({"n_cells": 2.5}, "n_cells is 2.5, allowed is whole numbers"),
        ({"speed_mps": float("nan")}, "speed_mps is nan, allowed is 0 to 1e+06 m/s"),
        ({"side_m": (100.0, 200.0, 300.0)}, "allowed is one or two lengths"),
        ({"side_m": 1.0}, "side_m is 1.0, allowed is 10 to 20,000 m"),
        ({"cells_m": [(10.0, 900.0)]}, "cell 0: cells_m is (10.0, 900.0), allowed is 0 to 200 and 0 to 200 m"),
        ({"cells_m": [1.0, 2.0]}, "cells_m is of shape (2,), allowed is (cells, 2)"),
        ({"cells_m": [(1.0, 2.0)], "n_cells": 2}, "n_cells is 2, allowed is 1, as in cells_m"),
        ({"share": "fair"}, "share is 'fair'"),
    ],
)
def test_settings_that_do_not_fit_are_answered_in_a_sentence(changes, sentence):
    with pytest.raises(InputError) as caught:
        gymnasium.make(envs.ASSOCIATION, **changes)
    assert sentence in str(caught.value)


def test_actions_that_do_not_fit_are_answered_in_a_sentence():
    env = AssociationEnv()
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"user 1: action is 4, allowed is 0 \(change nothing\) to 3"):
        env.step([0, 4, 0, 0, 0])
    with pytest.raises(InputError, match=r"action is of shape \(3,\), allowed is shape \(5,\)"):
        env.step([0, 0, 0])
    with pytest.raises(InputError, match="action is of float64, allowed is whole numbers"):
        env.step(np.zeros(5))
    batch = AssociationVectorEnv(2)
    batch.reset(seed=0)
    with pytest.raises(InputError, match="user 2 of study 1: action is -1"):
        batch.step([[0, 0, 0, 0, 0], [0, 0, -1, 0, 0]])


def test_any_kind_of_whole_numbers_will_do():
    seen = set()
    for action in ([1, 2, 3, 0, 1], np.array([1, 2, 3, 0, 1], np.int8), np.array([1, 9, 2, 9, 3, 9, 0, 9, 1, 9])[::2]):
        env = AssociationEnv()
        env.reset(seed=0)
        seen.add(env.step(action)[0].tobytes())
    frozen = np.array([1, 2, 3, 0, 1])
    frozen.flags.writeable = False
    env.reset(seed=0)
    assert seen == {env.step(frozen)[0].tobytes()}


# The checker finds what it looks for ----------------------------------------------------------------


class Reusing(AssociationEnv):
    """Returns the same array again and again, and counts on it."""

    def reset(self, **how):
        self._kept, info = super().reset(**how)
        return self._kept, info

    def step(self, action):
        observation, reward, *rest = super().step(action)
        reward += float(self._kept.sum())
        self._kept = observation
        return observation, reward, *rest


class Forgetful(AssociationEnv):
    """Draws from a generator nobody seeded."""

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, reward + np.random.default_rng().random(), *rest


class Remembering(AssociationEnv):
    """Carries something over from episode to episode."""

    total = 0

    def step(self, action):
        observation, reward, *rest = super().step(action)
        self.total += 1
        return observation, reward + (1.0 if self.total > 330 else 0.0), *rest


class Deaf(AssociationEnv):
    """Does not listen to seeds."""

    def reset(self, **how):
        return super().reset(**how | {"seed": 1})


class Endless(AssociationEnv):
    """Goes on after the end."""

    def step(self, action):
        try:
            return super().step(action)
        except ResetNeeded:
            return np.zeros(35, np.float32), 0.0, False, True, {}


class Mistaken(AssociationEnv):
    """Rewards that are no numbers."""

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float("nan"), *rest


class Beside(AssociationEnv):
    """Observations outside the space."""

    def step(self, action):
        observation, *rest = super().step(action)
        return observation + 1, *rest


class Obliging(AssociationEnv):
    """Takes whatever it is given."""

    def step(self, action):
        return super().step(np.clip(np.resize(action, 5), 0, 3).astype(int))


class Meddling(AssociationEnv):
    """Writes into the caller's action."""

    def step(self, action):
        outcome = super().step(action)
        if isinstance(action, np.ndarray):
            action[:] = 0
        return outcome


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (Reusing, "writes into observations"),
        (Forgetful, "played twice"),
        (Remembering, "does not repeat"),
        (Deaf, "another seed gives the same trajectory"),
        (Endless, "after the end of an episode"),
        (Mistaken, "the reward nan"),
        (Beside, "outside its space"),
        (Obliging, "outside its space"),
        (Meddling, "changes the action"),
    ],
)
def test_the_checker_finds_a_broken_promise(broken, sentence):
    with pytest.raises(CheckError, match=sentence):
        check(broken())
