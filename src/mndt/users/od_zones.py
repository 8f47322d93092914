"""A matrix of trips laid over a city: which area is in which zone, and who lives where by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32

from mndt.city.model import City
from mndt.errors import InputError
from mndt.users.places import mass_of
from mndt.users.schedule_laws import Matrix, ScheduleLaws

Array = np.ndarray


@dataclass(frozen=True)
class Zones:
    """Areas in zones (-1: in none), trips between zones inside, homes by area."""

    zone: Int32[Array, "areas"]
    table: Float64[Array, "zones zones"]
    homes: Float64[Array, "areas"]


def zones_of(city: City, laws: ScheduleLaws) -> Zones | None:
    """The zones of a city by the laws' matrix; None without one.

    A zone's homes share its trips by their residential floor area. Trips that begin or end outside are left out.

    Raises:
        InputError: no trip of the matrix is inside the city.
    """
    if laws.matrix is None or not len(city.areas):
        return None
    zone = areas_in_zones(city, laws.matrix)
    n = len(laws.matrix.centre)
    table = np.zeros((n, n))
    np.add.at(table, (np.array(laws.matrix.origin, int), np.array(laws.matrix.target, int)), laws.matrix.trips)
    present = np.bincount(zone[zone >= 0], minlength=n) > 0
    table *= present[:, None] & present[None, :]
    if not table.sum() > 0:
        raise InputError(
            "zones of the matrix", "all outside the city", allowed="zones whose centres lie in it",
            fix="check the coordinates of the zones",
        )  # fmt: skip
    mass = np.where(zone >= 0, mass_of(city, "H"), 0.0)
    per_zone = np.bincount(np.maximum(zone, 0), mass, n)
    # a zone without homes still sends its people out: from all its areas alike
    empty = (per_zone[np.maximum(zone, 0)] <= 0) & (zone >= 0)
    mass = np.where(empty, 1.0, mass)
    per_zone = np.bincount(np.maximum(zone, 0), mass, n)
    homes = np.where(zone >= 0, mass / np.maximum(per_zone, 1e-300)[zone] * table.sum(axis=1)[zone], 0.0)
    return Zones(zone, table, homes)


def centres_in(city: City, matrix: Matrix) -> Float64[Array, "zones 2"]:
    """Centres of the zones in the city's frame."""
    centre = np.array(matrix.centre, float).reshape(-1, 2)
    if not matrix.in_degrees:
        return centre
    from pyproj import Transformer

    east, north = Transformer.from_crs(4326, city.frame.epsg, always_xy=True).transform(centre[:, 0], centre[:, 1])
    return np.column_stack([east - city.frame.origin_easting_m, north - city.frame.origin_northing_m])


def areas_in_zones(city: City, matrix: Matrix) -> Int32[Array, "areas"]:
    """The zone whose centre is nearest to each area; zones whose centres lie beyond the box have none.

    A zone just outside, nearer to the box than half its distance to the next zone, still counts.
    """
    from scipy.spatial import cKDTree

    centre = centres_in(city, matrix)
    width, depth = city.frame.width_m, city.frame.depth_m
    dx = np.maximum(np.maximum(-centre[:, 0], centre[:, 0] - width), 0.0)
    dy = np.maximum(np.maximum(-centre[:, 1], centre[:, 1] - depth), 0.0)
    spacing = np.asarray(cKDTree(centre).query(centre, k=2)[0])[:, 1] if len(centre) > 1 else np.array([np.inf])
    spacing = np.where(np.isfinite(spacing), spacing, np.hypot(width, depth))
    near = np.flatnonzero(np.hypot(dx, dy) <= 0.5 * spacing)
    if not len(near):
        return np.full(len(city.areas), -1, np.int32)
    xy = np.column_stack([np.asarray(city.areas.x_m, float), np.asarray(city.areas.y_m, float)])
    return near[cKDTree(centre[near]).query(xy)[1]].astype(np.int32)
