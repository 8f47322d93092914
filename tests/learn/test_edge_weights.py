"""Learned edges: the exact assignment behind them, what they say untrained, and that they can learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.learn.edge_weights import (
    CELL_FEATURES,
    cell_edges,
    choose_cells,
    fit_edges,
    forward,
    read_edges,
    start_weights,
)

NOISE_W = 1e-15


def _some(seed, n_users=40, n_cells=12):
    rng = np.random.default_rng(seed)
    gain = (10.0 ** rng.uniform(-13, -8, (n_users, n_cells))).astype(np.float32)
    return gain, rng.uniform(0.2, 1.0, n_cells).astype(np.float32), rng


def _edges(gain, limit_w, n_blocks=20, present=None):
    load = np.bincount((gain * limit_w).argmax(axis=1), minlength=len(limit_w))
    demand = np.full(len(gain), 2.0, np.float32)
    return cell_edges(gain, limit_w, NOISE_W, n_blocks, demand, load, limit_w, present)


def test_edges_are_the_strongest_cells_in_order():
    gain, limit_w, _ = _some(0)
    edges = _edges(gain, limit_w)
    order = np.argsort(-gain * limit_w, axis=1)[:, :8]
    np.testing.assert_array_equal(edges.cell, order)


def test_the_first_feature_is_the_rate_at_an_equal_share_and_spread_interference():
    gain, limit_w, _ = _some(1)
    edges = _edges(gain, limit_w, n_blocks=20)
    load = np.bincount((gain * limit_w).argmax(axis=1), minlength=len(limit_w))
    u, i = 7, 3
    b = edges.cell[u, i]
    others = (gain[u] * limit_w).astype(float).sum() - float(gain[u, b] * limit_w[b])
    share = limit_w[b] / max(load[b] + 1, 1)
    expected = np.log2(1 + gain[u, b] * share / (others / 20 + NOISE_W))
    assert edges.features[u, i, 0] == pytest.approx(expected, rel=1e-4)


def test_edges_of_equal_weight_give_the_strongest_cell():
    gain, limit_w, _ = _some(2)
    edges = _edges(gain, limit_w)
    equal = np.full(edges.cell.shape, 3.7, np.float32)
    cell = choose_cells(equal, edges, gain * limit_w, places=40)
    np.testing.assert_array_equal(cell, (gain * limit_w).argmax(axis=1))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), places=st.integers(4, 9))
def test_everyone_has_one_cell_and_no_cell_too_many(seed, places):
    gain, limit_w, rng = _some(seed)
    edges = _edges(gain, limit_w)
    value = rng.normal(0, 2, edges.cell.shape).astype(np.float32)
    cell = choose_cells(value, edges, gain * limit_w, places)
    assert cell.shape == (40,)
    assert np.issubdtype(cell.dtype, np.integer)
    assert cell.min() >= 0
    assert np.bincount(cell, minlength=12).max() <= places


def test_the_assignment_has_the_largest_sum():
    """Against all ways of seating six users on three cells with two places each."""
    from itertools import product

    gain, limit_w, rng = _some(3, 6, 3)
    edges = _edges(gain, limit_w)
    value = rng.normal(0, 2, edges.cell.shape).astype(np.float32)
    dense = np.empty((6, 3))
    np.put_along_axis(dense, edges.cell, value.astype(float), axis=1)
    best = max(
        sum(dense[u, c] for u, c in enumerate(way))
        for way in product(range(3), repeat=6)
        if np.bincount(way, minlength=3).max() <= 2
    )
    cell = choose_cells(value, edges, gain * limit_w, places=2)
    assert dense[np.arange(6), cell].sum() == pytest.approx(best, abs=6e-3)  # the tie-break is 1e-4 a rank


def test_untrained_edges_say_what_physics_says():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (5, 8, CELL_FEATURES)).astype(np.float32)
    reward, cost = forward(np, start_weights("cell"), "cell", x)
    np.testing.assert_allclose(reward, x[..., 0])
    np.testing.assert_allclose(cost, np.minimum(x[..., 0], 4 * x[..., 5]))


def test_numpy_and_jax_agree():
    import jax.numpy as jnp

    rng = np.random.default_rng(1)
    weights = {name: rng.normal(0, 0.5, w.shape).astype(np.float32) for name, w in start_weights("block").items()}
    x = rng.normal(0, 1, (6, 9, 9)).astype(np.float32)
    for mine, other in zip(forward(np, weights, "block", x), forward(jnp, weights, "block", x), strict=True):
        np.testing.assert_allclose(mine, np.asarray(other), rtol=1e-4, atol=1e-4)


def test_regression_finds_a_bias_that_depends_on_load():
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 1, (20_000, CELL_FEATURES)).astype(np.float32)
    target = np.stack([x[:, 0] - x[:, 3], np.minimum(x[:, 0], 4 * x[:, 5]) - 0.5 * x[:, 3]], axis=1)
    weights, error = fit_edges("cell", start_weights("cell"), x, target, updates=250)
    assert error < 0.06  # 0.37 untrained
    again, _ = fit_edges("cell", start_weights("cell"), x, target, updates=250)
    assert all((weights[name] == again[name]).all() for name in weights)


def test_a_file_that_is_not_of_edges_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"no zip")
    with pytest.raises(InputError, match="train them anew"):
        read_edges(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", cell_w0=np.zeros(3))
    with pytest.raises(InputError, match="without a fitting"):
        read_edges(tmp_path / "b.npz")
