"""Which lane leads where: turning lanes by direction, from right to left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

STRAIGHT_RAD: Final = np.pi / 4
"""A turn up to here is straight on."""


class Turn(NamedTuple):
    """From car lane `lane` (0 = rightmost) to car lane `target` of the way out `out`."""

    lane: int
    out: int
    target: int


def turns_of(n_lanes: int, angle_rad: Sequence[float], targets: Sequence[int], *, short: bool = False) -> list[Turn]:
    """Turns from the car lanes of one edge.

    Every way out has a lane, every lane has a way out, and paths of neighbours do not cross. From three lanes on
    the leftmost turns left only; from four on, or three without a way left, the rightmost turns right only.
    Lanes that have no counterpart straight on turn off first, else they merge.

    Args:
        n_lanes: car lanes of the edge.
        angle_rad: turning angle of every way out, from right (negative) to left.
        targets: car lanes of every way out.
        short: there is no room to change lanes, so that every lane leads to every way out.

    >>> turns_of(2, [-1.5, 0.0, 1.5], [1, 2, 1])  # right and straight on, straight on and left
    [Turn(lane=0, out=0, target=0), Turn(lane=0, out=1, target=0), Turn(lane=1, out=1, target=1), \
Turn(lane=1, out=2, target=0)]
    """
    turns = []
    for out, (first, last) in enumerate(_spans(n_lanes, angle_rad, targets)):
        for lane in range(n_lanes) if short else range(first, last + 1):
            nearest = min(max(lane, first), last)
            found = _targets(nearest, first, last, targets[out], angle_rad[out])
            turns += [Turn(lane, out, target) for target in (found if lane == nearest else found[:1])]
    return sorted(turns)


def _targets(lane: int, first: int, last: int, count: int, angle_rad: float) -> list[int]:
    """Left turns keep to the left, others to the right; going straight on, the leftmost may choose among the rest."""
    if angle_rad > STRAIGHT_RAD:
        return [max(count - 1 - (last - lane), 0)]
    target = min(lane - first, count - 1)
    spread = abs(angle_rad) <= STRAIGHT_RAD and lane == last
    return list(range(target, count)) if spread else [target]


def _spans(n: int, angle_rad: Sequence[float], targets: Sequence[int]) -> list[tuple[int, int]]:
    ways = len(angle_rad)
    if n == 1 or ways <= 1:
        return [(0, n - 1)] * ways
    straight = min(range(ways), key=lambda k: (abs(angle_rad[k]), -targets[k]))
    if abs(angle_rad[straight]) > STRAIGHT_RAD:
        return _shared(0, n, ways)
    left = _lanes_off(n, straight < ways - 1, 3)
    right = _lanes_off(n - left, straight > 0, 3)
    while n - left - right > targets[straight] and straight < ways - 1 and left < max(targets[straight + 1 :]):
        left += 1
    while n - left - right > targets[straight] and straight > 0 and right < max(targets[:straight]):
        right += 1
    to_right = _shared(0, max(right, 1), straight)
    to_left = _shared(n - max(left, 1), max(left, 1), ways - 1 - straight)
    return [*to_right, (right, n - 1 - left), *to_left]


def _lanes_off(n: int, there_is: bool, least: int) -> int:
    return 1 if there_is and n >= least else 0


def _shared(first: int, n: int, ways: int) -> list[tuple[int, int]]:
    """Ways beside each other share the lanes evenly."""
    spans = []
    for k in range(ways):
        low = k * n // ways
        high = max(-(-(k + 1) * n // ways) - 1, low)
        spans.append((first + low, first + high))
    return spans
