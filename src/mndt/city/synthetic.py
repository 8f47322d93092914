"""A generated city with given counts: the setting of the paper's Table I without its map.

Everything is drawn from one seed: a street hierarchy, blocks cut into plots, footprints with
heights, footways, parks, a river. The numbers of lanes, areas and stations are exact.
"""

from __future__ import annotations

import numpy as np
import shapely
from jaxtyping import Int

from mndt.city._pavements import lay_pavements
from mndt.city._plots import Land, area_use, build_on, to_buildings
from mndt.city._streets import grow_streets
from mndt.city.model import AREA_USES, Areas, Array, City, Frame, Ways
from mndt.city.placement import place_sites
from mndt.errors import InputError
from mndt.streams import Streams


def synthetic_city(
    *,
    seed: int = 0,
    lanes: int = 1850,
    areas: int = 1417,
    outdoor_sites: int = 39,
    indoor_sites: int = 145,
    size_m: float = 2000.0,
) -> City:
    """A square city with exactly these counts; the defaults are Table I of the paper.

    Every station has one omnidirectional cell of 45 blocks of 180 kHz: 30 dBm outdoors, 24 dBm
    indoors. Other sizes and counts give a city in proportion, down to a hamlet.

    Args:
        seed: all randomness; the same seed gives the same city.
        lanes: road lanes, every direction counted.
        areas: areas of interest: buildings, and parks (about 2 %).
        outdoor_sites: stations in the street.
        indoor_sites: stations in buildings.
        size_m: side of the square.

    Raises:
        InputError: the counts do not fit the size.

    >>> city = synthetic_city(size_m=400.0, lanes=60, areas=40, outdoor_sites=2, indoor_sites=5)
    >>> city.roads.n_lanes, len(city.areas), len(city.sites), len(city.cells)
    (60, 40, 7, 7)
    """
    _check(lanes=lanes, areas=areas, outdoor_sites=outdoor_sites, indoor_sites=indoor_sites, size_m=size_m)
    streams = Streams(seed)
    try:
        streets = grow_streets(size_m, lanes, streams.generator("synthetic streets"))
    except ValueError as limit:
        raise InputError(
            "lanes", lanes, allowed=f"{limit} in {size_m:g} m", fix="change the lanes or the size of the city"
        ) from None
    try:
        land = build_on(streets, size_m, areas, streams.generator("synthetic plots"))
    except ValueError as limit:
        raise InputError(
            "areas", areas, allowed=f"{limit} in {size_m:g} m", fix="ask for fewer areas or a larger city"
        ) from None
    roads = streets.ways()
    middle = shapely.point_on_surface(land.footprint)
    doors = np.column_stack((shapely.get_x(middle), shapely.get_y(middle)))
    footways, door, park_node = lay_pavements(streets, land.park, land.passages, doors)
    frame = Frame(epsg=32650, origin_easting_m=448_000.0, origin_northing_m=4_417_000.0, width_m=size_m, depth_m=size_m)
    buildings = to_buildings(land)
    sites, cells = place_sites(
        frame,
        buildings,
        roads,
        n_outdoor=outdoor_sites,
        n_indoor=indoor_sites,
        rng=streams.generator("synthetic sites"),
        sectors=1,
    )
    _check_placed(outdoor_sites, int((~sites.indoor).sum()), "outdoor_sites")
    _check_placed(indoor_sites, int(sites.indoor.sum()), "indoor_sites")
    return City(
        name=f"synthetic city {seed}",
        frame=frame,
        roads=roads,
        footways=footways,
        buildings=buildings,
        areas=_areas(land, np.append(door, park_node), roads),
        sites=sites,
        cells=cells,
        attribution="Generated streets and buildings; no real place.",
    )


def _check(*, lanes: int, areas: int, outdoor_sites: int, indoor_sites: int, size_m: float) -> None:
    if not 150.0 <= size_m <= 20_000.0:
        raise InputError("size_m", size_m, allowed="150 to 20000 m", fix="choose a size within this range")
    if lanes < 8:
        raise InputError("lanes", lanes, allowed="8 or more", fix="ask for at least one block's streets")
    for field, value, least in (("areas", areas, 1), ("outdoor_sites", outdoor_sites, 0)):
        if value < least:
            raise InputError(field, value, allowed=f"{least} or more", fix="give a larger count")
    if indoor_sites < 0:
        raise InputError("indoor_sites", indoor_sites, allowed="0 or more", fix="give a larger count")


def _check_placed(wanted: int, placed: int, field: str) -> None:
    if placed < wanted:
        raise InputError(field, wanted, allowed=f"0 to {placed} in this city", fix="ask for fewer or a larger city")


def _areas(land: Land, foot_node: Int[Array, "areas"], roads: Ways) -> Areas:
    """Buildings first, in their order, then the parks."""
    shapes = np.concatenate((land.footprint, land.park))
    n_buildings, n_parks = len(land.footprint), len(land.park)
    outline = [shapely.get_coordinates(shapely.get_exterior_ring(shape))[:-1] for shape in shapes]
    points = np.vstack(outline)
    middle = shapely.point_on_surface(shapes)
    x_m, y_m = shapely.get_x(middle), shapely.get_y(middle)
    road_node = shapely.STRtree(shapely.points(roads.node_x_m, roads.node_y_m)).nearest(middle)
    return Areas(
        use=np.append(area_use(land.use), np.full(n_parks, AREA_USES.index("park"), dtype=np.int32)),
        building=np.append(np.arange(n_buildings), np.full(n_parks, -1)).astype(np.int32),
        x_m=x_m,
        y_m=y_m,
        size_m2=shapely.area(shapes) * np.append(land.levels, np.ones(n_parks)),
        foot_node=foot_node.astype(np.int32),
        road_node=np.asarray(road_node, dtype=np.int32),
        point_start=np.concatenate(([0], np.cumsum([len(ring) for ring in outline]))).astype(np.int32),
        point_x_m=points[:, 0].copy(),
        point_y_m=points[:, 1].copy(),
    )
