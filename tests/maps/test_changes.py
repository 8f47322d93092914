"""What a planner types about a cell is understood, or answered."""

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.maps.changes import apply, cells_named, read_change, told
from mndt.world import as_built
from small_city import small_city

CITY = small_city()


def changed(*texts: str, chosen=()):
    """City and settings after changes."""
    return apply(CITY, as_built(CITY), [read_change(text, CITY, chosen) for text in texts])


def test_stations_are_found_by_name():
    assert cells_named(CITY, "mast", None) == (0, 1, 2)
    assert cells_named(CITY, None, "mast-2") == (1,)
    assert cells_named(CITY, None, None) == ()


def test_a_change_names_its_cell_or_takes_the_chosen_ones():
    _, settings = changed("cells.mast-2.mechanical_tilt_deg=8", "sites.mast.azimuth_deg+=350", "etilt=2", chosen=(3,))
    assert settings.mechanical_tilt_deg.tolist() == [0, 8, 0, 0]
    assert settings.azimuth_deg.tolist() == [350, 110, 230, 0]
    assert settings.electrical_tilt_deg.tolist() == [6, 6, 6, 2]


def test_names_of_cells_may_contain_dots():
    from dataclasses import replace

    city = replace(CITY, cells=replace(CITY.cells, name=("a.b.1", "x", "y", "z")))
    assert read_change("cells.a.b.1.tilt = 3", city).cells == (0,)


def test_power_comes_in_any_unit_and_a_cell_can_be_switched_off():
    built = as_built(CITY).power_w
    _, settings = changed("cells.mast-1.power_dbm=40", "cells.mast-2.power_w=2", "cells.mast-3.power_dbm+=3")
    np.testing.assert_allclose(settings.power_w, [10.0, 2.0, built[2] * 10**0.3, built[3]], rtol=1e-6)
    assert changed("cells.mast-1.status=off")[1].power_w[0] == 0.0
    assert as_built(CITY).power_w[0] == built[0]  # what was there is not touched


def test_another_antenna_needs_another_city_only():
    city, settings = changed("cells.mast-1.antenna=panel")
    assert city.cells.pattern == ("panel", "sector", "sector", "omni")
    assert settings.power_w is not None
    assert CITY.cells.pattern[0] == "sector"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cells.mast-9.tilt=3", "--set is 'mast-9', allowed is mast-1, mast-2, mast-3, lobby-1; did you mean 'mast-"),
        ("sites.mats.tilt=3", "did you mean 'mast'"),
        ("tilt=3", "of no cell"),
        ("cells.mast-1.tilt", "allowed is cells.NAME.FIELD=VALUE"),
        ("cells.mast-1.tilt=", "allowed is cells.NAME.FIELD=VALUE"),
        ("cells.mast-1.tilt=much", "--set tilt is 'much', allowed is a number in deg"),
        ("cells.mast-1.tilt=nan", "allowed is -15 to 20 deg"),
        ("cells.mast-1.mechanical_tilt_deg=95", "--set mechanical_tilt_deg is 95, allowed is -30 to 30 deg"),
        ("cells.mast-1.mechanical_tilt=95", "allowed is -30 to 30 deg"),
        ("cells.mast-1.height_m=30", "change it in the inventory"),
        ("cells.mast-1.azimut=30", "did you mean 'azimuth_deg'"),
        ("cells.mast-1.pattern=panl", "did you mean 'panel'"),
        ("cells.mast-1.pattern=none.msi", "put the file to none.msi"),
        ("cells.mast-1.status=asleep", "allowed is off, on"),
        ("cells.mast-1.pattern+=panel", "+= for angles and power_dbm"),
        ("cells.mast-1.power_w+=2", "+= for angles and power_dbm"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(text, sentence):
    with pytest.raises(InputError) as caught:
        changed(text)
    assert sentence in str(caught.value)


def test_unknown_stations_of_a_large_city_do_not_fill_the_screen():
    from dataclasses import replace

    names = tuple(f"S{number:03d}" for number in range(200))
    city = replace(CITY, sites=replace(CITY.sites, name=names))
    with pytest.raises(InputError, match="one of 200 names such as S000, S001, S002; did you mean 'S177'"):
        cells_named(city, "S0177", None)
    with pytest.raises(InputError, match="drop one"):
        cells_named(city, "S001", "mast-1")


def test_a_change_is_told_with_what_was_before():
    settings = as_built(CITY)
    for text, words in (
        ("cells.mast-1.mechanical_tilt_deg=8", "mast-1: mechanical tilt 0° -> 8°"),
        ("sites.mast.azimuth_deg+=15", "mast-1 to mast-3: azimuth +15°"),
        ("cells.lobby-1.power_dbm+=-3", "lobby-1: power -3 dB"),
        ("cells.mast-1.pattern=panel", "mast-1: antenna sector -> panel"),
        ("cells.mast-1.status=off", "mast-1 off"),
    ):
        assert told(CITY, settings, read_change(text, CITY)) == words
