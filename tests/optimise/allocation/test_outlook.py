"""What is ahead of a user, from where he went and what was measured there."""

from __future__ import annotations

import numpy as np
import pytest

from mndt.optimise.allocation.outlook import COLUMNS, Measured, Outlook, heard
from mndt.optimise.allocation.problem import Limits, Moment

Array = np.ndarray
LIMITS = Limits(np.array([1.0, 0.5], np.float32), n_blocks=10, noise_w=1e-12)
STEPS = 10


def moment(step: int, position_m: Array | None) -> Moment:
    """A street from one cell to another; heard as its distance from the middle says."""
    users = np.arange(400) if position_m is None else position_m[0]
    east = np.asarray(users, np.float64)
    gain = np.stack([10.0 ** (-6.0 - east / 200.0), 10.0 ** (-10.0 + east / 200.0)], axis=1).astype(np.float32)
    none = np.zeros(len(gain))
    position_m = None if position_m is None else position_m.astype(np.float32)
    return Moment(step, STEPS, gain, none + 1.0, none, LIMITS, position_m=position_m)


def crowd(step: int) -> Array:
    """The first user walks 30 m a step to the east, the others stand everywhere."""
    east = np.r_[100.0 + 30.0 * step, np.linspace(0.0, 800.0, 3000)]
    return np.stack([east, np.full_like(east, 5.0)])


def test_the_best_cell_is_heard_among_all_others_at_full_power():
    gain = np.array([[2e-10, 1e-10]], np.float32)
    found = heard(Moment(0, 1, gain, np.ones(1), np.zeros(1), LIMITS))
    assert found[0] == pytest.approx(np.log2(1.0 + 2e-10 / (0.5e-10 + 10e-12)), rel=1e-6)


def test_a_walker_is_expected_where_others_were_measured_on_his_way():
    outlook = Outlook()
    for step in range(3):
        now = moment(step, crowd(step))
        seen = outlook(now)
    ahead = moment(0, np.stack([crowd(0)[0][:1] + 30.0 * np.arange(3, STEPS)[:, None], np.full((7, 1), 5.0)])[:, :, 0])
    truth = heard(ahead)
    assert seen.shape == (3001, COLUMNS)
    assert 3.0 * (seen[0, 1] + 0.5) == pytest.approx(truth.mean(), rel=0.03)
    assert 3.0 * (seen[0, 2] + 0.5) == pytest.approx(np.sort(truth)[int(0.8 * 6)], rel=0.05)
    assert (seen[:, 4] == 0.0).all()
    assert (seen[1:, 1] - seen[1:, 0]).mean() == pytest.approx(0.0, abs=0.02)  # who stands expects what he has
    assert np.abs(seen[1:, 1] - seen[1:, 0]).max() < 0.15


def test_nothing_is_known_ahead_in_the_first_and_last_step_or_without_positions():
    first = Outlook()(moment(0, crowd(0)))
    outlook = Outlook()
    for step in range(STEPS):
        last = outlook(moment(step, crowd(step)))
    blind = Outlook()(moment(4, None))
    for seen in (first, last, blind):
        assert (seen[:, 4] == 1.0).all()
        assert (seen[:, 0] == seen[:, 1]).all()
        assert (seen[:, 3] == 0.0).all()


def test_an_episode_does_not_remember_the_one_before():
    used, new = Outlook(), Outlook()
    for step in range(STEPS):
        used(moment(step, crowd(step)[:, ::-1] + 100.0))
    for step in range(3):
        again, fresh = used(moment(step, crowd(step))), new(moment(step, crowd(step)))
    np.testing.assert_array_equal(again, fresh)


def test_small_squares_count_once_enough_was_measured_in_them():
    measured = Measured(np.zeros((2, 1)), 400.0)
    place, other = np.array([[10.0], [10.0]]), np.array([[390.0], [390.0]])
    measured.add(np.repeat(other, 1000, axis=1), np.full(1000, 1.0))
    assert measured.at(place)[0] == pytest.approx(1.0)
    measured.add(place, np.array([4.0]))
    once = measured.at(place)[0]
    measured.add(np.repeat(place, 1000, axis=1), np.full(1000, 4.0))
    assert 1.0 < once < 3.0
    assert measured.at(place)[0] == pytest.approx(4.0, abs=0.01)
    assert measured.at(np.array([[-50.0], [9000.0]])).shape == (1,)
