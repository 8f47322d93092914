"""The compact study against mobile-env: same places, same actions, same observations and rewards."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest

from mndt.optimise.envs import AssociationEnv

pytestmark = pytest.mark.peer


def made(size, agents):
    with warnings.catch_warnings():  # its own dependencies' affairs
        warnings.simplefilter("ignore")
        pytest.importorskip("mobile_env")
        return gymnasium.make(f"mobile-{size}-{agents}-v0", disable_env_checker=True).unwrapped


def twin_of(peer, **changes):
    """Our study with its cells, constants, and users where it has them. It measures between whole metres."""
    stations = [(s.x, s.y) for s in peer.stations.values()]
    ours = AssociationEnv(
        n_users=peer.NUM_USERS, cells_m=stations, side_m=(float(peer.width), float(peer.height)),
        physics="mobile-env", speed_mps=1e6, episode_steps=peer.EP_MAX_TIME, **changes,
    )  # fmt: skip
    ours.reset(seed=0)
    head_for(ours, peer)
    ours.step(np.zeros(peer.NUM_USERS, int))
    return ours


def head_for(ours, peer):
    """At this speed everyone is at the goal within the second."""
    ours.studies.users["to_x_m"] = [int(u.x) for u in peer.users.values()]
    ours.studies.users["to_y_m"] = [int(u.y) for u in peer.users.values()]


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_an_episode_of_its_central_agent_is_ours_number_by_number(size):
    peer = made(size, "central")
    observation, _ = peer.reset(seed=3)
    ours = twin_of(peer)
    assert peer.observation_space.shape == ours.observation_space.shape
    assert (peer.action_space.nvec == ours.action_space.nvec).all()
    rng, met = np.random.default_rng(1), 0
    for _ in range(peer.EP_MAX_TIME - 1):  # ours has spent a second on taking its places
        action = rng.integers(0, peer.NUM_STATIONS + 1, peer.NUM_USERS) * (rng.random(peer.NUM_USERS) < 0.5)
        observation, reward, _, truncated, info = peer.step(action)
        head_for(ours, peer)
        mine, my_reward, _, my_end, my_info = ours.step(action)
        np.testing.assert_allclose(mine, observation, atol=1e-4)
        assert my_reward == pytest.approx(reward, abs=1e-5)
        assert my_info["links"] == info["number connections"]
        assert my_info["connected"] == info["number connected"]
        met += my_info["links"]
    assert met > 100
    assert my_end
    assert not truncated


def test_what_its_cells_broadcast_is_what_ours_do():
    peer = made("medium", "ma")
    peer.reset(seed=3)
    ours = twin_of(peer, broadcast=True)
    rng = np.random.default_rng(2)
    for _ in range(60):
        action = rng.integers(0, peer.NUM_STATIONS + 1, peer.NUM_USERS)
        observations, *_ = peer.step(dict(enumerate(action.tolist())))
        head_for(ours, peer)
        mine, *_ = ours.step(action)
        theirs = np.concatenate([observations[u] for u in sorted(observations)])
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
