from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mndt.radio import doppler as dp
from mndt.radio.fading import power_cdf
from mndt.units import LIGHT_MPS

WAVELENGTH_M = LIGHT_MPS / 3.5e9
PATCH_M = dp.PATCH_WAVELENGTHS * WAVELENGTH_M


def _power_correlation(power):
    """Of every column with the first."""
    centred = power - power.mean(axis=0)
    return (centred * centred[:, :1]).mean(axis=0) / (power.std(axis=0) * power[:, 0].std())


def test_waves_from_all_sides_follow_the_bessel_function():
    times_s = np.linspace(0.0, 0.1, 21)
    gain = dp.scattered_gain(20_000, times_s, np.zeros(21), 10.0, 0.0, np.random.default_rng(1), waves=32)
    found = (gain * gain[:, :1].conj()).mean(axis=0)
    np.testing.assert_allclose(found, dp.time_correlation(times_s, 10.0), atol=0.03)
    np.testing.assert_allclose(
        _power_correlation(np.abs(gain) ** 2), dp.time_correlation(times_s, 10.0) ** 2, atol=0.05
    )


def test_echoes_that_decay_follow_the_closed_form_over_frequency():
    offsets_hz = np.linspace(0.0, 4e6, 9)
    gain = dp.scattered_gain(20_000, np.zeros(9), offsets_hz, 10.0, 0.1e-6, np.random.default_rng(2), waves=32)
    found = (gain * gain[:, :1].conj()).mean(axis=0)
    np.testing.assert_allclose(np.abs(found), dp.frequency_correlation(offsets_hz, 0.1e-6), atol=0.03)
    np.testing.assert_allclose(found, 1.0 / (1.0 + 2j * np.pi * 0.1e-6 * offsets_hz), atol=0.03)


@pytest.mark.parametrize(
    ("law", "options"),
    [("rayleigh", {}), ("rician", {"rician_k_db": 6.0}), ("nakagami", {"nakagami_m": 3.0}), ("none", {})],
)
def test_a_track_keeps_the_law_at_every_moment(law, options):
    power = dp.sample_track(law, 5_000, np.array([0.0, 0.02, 0.3]), 10.0, np.random.default_rng(3), **options)
    assert power.shape == (5_000, 3)
    if law == "none":
        assert np.all(power == 1.0)
        return
    for column in power.T:
        assert stats.kstest(column, lambda x: power_cdf(law, x, **options)).pvalue > 1e-3
        assert column.mean() == pytest.approx(1.0, abs=5.0 * column.std() / np.sqrt(len(column)))


@pytest.mark.parametrize("law", ["rayleigh", "rician", "nakagami"])
def test_a_track_forgets_faster_at_higher_speed_and_never_at_rest(law):
    rng = np.random.default_rng(4)
    slow, fast, still = (
        _power_correlation(dp.sample_track(law, 4_000, np.array([0.0, 0.01]), shift_hz, rng, nakagami_m=2.0))[1]
        for shift_hz in (5.0, 20.0, 0.0)
    )
    assert 1.0 > slow > fast + 0.2
    assert still == pytest.approx(1.0)


def test_rician_power_correlation_in_closed_form():
    k, lag_s, shift_hz = 2.0, 0.01, 12.0
    power = dp.sample_track(
        "rician", 60_000, np.array([0.0, lag_s]), shift_hz, np.random.default_rng(5), rician_k_db=10 * np.log10(k)
    )
    rho = dp.time_correlation(lag_s, shift_hz)
    # the direct wave turns against the scattered ones by its own shift, which is J0-distributed itself: J0 times J0
    expected = (rho**2 + 2.0 * k * rho**2) / (1.0 + 2.0 * k)
    assert _power_correlation(power)[1] == pytest.approx(expected, abs=0.03)


def test_keys_correlate_over_a_way_as_the_patches_and_nearly_as_the_bessel_function():
    rng = np.random.default_rng(6)
    x_m, y_m, turn = rng.uniform(0, 2000, 40_000), rng.uniform(0, 2000, 40_000), rng.uniform(0, 2 * np.pi, 40_000)
    before = dp.fading_keys(7, x_m, y_m, 3.5)
    ways_m = WAVELENGTH_M * np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 5.0])
    same = [np.mean(before == dp.fading_keys(7, x_m + d * np.cos(turn), y_m + d * np.sin(turn), 3.5)) for d in ways_m]
    expected = dp.patch_correlation(ways_m, WAVELENGTH_M)
    np.testing.assert_allclose(same, expected, atol=0.01)
    bessel = dp.time_correlation(ways_m / LIGHT_MPS, 3.5e9) ** 2  # at the speed of light the shift is the carrier
    assert np.abs(expected - bessel)[:-2].max() < 0.14
    d = np.linspace(0.0, PATCH_M, 400)
    assert expected[1] == pytest.approx(
        1 - 4 / np.pi * ways_m[1] / PATCH_M + (ways_m[1] / PATCH_M) ** 2 / np.pi, abs=1e-4
    )
    d = np.linspace(0.0, 1.5 * PATCH_M, 4000)
    area = np.trapezoid(dp.patch_correlation(d, WAVELENGTH_M), d)
    until_zero = d[d <= PATCH_M]
    assert area == pytest.approx(
        np.trapezoid(dp.time_correlation(until_zero / LIGHT_MPS, 3.5e9) ** 2, until_zero), rel=2e-3
    )


def test_walkers_forget_and_sitters_remember():
    rng = np.random.default_rng(7)
    x_m, y_m = rng.uniform(0, 1000, 5_000).astype(np.float32), rng.uniform(0, 1000, 5_000).astype(np.float32)
    before = dp.fading_keys(9, x_m, y_m, 3.5, second=0)
    np.testing.assert_array_equal(before, dp.fading_keys(9, x_m, y_m, 3.5, second=3600))
    assert np.mean(before == dp.fading_keys(9, x_m + np.float32(1.4), y_m, 3.5)) < 0.001
    assert np.mean(before == dp.fading_keys(10, x_m, y_m, 3.5)) < 0.001


def test_surroundings_change_at_times_of_their_own():
    x_m = y_m = np.zeros(20_000)
    keys = [dp.fading_keys(9, x_m, y_m, 3.5, second=second, still_s=10.0) for second in range(21)]
    changed = [np.mean(now != before) for before, now in pairwise(keys)]
    assert changed == pytest.approx([0.1] * 20, abs=0.01)
    assert np.mean(keys[0] == keys[10]) < 0.001


def test_keys_are_spread_evenly_and_neighbouring_squares_have_nothing_in_common():
    columns, rows = np.meshgrid(np.arange(-200, 200), np.arange(-200, 200))
    keys = dp.fading_keys(3, (columns.ravel() + 0.5) * PATCH_M, (rows.ravel() + 0.5) * PATCH_M, 3.5)
    assert keys.dtype == np.int32
    assert len(np.unique(keys)) > 0.9999 * keys.size - 5
    share = (keys.view(np.uint32) % 32768) / 32768.0
    assert stats.kstest(share, "uniform").pvalue > 1e-3
    grid = share.reshape(400, 400)
    assert abs(np.corrcoef(grid[:, 1:].ravel(), grid[:, :-1].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(grid[1:].ravel(), grid[:-1].ravel())[0, 1]) < 0.01


@given(st.floats(-5e3, 5e3), st.floats(-5e3, 5e3), st.integers(0, 2**32 - 1), st.floats(0.5, 100.0))
def test_a_key_depends_on_the_place_alone(x_m, y_m, key, carrier_ghz):
    one, two = dp.fading_keys(key, np.array([x_m, x_m]), np.array([y_m, y_m]), carrier_ghz)
    assert one == two


def test_groups_of_blocks_have_as_many_independent_parts_as_the_band():
    spread_s, lag_hz = 0.2e-6, np.linspace(0.0, 400e6, 400_001)
    width_hz = float(dp.coherence_hz(spread_s))
    area = np.trapezoid(dp.frequency_correlation(lag_hz, spread_s) ** 2, lag_hz)
    assert area == pytest.approx(0.5 * width_hz, rel=0.01)
