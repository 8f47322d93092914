from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import shapely

from mndt.city.footprints import first_of_each, footprints, solid_parts
from mndt.city.mending import mend
from mndt.city.model import Areas, Buildings, Cells, City, Sites
from mndt.city.raster import rasterise
from mndt.city.store import load_city, save_city
from mndt.city.synthetic import synthetic_city
from mndt.errors import InputError

HAMLET = synthetic_city(size_m=300.0, lanes=40, areas=12, outdoor_sites=1, indoor_sites=0)
Ring = Sequence[tuple[float, float]]


def box(x: float, y: float, size: float = 20.0) -> Ring:
    return [(x, y), (x + size, y), (x + size, y + size), (x, y + size)]


BOW_TIE = [(100, 100), (120, 120), (120, 100), (100, 120)]  # two triangles of 100 m2


def drawn(*outlines: Ring, height: Sequence[float] | float = 10.0, holes: Sequence[int] = ()) -> Buildings:
    """A building for each outline; the ones whose number is in `holes` are a courtyard of the one before."""
    is_hole = np.array([k in holes for k in range(len(outlines))], bool)
    n = int((~is_hole).sum())
    points = np.array([point for ring in outlines for point in ring], float).reshape(-1, 2)
    return Buildings(
        height_m=np.broadcast_to(np.asarray(height, float), n).copy(),
        height_known=np.ones(n, bool),
        use=np.zeros(n, np.int32),
        ring_start=np.append(np.flatnonzero(~is_hole), len(outlines)).astype(np.int32),
        ring_is_hole=is_hole,
        point_start=np.cumsum([0, *map(len, outlines)]).astype(np.int32),
        point_x_m=points[:, 0],
        point_y_m=points[:, 1],
    )


def town(buildings: Buildings, *masts: tuple[float, float, float], areas: Sequence[int] = ()) -> City:
    """The hamlet with these buildings, outdoor masts of one cell at (x, y) with antennas so high, and areas in them."""
    n, every = len(masts), range(len(masts))
    x_m, y_m, height_m = (np.array([mast[k] for mast in masts], float) for k in range(3))
    sites = Sites(tuple(f"S{k}" for k in every), x_m, y_m, np.zeros(n, bool), np.full(n, -1, np.int32))
    first = HAMLET.cells
    named = {"name": tuple(f"C{k}" for k in every), "pattern": ("omni",) * n, "energy_class": ("micro",) * n}
    many = {name: np.repeat(getattr(first, name)[:1], n) for name in ("azimuth_deg", "mechanical_tilt_deg",
            "electrical_tilt_deg", "carrier_hz", "blocks", "block_hz", "max_power_w")}  # fmt: skip
    cells = Cells(site=np.arange(n, dtype=np.int32), height_m=height_m, **named, **many)
    some = HAMLET.areas
    within = replace(some, building=np.append(areas, np.full(len(some) - len(areas), -1)).astype(np.int32))
    return replace(HAMLET, buildings=buildings, areas=within, sites=sites, cells=cells)


def ground(city: City) -> list[float]:
    return shapely.area(footprints(city.buildings)).round(6).tolist()  # type: ignore[no-any-return]


# Buildings ---------------------------------------------------------------------------------------


def test_a_city_without_faults_is_left_as_it_is(caplog: pytest.LogCaptureFixture, helsinki_city: City) -> None:
    with caplog.at_level(logging.WARNING):
        for city in (HAMLET, helsinki_city, town(drawn(box(0, 0), box(50, 50)), (100, 100, 10))):
            assert mend(city) is city
    assert not caplog.text


def test_an_outline_that_crosses_itself_keeps_the_ground_inside(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        city = mend(town(drawn(BOW_TIE, box(50, 50))))
    assert ground(city) == [200.0, 400.0]
    assert shapely.is_valid(footprints(city.buildings)).all()
    assert city.repairs == ("1 outline with crossing lines redrawn",)
    assert f"{city.name}: 1 outline with crossing" in caplog.text


def test_what_is_redrawn_fills_the_same_pixels() -> None:
    before = town(drawn(BOW_TIE, [(30, 30), (60, 30), (60, 60), (40, 20), (30, 60)], box(50, 150)))
    pixels = rasterise(before.buildings, before.frame, 0.7).building
    np.testing.assert_array_equal(rasterise(mend(before).buildings, before.frame, 0.7).building, pixels)


def test_a_courtyard_that_leaves_its_building_is_cut() -> None:
    city = mend(town(drawn(box(50, 50, 30), box(70, 60, 5), box(75, 70, 8), holes=(1, 2))))
    # even-odd: the part of the second courtyard beyond the wall is ground of its own
    assert ground(city) == [900.0 - 25.0 - 5 * 8 + 3 * 8]
    assert len(city.repairs) == 1


@pytest.mark.parametrize(
    "outline",
    [[], [(80, 80)], [(80, 80), (90, 90)], [(80, 80)] * 5, [(80, 80), (90, 90), (100, 100)], box(80, 80, 1.2)],
    ids=["no point", "one point", "two points", "one place", "a line", "1.4 m2"],
)
def test_a_building_without_ground_is_left_out(outline: Ring) -> None:
    city = mend(town(drawn(box(0, 0), outline, box(50, 50), height=(5, 6, 7)), areas=(2, 1, 0)))
    assert city.repairs == ("1 building without ground (less than 2 m2) left out",)
    assert city.buildings.height_m.tolist() == [5, 7]
    assert city.areas.building[:4].tolist() == [1, -1, 0, -1]


def test_a_building_beyond_the_edge_is_left_out_and_one_across_it_stays() -> None:
    city = mend(town(drawn(box(-50, 10), box(290, 290), box(310, 10), box(10, 10)), areas=(1, 3)))
    assert city.repairs == ("2 buildings beyond the city's edge left out",)
    assert city.areas.building[:2].tolist() == [0, 1]
    assert len(city.buildings) == 2


def test_a_building_drawn_twice_stays_once_and_the_higher() -> None:
    again = list(reversed(box(10, 10)))
    before = town(drawn(box(10, 10), box(50, 50), again, height=(5, 6, 9)), areas=(2, 1, 0))
    city = mend(before)
    assert city.repairs == ("1 building drawn twice left out",)
    assert city.buildings.height_m.tolist() == [9, 6]
    assert city.areas.building[:3].tolist() == [0, 1, 0]


@pytest.mark.parametrize(("height_m", "is_one"), [(0, False), (-4, False), (1000.5, False), (1e9, False), (828, True)])
def test_a_height_no_building_has_is_guessed_from_the_footprint(height_m: float, is_one: bool) -> None:
    city = mend(town(drawn(box(0, 0, 7), box(50, 50, 7), box(100, 100, 30), height=(4, height_m, 5))))
    assert city.buildings.height_m.tolist() == [4, height_m if is_one else 3, 5]
    assert city.buildings.height_known.tolist() == [True, is_one, True]
    assert city.repairs == (() if is_one else ("1 height of 0, below or above 1,000 m guessed from the footprint",))


def test_faults_of_every_kind_at_once_and_mending_twice() -> None:
    everything = drawn(BOW_TIE, box(10, 10), box(10, 10), box(500, 0), [(1, 1)], box(40, 40), height=(5, 6, 6, 6, 6, 0))
    city = mend(town(everything, (45, 45, 2)))
    assert [line.split(" ", 1)[0] for line in city.repairs] == ["1"] * 6
    assert len(city.buildings) == 3
    assert mend(city) is city


def test_all_buildings_may_go() -> None:
    city = mend(town(drawn([(1, 1)], [(5, 5)]), (10, 10, 10), areas=(0, 1)))
    assert len(city.buildings) == 0
    assert (city.areas.building == -1).all()


def test_what_was_put_right_is_kept_in_the_file(tmp_path: object) -> None:
    city = mend(town(drawn(BOW_TIE)))
    path = f"{tmp_path}/city.npz"
    save_city(city, path)
    assert load_city(path).repairs == city.repairs != ()


def test_solid_parts_are_the_footprints_of_a_city_without_faults(helsinki_city: City) -> None:
    shapes, crossed = solid_parts(helsinki_city.buildings)
    assert not crossed.any()
    assert shapely.equals(shapes, footprints(helsinki_city.buildings)).all()


def test_the_first_of_each() -> None:
    shapes = np.array([shapely.box(0, 0, 4, 4), shapely.box(9, 0, 12, 3), shapely.box(0, 0, 4, 4)], object)
    assert first_of_each(shapes).tolist() == [0, 1, 0]


# What is refused ---------------------------------------------------------------------------------


def test_starts_that_do_not_fit() -> None:
    good = drawn(box(0, 0), box(50, 50))
    for name, start in (("ring_start", [0, 2, 1]), ("ring_start", [0, 1]), ("point_start", [0, 4, 99])):
        with pytest.raises(InputError, match=f"buildings.{name} is .* allowed is 3 numbers that rise from 0 to"):
            mend(town(replace(good, **{name: np.array(start)})))


def test_rows_that_point_nowhere() -> None:
    with pytest.raises(InputError, match=r"row 1: areas\.building is 7, allowed is -1 to 0"):
        mend(town(drawn(box(0, 0)), areas=(0, 7)))
    city = town(drawn(box(0, 0)), (100, 100, 10))
    with pytest.raises(InputError, match=r"row 0: cells\.site is 1, allowed is 0 to 0"):
        mend(replace(city, cells=replace(city.cells, site=np.array([1], np.int32))))


@pytest.mark.parametrize("height_m", [0.0, -3.0])
def test_an_antenna_under_the_ground(height_m: float) -> None:
    with pytest.raises(InputError, match=f"cell C1: height_m is {height_m:g}, allowed is above 0 m"):
        mend(town(drawn(box(0, 0)), (100, 100, 10), (120, 100, height_m)))


def test_an_indoor_station_in_a_building_that_is_none() -> None:
    city = town(drawn(box(0, 0), [(9, 9)]), (10, 10, 3))
    city = replace(city, sites=replace(city.sites, indoor=np.array([True]), building=np.array([1])))
    with pytest.raises(InputError, match="site S0: building is row 1, without ground"):
        mend(city)


# Masts in walls ----------------------------------------------------------------------------------


def test_a_mast_inside_a_house_goes_out_through_the_nearest_wall(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        city = mend(town(drawn(box(50, 50)), (53, 60, 6)))
    assert (city.sites.x_m[0], city.sites.y_m[0]) == pytest.approx((49.5, 60.0))
    assert city.repairs == (
        "1 outdoor site inside a building and below its roof moved out through the nearest wall, by 3.5 m at most",
    )
    assert city.repairs[0] in caplog.text


def test_a_mast_between_terraced_houses_goes_out_of_all_of_them() -> None:
    row = [box(50 + 20 * k, 50) for k in range(4)]
    city = mend(town(drawn(*row), (89, 62, 6)))
    place = shapely.Point(city.sites.x_m[0], city.sites.y_m[0])
    assert shapely.distance(shapely.union_all(footprints(city.buildings)), place) == pytest.approx(0.5)
    assert city.sites.y_m[0] == pytest.approx(70.5)


@pytest.mark.parametrize(
    ("x", "y", "height_m", "why"),
    [(60, 60, 10.0, "at the roof"), (60, 60, 13.0, "on the roof"), (49, 60, 3.0, "beside"), (110, 110, 3.0, "yard")],
)
def test_a_mast_that_stands_well_stays(x: float, y: float, height_m: float, why: str) -> None:
    city = town(drawn(box(50, 50), box(100, 100), box(105, 105, 10), holes=(2,)), (x, y, height_m))
    assert mend(city) is city, why


def test_the_lowest_antenna_of_a_site_counts() -> None:
    city = town(drawn(box(50, 50)), (53, 60, 15), (0, 0, 6))
    city = replace(city, cells=replace(city.cells, site=np.zeros(2, np.int32)))
    assert mend(city).sites.x_m[0] == pytest.approx(49.5)


def test_an_indoor_station_stays_inside() -> None:
    city = town(drawn(box(50, 50)), (60, 60, 3))
    city = replace(city, sites=replace(city.sites, indoor=np.array([True]), building=np.array([0])))
    assert mend(city) is city


def test_a_mast_in_the_middle_of_a_hall_is_refused() -> None:
    hall = town(drawn(box(50, 50, 150)), (125, 125, 6))
    with pytest.raises(InputError, match="site S0: position is 76 m inside building 0, below its roof"):
        mend(hall)


def test_areas_and_masts_keep_their_types() -> None:
    before = town(drawn(box(10, 10), [(1, 1)], box(50, 50)), (53, 60, 6), areas=(0, 2))
    after = mend(before)
    assert isinstance(after.areas, Areas)
    assert after.areas.building.dtype == before.areas.building.dtype
    assert after.sites.building.dtype == before.sites.building.dtype
