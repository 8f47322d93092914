"""Building footprints as shapely geometries, and which building a point stands in."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from jaxtyping import Float, Int, Shaped

from mndt.city.model import Array, Buildings

Geometries = Shaped[Array, "buildings"]  # an object array of shapely (multi)polygons


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
