"""Laws from a matrix of trips: the matrix itself, the gravity exponent that explains it, and who comes from outside."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from mndt.city.model import City
from mndt.formats.od import OdMatrix
from mndt.users.matching import doubly_constrained
from mndt.users.od_zones import areas_in_zones
from mndt.users.schedule_laws import Matrix, ScheduleLaws
from mndt.users.schedule_statistics import jensen_shannon

Array = np.ndarray


@dataclass(frozen=True)
class OdFit:
    """How the gravity law with the fitted exponent compares with the matrix."""

    exponent: float
    jsd: float  # between the shares of the pairs
    mean_km: float  # beeline of a trip, matrix
    mean_km_gravity: float
    common_share: float  # trips that the law puts where the matrix has them (Sorensen's index)


def fit_matrix(
    matrix: OdMatrix, laws: ScheduleLaws | None = None, city: City | None = None
) -> tuple[ScheduleLaws, OdFit]:
    """Laws that send people where a matrix says.

    The exponent is the one for which the doubly constrained law has the matrix's mean logarithm of the
    distance, which is its maximum likelihood. With a city, people from zones outside become commuters.
    """
    n = len(matrix.centre)
    table = np.zeros((n, n))
    np.add.at(table, (matrix.origin, matrix.target), matrix.trips)
    d = zone_distances_m(matrix)
    given = float((table * np.log(d)).sum() / table.sum())
    low, high = 0.0, 5.0
    modelled = table
    for _ in range(40):
        g = 0.5 * (low + high)
        modelled = doubly_constrained(table.sum(axis=1), table.sum(axis=0), d**-g, tolerance=1e-6)
        farther = float((modelled * np.log(d)).sum() / modelled.sum()) > given
        low, high = (g, high) if farther else (low, g)
        if high - low < 1e-3:
            break
    total = table.sum()
    fit = OdFit(
        exponent=round(0.5 * (low + high), 3),
        jsd=jensen_shannon((table / total).ravel(), (modelled / modelled.sum()).ravel()),
        mean_km=float((table * d).sum() / total / 1000.0),
        mean_km_gravity=float((modelled * d).sum() / modelled.sum() / 1000.0),
        common_share=float(np.minimum(table, modelled * total / modelled.sum()).sum() / total),
    )
    kept = Matrix(
        centre=tuple((x, y) for x, y in matrix.centre.tolist()),
        in_degrees=matrix.in_degrees,
        origin=tuple(matrix.origin.tolist()),
        target=tuple(matrix.target.tolist()),
        trips=tuple(matrix.trips.tolist()),
    )
    laws = laws or ScheduleLaws()
    gravity = {"W": fit.exponent, "S": fit.exponent, **laws.gravity}
    laws = replace(laws, matrix=kept, gravity={**gravity, "W": fit.exponent})
    return (laws if city is None else _outsiders(laws, kept, table, city)), fit


def zone_distances_m(matrix: OdMatrix) -> Float64[Array, "zones zones"]:
    """Beelines between the centres; within a zone half the distance to the next one."""
    centre = matrix.centre
    if matrix.in_degrees:
        lat = np.radians(np.median(centre[:, 1]))
        centre = np.radians(centre) * 6_371_008.8 * np.array([np.cos(lat), 1.0])
    d = np.hypot(centre[:, None, 0] - centre[None, :, 0], centre[:, None, 1] - centre[None, :, 1])
    np.fill_diagonal(d, np.inf)
    own = d.min(axis=1) / 2.0 if len(d) > 1 else np.array([500.0])
    d[np.arange(len(d)), np.arange(len(d))] = own
    return np.asarray(np.maximum(d, 10.0))


def _outsiders(laws: ScheduleLaws, matrix: Matrix, table: Array, city: City) -> ScheduleLaws:
    """Commuters' share: trips from outside to inside, of all whose people are inside for the day or live there."""
    zone = areas_in_zones(city, matrix)
    inside = np.bincount(zone[zone >= 0], minlength=len(table)) > 0
    from_inside = float(table[inside].sum())
    inbound = float(table[~inside][:, inside].sum())
    if inside.all() or inbound + from_inside <= 0:
        return replace(laws, commuter_share=0.0 if inside.all() else None)
    return replace(laws, commuter_share=inbound / (inbound + from_inside))


def generated_table(city: City, matrix: Matrix, home: Array, work: Array) -> Float64[Array, "zones zones"]:
    """Pairs of homes and works of made people, by zone."""
    zone = areas_in_zones(city, matrix)
    n = len(matrix.centre)
    out = np.zeros((n, n))
    a, b = zone[home], zone[work]
    keep = (a >= 0) & (b >= 0)
    np.add.at(out, (a[keep], b[keep]), 1.0)
    return out
