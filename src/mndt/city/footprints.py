"""Building footprints as shapely geometries and back, mended; and which building a point stands in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import shapely
from jaxtyping import Bool, Float, Float64, Int, Int32, Shaped

from mndt.city.model import Array, Buildings

Geometries = Shaped[Array, "buildings"]  # an object array of shapely (multi)polygons

SMALLEST_M2: Final = 2.0
"""Less ground than this is no building."""

MOST_M: Final = 1000.0
"""No building is higher; the highest one stands 828 m."""

_HEIGHT_BY_SIZE: Final = ((60.0, 3.0), (250.0, 6.0), (np.inf, 12.0))
"""Height of a building of which nothing is known: up to this many m2, this high."""


def footprints(buildings: Buildings) -> Geometries:
    """One shapely geometry for each building, courtyards cut out.

    Args:
        buildings: rings that need not be closed; every ring has at least three points.

    Returns:
        An object array, one polygon (or multipolygon, for a building in several parts) a row.
    """
    n_rings = len(buildings.ring_is_hole)
    ring_of_point = np.repeat(np.arange(n_rings), np.diff(buildings.point_start))
    points = np.column_stack((buildings.point_x_m, buildings.point_y_m)).astype(np.float64)
    rings = shapely.linearrings(points, indices=ring_of_point) if n_rings else np.empty(0, object)
    shapes = np.empty(len(buildings), dtype=object)
    for row, (start, end) in enumerate(zip(buildings.ring_start[:-1], buildings.ring_start[1:], strict=True)):
        shapes[row] = _one(rings[start:end], buildings.ring_is_hole[start:end])
    return shapes


def _one(rings: Any, is_hole: Any) -> Any:
    """The polygon of one building from its rings."""
    outlines, holes = rings[~is_hole], list(rings[is_hole])
    if len(outlines) == 1:
        return shapely.polygons(outlines[0], holes=holes or None)
    solid = shapely.union_all(shapely.polygons(outlines))
    return shapely.difference(solid, shapely.union_all(shapely.polygons(holes))) if holes else solid


def building_at(
    shapes: Geometries, x_m: Float[Array, "points"], y_m: Float[Array, "points"], *, within_m: float = 0.0
) -> Int[Array, "points"]:
    """The building each point stands in, else the nearest one within a distance.

    Args:
        shapes: result of `footprints`.
        x_m: positions, east.
        y_m: positions, north.
        within_m: how far outside a footprint a point may lie.

    Returns:
        Row of the building, -1 where there is none.
    """
    found = np.full(len(x_m), -1, dtype=np.int32)
    if not len(shapes) or not len(x_m):
        return found
    places = shapely.points(np.asarray(x_m, dtype=np.float64), np.asarray(y_m, dtype=np.float64))
    tree = shapely.STRtree(shapes)
    # nearest gives distance 0 for points inside; ties go to the smallest row
    pairs = tree.query_nearest(places, max_distance=max(within_m, 1e-6), all_matches=True)
    for point, building in zip(pairs[0][::-1], pairs[1][::-1], strict=True):
        found[point] = building if found[point] < 0 else min(found[point], building)
    return found


# From shapes to arrays ---------------------------------------------------------------------------


def assemble(
    shapes: Sequence[Any] | Array, height_m: Float[Array, "b"], known: Bool[Array, "b"], use: Int[Array, "b"]
) -> Buildings:
    """Buildings from polygons: every part's outline, followed by its courtyards."""
    parts, house = shapely.get_parts(np.asarray(shapes, object), return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    points, point_start = ring_points(rings)
    return Buildings(
        height_m=np.asarray(height_m, np.float64),
        height_known=np.asarray(known, bool),
        use=np.asarray(use, np.int32),
        ring_start=np.searchsorted(house[part], np.arange(len(shapes) + 1)).astype(np.int32),
        ring_is_hole=np.diff(part, prepend=-1) == 0,  # the first ring of a part is its outline
        point_start=point_start,
        point_x_m=points[:, 0],
        point_y_m=points[:, 1],
    )


def ring_points(rings: Array) -> tuple[Float64[Array, "points 2"], Int32[Array, "rings_plus_1"]]:
    """Points of closed rings without the repeated last one, and where each ring starts."""
    points, ring = shapely.get_coordinates(rings, return_index=True)
    last = np.diff(ring, append=-1) != 0
    start = np.searchsorted(ring[~last], np.arange(len(rings) + 1))
    return points[~last], start.astype(np.int32)


def height_by_size(footprint_m2: Float[Array, "*b"]) -> Float64[Array, "*b"]:
    """A guess at the height of a building from its footprint alone, in metres.

    >>> height_by_size(np.array([20.0, 100.0, 5000.0])).tolist()
    [3.0, 6.0, 12.0]
    """
    up_to_m2, height_m = (np.array(column) for column in zip(*_HEIGHT_BY_SIZE, strict=True))
    return np.asarray(height_m[np.searchsorted(up_to_m2, footprint_m2)])


# What is drawn badly -----------------------------------------------------------------------------

CROSSED: Final = "with crossing lines redrawn"
FLAT: Final = f"without ground (less than {SMALLEST_M2:g} m2) left out"
TWICE: Final = "drawn twice left out"


def counted(number: int, what: str, done: str) -> str:
    """A repair in words; nothing if there was none.

    >>> counted(2, "building", "drawn twice left out")
    '2 buildings drawn twice left out'
    """
    return f"{number:,} {what}{'' if number == 1 else 's'} {done}" if number else ""


def mended(shapes: Array) -> Array:
    """The polygons of each shape as one valid Polygon or MultiPolygon, empty if it has none.

    What lies inside a line that crosses itself is told by the even-odd rule.
    """
    if len(shapes) == 0:
        return shapes
    valid = np.where(shapely.is_valid(shapes), shapes, shapely.make_valid(shapes))
    return np.array([_polygons(shape) for shape in valid], object)


def _polygons(shape: Any) -> Any:
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    parts = [part for part in shapely.get_parts(shape) if part.geom_type in ("Polygon", "MultiPolygon")]
    return shapely.union_all(parts) if parts else shapely.Polygon()


def solid_parts(buildings: Buildings) -> tuple[Geometries, Bool[Array, "buildings"]]:
    """A valid shape for each building, whatever its rings are like, and which of them were drawn badly.

    Unlike `footprints`, rings may have any number of points, cross each other and themselves; a
    building without ground gets an empty shape.
    """
    shapes = np.full(len(buildings), shapely.Polygon(), dtype=object)
    length = np.diff(buildings.point_start)
    building = np.repeat(np.arange(len(buildings)), np.diff(buildings.ring_start))
    outline = ~np.asarray(buildings.ring_is_hole, bool)
    outline[buildings.ring_start[:-1][np.diff(buildings.ring_start) > 0]] = True
    ring = np.flatnonzero(length >= 3)  # shorter ones enclose nothing
    if not len(ring):
        return shapes, np.zeros(len(buildings), bool)
    points = np.column_stack((buildings.point_x_m, buildings.point_y_m)).astype(np.float64)
    of_point = np.repeat(np.arange(len(length)), length)
    enough = length[of_point] >= 3
    lines = shapely.linearrings(points[enough], indices=np.searchsorted(ring, of_point[enough]))
    part = np.cumsum(outline)[ring] - 1  # of the city's outlines; a courtyard belongs to the one before
    present, part = np.unique(part, return_inverse=True)
    polygons = shapely.polygons(lines, indices=part)
    home = building[np.flatnonzero(outline)[present]]
    whole, member = np.unique(home, return_inverse=True)
    drawn = shapely.multipolygons(polygons, indices=member)
    crossed = np.zeros(len(buildings), bool)
    crossed[whole] = ~shapely.is_valid(drawn)
    one = np.bincount(member) == 1
    drawn[one] = polygons[np.flatnonzero(one[member])]
    drawn[crossed[whole]] = mended(drawn[crossed[whole]])
    shapes[whole] = drawn
    return shapes, crossed


def first_of_each(shapes: Geometries) -> Int[Array, "buildings"]:
    """For each shape the first one with the same centre and area to a decimetre: itself, if it is the only one."""
    if len(shapes) == 0:
        return np.empty(0, np.int64)
    centre = shapely.get_coordinates(shapely.centroid(shapes))
    key = np.round(np.column_stack([centre, shapely.area(shapes)]), 1)
    _, first, group = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return np.asarray(first[group.reshape(-1)])
