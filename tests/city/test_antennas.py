"""Antenna files beside an inventory: found, carried with the city, written out again."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from mndt.city.antennas import antennas_of, with_pattern, write_antennas
from mndt.city.model import City
from mndt.city.sites import _Ground, read_cells, write_cells
from mndt.errors import InputError
from mndt.formats import msi

DEGREE = np.arange(360.0)
HORIZONTAL = np.minimum(12.0 * (np.minimum(DEGREE, 360.0 - DEGREE) / 65.0) ** 2, 30.0)
VERTICAL = np.minimum(12.0 * (((DEGREE - 4.0 + 180.0) % 360.0 - 180.0) / 7.0) ** 2, 25.0)


def inventory(folder, city: City, *rows: str, gain_dbi: float = 17.0, frequency_hz: float = 2.1e9):
    (folder / "antennas").mkdir(exist_ok=True)
    cuts = msi.Cuts(HORIZONTAL, VERTICAL, gain_dbi)
    msi.write(folder / "antennas" / "k1.msi", cuts, "k1", frequency_hz=frequency_hz, electrical_tilt_deg=4.0)
    longitude_deg, latitude_deg = _Ground(city.frame).to_degrees(city.frame.width_m / 2, city.frame.depth_m / 2)
    path = folder / "cells.csv"
    place = f"{float(latitude_deg):.7f},{float(longitude_deg):.7f}"
    lines = ["cell,lat,lon,azimuth,antenna,etilt,carrier_ghz", *(row.format(place) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_inventory_names_a_file_beside_it(tmp_path, village_city):
    rows = ["a,{},0,antennas/k1.msi,,2.1", "b,{},120,antennas\\k1.msi,7,2.1", "c,{},240,panel,,2.1"]
    path = inventory(tmp_path, village_city, *rows)
    _, cells = read_cells(path, village_city.frame, village_city.buildings)
    assert cells.pattern == ("antennas/k1.msi", "antennas/k1.msi", "panel")
    assert cells.electrical_tilt_deg.tolist() == [4.0, 7.0, 6.0]  # the file's, the inventory's, the default
    (table,) = antennas_of(cells, path)
    assert (table.name, table.gain_dbi, table.electrical_tilt_deg) == ("antennas/k1.msi", 17.0, 4.0)


def test_a_missing_file_is_told_with_its_line(tmp_path, village_city):
    path = inventory(tmp_path, village_city, "a,{},0,k9.msi,,2.1")
    with pytest.raises(InputError, match=r"cells\.csv line 2: pattern is 'k9\.msi', .*put the file to .*k9\.msi"):
        read_cells(path, village_city.frame, village_city.buildings)


def test_a_misspelt_pattern_still_gets_the_nearest(tmp_path, village_city):
    path = inventory(tmp_path, village_city, "a,{},0,pannel,,2.1")
    with pytest.raises(InputError, match=r"or a file \(\.msi, \.pln, \.prn\); did you mean 'panel'"):
        read_cells(path, village_city.frame, village_city.buildings)


def test_an_antenna_of_another_band_is_worth_a_word(tmp_path, village_city, caplog):
    path = inventory(tmp_path, village_city, "a,{},0,antennas/k1.msi,,3.5")
    with caplog.at_level(logging.WARNING):
        read_cells(path, village_city.frame, village_city.buildings)
    assert "measured at 2100 MHz, the cell sends at 3500 MHz" in caplog.text


def test_a_written_inventory_brings_its_antennas(tmp_path, village_city):
    path = inventory(tmp_path, village_city, "a,{},0,antennas/k1.msi,,2.1")
    sites, cells = read_cells(path, village_city.frame, village_city.buildings)
    city = replace(village_city, sites=sites, cells=cells, antennas=antennas_of(cells, path))
    out = tmp_path / "out"
    out.mkdir()
    write_cells(out / "cells.csv", city)
    _, again = read_cells(out / "cells.csv", village_city.frame, village_city.buildings)
    (table,) = antennas_of(again, out / "cells.csv")
    assert again.pattern == ("k1.msi",)
    np.testing.assert_allclose(table.vertical_db, city.antennas[0].vertical_db, atol=1e-3)


def test_equal_names_of_two_folders_do_not_overwrite_each_other(tmp_path, village_city):
    path = inventory(tmp_path, village_city, "a,{},0,antennas/k1.msi,,2.1")
    _, cells = read_cells(path, village_city.frame, village_city.buildings)
    (table,) = antennas_of(cells, path)
    other = replace(table, name="other/K1.msi", gain_dbi=3.0)
    files = write_antennas(tmp_path, replace(village_city, antennas=(table, other)))
    assert files == {"antennas/k1.msi": "k1.msi", "other/K1.msi": "K1-2.msi"}
    assert msi.read(tmp_path / "K1-2.msi")[0].gain_dbi == 3.0


def test_another_antenna_for_one_cell(tmp_path, village_city, monkeypatch):
    path = inventory(tmp_path, village_city, "a,{},0,panel,,2.1")
    monkeypatch.chdir(path.parent)
    city = with_pattern(village_city, 1, "antennas/k1.msi")
    assert city.cells.pattern[1] == city.antennas[0].name == "antennas/k1.msi"
    assert with_pattern(city, 0, "antennas/k1.msi").antennas is city.antennas
    assert with_pattern(city, 1, "omni").cells.pattern[1] == "omni"
    with pytest.raises(InputError, match="did you mean 'panel'"):
        with_pattern(city, 1, "panell")
