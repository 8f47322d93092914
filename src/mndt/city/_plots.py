"""Blocks, plots, footprints and uses of a generated city.

Land between the streets is cut into plots, always the largest one next, until there are as many as
wanted; so the number of buildings is exact by construction. Blocks are built up in one of three
ways: around their edge with a courtyard, with free-standing houses, or fully.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely
from jaxtyping import Float64, Int, Shaped

from mndt.city._streets import Streets
from mndt.city.model import AREA_USES, BUILDING_USES, Array, Buildings

STOREY_M: Final = 3.0
_PAVEMENT_M = 4.0  # from the carriageway to the building line
_MIN_PLOT_M2 = 70.0
_PASSAGE_M = 7.0  # gap of a public way through a block

# share of a building's use near the centre and at the edge of the map
_USES: Final = {
    "residential": (0.34, 0.70),
    "office": (0.34, 0.07),
    "retail": (0.16, 0.06),
    "education": (0.04, 0.05),
    "public": (0.08, 0.04),
    "industrial": (0.00, 0.05),
    "other": (0.04, 0.03),
}
AREA_USE_OF_BUILDING: Final = {
    "residential": "home",
    "office": "work",
    "retail": "shop",
    "education": "education",
    "public": "leisure",
    "industrial": "work",
    "other": "other",
}


@dataclass(frozen=True)
class Land:
    """What stands between the streets."""

    footprint: Shaped[Array, "buildings"]  # shapely polygons
    levels: Int[Array, "buildings"]
    use: Int[Array, "buildings"]  # row of BUILDING_USES
    park: Shaped[Array, "parks"]  # shapely polygons
    passages: tuple[Float64[Array, "2 2"], ...]  # ways through blocks, from edge to edge


def build_on(streets: Streets, size_m: float, n_areas: int, rng: np.random.Generator) -> Land:
    """Parks and buildings, `n_areas` together, on the land the streets leave.

    Raises:
        ValueError: the land does not hold that many buildings.
    """
    blocks = _blocks(streets, size_m)
    n_parks = min(round(0.02 * n_areas), len(blocks) // 4, n_areas - 1)
    is_park = _parks(blocks, n_parks, size_m, rng)
    parks, blocks = blocks[is_park], blocks[~is_park]
    n_buildings = n_areas - len(parks)
    if len(blocks) > n_buildings:  # fewer areas than blocks: the smallest stay empty squares
        blocks = blocks[np.sort(np.argsort(-shapely.area(blocks), kind="stable")[:n_buildings])]
    pieces, block_of_piece, passages = _with_passages(blocks, n_buildings - len(blocks), rng)
    plots, piece_of_plot = _cut(pieces, n_buildings, rng)
    block_of_plot = block_of_piece[piece_of_plot]
    centre = shapely.centroid(plots)
    off_centre = np.hypot(shapely.get_x(centre) - size_m / 2, shapely.get_y(centre) - size_m / 2) / (size_m / 2)
    footprint = _built_up(plots, blocks, block_of_plot, rng)
    use = _uses(off_centre, block_of_plot, rng)
    levels = _levels(off_centre, block_of_plot, rng)
    return Land(footprint, levels, use, parks, passages)


def _blocks(streets: Streets, size_m: float) -> Shaped[Array, "blocks"]:
    """Land inside the ring road minus carriageways, pavements and water, ordered by position."""
    lines = np.array([shapely.LineString(p.line) for p in streets.pieces], dtype=object)
    half_width_m = np.array([p.half_width_m for p in streets.pieces]) + _PAVEMENT_M
    paved = shapely.union_all(shapely.buffer(lines, half_width_m, cap_style="flat", join_style="mitre"))
    inside = shapely.union_all(shapely.polygonize(lines))
    land = shapely.difference(inside, shapely.union_all([paved, shapely.buffer(streets.river, 1.0)]))
    # Where pieces of a street meet at an angle their flat ends leave needles of land across the road: open them.
    land = shapely.buffer(shapely.buffer(land, -1.0, join_style="mitre"), 1.0, join_style="mitre")
    blocks = shapely.get_parts(shapely.simplify(land, 0.5))
    blocks = blocks[(shapely.area(blocks) > 150.0) & (shapely.area(shapely.buffer(blocks, -6.0)) > 0)]
    at = shapely.centroid(blocks)
    return np.asarray(blocks[np.lexsort((shapely.get_x(at).round(1), shapely.get_y(at).round(1)))])


def _parks(blocks: Shaped[Array, "blocks"], n: int, size_m: float, rng: np.random.Generator) -> Array:
    """Which blocks are green: the largest near the centre, a few squares, the rest anywhere."""
    chosen = np.zeros(len(blocks), dtype=bool)
    if n < 1:
        return chosen
    area, at = shapely.area(blocks), shapely.centroid(blocks)
    off_centre = np.hypot(shapely.get_x(at) - size_m / 2, shapely.get_y(at) - size_m / 2) / size_m
    chosen[int(np.argmax(area * np.exp(-3 * off_centre)))] = True
    small = np.argsort(area, kind="stable")
    chosen[small[: (n - 1) // 3]] = True
    left = np.flatnonzero(~chosen)
    chosen[rng.choice(left, size=n - int(chosen.sum()), replace=False)] = True
    return chosen


def _halves(shape: Any, share: float, gap_m: float = 0.0) -> tuple[Any, Any, Float64[Array, "2 2"]]:
    """A polygon cut across its longer side at `share` of its length; the largest part of each half.

    Returns:
        Both halves and the ends of the cut.
    """
    box = shapely.get_coordinates(shapely.oriented_envelope(shape))
    if len(box) < 5:
        return shape, shapely.Polygon(), np.zeros((2, 2))
    if np.hypot(*(box[1] - box[0])) < np.hypot(*(box[2] - box[1])):
        box = np.roll(box[:4], -1, axis=0)
    along = (box[1] - box[0]) / np.hypot(*(box[1] - box[0]))
    across = (box[3] - box[0]) / max(float(np.hypot(*(box[3] - box[0]))), 1e-9)
    near, far = box[0] + (box[1] - box[0]) * share, box[3] + (box[1] - box[0]) * share
    half = along * gap_m / 2
    a, b = near - across, far + across
    first = shapely.Polygon([box[0] - along - across, a - half, b - half, box[3] - along + across])
    second = shapely.Polygon([a + half, box[1] + along - across, box[2] + along + across, b + half])
    parts = shapely.intersection([first, second], shape)
    return _largest(parts[0]), _largest(parts[1]), np.array((near, far))


def _largest(shape: Any) -> Any:
    """The largest polygon of whatever an overlay gave; empty if there is none."""
    parts = [p for p in shapely.get_parts(shape) if p.geom_type == "Polygon"]
    return max(parts, key=lambda p: p.area, default=shapely.Polygon())


def _with_passages(
    blocks: Shaped[Array, "blocks"], spare: int, rng: np.random.Generator
) -> tuple[Shaped[Array, "pieces"], Int[Array, "pieces"], tuple[Float64[Array, "2 2"], ...]]:
    """Large blocks in two, with a public way between the halves; at most `spare` more pieces."""
    pieces: list[Any] = []
    block: list[int] = []
    passages: list[Float64[Array, "2 2"]] = []
    for row, shape in enumerate(blocks):
        halves: tuple[Any, ...] = (shape,)
        if shape.area > 8000 and len(passages) < spare and rng.random() < 0.5:
            one, two, cut = _halves(shape, rng.uniform(0.42, 0.58), _PASSAGE_M)
            if min(one.area, two.area) > 1500:
                halves = (one, two)
                passages.append(cut)
        pieces.extend(halves)
        block.extend([row] * len(halves))
    return np.array(pieces, dtype=object), np.array(block, dtype=np.int64), tuple(passages)


def _cut(
    pieces: Shaped[Array, "pieces"], n: int, rng: np.random.Generator
) -> tuple[Shaped[Array, "n"], Int[Array, "n"]]:
    """Cut the largest plot in two until there are `n`; the second result is each plot's piece."""
    fineness = rng.lognormal(0.0, 0.35, len(pieces))  # some blocks have small plots, some large ones
    heap = [(-shape.area * fineness[k], k, k, shape) for k, shape in enumerate(pieces)]
    heapq.heapify(heap)
    serial = len(heap)
    done: list[tuple[int, int, Any]] = []  # too small to cut
    while len(heap) + len(done) < n:
        if not heap:
            raise ValueError(f"at most {len(done)}")
        _, number, piece, shape = heapq.heappop(heap)
        one, two, _ = _halves(shape, rng.uniform(0.4, 0.6))
        if min(one.area, two.area) < _MIN_PLOT_M2:
            done.append((number, piece, shape))
            continue
        for half in (one, two):
            heapq.heappush(heap, (-half.area * fineness[piece], serial, piece, half))
            serial += 1
    plots = sorted([(piece, number, shape) for _, number, piece, shape in heap] + [(p, k, s) for k, p, s in done])
    shapes = np.empty(len(plots), dtype=object)
    shapes[:] = [shape for _, _, shape in plots]
    return shapes, np.array([piece for piece, _, _ in plots], dtype=np.int64)


def _built_up(
    plots: Shaped[Array, "plots"], blocks: Shaped[Array, "blocks"], block: Int[Array, "plots"], rng: np.random.Generator
) -> Shaped[Array, "plots"]:
    """The footprint on each plot, after the manner of its block; never empty, always in its plot."""
    manner = rng.choice(3, size=len(blocks), p=(0.55, 0.30, 0.15))[block]  # edge, free-standing, full
    depth_m = rng.uniform(13.0, 17.0, len(blocks))
    setback_m = np.where(manner == 1, rng.uniform(2.5, 6.0, len(plots)), np.where(manner == 2, 1.0, 0.0))
    edge = shapely.difference(blocks, shapely.buffer(blocks, -depth_m, join_style="mitre"))
    shape = shapely.buffer(plots, -setback_m, join_style="mitre")
    at_edge = manner == 0
    shape[at_edge] = shapely.intersection(plots[at_edge], edge[block[at_edge]])
    result = np.empty(len(plots), dtype=object)
    for k, (built, plot) in enumerate(zip(shape, plots, strict=True)):
        part = _largest(built)
        if part.area < max(50.0, 0.12 * plot.area):  # a plot in the back, or too narrow for its setback
            part = _largest(shapely.buffer(plot, -1.0, join_style="mitre"))
        result[k] = part if part.area > 20.0 else plot
    tidy = shapely.simplify(result, 0.3)
    return np.where(shapely.is_valid(tidy) & (shapely.get_type_id(tidy) == 3), tidy, result)


def _uses(
    off_centre: Float64[Array, "plots"], block: Int[Array, "plots"], rng: np.random.Generator
) -> Int[Array, "plots"]:
    """Uses by distance from the centre; neighbours in a block often share one."""
    inner, outer = (np.array([pair[k] for pair in _USES.values()]) for k in (0, 1))
    weight = np.clip(off_centre, 0, 1)[:, None]
    share = inner * (1 - weight) + outer * weight
    level = np.cumsum(share, axis=1) / share.sum(axis=1, keepdims=True)
    of_block = rng.random(block.max(initial=-1) + 1)[block]
    draw = np.where(rng.random(len(block)) < 0.5, of_block, rng.random(len(block)))
    kind = np.minimum((draw[:, None] > level).sum(axis=1), len(_USES) - 1)
    row = np.array([BUILDING_USES.index(name) for name in _USES])
    return np.asarray(row[kind], dtype=np.int32)


def _levels(
    off_centre: Float64[Array, "plots"], block: Int[Array, "plots"], rng: np.random.Generator
) -> Int[Array, "plots"]:
    """Storeys: heights are lognormal with a median near 18 m, higher towards the centre."""
    of_block = rng.normal(0.0, 0.22, block.max(initial=-1) + 1)[block]
    towards_centre = 0.75 * np.exp(-((off_centre / 0.45) ** 2)) - 0.12
    height_m = 18.0 * np.exp(of_block + rng.normal(0.0, 0.26, len(block)) + towards_centre)
    return np.asarray(np.maximum(1, np.round(height_m / STOREY_M)), dtype=np.int32)


def to_buildings(land: Land) -> Buildings:
    """The buildings as arrays; heights are known, because they were made."""
    rings: list[Any] = []
    is_hole: list[bool] = []
    ring_start = [0]
    for shape in land.footprint:
        for k, ring in enumerate((shape.exterior, *shape.interiors)):
            rings.append(shapely.get_coordinates(ring)[:-1])
            is_hole.append(k > 0)
        ring_start.append(len(rings))
    points = np.vstack(rings) if rings else np.empty((0, 2))
    return Buildings(
        height_m=land.levels * STOREY_M,
        height_known=np.ones(len(land.levels), dtype=bool),
        use=land.use,
        ring_start=np.array(ring_start, dtype=np.int32),
        ring_is_hole=np.array(is_hole, dtype=bool),
        point_start=np.concatenate(([0], np.cumsum([len(r) for r in rings]))).astype(np.int32),
        point_x_m=points[:, 0].copy(),
        point_y_m=points[:, 1].copy(),
    )


def area_use(building_use: Int[Array, "buildings"]) -> Int[Array, "buildings"]:
    """The use of the area a building is."""
    row = np.array([AREA_USES.index(AREA_USE_OF_BUILDING[name]) for name in BUILDING_USES], dtype=np.int32)
    return np.asarray(row[building_use])
