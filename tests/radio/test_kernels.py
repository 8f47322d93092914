"""The fused kernels against the readable float64 reference, and against vanished vectorisation."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.radio import _kernels, link
from mndt.radio._simd import FAST, exp2f, log2f, sin_half_turns
from mndt.units import db_to_linear

RAYLEIGH = np.array([[0, 0, 1], [0, 0, 1]], np.float32)
STEADY = np.array([[1, 0, 0], [1, 0, 0]], np.float32)
BLOCK_HZ = 180e3


def scene(seed: int, n_users: int = 60, n_cells: int = 9, n_blocks: int = 7) -> dict[str, np.ndarray]:
    """Random gains; every user holds at most one block, some blocks are free."""
    rng = np.random.default_rng(seed)
    user_of_block = np.full((n_cells, n_blocks), -1, np.int32)
    places = rng.permutation(n_cells * n_blocks)[: min(n_users, n_cells * n_blocks - 3)]
    user_of_block.ravel()[places] = rng.permutation(n_users)[: len(places)]
    return {
        "gain": db_to_linear(rng.uniform(-140, -60, (n_users, n_cells))).astype(np.float32),
        "sight": rng.integers(0, 2, (n_users, n_cells)).astype(np.uint8),
        "user_of_block": user_of_block,
        "power_w": np.where(user_of_block >= 0, rng.uniform(0.001, 0.1, user_of_block.shape), 0).astype(np.float32),
        "noise_w": np.full(n_cells, 7.17e-16, np.float32),
        "block_hz": np.full(n_cells, BLOCK_HZ, np.float32),
    }


def fused(s: dict[str, np.ndarray], law: np.ndarray, key: int = 5) -> tuple[np.ndarray, np.ndarray]:
    sinr, rate_bps = np.empty(s["power_w"].shape, np.float32), np.empty(s["power_w"].shape, np.float32)
    turned = np.ascontiguousarray(s["power_w"].T)
    _kernels.block_rates(s["gain"], s["sight"], s["user_of_block"], s["power_w"], turned, s["noise_w"], s["block_hz"],
                         np.int32(key), law, None, sinr, rate_bps)  # fmt: skip
    return sinr, rate_bps


def reference(s: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    wide = {name: value.astype(np.float64) for name, value in s.items() if value.dtype == np.float32}
    sinr = link.block_sinr(wide["gain"], s["user_of_block"], wide["power_w"], wide["noise_w"])
    return sinr, link.shannon_rate_bps(sinr, BLOCK_HZ)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_rates_equal_the_float64_reference(seed: int) -> None:
    s = scene(seed)
    _, rate_bps = fused(s, STEADY)
    _, expected_bps = reference(s)
    np.testing.assert_allclose(rate_bps, expected_bps, rtol=1e-5, atol=1e-4 * BLOCK_HZ)


def test_interference_survives_a_signal_60_db_above_it() -> None:
    """Subtracting the own power from a float32 total loses exactly this case."""
    s = scene(1, n_users=2, n_cells=2, n_blocks=1)
    s["user_of_block"] = np.array([[0], [1]], np.int32)
    s["gain"] = np.array([[1e-6, 1.1e-12], [1e-12, 1e-6]], np.float32)
    s["power_w"] = np.ones((2, 1), np.float32)
    s["noise_w"] = np.full(2, 1e-16, np.float32)
    sinr, rate_bps = fused(s, STEADY)
    np.testing.assert_allclose(sinr[:, 0], reference(s)[0][:, 0], rtol=2e-6)
    np.testing.assert_allclose(rate_bps[:, 0], reference(s)[1][:, 0], rtol=1e-5)


def test_two_cells_by_hand() -> None:
    """Signal 1 W x 1e-9, interference 0.5 W x 2e-10, noise 1e-10: SINR 5."""
    s = {
        "gain": np.array([[1e-9, 2e-10], [1e-9, 1e-9]], np.float32),
        "sight": np.zeros((2, 2), np.uint8),
        "user_of_block": np.array([[0], [1]], np.int32),
        "power_w": np.array([[1.0], [0.5]], np.float32),
        "noise_w": np.full(2, 1e-10, np.float32),
        "block_hz": np.full(2, BLOCK_HZ, np.float32),
    }
    sinr, rate_bps = fused(s, STEADY)
    assert sinr[0, 0] == pytest.approx(5.0, rel=1e-5)
    assert rate_bps[0, 0] == pytest.approx(BLOCK_HZ * np.log2(6.0), rel=1e-5)


def test_free_blocks_and_zero_power_give_nothing() -> None:
    s = scene(3)
    s["power_w"][0] = 0.0
    sinr, rate_bps = fused(s, RAYLEIGH)
    silent = (s["user_of_block"] < 0) | (s["power_w"] == 0)
    assert (sinr[silent] == 0).all()
    assert (rate_bps[silent] == 0).all()
    assert (rate_bps[~silent] > 0).all()


def test_fading_draws_have_the_moments_of_their_law() -> None:
    """Rayleigh power: mean 1, variance 1. Rician: variance (1 + 2K) / (1 + K)^2."""
    n_users, n_blocks, k = 4000, 50, 8.0
    law = np.array([[0, 0, 1], [k / (1 + k), 2 * np.sqrt(k) / (1 + k), 1 / (1 + k)]], np.float32)
    sight = np.repeat([[0], [1]], n_users // 2, axis=0).astype(np.uint8)
    out = np.empty((n_users, n_blocks), np.float32)
    _kernels.own_fading(np.int32(9), np.zeros(n_users, np.int32), sight, law, None, n_blocks, out)
    rayleigh, rician = out[: n_users // 2].ravel(), out[n_users // 2 :].ravel()
    assert rayleigh.mean() == pytest.approx(1, abs=0.02)
    assert rayleigh.var() == pytest.approx(1, abs=0.04)
    assert rician.mean() == pytest.approx(1, abs=0.01)
    assert rician.var() == pytest.approx((1 + 2 * k) / (1 + k) ** 2, rel=0.03)


def test_fading_is_independent_between_users_blocks_and_seconds() -> None:
    out = np.empty((2, 500, 400), np.float32)
    for key in range(2):
        _kernels.own_fading(
            np.int32(key), np.zeros(500, np.int32), np.zeros((500, 1), np.uint8), RAYLEIGH, None, 400, out[key]
        )
    for a, b in ((out[0, :-1], out[0, 1:]), (out[0, :, :-1], out[0, :, 1:]), (out[0], out[1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)


def test_the_scheduler_sees_the_fading_that_is_applied() -> None:
    s = scene(4)
    sinr, _ = fused(s, RAYLEIGH, key=11)
    faded, _ = np.nonzero(s["user_of_block"] >= 0)
    serving = np.full(len(s["gain"]), -1, np.int32)
    cells, blocks = np.nonzero(s["user_of_block"] >= 0)
    serving[s["user_of_block"][cells, blocks]] = cells
    own = np.empty((len(serving), s["power_w"].shape[1]), np.float32)
    _kernels.own_fading(np.int32(11), serving, s["sight"], RAYLEIGH, None, own.shape[1], own)
    s["noise_w"][:] = 1e6  # noise so strong that interference does not count
    strong, _ = fused(s, RAYLEIGH, key=11)
    user = s["user_of_block"][cells, blocks]
    expected = s["gain"][user, cells] * s["power_w"][cells, blocks] * own[user, blocks] / 1e6
    np.testing.assert_allclose(strong[cells, blocks], expected, rtol=1e-4)
    assert len(faded) == len(cells) > 0
    assert np.isfinite(sinr).all()


def test_look_up_decodes_gain_and_sight() -> None:
    rng = np.random.default_rng(0)
    steps = rng.integers(-150 * 64, -40 * 64, (6, 5, 11))
    seen = rng.integers(0, 2, steps.shape)
    level = (2 * steps + seen).astype(np.int16)
    x_m, y_m = rng.uniform(-3, 23, 200).astype(np.float32), rng.uniform(-3, 27, 200).astype(np.float32)
    gain, sight = np.empty((200, 11), np.float32), np.empty((200, 11), np.uint8)
    _kernels.look_up(level, 4.0, x_m, y_m, gain, sight)
    row, column = np.clip(y_m // 4, 0, 5).astype(int), np.clip(x_m // 4, 0, 4).astype(int)
    np.testing.assert_allclose(gain, db_to_linear(steps[row, column] / 64), rtol=3e-6)
    np.testing.assert_array_equal(sight, seen[row, column])


def test_polynomials_stay_within_their_stated_errors() -> None:
    import numba as nb

    options = {**FAST, "cache": False}

    @nb.njit(**options)
    def sample(x, which, out):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            out[i] = log2f(x[i]) if which == 0 else exp2f(x[i]) if which == 1 else sin_half_turns(x[i])

    grids = (np.geomspace(1e-30, 1e30, 20001), np.linspace(-120, 120, 20001), np.linspace(-0.5, 0.5, 20001))
    for which, (grid, truth) in enumerate(zip(grids, (np.log2, np.exp2, lambda t: np.sin(np.pi * t)), strict=True)):
        x, out = grid.astype(np.float32), np.empty(len(grid), np.float32)
        sample(x, which, out)
        exact = truth(x.astype(np.float64))
        error = abs(out - exact)
        limit = {0: 4e-6 + 1e-7 * abs(exact), 1: 2e-6 * exact, 2: 1e-6}[which]
        assert (error <= limit).all(), (which, float((error / limit).max()))


def arguments(name: str) -> tuple[object, ...]:
    s, at, row = scene(0, n_cells=16), np.ones(2, np.float32), np.ones(16, np.float32)
    gain, sight = np.ones((2, 16), np.float32), np.zeros((2, 16), np.uint8)
    out = s["power_w"].copy()
    return {
        "look_up": (np.zeros((3, 3, 16), np.int16), 4.0, at, at, gain, sight),
        "wideband_sinr": (gain, row, row, np.zeros(2, np.int32), at),
        "gain_by_formula": (at, at, row, row, 8.5, 200.0, 3.5, gain),
        "block_rates": (
            s["gain"], s["sight"], s["user_of_block"], s["power_w"], np.ascontiguousarray(out.T),
            s["noise_w"], s["block_hz"], np.int32(1), RAYLEIGH, None, out, out.copy(),
        ),
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", ["look_up", "block_rates", "wideband_sinr", "gain_by_formula"])
def test_kernels_stay_vectorised(name: str) -> None:
    """Packed arithmetic must be present in the machine code, or a change has cost a factor of four."""
    import numba as nb
    from llvmlite import binding

    if not binding.get_host_cpu_features().get("avx2"):
        pytest.skip("looks for AVX2 instructions")
    fresh = nb.njit(**{**FAST, "cache": False})(getattr(_kernels, name).py_func)  # cached code hides its assembly
    fresh(*arguments(name))
    code = next(iter(fresh.inspect_asm().values()))
    packed = len(re.findall(r"vf[n]?m(?:add|sub)\d{3}ps", code))
    # scalar twins always exist beside them (remainders, overlap checks); lost vectorisation leaves no packed ones
    assert packed >= 4, f"{name}: {packed} packed multiply-adds"
