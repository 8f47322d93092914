"""Counted traffic from files of arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.traffic_inputs import read_series


def test_arrays_become_series_and_later_starts_fall_away(tmp_path: Path) -> None:
    traffic = np.random.default_rng(0).integers(1, 100, (5, 100))
    traffic[1, 60] = -7
    file = tmp_path / "week.npz"
    np.savez(file, traffic=traffic, place=[3, 3, 8, 8, 8], start_slot=[0, 0, 0, 0, 50], slot_minutes=30)
    said: list[str] = []
    held = read_series(file, say=said.append)
    assert held.observed.slot_s == 1800
    assert held.observed.traffic.shape == (4, 100)
    assert (held.observed.traffic[[0, 2, 3]] == traffic[[0, 2, 3]]).all()
    assert held.observed.traffic[1, 60] > 0
    assert held.observed.group.tolist() == [0, 0, 1, 1]
    assert any("missing slots" in line for line in said)


def test_arrays_without_traffic_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", load=np.ones((3, 96)))
    with pytest.raises(InputError, match="the arrays found are load"):
        read_series(tmp_path / "x.npz")
