"""The fused kernels against the readable float64 reference, and against vanished vectorisation."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.parallel import set_threads
from mndt.radio import _kernels, link
from mndt.radio._simd import FAST, exp2f, log2f
from mndt.radio.channel import RANK_CELLS, Links, rank_weights
from mndt.radio.fading import FadingLaw
from mndt.units import db_to_linear, linear_to_db, w_to_dbm

RAYLEIGH, STEADY = FadingLaw("rayleigh", "rayleigh"), FadingLaw("none", "none")
BLOCK_HZ = 180e3


def scene(seed: int, n_users: int = 60, n_cells: int = 9, n_blocks: int = 7) -> dict[str, np.ndarray]:
    """Random gains; every user holds at most one block, some blocks are free."""
    rng = np.random.default_rng(seed)
    user_of_block = np.full((n_cells, n_blocks), -1, np.int32)
    places = rng.permutation(n_cells * n_blocks)[: min(n_users, n_cells * n_blocks - 3)]
    user_of_block.ravel()[places] = rng.permutation(n_users)[: len(places)]
    return {
        "gain": db_to_linear(rng.uniform(-140, -60, (n_users, n_cells))),
        "sight": rng.integers(0, 2, (n_users, n_cells)),
        "user_of_block": user_of_block,
        "power_w": np.where(user_of_block >= 0, rng.uniform(0.001, 0.1, user_of_block.shape), 0).astype(np.float32),
        "noise_w": np.full(n_cells, 7.17e-16, np.float32),
    }


def links_of(s: dict[str, np.ndarray], law: FadingLaw, key: int = 5, blocks_per_group: int = 1) -> Links:
    n_cells, n_blocks = s["user_of_block"].shape
    return Links.of_gain(
        s["gain"], budget_w=np.ones(n_cells, np.float32), blocks=np.full(n_cells, n_blocks, np.int32),
        noise_w=s["noise_w"], sight=s["sight"], fading=law, key=key, blocks_per_group=blocks_per_group,
    )  # fmt: skip


def fused(s: dict[str, np.ndarray], law: FadingLaw, key: int = 5) -> np.ndarray:
    return links_of(s, law, key).block_sinr(s["user_of_block"], s["power_w"])


def reference(s: dict[str, np.ndarray]) -> np.ndarray:
    """In float64, on gains as levels keep them."""
    gain = 10.0 ** (np.rint(640 * np.log10(s["gain"])) / 640)
    return link.block_sinr(gain, s["user_of_block"], s["power_w"].astype(float), s["noise_w"].astype(float))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_rates_equal_the_float64_reference(seed: int) -> None:
    s = scene(seed)
    rate, expected = np.log2(1 + fused(s, STEADY).astype(float)), np.log2(1 + reference(s))
    np.testing.assert_allclose(rate, expected, rtol=1e-5, atol=1e-4)


def test_interference_survives_a_signal_60_db_above_it() -> None:
    """Subtracting the own power from a float32 total loses exactly this case."""
    s = scene(1, n_users=2, n_cells=2, n_blocks=1)
    s["user_of_block"] = np.array([[0], [1]], np.int32)
    s["gain"] = np.array([[1e-6, 1e-12], [1e-12, 1e-6]])
    s["power_w"] = np.ones((2, 1), np.float32)
    s["noise_w"] = np.full(2, 1e-16, np.float32)
    sinr = fused(s, STEADY)
    np.testing.assert_allclose(sinr[:, 0], reference(s)[:, 0], rtol=3e-6)
    np.testing.assert_allclose(np.log2(1 + sinr.astype(float)), np.log2(1 + reference(s)), rtol=1e-6)


def test_two_cells_by_hand() -> None:
    """Signal 1 W x 1e-8, interference 0.2 W x 1e-9, noise 1e-10: SINR 33.3."""
    s = {
        "gain": np.array([[1e-8, 1e-9], [1e-9, 1e-8]]),
        "sight": np.zeros((2, 2), int),
        "user_of_block": np.array([[0], [1]], np.int32),
        "power_w": np.array([[1.0], [0.2]], np.float32),
        "noise_w": np.full(2, 1e-10, np.float32),
    }
    assert fused(s, STEADY)[0, 0] == pytest.approx(1e-8 / 3e-10, rel=1e-5)


def test_free_blocks_and_zero_power_give_nothing() -> None:
    s = scene(3)
    s["power_w"][0] = 0.0
    sinr = fused(s, RAYLEIGH)
    silent = (s["user_of_block"] < 0) | (s["power_w"] == 0)
    assert (sinr[silent] == 0).all()
    assert (sinr[~silent] > 0).all()


def faded(n_users: int, n_blocks: int, law: FadingLaw, key: int = 9, **options: int) -> np.ndarray:
    """Fading of the own link of users of one cell, the second half in line of sight."""
    s = {
        "gain": np.ones((n_users, 1)), "sight": np.repeat([[0], [1]], n_users // 2, axis=0),
        "user_of_block": np.zeros((1, n_blocks), np.int32), "noise_w": np.ones(1, np.float32),
    }  # fmt: skip
    return links_of(s, law, key, **options).own_fading(np.zeros(n_users, np.int32))


def test_fading_draws_have_the_moments_of_their_law() -> None:
    """Rayleigh power: mean 1, variance 1. Rician: variance (1 + 2K) / (1 + K)^2."""
    k = 8.0
    out = faded(4000, 50, FadingLaw("rician", "rayleigh", rician_k_db=float(linear_to_db(k))))
    rayleigh, rician = out[:2000].ravel(), out[2000:].ravel()
    assert rayleigh.mean() == pytest.approx(1, abs=0.02)
    assert rayleigh.var() == pytest.approx(1, abs=0.04)
    assert rician.mean() == pytest.approx(1, abs=0.01)
    assert rician.var() == pytest.approx((1 + 2 * k) / (1 + k) ** 2, rel=0.03)


def test_fading_is_independent_between_users_blocks_and_seconds() -> None:
    out = np.stack([faded(500, 400, RAYLEIGH, key) for key in range(2)])
    for a, b in ((out[0, :-1], out[0, 1:]), (out[0, :, :-1], out[0, :, 1:]), (out[0], out[1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)


def test_fading_is_independent_between_cells() -> None:
    """One receiver's draws are neighbours in the bank: they must not resemble each other."""
    s = scene(2, n_users=3000, n_cells=40)
    links = links_of(s, RAYLEIGH)
    out = np.stack([links.own_fading(np.full(3000, c, np.int32))[:, 0] for c in range(40)])
    off_diagonal = np.corrcoef(out)[~np.eye(40, dtype=bool)]
    assert abs(off_diagonal).max() < 5 / np.sqrt(3000)


def test_blocks_within_the_coherence_bandwidth_fade_alike() -> None:
    out = faded(100, 12, RAYLEIGH, blocks_per_group=8)
    assert out.shape == (100, 2)
    s = scene(4, n_blocks=12)
    s["user_of_block"][:] = -1
    s["user_of_block"][0] = 0  # one user on all blocks of a cell: eight equal SINRs, then four
    s["power_w"] = np.where(s["user_of_block"] >= 0, 0.1, 0).astype(np.float32)
    sinr = links_of(s, RAYLEIGH, blocks_per_group=8).block_sinr(s["user_of_block"], s["power_w"])[0]
    assert len(set(sinr.tolist())) == 2
    assert (sinr[:8] == sinr[0]).all()


def test_the_scheduler_sees_the_fading_that_is_applied() -> None:
    s = scene(4)
    s["noise_w"][:] = 1e6  # noise so strong that interference does not count
    links = links_of(s, RAYLEIGH, key=11)
    cells, blocks = np.nonzero(s["user_of_block"] >= 0)
    user = s["user_of_block"][cells, blocks]
    serving = np.full(len(links), -1, np.int32)
    serving[user] = cells
    sinr, own = links.block_sinr(s["user_of_block"], s["power_w"]), links.own_fading(serving)
    expected = links.gain[user, cells] * s["power_w"][cells, blocks] * own[user, blocks] / 1e6
    np.testing.assert_allclose(sinr[cells, blocks], expected, rtol=1e-4)
    assert len(user) > 0


def test_threads_change_nothing() -> None:
    """Halves of the rows on two threads write the bytes that one thread writes."""
    s = scene(6, n_users=5000, n_cells=70, n_blocks=71)
    links, serving = links_of(s, RAYLEIGH), np.arange(5000, dtype=np.int32) % 70
    results = []
    for n in (1, 2, 3):
        set_threads(n)
        results.append([links.block_sinr(s["user_of_block"], s["power_w"]), links.own_fading(serving),
                        *vars(links.received_w(serving)).values(), *links.measured(serving)])  # fmt: skip
    set_threads(1)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 30))
def test_users_report_the_serving_cell_and_the_strongest_others(seed: int, window_db: float) -> None:
    s = scene(seed, n_users=20)
    links, serving = links_of(s, STEADY), np.random.default_rng(seed).integers(-1, 9, 20).astype(np.int32)
    cell, rsrp_dbm = links.measured(serving, slots=4, window_db=window_db)
    level = links.level >> 1
    for u, own in enumerate(serving):
        if own < 0:
            assert (cell[u] == -1).all()
            continue
        near = [c for c in range(9) if c != own and level[u, c] >= level[u, own] - round(64 * window_db)]
        expected = [own, *sorted(near, key=lambda c: (-level[u, c], c))[:3]]
        assert cell[u].tolist() == expected + [-1] * (4 - len(expected))
        power_dbm = w_to_dbm(links.gain[u, expected] * links.even_power_w()[expected])
        np.testing.assert_allclose(rsrp_dbm[u, : len(expected)], power_dbm, atol=1 / 64)


def test_users_alone_measure_their_serving_cell_only() -> None:
    links, serving = links_of(scene(3, n_users=20), STEADY), np.arange(20, dtype=np.int32) % 9
    alone = np.arange(20) % 2 == 0
    everyone, some = (
        links.measured(serving, window_db=100.0)[0],
        links.measured(serving, window_db=100.0, alone=alone)[0],
    )
    np.testing.assert_array_equal(some[:, 0], serving)
    assert (some[alone, 1:] == -1).all()
    np.testing.assert_array_equal(some[~alone], everyone[~alone])
    assert (everyone[alone, 1] >= 0).all()


def test_received_power_is_split_into_own_and_others() -> None:
    s = scene(8)
    links, serving = links_of(s, STEADY), np.arange(60, dtype=np.int32) % 10 - 1
    found = links.received_w(serving)
    received_w = links.gain.astype(float) * links.even_power_w()
    mine = serving >= 0
    expected_w = np.where(mine, received_w[np.arange(60), np.maximum(serving, 0)], 0)
    np.testing.assert_allclose(found.own_w, expected_w, rtol=1e-5)
    others_w = np.where(mine, received_w.sum(axis=1) - expected_w, 0)
    np.testing.assert_allclose(found.others_w, others_w, rtol=1e-5, atol=1e-20)
    half = links.received_w(serving, links.even_power_w() / 2)
    np.testing.assert_allclose(half.others_w, others_w / 2, rtol=1e-5, atol=1e-20)
    np.testing.assert_array_equal(half.own_w, found.own_w)
    elsewhere = np.where(np.arange(60) % 3 == 0, 4, serving).astype(np.int32)
    again, anew = links.received_w(elsewhere, known=found), links.received_w(elsewhere)
    np.testing.assert_equal(vars(again), vars(anew))


def test_look_up_decodes_gain_and_sight() -> None:
    rng = np.random.default_rng(0)
    steps = rng.integers(-150 * 64, -40 * 64, (6, 5, 11))
    seen = rng.integers(0, 2, steps.shape)
    level = (2 * steps + seen).astype(np.int16)
    x_m, y_m = rng.uniform(-3, 23, 200).astype(np.float32), rng.uniform(-3, 27, 200).astype(np.float32)
    found, rank = np.empty((200, 11), np.int16), np.empty(200, np.int32)
    weight = rank_weights(np.ones(11, np.float32))
    _kernels.look_up(0, 200, level, 0.25, x_m, y_m, weight, found, rank)
    row, column = np.clip(y_m // 4, 0, 5).astype(int), np.clip(x_m // 4, 0, 4).astype(int)
    np.testing.assert_array_equal(found, level[row, column])
    np.testing.assert_array_equal(RANK_CELLS - (rank & RANK_CELLS), steps[row, column].argmax(axis=1))
    gain = np.empty((200, 11), np.float32)
    _kernels.gains(0, 200, found, gain)
    np.testing.assert_allclose(gain, db_to_linear(steps[row, column] / 64), rtol=3e-6)


def test_level_by_formula_is_umi_in_line_of_sight() -> None:
    x_m, zero = np.geomspace(10, 3000, 300).astype(np.float32), np.zeros(1, np.float32)
    out = np.empty((300, 1), np.int16)
    _kernels.level_by_formula(0, 300, x_m, np.zeros(300, np.float32), zero, zero, 8.5, 210.0, 3.5, out)
    slant_m = np.hypot(x_m, 8.5)
    near_db = 32.4 + 21 * np.log10(slant_m) + 20 * np.log10(3.5)
    far_db = 32.4 + 40 * np.log10(slant_m) + 20 * np.log10(3.5) - 9.5 * np.log10(210.0**2 + 8.5**2)
    np.testing.assert_allclose((out[:, 0] >> 1) / -64, np.where(x_m <= 210, near_db, far_db), atol=0.51 / 64)
    assert (out & 1).all()


def test_polynomials_stay_within_their_stated_errors() -> None:
    import numba as nb

    options = {**FAST, "cache": False}

    @nb.njit(**options)
    def sample(x, which, out):  # type: ignore[no-untyped-def]
        for i in range(x.shape[0]):
            out[i] = log2f(x[i]) if which == 0 else exp2f(x[i])

    grids = (np.geomspace(1e-30, 1e30, 20001), np.linspace(-120, 120, 20001))
    for which, (grid, truth) in enumerate(zip(grids, (np.log2, np.exp2), strict=True)):
        x, out = grid.astype(np.float32), np.empty(len(grid), np.float32)
        sample(x, which, out)
        exact = truth(x.astype(np.float64))
        error = abs(out - exact)
        limit = (4e-6 + 1e-7 * abs(exact), 2e-6 * exact)[which]
        assert (error <= limit).all(), (which, float((error / limit).max()))


def arguments(name: str) -> tuple[object, ...]:
    s, at, row = scene(0, n_cells=16), np.ones(2, np.float32), np.ones(16, np.float32)
    links, out = links_of(s, RAYLEIGH), s["power_w"].copy()
    level, weight, serving, rank = links.level, rank_weights(row), np.zeros(60, np.int32), np.zeros(60, np.int32)
    return {
        "look_up": (0, 2, np.zeros((3, 3, 16), np.int16), 0.25, at, at, weight, level, rank),
        "gains": (0, 60, level, links.gain),
        "received": (0, 60, level, row, row, serving, np.ones(60, np.float32), np.ones(60, np.float32)),
        "level_by_formula": (0, 2, at, at, row, row, 8.5, 200.0, 3.5, level),
        "report": (
            0, 60, level, weight, serving, serving > 0, 384, np.zeros((60, 8), np.int32), np.zeros((60, 8), np.int32),
        ),
        "block_sinr": (
            0, 60, level, np.minimum(np.arange(62), 60).astype(np.int32), np.arange(60, dtype=np.int32),
            np.ascontiguousarray(out.T), s["noise_w"], np.full(60, 1, np.int32), links.bank, np.int32(255), 1,
            np.zeros(200, np.float32),
        ),
    }[name]  # fmt: skip


PACKED = {
    **dict.fromkeys(("look_up", "report"), r"vpmaxsd\s+[^\n]*ymm"),
    **dict.fromkeys(("gains", "received", "level_by_formula", "block_sinr"), r"vf[n]?m(?:add|sub)\d{3}ps"),
}
"""An instruction on eight numbers at once that each kernel's inner loop consists of."""


@pytest.mark.parametrize("name", sorted(PACKED))
def test_kernels_stay_vectorised(name: str) -> None:
    """Packed arithmetic must be present in the machine code, or a change has cost a factor of four."""
    import numba as nb
    from llvmlite import binding

    if not binding.get_host_cpu_features().get("avx2"):
        pytest.skip("looks for AVX2 instructions")
    fresh = nb.njit(**{**FAST, "cache": False})(getattr(_kernels, name).py_func)  # cached code hides its assembly
    fresh(*arguments(name))
    code = next(iter(fresh.inspect_asm().values()))
    packed = len(re.findall(PACKED[name], code))
    # scalar twins always exist beside them (remainders, overlap checks); lost vectorisation leaves no packed ones
    assert packed >= 2, f"{name}: {packed} packed instructions"
