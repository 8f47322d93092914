"""Many rays of a pixel to few departure directions."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from mndt.radio._simd import FAST

MOST = 16
"""Directions kept for a pixel at most."""


@nb.njit(**FAST)
def sort_by_pixel(pixel: Any, place: Any, order: Any) -> None:
    """Counting sort: `order` lists the rays pixel by pixel; `place` holds the starts and becomes the ends."""
    for ray in range(len(pixel)):
        p = pixel[ray]
        order[place[p]] = ray
        place[p] += 1


@nb.njit(**FAST)
def cluster(
    low: int, high: int, start: Any, order: Any, power: Any, toward: Any, near_up: float, near_level: float,
    least: float, gain: Any, number: Any, out_toward: Any, out_share: Any,
) -> None:  # fmt: skip
    """Merge the departure directions of each pixel, strongest ray first.

    A ray joins the first direction that it is close to: no more than `near_up` apart in the sine of
    elevation, and the horizontal parts no more than `near_level`. What brings less than `least` of the
    pixel's power is dropped, and shares are of what is left. Directions are means weighted by power.
    """
    most = out_share.shape[1]
    for p in range(low, high):
        begin, end = start[p], start[p + 1]
        if begin == end:
            continue
        rays = order[begin:end]
        strength = np.empty(end - begin, np.float32)
        total = 0.0
        for i in range(end - begin):
            strength[i] = -power[rays[i]]
            total -= strength[i]
        gain[p] = total
        ranking = np.argsort(strength)
        lead = np.empty((most, 3), np.float64)
        summed = np.zeros((most, 4), np.float64)
        n = 0
        for rank in range(end - begin):
            ray = rays[ranking[rank]]
            east, north, up, w = toward[ray, 0], toward[ray, 1], toward[ray, 2], power[ray]
            best, nearest = -1, 1e30
            for k in range(n):
                rise = abs(up - lead[k, 2])
                level = (east - lead[k, 0]) ** 2 + (north - lead[k, 1]) ** 2
                apart = (rise / near_up) ** 2 + level / near_level**2
                if apart < nearest:
                    best, nearest = k, apart
            if nearest > 1.0 and n < most:
                best = n
                lead[n, 0], lead[n, 1], lead[n, 2] = east, north, up
                n += 1
            summed[best, 0] += w * east
            summed[best, 1] += w * north
            summed[best, 2] += w * up
            summed[best, 3] += w
        kept, kept_power = 0, 0.0
        for k in range(n):
            if summed[k, 3] >= least * total:
                kept_power += summed[k, 3]
        for k in range(n):
            if summed[k, 3] >= least * total:
                length = np.sqrt(summed[k, 0] ** 2 + summed[k, 1] ** 2 + summed[k, 2] ** 2)
                for axis in range(3):
                    out_toward[p, kept, axis] = summed[k, axis] / length
                out_share[p, kept] = summed[k, 3] / kept_power
                kept += 1
        number[p] = kept
