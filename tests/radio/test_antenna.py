import dataclasses

import numpy as np
import pytest
from blocks import city_of, settings_of
from hypothesis import given
from hypothesis import strategies as st

from mndt.city.model import AntennaTable
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


def lopsided(tilt_deg: float = 4.0, **changes) -> AntennaTable:
    """A beam 60 degrees wide that is 6 dB weaker on its left; its vertical beam 8 degrees high at the tilt."""
    degree = np.arange(360)
    off = np.minimum(degree, 360 - degree)
    horizontal_db = np.minimum(12.0 * (off / 60.0) ** 2, 28.0) + 6.0 * ((degree > 180) & (degree < 350))
    below = (degree - tilt_deg + 180) % 360 - 180
    vertical_db = np.minimum(12.0 * (below / 8.0) ** 2, 22.0)
    table = AntennaTable("lopsided.msi", 17.15, horizontal_db, vertical_db, 2.1e9, tilt_deg)
    return dataclasses.replace(table, **changes)


def test_a_table_adds_its_two_cuts_up_to_the_largest_attenuation_measured():
    table = lopsided()
    assert antenna.cap_db(table) == 34.0
    for phi, theta, expected in (
        (0.0, 94.0, 17.15),
        (30.0, 94.0, 14.15),  # right of boresight
        (-30.0, 94.0, 8.15),  # left: 3 + 6 dB
        (0.0, 98.0, 14.15),  # half a beam below
        (0.0, 86.0, 17.15 - 12.0),
        (30.5, 94.0, 17.15 - 0.5 * (3.0 + 12.0 * (31 / 60) ** 2)),  # between two degrees
        (180.0, 94.0, 17.15 - 28.0),
        (120.0, 20.0, 17.15 - 34.0),  # 28 + 22 dB, more than was measured anywhere
    ):
        assert antenna.gain_db(table, phi, theta, electrical_tilt_deg=4.0) == pytest.approx(expected), (phi, theta)


def test_an_electrical_tilt_other_than_the_files_turns_the_vertical_cut():
    table = lopsided()
    theta = np.linspace(60.0, 130.0, 141)
    assert antenna.table_db(table, 0.0, 99.0, 9.0) == pytest.approx(17.15)
    np.testing.assert_allclose(antenna.table_db(table, 10.0, theta + 5.0, 9.0), antenna.table_db(table, 10.0, theta))
    np.testing.assert_array_equal(antenna.table_db(table, 10.0, theta, 4.0), antenna.table_db(table, 10.0, theta))


def test_a_tables_right_is_clockwise_on_the_map():
    table = lopsided()
    east_of_north = antenna.gain_db(table, 40.0, 94.0, boresight_deg=10.0, electrical_tilt_deg=4.0)
    west_of_north = antenna.gain_db(table, -20.0, 94.0, boresight_deg=10.0, electrical_tilt_deg=4.0)
    assert (east_of_north, west_of_north) == (pytest.approx(14.15), pytest.approx(8.15))


def test_an_unknown_table_is_answered_with_the_nearest_name():
    with pytest.raises(InputError, match=r"did you mean 'lopsided\.msi'"):
        antenna.pattern_of("lopsidet.msi", [lopsided()])


def gain_by_cuts(cuts: antenna.Cuts, row: int, phi, theta):
    """What a kernel does with the cuts, slowly."""

    def read(cut, angle_deg):
        nodes = np.linspace(-1.0, 1.0, antenna.CUT_NODES + 1)
        return np.interp(np.cos(np.radians(angle_deg)), nodes, cut)

    side = np.where(phi >= 0.0, read(cuts.right[row], phi), read(cuts.left[row], phi))
    inner = np.maximum(side + read(cuts.vertical[row], theta), -cuts.cap_db[row])
    return cuts.gain_db[row] + inner + read(cuts.column[row], theta)


@given(
    phi=st.floats(-180.0, 180.0),
    theta=st.floats(5.0, 175.0),
    tilt=st.floats(-10.0, 15.0),
    name=st.sampled_from(["omni", "sector", "panel", "lopsided.msi"]),
)
def test_cuts_say_what_the_patterns_say(phi, theta, tilt, name):
    table = lopsided()
    cuts = antenna.cut_tables([name], [tilt], [table])
    pattern = antenna.pattern_of(name, [table])
    expected = antenna.gain_db(pattern, phi, theta, electrical_tilt_deg=tilt)
    if expected < -20.0 and name == "panel":
        assert gain_by_cuts(cuts, 0, phi, theta) < -18.0  # nulls are sharper than the nodes
    elif np.abs(np.abs(phi) - 180.0) < 2.0 or abs(phi) < 2.0 or abs(phi + 10.0) < 2.0:
        assert gain_by_cuts(cuts, 0, phi, theta) == pytest.approx(expected, abs=6.5)  # the steps of the left side
    else:
        assert gain_by_cuts(cuts, 0, phi, theta) == pytest.approx(expected, abs=0.12)


def test_equal_antennas_share_their_work_and_keep_their_order():
    names, tilts = ["panel", "lopsided.msi", "panel", "omni"], [6.0, 4.0, 6.0, 0.0]
    cuts = antenna.cut_tables(names, tilts, [lopsided()])
    assert cuts.gain_db.tolist() == [8.0, np.float32(17.15), 8.0, 0.0]
    np.testing.assert_array_equal(cuts.column[0], cuts.column[2])
    assert cuts.column[1].max() == cuts.column[1].min() == 0.0
    assert np.all(cuts.left[1] <= cuts.right[1])
    assert all(part.dtype == np.float32 for part in (cuts.right, cuts.gain_db))
    assert antenna.cut_tables([], []).right.shape == (0, antenna.CUT_NODES + 1)
