"""Rate laws against the published tables, a plain reference and their own inverses."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.radio import link, mcs
from mndt.radio._simd import FAST
from mndt.units import db_to_linear

# The column "spectral efficiency" of TS 38.214 tables 5.1.3.1-1 and 5.1.3.1-2, by index.
PUBLISHED = {
    "64qam": [
        0.2344, 0.3066, 0.3770, 0.4902, 0.6016, 0.7402, 0.8770, 1.0273, 1.1758, 1.3262, 1.3281, 1.4766, 1.6953, 1.9141,
        2.1602, 2.4063, 2.5703, 2.5664, 2.7305, 3.0293, 3.3223, 3.6094, 3.9023, 4.2129, 4.5234, 4.8164, 5.1152, 5.3320,
        5.5547,
    ],
    "256qam": [
        0.2344, 0.3770, 0.6016, 0.8770, 1.1758, 1.4766, 1.6953, 1.9141, 2.1602, 2.4063, 2.5703, 2.7305, 3.0293, 3.3223,
        3.6094, 3.9023, 4.2129, 4.5234, 4.8164, 5.1152, 5.3320, 5.5547, 5.8906, 6.2266, 6.5703, 6.9141, 7.1602, 7.4063,
    ],
}  # fmt: skip
laws, gaps_db = st.sampled_from(mcs.LAWS), st.floats(0, 6)


@pytest.mark.parametrize(("law", "table"), [("64qam", mcs.TABLE_64QAM), ("256qam", mcs.TABLE_256QAM)])
def test_tables_have_the_published_efficiencies(law, table):
    np.testing.assert_allclose(mcs.spectral_efficiencies(table), PUBLISHED[law], rtol=0, atol=5.1e-5)
    assert mcs.ceiling(law) == pytest.approx(PUBLISHED[law][-1], abs=5.1e-5)


@given(st.sampled_from(sorted(PUBLISHED)), st.floats(-20, 50), gaps_db)
def test_a_table_gives_its_largest_entry_not_above_shannon(law, sinr_db, gap_db):
    shannon = np.log2(1 + db_to_linear(sinr_db - gap_db))
    if min(abs(shannon - e) for e in PUBLISHED[law]) < 1e-4:
        return  # within the digits of the published column
    expected = max((e for e in PUBLISHED[law] if e < shannon), default=0.0)
    got = mcs.efficiency(law, np.asarray(db_to_linear(sinr_db)), gap_db)
    assert float(got) == pytest.approx(expected, abs=5.1e-5)


def test_truncated_shannon_by_hand():
    """TR 36.942 annex A.1: 0.6 of Shannon from -10 dB on, 4.4 bit/s/Hz at 22 dB."""
    got = mcs.efficiency("truncated", db_to_linear(np.array([-10.01, -9.99, 0.0, 21.9, 22.1, 60.0])))
    np.testing.assert_allclose(got, [0, 0.6 * np.log2(1 + 10**-0.999), 0.6, 4.371, 4.4, 4.4], atol=1e-3)


@given(laws, gaps_db, st.lists(st.floats(1e-4, 1e7), min_size=2, max_size=20))
def test_more_signal_never_gives_less_and_no_law_beats_shannon(law, gap_db, sinr):
    sinr = np.sort(sinr)
    got = mcs.efficiency(law, sinr, gap_db)
    assert (np.diff(got) >= 0).all()
    assert (got <= np.log2(1 + sinr) + 1e-12).all()
    assert (got <= mcs.ceiling(law)).all()
    assert (got <= mcs.efficiency(law, sinr, 0.0)).all()


@given(laws.filter(lambda law: law != "truncated"), gaps_db, st.floats(-15, 40))
def test_a_gap_is_lost_signal(law, gap_db, sinr_db):
    with_gap = mcs.efficiency(law, np.asarray(db_to_linear(sinr_db + gap_db) * (1 + 1e-9)), gap_db)
    assert float(with_gap) == pytest.approx(float(mcs.efficiency(law, np.asarray(db_to_linear(sinr_db)))), abs=1e-6)


@given(laws, gaps_db, st.floats(1e-3, 8.0))
def test_the_inverse_is_the_least_signal_that_suffices(law, gap_db, wanted):
    sinr = mcs.sinr_for_efficiency(law, np.asarray(wanted), gap_db)
    if wanted > mcs.ceiling(law):
        assert np.isinf(sinr)
        return
    assert float(mcs.efficiency(law, sinr * (1 + 1e-9), gap_db)) >= wanted * (1 - 1e-9)
    assert float(mcs.efficiency(law, sinr * (1 - 1e-6), gap_db)) < wanted


def test_nothing_wanted_takes_no_signal():
    for law in mcs.LAWS:
        assert mcs.sinr_for_efficiency(law, np.zeros(2)).tolist() == [0.0, 0.0]


@settings(deadline=None)
@given(laws, gaps_db, st.integers(0, 2**31), st.integers(0, 5), st.integers(0, 70))
def test_the_fast_path_is_the_reference(law, gap_db, seed, n_cells, n_blocks):
    rng = np.random.default_rng(seed)
    sinr = db_to_linear(rng.uniform(-40, 80, (n_cells, n_blocks))).astype(np.float32)
    sinr[rng.random(sinr.shape) < 0.2] = 0.0
    block_hz = rng.uniform(1e5, 1e6, n_cells).astype(np.float32)
    got = mcs.apply(law, sinr, block_hz, gap_db)
    low, high = (
        mcs.rate_bps(law, sinr * np.float64(1 + error), block_hz[:, None], gap_db) for error in (-1e-6, 1e-6)
    )  # float32 may fall on either side of a step
    slack = (1e-5 * high) + 1e-4 * block_hz[:, None]
    assert got.dtype == np.float32
    assert ((got >= low - slack) & (got <= high + slack)).all()
    assert (got[sinr == 0] == 0).all()


def test_the_fast_path_stays_vectorised():
    """Packed arithmetic must be present in the machine code, or a change has cost a factor of four."""
    import numba as nb
    from llvmlite import binding

    from mndt.radio import _mcs

    if not binding.get_host_cpu_features().get("avx2"):
        pytest.skip("looks for AVX2 instructions")
    fresh = nb.njit(**{**FAST, "cache": False})(_mcs.rates.py_func)  # cached code hides its assembly
    fresh(np.ones(99, np.float32), np.float32(1e5), mcs.coefficients("64qam"), np.ones(99, np.float32))
    code = next(iter(fresh.inspect_asm().values()))
    for instruction in (r"vf[n]?m(?:add|sub)\d{3}ps\s+[^\n]*ymm", r"vcmp\w*ps\s+[^\n]*ymm", r"vblendvps\s+[^\n]*ymm"):
        assert len(re.findall(instruction, code)) >= 2, instruction


def test_an_unknown_law_says_what_there_is():
    with pytest.raises(InputError, match="did you mean '64qam'"):
        mcs.rate_bps("64-qam", np.ones(1), 180e3)


@given(st.floats(1e3, 1e9), st.floats(-10, 40), st.floats(1e4, 1e6))
def test_blocks_for_a_rate_are_the_fewest(rate_bps, sinr_db, block_hz):
    sinr = np.asarray(db_to_linear(sinr_db))
    n = float(link.blocks_for_rate(np.asarray(rate_bps), sinr, block_hz))
    assert link.shannon_rate_bps(sinr, n * block_hz) >= rate_bps * (1 - 1e-9)
    assert link.shannon_rate_bps(sinr, (n - 1) * block_hz) < rate_bps
    hz = link.bandwidth_for_rate_hz(np.asarray(rate_bps), sinr)
    assert float(link.shannon_rate_bps(sinr, hz)) == pytest.approx(rate_bps, rel=1e-9)


@given(st.floats(1e3, 1e7), st.floats(1e5, 1e7), st.floats(1e-3, 1e6))
def test_power_for_a_rate_gives_that_rate(rate_bps, bandwidth_hz, sinr_per_w):
    power_w = link.power_for_rate_w(np.asarray(rate_bps), bandwidth_hz, sinr_per_w)
    assert float(link.shannon_rate_bps(power_w * sinr_per_w, bandwidth_hz)) == pytest.approx(rate_bps, rel=1e-6)
    more = [link.power_for_rate_w(np.asarray(f * rate_bps), bandwidth_hz, sinr_per_w) for f in (1.0, 1.1, 2.0)]
    assert all(a < b for a, b in pairwise(more))


def test_no_signal_takes_endless_bandwidth_and_no_rate_none():
    rate_bps, sinr = np.array([0.0, 0.0, 1.0]), np.array([0.0, 3.0, 0.0])
    assert link.bandwidth_for_rate_hz(rate_bps, sinr).tolist() == [0.0, 0.0, np.inf]
    assert link.blocks_for_rate(rate_bps, sinr, 180e3).tolist() == [0.0, 0.0, np.inf]
