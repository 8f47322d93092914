from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.network.power import POWER, READS_NEEDS, assign_power
from mndt.parallel import set_threads
from mndt.radio import mcs
from mndt.radio.link import power_for_rate_w

BLOCK_HZ = 100e3


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


def draw_needs(seed, n_cells, width, n_users, *, fading=True, law="shannon", budget=1.0):
    """The same with what users need and how well they receive; `budget` scales what cells have."""
    rng, p = np.random.default_rng(seed), draw_blocks(seed, n_cells, width, n_users)
    need_bits = np.minimum(rng.lognormal(12.0, 1.0, n_users), 2e6) * (rng.random(n_users) > 0.1)
    return p | {
        "budget_w": (p["budget_w"] * budget).astype(np.float32),
        "need_bits": need_bits.astype(np.float32),
        "sinr_per_w": (rng.lognormal(3.0, 2.0, n_users) * (rng.random(n_users) > 0.05)).astype(np.float32),
        "fade": rng.exponential(1.0, (n_users, -(-width // 3))).astype(np.float32) if fading else None,
        "blocks_per_group": 3,
        "block_hz": np.full(n_cells, BLOCK_HZ, np.float32),
        "law": law,
    }


def shapes(n_users=60, width=200):
    return st.integers(0, 2**31), st.integers(1, 5), st.integers(1, width), st.integers(0, n_users)


allocations = st.builds(draw_blocks, *shapes())
laws = st.sampled_from(mcs.LAWS)
needs = st.builds(draw_needs, *shapes(25, 40), fading=st.booleans(), law=laws, budget=st.sampled_from([0.01, 1.0, 1e6]))
plenty = st.builds(draw_needs, *shapes(25, 40), fading=st.booleans(), law=laws, budget=st.just(1e12))


@settings(max_examples=200, deadline=None)
@given(allocations, st.sampled_from(sorted(POWER.keys() - READS_NEEDS)))
def test_power_is_on_used_blocks_only_and_within_the_budget(p, name):
    power_w = assign_power(name, **p)
    assert power_w.shape == p["user_of_block"].shape
    assert power_w.dtype == np.float32
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
    with pytest.raises(ValueError, match="reads need_bits"):
        assign_power("need", user_of_block=np.int32([[0]]), budget_w=np.float32([1]), blocks=np.int32([1]))


def test_a_user_in_two_cells_breaks_no_budget():
    """A decision from outside may place it so."""
    p = {"user_of_block": np.int32([[0, 1], [0, 2]]), "budget_w": np.float32([1, 1]), "blocks": np.int32([2, 2])}
    assert assign_power("fair", **p).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def block_gains(p, c, u):
    """Columns of a user's blocks and their SINR at 1 W."""
    k = np.flatnonzero(p["user_of_block"][c] == u)
    fade = 1.0 if p["fade"] is None else p["fade"][u, k // p["blocks_per_group"]].astype(float)
    return k, float(p["sinr_per_w"][u]) * np.broadcast_to(fade, len(k))


def holders(p):
    """Cell and row of every user that holds blocks."""
    return [(c, int(u)) for c, row in enumerate(p["user_of_block"]) for u in np.unique(row[row >= 0])]


def carried_bits(p, power_w, c, u):
    k, gain = block_gains(p, c, u)
    return float(mcs.rate_bps(p["law"], power_w[c, k].astype(float) * gain, BLOCK_HZ).sum())


@settings(max_examples=200, deadline=None)
@given(needs)
def test_needs_keep_to_the_budget_and_to_used_blocks(p):
    power_w = assign_power("need", **p)
    assert power_w.dtype == np.float32
    assert np.isfinite(power_w).all()
    assert (power_w >= 0).all()
    assert (power_w[p["user_of_block"] < 0] == 0).all()
    assert (power_w.sum(axis=1, dtype=np.float64) <= p["budget_w"] * (1 + 1e-6)).all()
    for c, u in holders(p):
        if p["need_bits"][u] == 0 or p["sinr_per_w"][u] == 0:
            assert (power_w[c][p["user_of_block"][c] == u] == 0).all()


@settings(max_examples=200, deadline=None)
@given(plenty)
def test_with_power_enough_every_need_is_met_as_far_as_the_law_goes(p):
    power_w = assign_power("need", **p)
    most = min(mcs.ceiling(p["law"]), 50.0)
    for c, u in holders(p):
        k, gain = block_gains(p, c, u)
        need = float(p["need_bits"][u]) * (gain[0] > 0)
        assert carried_bits(p, power_w, c, u) >= min(need, most * len(k) * BLOCK_HZ) * (1 - 1e-4)
        if p["law"] in ("64qam", "256qam"):
            assert (power_w[c, k] * gain <= 2**most).all()  # nothing spent above the top entry


@settings(max_examples=100, deadline=None)
@given(plenty.map(lambda p: p | {"law": "shannon"}))
def test_no_other_split_over_a_users_blocks_costs_less(p):
    """The conditions of Karush, Kuhn and Tucker: power plus 1 / gain is one level where there is power,
    and 1 / gain is not below it elsewhere; the rates add up to the need."""
    power_w = assign_power("need", **p).astype(float)
    for c, u in holders(p):
        k, gain = block_gains(p, c, u)
        if p["need_bits"][u] == 0 or gain[0] == 0:
            continue
        on = power_w[c, k] > 0
        level = (power_w[c, k] + 1 / gain)[on]
        np.testing.assert_allclose(level, level.max(), rtol=2e-4)
        assert (1 / gain[~on] >= level.max() * (1 - 2e-4)).all()
        assert carried_bits(p, power_w, c, u) == pytest.approx(float(p["need_bits"][u]), rel=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.builds(draw_needs, *shapes(25, 40), fading=st.just(False), budget=st.just(1e12)))
def test_without_fading_it_is_shannon_inverted(p):
    power_w = assign_power("need", **p)
    for c, u in holders(p):
        k, gain = block_gains(p, c, u)
        if gain[0] > 0:
            expected = power_for_rate_w(np.asarray(float(p["need_bits"][u])), len(k) * BLOCK_HZ, gain[0])
            np.testing.assert_allclose(power_w[c, k], float(expected), rtol=1e-3, atol=1e-6 / gain[0])


@settings(max_examples=100, deadline=None)
@given(st.builds(draw_needs, *shapes(25, 40), fading=st.booleans(), law=laws, budget=st.floats(1e-3, 1e2)))
def test_a_short_budget_satisfies_as_many_as_can_be(p):
    wish_w = assign_power("need", **p | {"budget_w": np.full(len(p["blocks"]), 1e30, np.float32)}).astype(float)
    power_w = assign_power("need", **p).astype(float)
    for c, row in enumerate(p["user_of_block"]):
        users = np.unique(row[row >= 0])
        wished = np.array([wish_w[c, row == u].sum() for u in users])
        given_w = np.array([power_w[c, row == u].sum() for u in users])
        full = given_w >= wished * (1 - 1e-5)
        most = (np.cumsum(np.sort(wished)) <= p["budget_w"][c] * (1 - 1e-5)).sum()
        assert full.sum() >= most
        if not full.all():
            assert given_w.sum() == pytest.approx(p["budget_w"][c], rel=1e-4)
            np.testing.assert_allclose(given_w[~full], given_w[~full].max(), rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(needs, st.floats(1.0, 3.0))
def test_a_larger_need_takes_no_less_power(p, factor):
    ample = p | {"budget_w": np.full(len(p["blocks"]), 1e30, np.float32)}
    more = ample | {"need_bits": p["need_bits"] * np.float32(factor)}
    sums = [assign_power("need", **q).sum(axis=1, dtype=np.float64) for q in (ample, more)]
    assert (sums[1] >= sums[0] * (1 - 1e-4)).all()


@settings(max_examples=60, deadline=None)
@given(needs, st.integers(0, 100), st.sampled_from(sorted(POWER)))
def test_names_of_users_do_not_matter(p, seed, name):
    n_users = len(p["need_bits"])
    perm = np.random.default_rng(seed).permutation(n_users).astype(np.int32)  # new row -> old row
    place = np.append(np.argsort(perm), -1).astype(np.int32)
    per_user = {k: p[k][perm] for k in ("need_bits", "sinr_per_w", "fade") if p[k] is not None}
    other = p | per_user | {"user_of_block": place[p["user_of_block"]]}
    np.testing.assert_array_equal(assign_power(name, **p), assign_power(name, **other))


@pytest.mark.parametrize("name", sorted(POWER))
def test_threads_change_nothing(name):
    p = draw_needs(7, 200, 30, 900)
    results = []
    for n in (1, 2, 3):
        set_threads(n)
        results.append(assign_power(name, **p).tobytes())
    set_threads(1)
    assert results[0] == results[1] == results[2]


def test_too_few_fades_are_an_error():
    with pytest.raises(ValueError, match="do not cover"):
        assign_power("need", **draw_needs(1, 3, 30, 9) | {"blocks_per_group": 1})
