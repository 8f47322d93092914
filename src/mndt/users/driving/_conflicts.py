"""Where lanes inside a junction cross, run together or part, from their shapes.

The definitions are those of SUMO 1.28 (MSLink.cpp, `setRequestInformation` and
`computeDistToDivergence`), so that both give way at the same places. Pairs of lanes are worked on
together, grouped by how many points their shapes have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

Array = np.ndarray

CROSSING: Final = 0
FAR_MERGE: Final = 1
"""Both lead to one lane but end a lane's width apart: nobody follows anybody there."""

NO_INTERSECTION: Final = 2
WAITING: Final = 3
"""A crossing behind a place to wait inside the junction: who waits there waits for this one too."""

NOWHERE_M: Final = 10_000.0
PARTED_M: Final = 2.5  # lanes are apart from here on, if their widths do not say earlier


class Shapes(NamedTuple):
    """Lanes as the geometry needs them; points of lane k are columns ``start[k]:start[k + 1]``."""

    start: Int32[Array, "lanes_plus_1"]
    x_m: Float64[Array, "points"]
    y_m: Float64[Array, "points"]
    width_m: Float64[Array, "lanes"]
    length_m: Float64[Array, "lanes"]  # as driven
    drawn_m: Float64[Array, "lanes"]  # as drawn

    def to_driven(self, lane: Array, drawn_m: Array) -> Float64[Array, "pairs"]:
        """Distances along the drawing as distances along the lane."""
        return np.asarray(drawn_m * self.length_m[lane] / np.maximum(self.drawn_m[lane], 0.1))

    def groups(self, a: Array, b: Array) -> Iterator[tuple[Array, Array, Array]]:
        """Pairs whose shapes have equally many points: their rows, and both shapes (pairs, points, 2)."""
        n_a, n_b = np.diff(self.start)[a], np.diff(self.start)[b]
        for key in np.unique(n_a * 100_000 + n_b):
            rows = np.flatnonzero(n_a * 100_000 + n_b == key)
            yield rows, self._points(a[rows], key // 100_000), self._points(b[rows], key % 100_000)

    def _points(self, lane: Array, count: int) -> Float64[Array, "pairs points 2"]:
        at = self.start[lane][:, None] + np.arange(count)
        return np.stack([self.x_m[at], self.y_m[at]], axis=-1)


def last_crossing(shapes: Shapes, a: Int64[Array, "pairs"], b: Int64[Array, "pairs"]) -> Float64[Array, "pairs"]:
    """How far along the drawing of lane a it meets lane b for the last time; NaN where it never does.

    >>> x, y = np.array([0.0, 10.0, 4.0, 4.0]), np.array([0.0, 0.0, -5.0, 5.0])
    >>> cross = Shapes(np.array([0, 2, 4]), x, y, np.full(2, 3.2), np.full(2, 10.0), np.full(2, 10.0))
    >>> last_crossing(cross, np.array([0, 1]), np.array([1, 0])).tolist()
    [4.0, 5.0]
    """
    at_m = np.full(len(a), np.nan)
    for rows, p, q in shapes.groups(a, b):
        along = np.concatenate([np.zeros((len(p), 1)), np.cumsum(_lengths(p), axis=1)], axis=1)
        (low_p, high_p), (low_q, high_q) = _boxes(p), _boxes(q)
        for i in range(p.shape[1] - 1):
            for j in range(q.shape[1] - 1):
                near = np.flatnonzero(_boxes_touch(low_p[i], high_p[i], low_q[j], high_q[j], 0.0))
                mu = _meet(p[near, i], p[near, i + 1], q[near, j], q[near, j + 1])
                here = along[near, i] + mu * (along[near, i + 1] - along[near, i])
                at_m[rows[near]] = np.fmax(at_m[rows[near]], here)
    return at_m


def _boxes(p: Float64[Array, "pairs points 2"]) -> tuple[list[Array], list[Array]]:
    """Lower left and upper right corners of the boxes around the pieces of lines, one array per piece."""
    ends = [(p[:, k], p[:, k + 1]) for k in range(p.shape[1] - 1)]
    return [np.minimum(*two) for two in ends], [np.maximum(*two) for two in ends]


def _boxes_touch(low_p: Array, high_p: Array, low_q: Array, high_q: Array, margin_m: float) -> Bool[Array, "pairs"]:
    """Whether boxes come as near as the margin; what is in those that do not needs no closer look."""
    apart = (low_p > high_q + margin_m) | (low_q > high_p + margin_m)
    return np.asarray(~(apart[:, 0] | apart[:, 1]))


def _lengths(p: Float64[Array, "pairs points 2"]) -> Float64[Array, "pairs segments"]:
    return np.asarray(np.hypot(*np.moveaxis(np.diff(p, axis=1), -1, 0)))


def _meet(p1: Array, p2: Array, q1: Array, q2: Array) -> Float64[Array, "pairs"]:
    """Where on p1-p2, from 0 to 1, it meets q1-q2; NaN where it does not."""
    eps = np.finfo(float).eps
    d, e, f = p2 - p1, q2 - q1, p1 - q1
    across = e[:, 1] * d[:, 0] - e[:, 0] * d[:, 1]
    a = e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0]
    b = d[:, 0] * f[:, 1] - d[:, 1] * f[:, 0]
    parallel = np.abs(across) < eps
    safe = np.where(parallel, 1.0, across)
    mu, nu = a / safe, b / safe
    mu = np.where((mu < 0) | (mu > 1) | (nu < 0) | (nu > 1) | parallel, np.nan, mu)
    mu = np.where((np.abs(p2 - q2) < eps).all(axis=1) & ~parallel, 1.0, mu)
    on_one_line = parallel & (np.abs(a) < eps) & (np.abs(b) < eps)
    if on_one_line.any():
        mu[on_one_line] = _overlap(*(v[on_one_line] for v in (p1, p2, q1, q2)))
    return np.asarray(mu)


def _overlap(p1: Array, p2: Array, q1: Array, q2: Array) -> Float64[Array, "pairs"]:
    """The middle of what two pieces of one line share, on the first from 0 to 1; NaN where nothing."""
    axis = np.where(p1[:, 0] != p2[:, 0], 0, 1)
    row = np.arange(len(p1))
    u, v, s, t = (point[row, axis] for point in (p1, p2, q1, q2))
    low, high = np.maximum(np.minimum(u, v), np.minimum(s, t)), np.minimum(np.maximum(u, v), np.maximum(s, t))
    span = np.where(u == v, 1.0, v - u)
    return np.where(low <= high, (0.5 * (low + high) - u) / span, np.nan)


def nearest_to_end(shapes: Shapes, a: Array, b: Array) -> tuple[Float64[Array, "pairs"], Float64[Array, "pairs"]]:
    """How far along the drawing of lane a the end of lane b is nearest, and how far aside of it."""
    at_m, aside_m = np.zeros(len(a)), np.zeros(len(a))
    for rows, p, q in shapes.groups(a, b):
        along = np.concatenate([np.zeros((len(p), 1)), np.cumsum(_lengths(p), axis=1)], axis=1)
        step = np.diff(p, axis=1)
        share = ((q[:, -1:] - p[:, :-1]) * step).sum(-1) / np.maximum((step * step).sum(-1), 1e-30)
        share = np.clip(share, 0.0, 1.0)
        gap_m = np.hypot(*np.moveaxis(q[:, -1:] - p[:, :-1] - share[..., None] * step, -1, 0))
        best = gap_m.argmin(axis=1)
        row = np.arange(len(p))
        at_m[rows] = along[row, best] + share[row, best] * (along[row, best + 1] - along[row, best])
        aside_m[rows] = gap_m[row, best]
    return at_m, aside_m


def direction_at(shapes: Shapes, lane: Int64[Array, "pairs"], at_m: Float64[Array, "pairs"]) -> Float64[Array, "pairs"]:
    """Mathematical angle of a lane's drawing at a distance along it, rad."""
    angle = np.zeros(len(lane))
    for rows, p, _ in shapes.groups(lane, lane):
        along = np.cumsum(_lengths(p), axis=1)
        segment = np.minimum((along <= at_m[rows, None]).sum(axis=1), p.shape[1] - 2)
        d = p[np.arange(len(p)), segment + 1] - p[np.arange(len(p)), segment]
        angle[rows] = np.arctan2(d[:, 1], d[:, 0])
    return angle


def until_parted(
    shapes: Shapes, a: Int64[Array, "pairs"], b: Int64[Array, "pairs"], apart_m: Float64[Array, "pairs"], *, start: bool
) -> Float64[Array, "pairs"]:
    """How far two lanes with a common start (or, seen backwards, end) run until they are `apart_m` from each other."""
    behind_a, behind_b = np.zeros(len(a)), np.zeros(len(a))
    for rows, p, q in shapes.groups(a, b):
        p, q = (p, q) if start else (p[:, ::-1], q[:, ::-1])
        apart = apart_m[rows]
        from_p, from_q = _distances(p, q), _distances(q, p)
        ends = np.hypot(*(p[:, -1] - q[:, -1]).T)
        parted = (ends > apart) & (from_p[:, -1] > apart) & (from_q[:, -1] > apart)
        behind_a[rows] = np.where(parted, _far_piece(p, from_p, apart), 0.0)
        behind_b[rows] = np.where(parted, _far_piece(q, from_q, apart), 0.0)
    run = np.maximum(shapes.length_m[b] - behind_b, shapes.length_m[a] - behind_a)
    return np.asarray(np.minimum(run, np.minimum(shapes.drawn_m[a], shapes.drawn_m[b])))


def _distances(p: Array, q: Array) -> Float64[Array, "pairs points"]:
    """Of every point of p to the line q."""
    best = np.full(p.shape[:2], np.inf)
    for j in range(q.shape[1] - 1):
        d = q[:, j + 1] - q[:, j]
        along = ((p - q[:, j, None]) * d[:, None]).sum(-1) / np.maximum((d * d).sum(-1), 1e-30)[:, None]
        foot = q[:, j, None] + np.clip(along, 0.0, 1.0)[..., None] * d[:, None]
        best = np.minimum(best, np.hypot(*np.moveaxis(p - foot, -1, 0)))
    return best


def nearer_than(
    shapes: Shapes, a: Int64[Array, "pairs"], b: Int64[Array, "pairs"], gap_m: float
) -> Bool[Array, "pairs"]:
    """Whether a point of one drawing is nearer to the other drawing than this, one way or the other."""
    near = np.zeros(len(a), bool)
    for rows, p, q in shapes.groups(a, b):
        (low_p, high_p), (low_q, high_q) = (
            (np.minimum.reduce(low), np.maximum.reduce(high)) for low, high in (_boxes(p), _boxes(q))
        )
        close = np.flatnonzero(_boxes_touch(low_p, high_p, low_q, high_q, gap_m))
        p, q = p[close], q[close]
        near[rows[close]] = np.minimum(_distances(p, q).min(axis=1), _distances(q, p).min(axis=1)) < gap_m
    return near


def _far_piece(p: Array, distance: Array, apart: Array) -> Float64[Array, "pairs"]:
    """Length of the last piece of p that is further than `apart` from the other line."""
    length, done = np.zeros(len(p)), np.zeros(len(p), bool)
    pieces = _lengths(p)
    for j in range(p.shape[1] - 2, -1, -1):
        far = distance[:, j] > apart
        rise = distance[:, j + 1] - distance[:, j]
        part = 1.0 - (apart - distance[:, j]) / np.where(rise == 0, 1.0, rise)
        length += np.where(done, 0.0, pieces[:, j] * np.where(far, 1.0, part))
        done |= ~far
    return length


class Pairs(NamedTuple):
    """Conflicts, one row per link that leaves a lane inside a junction and per lane that it meets there."""

    link: Int64[Array, "pairs"]
    lane: Int64[Array, "pairs"]
    behind_m: Float64[Array, "pairs"]  # from where the two meet to the end of the link's own lane
    size_m: Float64[Array, "pairs"]
    flag: Int64[Array, "pairs"]
    foe_behind_m: Float64[Array, "pairs"]  # the same, seen from the other lane
    foe_size_m: Float64[Array, "pairs"]


class Links(NamedTuple):
    """What conflicts need to know of links."""

    start: Int64[Array, "links"]  # lane they leave
    to: Int64[Array, "links"]  # lane beyond the junction
    next: Int64[Array, "links"]  # lane driven next
    first_of: Int64[Array, "lanes"]  # first link of a lane, -1 = none
    internal: Bool[Array, "lanes"]
    edge: Int32[Array, "lanes"]


class Siblings(NamedTuple):
    """Links that leave lanes inside junctions, with other lanes inside that come from the same lane."""

    link: Int64[Array, "pairs"]
    lane: Int64[Array, "pairs"]
    own_before_m: Float64[Array, "pairs"]  # way inside the junction before the link's own lane begins
    before_m: Float64[Array, "pairs"]  # and before the other lane does; both 0 = they begin together


def conflicts(
    shapes: Shapes,
    links: Links,
    foes: tuple[Array, Array],
    siblings: Siblings,
    after_waiting: Bool[Array, "links"],
) -> Pairs:
    """Where links that leave lanes inside junctions meet other lanes.

    Args:
        shapes, links: of the map.
        foes: links, and lanes of those who cross or join.
        siblings: links, and other lanes inside the junction that come from the same lane.
        after_waiting: links that leave the second part of a turn, behind its waiting place.
    """
    keys = [link * len(shapes.width_m) + lane for link, lane in (foes, siblings[:2])]
    found = _of_foes(shapes, links, *foes, after_waiting)
    same_start = _of_siblings(shapes, links, siblings)
    replaced, by = np.isin(keys[0], keys[1]), np.isin(keys[1], keys[0])
    order = np.argsort(keys[1], kind="stable")
    source = order[np.searchsorted(keys[1][order], keys[0][replaced])]
    link = np.concatenate([foes[0], siblings[0][~by]])
    lane = np.concatenate([foes[1], siblings[1][~by]])
    values = []
    for mine, theirs in zip(found, same_start, strict=True):
        mine[replaced] = theirs[source]
        values.append(np.concatenate([mine, theirs[~by]]))
    order = np.argsort(link, kind="stable")
    behind_m, size_m, flag = (v[order] for v in values)
    return _seen_by_foes(shapes, links, Pairs(link[order], lane[order], behind_m, size_m, flag, behind_m, size_m))


def _of_foes(shapes: Shapes, links: Links, link: Array, foe: Array, after_waiting: Array) -> tuple[Array, Array, Array]:
    lane, width_m = links.start[link], shapes.width_m
    at, foe_at = last_crossing(shapes, lane, foe), last_crossing(shapes, foe, lane)
    beyond = links.first_of[foe]
    waits = np.flatnonzero(np.isnan(at) & links.internal[links.next[beyond]])
    end_at, aside_m = nearest_to_end(shapes, lane[waits], foe[waits])
    at[waits] = np.where(aside_m < 0.5 * width_m[lane[waits]], end_at, np.nan)
    foe_at[waits] = shapes.drawn_m[foe[waits]]
    crossing = ~np.isnan(at)
    merging = (links.to[link] == links.to[beyond]) & ~links.internal[links.next[link]]
    merging &= ~(links.internal[links.next[beyond]] & crossing)
    turn = direction_at(shapes, lane, np.nan_to_num(at)) - direction_at(shapes, foe, np.nan_to_num(foe_at))
    across = np.maximum(np.abs(np.sin(turn)), 0.2)
    size_m = np.where(crossing, np.minimum(width_m[foe] * (2.0 / across - 1.0), shapes.length_m[lane]), width_m[foe])
    met_m = shapes.to_driven(lane, np.maximum(np.nan_to_num(at) - 0.5 * size_m, 0.0))
    behind_m = np.where(crossing, shapes.length_m[lane] - met_m, shapes.length_m[lane] + NOWHERE_M)
    flag = np.where(crossing, np.where(after_waiting[link], WAITING, CROSSING), NO_INTERSECTION)
    rows = np.flatnonzero(merging)
    apart_m = _apart_m(shapes, lane[rows], foe[rows])
    ends = shapes.start[lane[rows] + 1] - 1, shapes.start[foe[rows] + 1] - 1
    far = np.hypot(*(v[ends[0]] - v[ends[1]] for v in (shapes.x_m, shapes.y_m))) >= apart_m
    run_m = shapes.to_driven(lane[rows], until_parted(shapes, lane[rows], foe[rows], apart_m, start=False))
    behind_m[rows], size_m[rows] = np.where(far, 0.0, run_m), width_m[foe[rows]]
    flag[rows] = np.where(far, FAR_MERGE, CROSSING)
    return behind_m, size_m, flag


def _of_siblings(shapes: Shapes, links: Links, siblings: Siblings) -> tuple[Array, Array, Array]:
    lane, other, length_m = links.start[siblings.link], siblings.lane, shapes.length_m
    apart_m = _apart_m(shapes, lane, other)
    run_m = until_parted(shapes, lane, other, apart_m, start=True)
    parallel = (links.edge[lane] == links.edge[other]) & (length_m[lane] == length_m[other])
    behind_m = length_m[lane] - np.where(parallel, run_m, shapes.to_driven(lane, run_m))
    later = (siblings.own_before_m > 0) | (siblings.before_m > 0)
    ends_m = siblings.own_before_m + length_m[lane]
    shared_m = np.minimum(ends_m, siblings.before_m + length_m[other])
    behind_m = np.maximum(np.where(later, ends_m - shared_m, behind_m), 0.0)
    return behind_m, shapes.width_m[other].copy(), np.full(len(lane), CROSSING)


def _apart_m(shapes: Shapes, a: Array, b: Array) -> Float64[Array, "pairs"]:
    return np.asarray(np.minimum(PARTED_M, 0.5 * (shapes.width_m[a] + shapes.width_m[b])))


def apart_at_start(shapes: Shapes, a: Array, b: Array) -> Bool[Array, "pairs"]:
    """Lanes that begin so far from each other that nobody on one is in the way on the other."""
    first = shapes.start[a], shapes.start[b]
    gap_m = np.hypot(*(v[first[0]] - v[first[1]] for v in (shapes.x_m, shapes.y_m)))
    return np.asarray(gap_m >= _apart_m(shapes, a, b))


def begins_beside(shapes: Shapes, a: Array, b: Array) -> Bool[Array, "pairs"]:
    """Whether lane b begins so close to some place of lane a that who is there is in the way."""
    gap_m = np.zeros(len(a))
    for rows, p, q in shapes.groups(a, b):
        gap_m[rows] = _distances(q[:, :1], p)[:, 0]
    return np.asarray(gap_m < _apart_m(shapes, a, b))


def _seen_by_foes(shapes: Shapes, links: Links, pairs: Pairs) -> Pairs:
    """Fill in the foes' side: from the foe's own row where it has one, else from the crossing itself."""
    n_lanes, own = len(shapes.width_m), links.start[pairs.link]
    keys = pairs.link * n_lanes + pairs.lane
    wanted = links.first_of[pairs.lane] * n_lanes + own
    unique, first = np.unique(keys, return_index=True)
    slot = np.minimum(np.searchsorted(unique, wanted), max(len(unique) - 1, 0))
    mutual = unique[slot] == wanted if len(unique) else np.zeros(0, bool)
    row = first[slot] if len(unique) else slot
    foe_behind_m = np.where(mutual, pairs.behind_m[row], -NOWHERE_M)
    foe_size_m = np.where(mutual, pairs.size_m[row], 0.0)
    alone = np.flatnonzero(~mutual & (pairs.flag != NO_INTERSECTION))
    at_m = last_crossing(shapes, pairs.lane[alone], own[alone])
    size_m = shapes.width_m[own[alone]] * pairs.size_m[alone] / shapes.width_m[pairs.lane[alone]]
    met_m = np.maximum(np.nan_to_num(at_m) - 0.5 * size_m, 0.0)
    none = np.isnan(at_m)
    foe_behind_m[alone] = np.where(none, -NOWHERE_M, shapes.length_m[pairs.lane[alone]] - met_m)
    foe_size_m[alone] = np.where(none, 0.0, size_m)
    foe_behind_m[pairs.flag == FAR_MERGE] = 0.0
    behind_m = np.where(pairs.flag == WAITING, shapes.length_m[own], pairs.behind_m)
    return pairs._replace(behind_m=behind_m, foe_behind_m=foe_behind_m, foe_size_m=foe_size_m)
