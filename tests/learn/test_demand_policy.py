"""Single-step demands: around an equal part of what is unmet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.learn import demand_policy


@given(st.floats(0.0, 100.0), st.integers(1, 40), st.floats(-9.0, 9.0))
def test_nobody_asks_for_more_than_is_unmet_and_equal_parts_are_the_middle(unmet: float, left: int, action: float):
    found = demand_policy.asked(np.array([unmet]), left, action)[0]
    equal = demand_policy.asked(np.array([unmet]), left, 0.0)[0]
    assert equal == np.float32(unmet / left)
    assert 0.0 <= found <= np.float32(unmet)
    if action >= 0.0:
        assert found >= equal
    else:
        assert found <= equal


def test_what_is_seen_does_not_depend_on_the_unit_of_load():
    rng = np.random.default_rng(0)
    unmet, received = rng.uniform(0, 60, (2, 50))
    rate, heard = rng.uniform(0, 6, (2, 50))
    one = demand_policy.observe(unmet, received, rate, heard, 4, 20, 3.0)
    other = demand_policy.observe(2 * unmet, 2 * received, 2 * rate, heard, 4, 20, 6.0)
    assert one.shape == (50, demand_policy.FEATURES)
    np.testing.assert_allclose(one[:, :-1], other[:, :-1], atol=1e-5)


def test_a_new_policy_divides_equally_and_is_read_again(tmp_path: Path):
    params = demand_policy.first(3)
    seen = np.random.default_rng(1).standard_normal((20, demand_policy.FEATURES)).astype(np.float32)
    assert (demand_policy.mean_action(params, seen) == 0.0).all()
    np.savez(tmp_path / "a.npz", **params)
    again = demand_policy.read(tmp_path / "a.npz")
    assert all(np.array_equal(params[name], again[name]) for name in params)
    np.savez(tmp_path / "b.npz", w0=np.zeros((2, 2)))
    (tmp_path / "c.npz").write_text("no")
    for name in ("b.npz", "c.npz", "d.npz"):
        with pytest.raises(InputError, match="train"):
            demand_policy.read(tmp_path / name)
