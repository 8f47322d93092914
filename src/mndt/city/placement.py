"""Placing stations where no inventory is given.

Real layouts are neither random nor regular: stations keep apart, yet not evenly. Here a layout is
a choice among possible places (street corners and kerbs outdoors, large buildings indoors) whose
nearest-neighbour distances follow those of a measured city centre, stretched by the square root of
the density ratio. The choice is improved by threshold annealing: move one station, keep the move
if the distances fit no worse than the falling threshold allows.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from jaxtyping import Float, Float64, Int

from mndt.city.footprints import building_at, footprints
from mndt.city.model import Array, Buildings, Cells, Frame, Sites, Ways
from mndt.units import dbm_to_w

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spacing:
    """How far stations of one kind stand from their nearest neighbour: statistics only."""

    per_km2: float  # density of the layout measured
    percent: tuple[float, ...]
    distance_m: tuple[float, ...]

    def quantiles(self, n: int, per_km2: float) -> Float64[Array, "n"]:
        """The `n` sorted distances to aim at, in metres, at a density of `per_km2`."""
        at = (np.arange(n) + 0.5) / max(n, 1) * 100.0
        return np.asarray(np.interp(at, self.percent, self.distance_m) * np.sqrt(self.per_km2 / per_km2))


# Nearest-neighbour distances within the outdoor (39) and the indoor (144) stations of a central
# business district, bounding box 1.52 x 1.68 km = 2.556 km2. Percentiles, no station list.
OUTDOOR_SPACING: Final = Spacing(
    39 / 2.556, (0, 5, 10, 25, 50, 75, 90, 95, 100), (107, 108, 110, 136, 173, 211, 280, 280, 317)
)
INDOOR_SPACING: Final = Spacing(
    144 / 2.556, (0, 5, 10, 25, 50, 75, 90, 95, 100), (33, 41, 43, 50, 68, 88, 112, 139, 336)
)

OUTDOOR_HEIGHT_M: Final = 10.0
"""Outdoor stations of 30 dBm are street-level ones: base station height of UMi street canyon, TR 38.901 Table 7.2-1."""
INDOOR_HEIGHT_M: Final = 3.0
"""Ceiling mounted: base station height of the indoor office of TR 38.901 Table 7.2-2."""

_KERB_M = 6.0  # from the centre line to a mast on the kerb of a single-lane street
_LANE_M = 3.2
_STEPS = 6000  # moves of the annealing for up to a few hundred stations; below a second
_GOOD_SHARE = 0.015  # misfit, as a share of the mean distance, at which the annealing rests


def place_sites(
    frame: Frame,
    buildings: Buildings,
    roads: Ways,
    *,
    n_outdoor: int,
    n_indoor: int,
    rng: np.random.Generator,
    sectors: int = 3,
) -> tuple[Sites, Cells]:
    """Stations at plausible places: outdoor ones at street corners, indoor ones in large buildings.

    Outdoor cells: 30 dBm, 10 m above the street, `sectors` cells at equal angles from a random
    bearing (an omnidirectional one if `sectors` is 1). Indoor cells: 24 dBm, omnidirectional, at
    the ceiling (3 m), each in a building of its own as long as there are enough. Where the map has
    fewer places than asked for, as many as fit are placed and the log says so.

    Args:
        frame: the city's extent; sets the density.
        buildings: footprints.
        roads: streets to stand at.
        n_outdoor: outdoor stations wanted.
        n_indoor: indoor stations wanted.
        rng: all randomness.
        sectors: cells of an outdoor station.

    Returns:
        Sites and cells, outdoor ones first. Same arguments and generator state, same result.
    """
    shapes = footprints(buildings)
    outdoor_xy = _choose(_street_places(frame, shapes, roads), n_outdoor, OUTDOOR_SPACING, frame, rng, "outdoor")
    places, building = _indoor_places(frame, buildings, shapes, n_indoor)
    indoor_xy = _choose(places, n_indoor, INDOOR_SPACING, frame, rng, "indoor", group=building)
    inside = np.full(len(outdoor_xy), -1, dtype=np.int32)
    if len(indoor_xy):
        inside = np.append(inside, building[_rows_of(indoor_xy, places)])
    sites = Sites(
        name=tuple(f"O{i + 1:03d}" for i in range(len(outdoor_xy)))
        + tuple(f"I{i + 1:03d}" for i in range(len(indoor_xy))),
        x_m=np.append(outdoor_xy[:, 0], indoor_xy[:, 0]),
        y_m=np.append(outdoor_xy[:, 1], indoor_xy[:, 1]),
        indoor=inside >= 0,
        building=inside,
    )
    return sites, _cells(sites, sectors, rng)


def _rows_of(chosen: Float64[Array, "n 2"], places: Float64[Array, "places 2"]) -> Int[Array, "n"]:
    """Rows of `places` that equal the chosen points (places are distinct)."""
    row = {(x, y): i for i, (x, y) in enumerate(places.tolist())}
    return np.array([row[x, y] for x, y in chosen.tolist()], dtype=np.int64)


def _cells(sites: Sites, sectors: int, rng: np.random.Generator) -> Cells:
    """The cells of placed stations: `sectors` outdoors, one indoors."""
    per_site = np.where(sites.indoor, 1, sectors)
    site = np.repeat(np.arange(len(sites)), per_site).astype(np.int32)
    first = np.cumsum(per_site) - per_site
    sector = np.arange(len(site)) - first[site]
    turn = rng.uniform(0.0, 360.0 / sectors, len(sites))
    omni = per_site[site] == 1
    indoor = sites.indoor[site]
    n = len(site)
    return Cells(
        name=tuple(f"{sites.name[s]}-{k + 1}" for s, k in zip(site, sector, strict=True)),
        site=site,
        height_m=np.where(indoor, INDOOR_HEIGHT_M, OUTDOOR_HEIGHT_M),
        azimuth_deg=np.where(omni, 0.0, np.round((turn[site] + sector * 360.0 / sectors) % 360.0, 1)),
        mechanical_tilt_deg=np.zeros(n),
        electrical_tilt_deg=np.where(omni, 0.0, 6.0),
        pattern=tuple("omni" if o else "sector" for o in omni),
        carrier_hz=np.full(n, 3.5e9),
        blocks=np.full(n, 45, dtype=np.int32),
        block_hz=np.full(n, 180e3),
        max_power_w=np.where(indoor, float(dbm_to_w(24.0)), float(dbm_to_w(30.0))),
        energy_class=tuple("pico" if i else "micro" for i in indoor),
    )


# --- possible places -------------------------------------------------------------------------


def _street_places(frame: Frame, shapes: Array, roads: Ways) -> Float64[Array, "places 2"]:
    """Places of masts: on the kerbs of every street, 25 m apart, starting at its junctions."""
    places: list[Array] = []
    for edge in range(roads.n_edges):
        a, b = int(roads.shape_start[edge]), int(roads.shape_start[edge + 1])
        line = np.column_stack((roads.shape_x_m[a:b], roads.shape_y_m[a:b])).astype(np.float64)
        aside_m = _KERB_M + _LANE_M * (float(roads.edge_lanes[edge]) - 1.0)
        places.append(_along_the_kerb(line, aside_m))
    if not places:
        return np.empty((0, 2))
    xy = np.unique(np.round(np.vstack(places), 1), axis=0)
    xy = xy[(xy[:, 0] > 0) & (xy[:, 0] < frame.width_m) & (xy[:, 1] > 0) & (xy[:, 1] < frame.depth_m)]
    return xy[building_at(shapes, xy[:, 0], xy[:, 1], within_m=0.5) < 0]


def _along_the_kerb(line: Float64[Array, "points 2"], aside_m: float) -> Float64[Array, "places 2"]:
    """Points every 25 m along a line, moved aside to its right; none within the end junction."""
    step = np.diff(line, axis=0)
    length = np.hypot(step[:, 0], step[:, 1])
    keep = length > 1e-6
    if not keep.any():
        return np.empty((0, 2))
    start, step, length = line[:-1][keep], step[keep], length[keep]
    ends = np.cumsum(length)
    at = np.arange(aside_m, ends[-1], 25.0)
    piece = np.minimum(np.searchsorted(ends, at), len(ends) - 1)
    along = step[piece] / length[piece, None]
    point = start[piece] + along * (at - (ends - length)[piece])[:, None]
    right = np.column_stack((along[:, 1], -along[:, 0]))
    return np.asarray(point + right * aside_m)


def _indoor_places(
    frame: Frame, buildings: Buildings, shapes: Array, n_indoor: int
) -> tuple[Float64[Array, "places 2"], Int[Array, "places"]]:
    """A place inside each large building; several per building where there are too few of them."""
    if n_indoor <= 0 or not len(buildings):
        return np.empty((0, 2)), np.empty(0, dtype=np.int32)
    size_m2 = shapely.area(shapes)
    order = np.argsort(-size_m2, kind="stable")
    n_large = max(int((size_m2 >= 400.0).sum()), 2 * n_indoor)
    order = order[: min(n_large, 6 * n_indoor)]
    inner = shapely.point_on_surface(shapes[order])
    xy = np.column_stack((shapely.get_x(inner), shapely.get_y(inner)))
    building = order.astype(np.int32)
    if len(order) < n_indoor:  # a hamlet, or a map of a few halls
        more, of = _inside_grid(shapes[order], building)
        xy, building = np.vstack((xy, more)), np.append(building, of)
    xy, first = np.unique(np.round(xy, 3), axis=0, return_index=True)
    on_map = (xy[:, 0] > 0) & (xy[:, 0] < frame.width_m) & (xy[:, 1] > 0) & (xy[:, 1] < frame.depth_m)
    return xy[on_map], building[first][on_map].astype(np.int32)


def _inside_grid(shapes: Array, building: Int[Array, "b"]) -> tuple[Float64[Array, "places 2"], Int[Array, "places"]]:
    """Points 20 m apart inside each footprint, at least 3 m from its walls."""
    xy, of = [np.empty((0, 2))], [np.empty(0, dtype=np.int32)]
    for shape, row in zip(shapes, building, strict=True):
        west, south, east, north = shapely.bounds(shape)
        grid = np.stack(np.meshgrid(np.arange(west + 10, east, 20.0), np.arange(south + 10, north, 20.0)), -1)
        inside = grid.reshape(-1, 2)
        inside = inside[shapely.contains_xy(shapely.buffer(shape, -3.0), inside[:, 0], inside[:, 1])]
        xy.append(inside)
        of.append(np.full(len(inside), row, dtype=np.int32))
    return np.vstack(xy), np.concatenate(of)


# --- choosing among them ---------------------------------------------------------------------


def _choose(
    places: Float64[Array, "places 2"],
    n: int,
    spacing: Spacing,
    frame: Frame,
    rng: np.random.Generator,
    kind: str,
    group: Int[Array, "places"] | None = None,
) -> Float64[Array, "n 2"]:
    """`n` of the places whose nearest-neighbour distances follow `spacing`; fewer if fewer exist.

    With `group` (the building), every group is used once before any is used twice.
    """
    fit = min(max(n, 0), len(places))
    if fit < n:
        logger.info("%d %s stations were asked for, the map has places for %d", n, kind, fit)
    if fit == 0:
        return np.empty((0, 2))
    places = places[_spread_over_groups(group, fit, rng)] if group is not None else places
    target = spacing.quantiles(fit, fit / frame.area_km2)
    chosen = _first_guess(places, target, rng)
    if 1 < fit < len(places):
        chosen = _anneal(places, chosen, target, rng)
    return np.asarray(places[chosen])


def _spread_over_groups(group: Int[Array, "places"], n: int, rng: np.random.Generator) -> Int[Array, "kept"]:
    """Rows to choose from: one per group if there are `n` groups, else whole rounds of groups."""
    order = rng.permutation(len(group))
    # the round of a place: how many places of its group come before it in the random order
    round_of = np.empty(len(group), dtype=np.int64)
    seen: dict[int, int] = {}
    for row in order:
        g = int(group[row])
        round_of[row] = seen.get(g, 0)
        seen[g] = seen.get(g, 0) + 1
    counts = np.cumsum(np.bincount(round_of))
    last = int(np.searchsorted(counts, n))
    kept: Int[Array, "kept"] = np.flatnonzero(round_of <= last)
    return kept


def _first_guess(
    places: Float64[Array, "places 2"], target: Float64[Array, "n"], rng: np.random.Generator
) -> Int[Array, "n"]:
    """One after another, each the best of some random places for its own wanted distance."""
    n = len(target)
    chosen = np.empty(n, dtype=np.int64)
    free = np.ones(len(places), dtype=bool)
    nearest = np.full(len(places), np.inf)  # distance of each place to the chosen ones
    # a station placed early gets nearer neighbours later on: it starts at a wider distance
    wanted = rng.permutation(target)
    for k in range(n):
        candidates = rng.choice(np.flatnonzero(free), size=min(12, int(free.sum())), replace=False)
        miss = np.abs(nearest[candidates] - wanted[k]) if k else np.zeros(len(candidates))
        chosen[k] = candidates[int(np.argmin(np.where(np.isfinite(miss), miss, 0.0)))]
        free[chosen[k]] = False
        nearest = np.minimum(nearest, _distance(places, places[chosen[k]]))
    return chosen


def _anneal(
    places: Float64[Array, "places 2"], chosen: Int[Array, "n"], target: Float64[Array, "n"], rng: np.random.Generator
) -> Int[Array, "n"]:
    """Move single stations until the sorted nearest-neighbour distances match the target.

    The misfit is the mean absolute gap of the sorted distances: the Wasserstein-1 distance of the
    two distributions, in metres.
    """
    n = len(chosen)
    chosen = chosen.copy()
    xy = places[chosen]
    used = np.zeros(len(places), dtype=bool)
    used[chosen] = True
    nearest, neighbour = _nearest(xy)
    misfit = float(np.abs(np.sort(nearest) - target).mean())
    who, where = rng.integers(n, size=_STEPS), rng.integers(len(places), size=_STEPS)
    allowed = 0.02 * target.mean() * (1.0 - np.arange(_STEPS) / _STEPS) ** 2
    for step in range(_STEPS):
        if misfit < _GOOD_SHARE * target.mean():
            break
        mover, to = int(who[step]), int(where[step])
        if used[to]:
            continue
        new_xy = xy.copy()
        new_xy[mover] = places[to]
        new_nearest, new_neighbour = _moved(new_xy, nearest, neighbour, mover)
        new_misfit = float(np.abs(np.sort(new_nearest) - target).mean())
        if new_misfit <= misfit + allowed[step] * 20.0 / (n + 20.0):
            used[chosen[mover]], used[to] = False, True
            chosen[mover], xy = to, new_xy
            nearest, neighbour, misfit = new_nearest, new_neighbour, new_misfit
    return chosen


def _distance(xy: Float64[Array, "n 2"], point: Float64[Array, "2"]) -> Float64[Array, "n"]:
    return np.asarray(np.hypot(xy[:, 0] - point[0], xy[:, 1] - point[1]))


def _nearest(xy: Float64[Array, "n 2"]) -> tuple[Float64[Array, "n"], Int[Array, "n"]]:
    """Distance to and row of each point's nearest neighbour."""
    n = len(xy)
    distance, row = np.empty(n), np.empty(n, dtype=np.int64)
    for point in range(n):
        gaps = _distance(xy, xy[point])
        gaps[point] = np.inf
        row[point] = int(np.argmin(gaps))
        distance[point] = gaps[row[point]]
    return distance, row


def _moved(
    xy: Float64[Array, "n 2"], nearest: Float[Array, "n"], neighbour: Int[Array, "n"], mover: int
) -> tuple[Float64[Array, "n"], Int[Array, "n"]]:
    """`_nearest` after one point has moved, from what it was before."""
    to_mover = _distance(xy, xy[mover])
    to_mover[mover] = np.inf
    nearer = to_mover < nearest
    new_nearest = np.where(nearer, to_mover, nearest)
    new_neighbour = np.where(nearer, mover, neighbour)
    lost = np.flatnonzero((neighbour == mover) & ~nearer)
    for row in (mover, *lost.tolist()):
        gaps = _distance(xy, xy[row])
        gaps[row] = np.inf
        new_neighbour[row] = int(np.argmin(gaps))
        new_nearest[row] = gaps[new_neighbour[row]]
    return new_nearest, new_neighbour
