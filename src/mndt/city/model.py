"""The static world: what does not change while the twin runs.

Plain frozen dataclasses of arrays. Ids are row numbers. Positions are metres east (x) and north (y)
of the city's origin, its lower-left corner, in its UTM frame.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

from mndt.errors import InputError

Array = np.ndarray

AREA_USES: Final = ("home", "work", "education", "shop", "leisure", "transport", "park", "other")
"""Uses of an area; `Areas.use` holds row numbers of this tuple."""

BUILDING_USES: Final = ("residential", "office", "retail", "education", "public", "industrial", "other")
"""Uses of a building; `Buildings.use` holds row numbers of this tuple."""


@dataclass(frozen=True)
class Frame:
    """Where the city lies: UTM zone, origin and extent."""

    epsg: int  # EPSG code of the UTM zone, e.g. 32635
    origin_easting_m: float
    origin_northing_m: float
    width_m: float  # x runs over [0, width_m]
    depth_m: float  # y runs over [0, depth_m]
    covered_km2: float | None = None  # ground inside the box that was asked for; None = all of the rectangle

    @property
    def area_km2(self) -> float:
        """Ground that is mapped: what densities of users and stations refer to."""
        return self.width_m * self.depth_m / 1e6 if self.covered_km2 is None else self.covered_km2


@dataclass(frozen=True)
class Ways:
    """A directed graph of ways with their shapes: roads for vehicles, or footways for people.

    A two-way street is two edges. `shape` points of edge e are rows
    ``shape_start[e]:shape_start[e + 1]`` of `shape_x_m`, `shape_y_m`, from its first node to its last.
    Nodes are junctions and dead ends only; bends live in the shape.
    """

    node_x_m: Float[Array, "nodes"]
    node_y_m: Float[Array, "nodes"]
    node_signal: Bool[Array, "nodes"]  # a traffic light (roads) or signalled crossing (footways)
    edge_from: Int[Array, "edges"]
    edge_to: Int[Array, "edges"]
    edge_length_m: Float[Array, "edges"]
    edge_speed_mps: Float[Array, "edges"]  # speed limit; for footways the walking speed
    edge_lanes: Int[Array, "edges"]  # lanes in this direction; 1 for footways
    edge_rank: Int[Array, "edges"]  # 0 = most important road class; decides who yields
    shape_start: Int[Array, "edges_plus_1"]
    shape_x_m: Float[Array, "points"]
    shape_y_m: Float[Array, "points"]

    @property
    def n_nodes(self) -> int:
        """Junctions and dead ends."""
        return len(self.node_x_m)

    @property
    def n_edges(self) -> int:
        """Directed edges."""
        return len(self.edge_from)

    @property
    def n_lanes(self) -> int:
        """Lanes in the sense of Table I: every lane of every direction counts."""
        return int(self.edge_lanes.sum())


@dataclass(frozen=True)
class Buildings:
    """Footprints with heights. Rings of building b are rows ``ring_start[b]:ring_start[b + 1]``
    of `point_start`; points of ring r are rows ``point_start[r]:point_start[r + 1]``.
    The first ring of a building is its outline, further rings are courtyards (holes) or, for a
    building in several parts, `ring_is_hole` False marks another outline. Rings are not closed."""

    height_m: Float[Array, "buildings"]
    height_known: Bool[Array, "buildings"]  # tagged in the map, not a typed default
    use: Int[Array, "buildings"]  # row of BUILDING_USES
    ring_start: Int[Array, "buildings_plus_1"]
    ring_is_hole: Bool[Array, "rings"]
    point_start: Int[Array, "rings_plus_1"]
    point_x_m: Float[Array, "points"]
    point_y_m: Float[Array, "points"]

    def __len__(self) -> int:
        return len(self.height_m)


@dataclass(frozen=True)
class Areas:
    """Areas of interest (AoIs): places where people stay between trips.

    Most are buildings; the rest (parks, squares) are open ground. Points of area a are rows
    ``point_start[a]:point_start[a + 1]``: one simple outline.
    """

    use: Int[Array, "areas"]  # row of AREA_USES
    building: Int[Array, "areas"]  # row of Buildings, -1 = open ground
    x_m: Float[Array, "areas"]  # a point inside
    y_m: Float[Array, "areas"]
    size_m2: Float[Array, "areas"]  # floor area: footprint times levels for buildings
    foot_node: Int[Array, "areas"]  # nearest node of the footways
    road_node: Int[Array, "areas"]  # nearest node of the roads
    point_start: Int[Array, "areas_plus_1"]
    point_x_m: Float[Array, "points"]
    point_y_m: Float[Array, "points"]

    def __len__(self) -> int:
        return len(self.use)


@dataclass(frozen=True)
class Sites:
    """Places with a base station; station s stands on site s."""

    name: tuple[str, ...]
    x_m: Float[Array, "sites"]
    y_m: Float[Array, "sites"]
    indoor: Bool[Array, "sites"]
    building: Int[Array, "sites"]  # row of Buildings that an indoor station serves, -1 outdoors

    def __len__(self) -> int:
        return len(self.x_m)


@dataclass(frozen=True)
class Cells:
    """Cells as built: one row per sector and carrier. Meaning, unit and range of every column:
    `mndt.city.schema.CELL_FIELDS`."""

    name: tuple[str, ...]
    site: Int[Array, "cells"]
    height_m: Float[Array, "cells"]
    azimuth_deg: Float[Array, "cells"]  # compass bearing of boresight, clockwise from north
    mechanical_tilt_deg: Float[Array, "cells"]  # downwards positive
    electrical_tilt_deg: Float[Array, "cells"]
    pattern: tuple[str, ...]  # "omni", "sector", "panel" or the name of an AntennaTable, see radio.antenna
    carrier_hz: Float[Array, "cells"]
    blocks: Int[Array, "cells"]  # resource blocks ("channels" in Table I)
    block_hz: Float[Array, "cells"]  # bandwidth of one block
    max_power_w: Float[Array, "cells"]
    energy_class: tuple[str, ...]  # row name of the EARTH table: macro, rrh, micro, pico

    def __len__(self) -> int:
        return len(self.site)


@dataclass(frozen=True)
class AntennaTable:
    """One antenna as its maker measured it, at one frequency and electrical tilt.

    Attenuations are positive, relative to the largest gain, one for each whole degree.
    """

    name: str  # as in `Cells.pattern`, e.g. "k742215-6t.msi"
    gain_dbi: float
    horizontal_db: Float[Array, "360"]  # clockwise from boresight, seen from above
    vertical_db: Float[Array, "360"]  # from the horizon in front: 90 straight down, 180 behind, 270 straight up
    frequency_hz: float | None  # None: the file does not say
    electrical_tilt_deg: float  # at which it was measured, downwards positive


@dataclass(frozen=True)
class City:
    """A city: ground for everything else. `mndt.read_osm`, `mndt.helsinki` and
    `mndt.synthetic_city` make one.

    What is in it::

        city = mndt.helsinki()
        print(len(city.buildings), "buildings", city.roads.n_lanes, "lanes", len(city.cells), "cells")
    """

    name: str
    frame: Frame
    roads: Ways
    footways: Ways
    buildings: Buildings
    areas: Areas
    sites: Sites
    cells: Cells
    attribution: str = ""  # e.g. the OpenStreetMap notice; shown wherever the map is shown
    repairs: tuple[str, ...] = ()  # what was put right in the input, counted, in words; see `mndt.city.mending`
    antennas: tuple[AntennaTable, ...] = ()  # those that `cells.pattern` names


def check_city(city: City) -> None:
    """See whether every number of a city is finite: whatever is built on NaN is broken in silence.

    Raises:
        InputError: the first number that is not.

    Nothing to say about a generated one::

        check_city(mndt.synthetic_city())
    """
    for part in ("roads", "footways", "buildings", "areas", "sites", "cells"):
        table = getattr(city, part)
        for field in fields(table):
            values = getattr(table, field.name)
            if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or np.isfinite(values).all():
                continue
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            name, where = f"{part}.{field.name}", f"{city.name}, row {row}"
            raise InputError(name, values[row], allowed="a finite number", fix="mend the city", where=where)
