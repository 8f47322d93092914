"""Bad input of a city: what can be put right is, counted and said; the rest is refused in one sentence.

Maps are drawn by hand and inventories typed: outlines cross themselves, a height is 0, a mast stands
in a living room. Every city a world is built of passes here first. Mending a mended city changes nothing.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int, Shaped

from mndt.city.footprints import (
    CROSSED,
    FLAT,
    MOST_M,
    SMALLEST_M2,
    TWICE,
    assemble,
    counted,
    first_of_each,
    height_by_size,
    solid_parts,
)
from mndt.city.model import Array, Buildings, City, check_city
from mndt.errors import InputError

WALL_M: Final = 0.5
"""How far off the wall a mast is set that stood inside it."""
FURTHEST_M: Final = 50.0
"""An inventory's position may be this far off; a mast deeper inside a building is refused."""

Shapes = Shaped[Array, "buildings"]  # object array of shapely polygons and multipolygons
_log = logging.getLogger(__name__)


def mend(city: City) -> City:
    """A city that everything else can be built on.

    Put right, counted in `City.repairs` and logged: outlines that cross themselves (the ground inside by
    the even-odd rule), buildings without ground (less than 2 m2), drawn twice (the higher stays) or
    wholly beyond the city's edge (left out), heights of 0, below or above 1,000 m (guessed from the
    footprint), outdoor masts inside a building and below its roof (moved out through the nearest wall).

    Raises:
        InputError: a number that is not finite, rows that point nowhere, an antenna at or under the
            ground, an outdoor mast more than 50 m inside a building, an indoor station in a building
            that had to be left out.

    A city without faults comes back as it is::

        city = mndt.synthetic_city()
        assert mend(city) is city
    """
    check_city(city)
    _check_rows(city)
    _check_antennas(city)
    city, repairs = _mend_buildings(city)
    city, more = _mend_sites(city)
    for line in (*repairs, *more):
        _log.warning("%s: %s", city.name, line)
    return replace(city, repairs=(*city.repairs, *repairs, *more)) if repairs or more else city


# What is refused ---------------------------------------------------------------------------------


def _check_rows(city: City) -> None:
    """Every row number points at a row that exists, every table of starts covers what it divides."""
    built, areas, sites, cells = city.buildings, city.areas, city.sites, city.cells
    starts = (
        ("buildings.ring_start", built.ring_start, len(built), len(built.ring_is_hole)),
        ("buildings.point_start", built.point_start, len(built.ring_is_hole), len(built.point_x_m)),
        ("areas.point_start", areas.point_start, len(areas), len(areas.point_x_m)),
    )
    for name, start, rows, total in starts:
        if len(start) != rows + 1 or start[0] != 0 or start[-1] != total or (np.diff(start) < 0).any():
            allowed = f"{rows + 1} numbers that rise from 0 to {total}"
            raise InputError(name, _few(start), allowed=allowed, fix="mend the city", where=city.name)
    pointers = (
        ("areas.building", areas.building, -1, len(built)),
        ("sites.building", sites.building, -1, len(built)),
        ("cells.site", cells.site, 0, len(sites)),
    )
    for name, rows_of, low, end in pointers:
        wrong = np.flatnonzero((rows_of < low) | (rows_of >= end))
        if len(wrong):
            where = f"{city.name}, row {wrong[0]}"
            raise InputError(name, rows_of[wrong[0]], allowed=f"{low} to {end - 1}", fix="mend the city", where=where)


def _few(values: Int[Array, "n"]) -> str:
    shown = ", ".join(str(value) for value in values[:4].tolist())
    return f"{shown}, ..." if len(values) > 4 else shown or "empty"


def _check_antennas(city: City) -> None:
    under = np.flatnonzero(city.cells.height_m <= 0)
    if len(under):
        cell = int(under[0])
        raise InputError(
            "height_m", f"{city.cells.height_m[cell]:g}", allowed="above 0 m, over the ground",
            fix="give the height of the antenna over the ground", where=f"cell {city.cells.name[cell]}",
        )  # fmt: skip


# Buildings ---------------------------------------------------------------------------------------


def _mend_buildings(city: City) -> tuple[City, list[str]]:
    built = city.buildings
    shapes, crossed = solid_parts(built)
    ground_m2 = shapely.area(shapes)
    flat = ground_m2 < SMALLEST_M2
    bounds = np.nan_to_num(shapely.bounds(shapes).reshape(-1, 4))
    frame = city.frame
    beyond = (bounds[:, 2] < 0) | (bounds[:, 3] < 0) | (bounds[:, 0] > frame.width_m) | (bounds[:, 1] > frame.depth_m)
    beyond &= ~flat
    kept = np.flatnonzero(~flat & ~beyond)
    first = first_of_each(shapes[kept])  # for each kept building the first one of the same outline
    twin = kept[first] != kept
    wrong = ~flat & ~beyond & ((built.height_m <= 0) | (built.height_m > MOST_M))
    lines = [
        counted(int((crossed & ~flat & ~beyond).sum()), "outline", CROSSED),
        counted(int(flat.sum()), "building", FLAT),
        counted(int(beyond.sum()), "building", "beyond the city's edge left out"),
        counted(int(twin.sum()), "building", TWICE),
        counted(int(wrong.sum()), "height", f"of 0, below or above {MOST_M:,.0f} m guessed from the footprint"),
    ]
    if not any(lines):
        return city, []
    height_m = np.where(wrong, height_by_size(ground_m2), built.height_m).astype(built.height_m.dtype)
    np.maximum.at(height_m, kept[first], height_m[kept])
    rows = kept[~twin]
    new_row = np.full(len(built) + 1, -1)  # the last entry is what -1, open ground, becomes
    new_row[rows] = np.arange(len(rows))
    new_row[kept] = new_row[kept[first]]
    mended = assemble(shapes[rows], height_m[rows], (built.height_known & ~wrong)[rows], built.use[rows])
    return _renumbered(city, mended, new_row), [line for line in lines if line]


def _renumbered(city: City, buildings: Buildings, new_row: Int[Array, "buildings_plus_1"]) -> City:
    areas, sites = city.areas, city.sites
    of_site = new_row[sites.building].astype(sites.building.dtype)
    homeless = np.flatnonzero((sites.building >= 0) & (of_site < 0))
    if len(homeless):
        site = int(homeless[0])
        raise InputError(
            "building", f"row {sites.building[site]}, without ground or beyond the city's edge",
            allowed="a building on the map", fix="correct the building or the site", where=f"site {sites.name[site]}",
        )  # fmt: skip
    of_area = new_row[areas.building].astype(areas.building.dtype)
    return replace(
        city,
        buildings=buildings,
        areas=replace(areas, building=of_area),
        sites=replace(sites, building=of_site),
    )


# Sites -------------------------------------------------------------------------------------------


def _mend_sites(city: City) -> tuple[City, list[str]]:
    """Outdoor masts inside a building and below its roof go out through the nearest wall."""
    sites, built = city.sites, city.buildings
    if not len(sites) or not len(built):
        return city, []
    shapes, _ = solid_parts(built)
    tree = shapely.STRtree(shapes)
    place = shapely.points(np.asarray(sites.x_m, np.float64), np.asarray(sites.y_m, np.float64))
    inside = _deepest(tree, place, built, _lowest_m(city))
    x_m, y_m = (np.array(values, np.float64) for values in (sites.x_m, sites.y_m))
    furthest_m = 0.0
    for site in np.flatnonzero(inside >= 0).tolist():
        near = shapes[tree.query(place[site], predicate="dwithin", distance=2 * FURTHEST_M)]
        out = _way_out(near, place[site])
        moved_m = float(shapely.distance(out, place[site]))
        if moved_m > FURTHEST_M:
            raise InputError(
                "position", f"{moved_m:.0f} m inside building {inside[site]}, below its roof",
                allowed=f"outdoors, on a roof, or within {FURTHEST_M:g} m of a wall",
                fix="correct the position or height_m, or set indoor to true", where=f"site {sites.name[site]}",
            )  # fmt: skip
        x_m[site], y_m[site], furthest_m = shapely.get_x(out), shapely.get_y(out), max(furthest_m, moved_m)
    line = counted(
        int((inside >= 0).sum()), "outdoor site",
        f"inside a building and below its roof moved out through the nearest wall, by {furthest_m:.1f} m at most",
    )  # fmt: skip
    return (replace(city, sites=replace(sites, x_m=x_m, y_m=y_m)), [line]) if line else (city, [])


def _lowest_m(city: City) -> Float64[Array, "sites"]:
    """Height of each outdoor site's lowest antenna; infinite indoors and where no cell is."""
    lowest_m = np.full(len(city.sites), np.inf)
    np.minimum.at(lowest_m, city.cells.site, city.cells.height_m)
    return np.where(city.sites.indoor, np.inf, lowest_m)


def _deepest(
    tree: shapely.STRtree, place: Shapes, built: Buildings, antenna_m: Float64[Array, "sites"]
) -> Int[Array, "sites"]:
    """The highest building that each site stands within (a wall itself is none), -1 if the antenna is above."""
    site, building = tree.query(place, predicate="within")
    below: Bool[Array, "pairs"] = antenna_m[site] < built.height_m[building]
    order = np.argsort(built.height_m[building[below]], kind="stable")
    inside = np.full(len(place), -1)
    inside[site[below][order]] = building[below][order]
    return inside


def _way_out(near: Shapes, place: shapely.Point) -> shapely.Point:
    """The nearest place outdoors, `WALL_M` off every wall."""
    walls = shapely.boundary(shapely.buffer(shapely.union_all(near), WALL_M))
    return shapely.get_point(shapely.shortest_line(walls, place), 0)
