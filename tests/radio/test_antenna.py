import numpy as np
import pytest
from blocks import city_of, settings_of

from mndt.city.schema import PATTERNS as NAMES
from mndt.errors import InputError
from mndt.radio import antenna
from mndt.radio.layers import encode, layers_of
from mndt.radio.maps import SiteMaps, aim


def test_every_pattern_of_the_schema_exists():
    assert set(antenna.PATTERNS) == set(NAMES)


@pytest.mark.parametrize(
    ("pattern", "azimuth", "zenith", "expected"),
    [
        ("omni", 33.0, 12.0, 0.0),
        ("sector", 0.0, 90.0, 8.0),
        ("sector", 32.5, 90.0, 5.0),
        ("sector", -32.5, 90.0, 5.0),
        ("sector", 0.0, 122.5, 5.0),
        ("sector", 180.0, 90.0, -22.0),
        ("sector", 180.0, 150.0, -22.0),  # both cuts together are limited to 30 dB
        ("panel", 0.0, 90.0, 18.0),
        ("panel", 65.0, 90.0, 6.0),
    ],
)
def test_known_directions(pattern, azimuth, zenith, expected):
    assert antenna.gain_db(pattern, azimuth, zenith) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("boresight", [0.0, 90.0, 215.0, 360.0])
def test_bearing_turns_the_pattern(boresight):
    off = np.arange(-180.0, 180.0, 7.0)
    turned = antenna.gain_db("sector", boresight + off, 80.0, boresight_deg=boresight)
    np.testing.assert_allclose(turned, antenna.gain_db("sector", off, 80.0), atol=1e-9)


def test_mechanical_tilt_looks_down_in_front_and_up_behind():
    at = {"boresight_deg": 40.0, "mechanical_tilt_deg": 10.0}
    assert antenna.gain_db("sector", 40.0, 100.0, **at) == pytest.approx(8.0)
    phi, theta = antenna.own_frame_deg(220.0, 80.0, 40.0, 10.0)
    assert (abs(phi), theta) == (pytest.approx(180.0), pytest.approx(90.0))
    phi, theta = antenna.own_frame_deg(130.0, 90.0, 40.0, 10.0)  # sideways the tilt is a roll
    assert (phi, theta) == (pytest.approx(90.0), pytest.approx(90.0))


@pytest.mark.parametrize("tilt", [0.0, 6.0, 12.0])
def test_electrical_tilt_steers_the_panel(tilt):
    zenith = np.linspace(60.0, 120.0, 6001)
    factor = antenna.column_factor_db(zenith, tilt)
    assert zenith[factor.argmax()] == pytest.approx(90.0 + tilt, abs=0.02)
    assert factor.max() == pytest.approx(10.0, abs=1e-6)
    width = np.ptp(zenith[factor > 7.0])
    assert 9.0 < width < 12.0  # 102 degrees / M for half a wavelength


def test_column_radiates_what_it_is_fed():
    # the mean of |sum|^2 / M over cos(theta) is 1 for elements half a wavelength apart
    cosine = np.linspace(-1.0, 1.0, 20_001)
    factor = antenna.column_factor_db(np.degrees(np.arccos(cosine)), 7.0)
    assert np.trapezoid(10.0 ** (factor / 10.0), cosine) / 2.0 == pytest.approx(1.0, abs=1e-3)


def test_unknown_pattern():
    with pytest.raises(InputError, match="did you mean 'panel'"):
        antenna.gain_db("panell", 0.0, 90.0)


@pytest.mark.parametrize("pattern", NAMES)
@pytest.mark.parametrize(("mechanical", "electrical"), [(0.0, 6.0), (8.0, 2.0), (-5.0, 11.0)])
def test_kernel_equals_the_plain_functions(pattern, mechanical, electrical):
    x_m, y_m, height_m = 203.0, 187.0, 27.0
    city = city_of([], [(x_m, y_m, height_m, -1)], cells=[0, 0, 0], pattern=pattern)
    settings = settings_of(city, mechanical_tilt_deg=mechanical, electrical_tilt_deg=electrical)
    level = encode(np.full((100, 100, 1), -100.0), np.ones((100, 100, 1)))
    gain = aim(SiteMaps(4.0, level, layers_of(city), 1.5), city, settings)
    row, col = np.indices((100, 100))
    east, north, down = (col + 0.5) * 4.0 - x_m, (row + 0.5) * 4.0 - y_m, height_m - 1.5
    azimuth = np.degrees(np.arctan2(east, north))
    zenith = 180.0 - np.degrees(np.arctan2(np.hypot(east, north), down))
    for cell in range(3):
        expected = antenna.gain_db(
            pattern,
            azimuth,
            zenith,
            boresight_deg=settings.azimuth_deg[cell],
            mechanical_tilt_deg=mechanical,
            electrical_tilt_deg=electrical,
        )
        ours = (gain.level[:, :, cell] >> 1) / 64.0 + 100.0
        away = zenith < 176.0  # straight below, a table over the cosine is coarse
        strong = (expected > -15.0) & away  # flanks of nulls are too steep to compare
        assert strong.mean() > 0.4
        np.testing.assert_allclose(ours[strong], expected[strong], atol=0.06)
        assert np.all(ours[~strong & away] < -14.0)
        assert np.all(gain.level & 1)
