"""Radio against answers known in closed form."""

import numpy as np
import pytest
from scipy import integrate

from mndt.radio.antenna import gain_db
from mndt.radio.fading import amplitude_table, mean_power, power_cdf
from mndt.radio.pathloss import break_point_m, free_space_db, umi_los_db
from mndt.units import db_to_linear


def test_friis_between_two_isotropic_antennas():
    # 1 W over 1 km at 3 GHz: lambda = 0.0999308 m, P_r = (lambda / 4 pi d)^2 = 6.3239e-11 W
    assert float(db_to_linear(-free_space_db(1000.0, 3.0))) == pytest.approx(6.3239e-11, rel=1e-4)
    assert free_space_db(2000.0, 3.0) - free_space_db(1000.0, 3.0) == pytest.approx(20.0 * np.log10(2.0))


def test_umi_in_sight_stays_within_a_decibel_of_free_space_at_short_range():
    slant_m = np.linspace(10.0, 60.0, 20)
    assert np.all(np.abs(umi_los_db(0.0, slant_m, 3.5, 10.0, 1.5) - free_space_db(slant_m, 3.5)) < 2.0)


def test_break_point_is_where_the_two_ray_model_bends():
    # fourth power beyond 4 h h' / lambda, with heights above the traffic
    assert break_point_m(3.0, 11.0, 2.0) == pytest.approx(4.0 * 10.0 * 1.0 / 0.1)


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.5])
def test_outage_of_nakagami_by_integration(shape):
    from scipy.special import gamma

    def density(x):
        return shape**shape * x ** (shape - 1) * np.exp(-shape * x) / gamma(shape)

    expected, _ = integrate.quad(density, 0.0, 0.3)
    assert power_cdf("nakagami", 0.3, nakagami_m=shape) == pytest.approx(expected, rel=1e-6)


def test_outage_of_rician_by_integration():
    k = 10**0.6

    def density(x):
        return (k + 1) * np.exp(-k - (k + 1) * x) * np.i0(2 * np.sqrt(k * (k + 1) * x))

    expected, _ = integrate.quad(density, 0.0, 0.3)
    assert power_cdf("rician", 0.3, rician_k_db=6.0) == pytest.approx(expected, rel=1e-6)


def test_fourth_moment_of_rician_table():
    # E|h|^4 = 2 - (K / (K + 1))^2 for mean power one
    k = 10**0.9
    table = amplitude_table("rician", rician_k_db=9.0).astype(float)
    assert mean_power(table**2) == pytest.approx(2.0 - (k / (k + 1.0)) ** 2, rel=2e-3)


def test_omni_gain_integrates_to_one_and_a_sector_radiates_no_more_than_it_is_fed():
    azimuth, zenith = np.meshgrid(np.arange(-180.0, 180.0, 2.0), np.arange(1.0, 180.0, 2.0))
    weight = np.sin(np.radians(zenith))
    for pattern, low, high in (("omni", 0.999, 1.001), ("sector", 0.5, 1.2)):
        mean = np.average(db_to_linear(gain_db(pattern, azimuth, zenith)), weights=weight)
        assert low < mean < high
