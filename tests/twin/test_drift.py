"""Drift: cumulative sums, by hand and by chance."""

from __future__ import annotations

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.twin.drift import begin_drift, innovations


def test_sums_are_pages() -> None:
    state = begin_drift(2, slack=1.0, threshold=5.0)
    for e in ([2.0, -3.0], [0.5, -3.0], [2.0, np.nan]):
        state = state.add(np.array(e))
    assert state.up.tolist() == [1.5, 0.0]
    assert state.down.tolist() == [0.0, 4.0]
    assert not state.alarm
    state = state.add(np.array([0.0, -3.0]))
    assert state.alarm
    assert state.cell == 1


def test_quiet_networks_stay_quiet_and_shifts_are_noticed() -> None:
    rng = np.random.default_rng(0)
    state, alarms = begin_drift(5), 0
    for _ in range(5000):
        state = state.add(rng.standard_normal(5))
        if state.alarm:
            alarms, state = alarms + 1, begin_drift(5)
    assert alarms <= 1
    state = begin_drift(5)
    for _ in range(20):
        state = state.add(rng.standard_normal(5) + np.array([0.0, 0.0, 2.0, 0.0, 0.0]))
    assert state.alarm
    assert state.cell == 2


def test_innovations_are_means_over_their_spread() -> None:
    found = innovations(np.array([1.0, 3.0, 5.0]), np.array([2.0, 2.0, 0.0]), np.array([0, 0, 2]), 3, 2.0)
    np.testing.assert_allclose(found, [2.0 / np.sqrt(2.0 + 4.0 / 2), np.nan, 5.0 / 2.0])


def test_a_threshold_is_above_nothing() -> None:
    with pytest.raises(InputError, match="threshold is 0"):
        begin_drift(1, threshold=0.0)
