from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.network.power import POWER, assign_power


def draw_blocks(seed, n_cells, width, n_users):
    """A random legal allocation: every user in one cell at most."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, width + 1, n_cells).astype(np.int32)
    cell = rng.integers(0, n_cells, n_users)
    user_of_block = np.full((n_cells, width), -1, np.int32)
    for c in range(n_cells):
        members = np.append(np.flatnonzero(cell == c), -1)
        user_of_block[c, : blocks[c]] = rng.choice(members, blocks[c])
    budget_w = np.where(blocks > 0, rng.uniform(0.01, 40.0, n_cells), 0).astype(np.float32)
    return {"user_of_block": user_of_block, "budget_w": budget_w, "blocks": blocks}


allocations = st.builds(draw_blocks, st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 200), st.integers(0, 60))


@settings(max_examples=200, deadline=None)
@given(allocations, st.sampled_from(sorted(POWER)))
def test_power_is_on_used_blocks_only_and_within_the_budget(p, name):
    power_w = assign_power(name, **p)
    assert power_w.shape == p["user_of_block"].shape
    assert ((power_w > 0) == (p["user_of_block"] >= 0)).all()
    assert (power_w.sum(axis=1, dtype=np.float64) <= p["budget_w"] * (1 + 1e-6)).all()


@settings(max_examples=100, deadline=None)
@given(allocations)
def test_fair_gives_each_user_of_a_cell_the_same_and_spends_the_budget(p):
    power_w = assign_power("fair", **p).astype(np.float64)
    for c, row in enumerate(p["user_of_block"]):
        users = np.unique(row[row >= 0])
        shares = [power_w[c, row == u].sum() for u in users]
        np.testing.assert_allclose(shares, p["budget_w"][c] / max(len(users), 1), rtol=1e-6)


def test_by_hand():
    p = {"user_of_block": np.int32([[4, 4, 7, -1], [-1, -1, -1, -1]]), "budget_w": np.float32([1, 1])}
    p["blocks"] = np.int32([4, 2])
    assert assign_power("fair", **p).tolist() == [[0.25, 0.25, 0.5, 0], [0, 0, 0, 0]]
    assert assign_power("equal", **p).tolist() == [[0.25, 0.25, 0.25, 0], [0, 0, 0, 0]]


def test_unknown_name_says_so():
    with pytest.raises(InputError, match="equal, fair"):
        assign_power("water-filling", user_of_block=np.int32([[0]]), budget_w=np.float32([1]), blocks=np.int32([1]))
