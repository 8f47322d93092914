"""In which directions a station's power leaves for a pixel: what re-aiming needs besides the gain.

Path gain is linear in the power pattern of the transmitting antenna. A pixel's gain with any pattern
g is therefore its isotropic gain times the mean of g over the departure directions, weighted by the
power that each of them brings. Close directions are merged, so most pixels keep one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32, Int16, Int32, Int64, UInt16

Array = np.ndarray

UNIT: Final = 32767
"""Length of a stored direction."""

WHOLE: Final = 65535
"""The shares of a pixel add up to this."""


LEAST_SHARE: Final = 1e-3
"""Rays that bring less than this part of a pixel's power have no say in its directions."""


@dataclass(frozen=True)
class Departures:
    """Departure directions of every pixel of one layer, in compressed rows; pixel = row * cols + col."""

    start: Int64[Array, "pixels+1"]  # first entry of each pixel, and the end
    toward: Int16[Array, "entries 3"]  # east, north, up, times `UNIT`
    share: UInt16[Array, "entries"]  # of the pixel's power, times `WHOLE`

    def __len__(self) -> int:
        return len(self.share)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(self.start.nbytes + self.toward.nbytes + self.share.nbytes)

    def of_pixel(self, pixel: int) -> tuple[Float32[Array, "entries 3"], Float32[Array, "entries"]]:
        """Unit vectors and shares of one pixel, unpacked."""
        entries = slice(int(self.start[pixel]), int(self.start[pixel + 1]))
        return self.toward[entries] / np.float32(UNIT), self.share[entries] / np.float32(WHOLE)


@dataclass(frozen=True)
class DepartureMaps:
    """The departures of all layers that have some, stacked."""

    slot: Int32[Array, "layers"]  # row of `start`, -1 for layers whose power leaves straight for the pixel
    of_pixel: Int32[Array, "pixels"]  # the pixel whose departures hold: inside buildings the facade's
    start: Int64[Array, "slots pixels+1"]  # entries in the arrays below
    toward: Int16[Array, "entries 3"]
    share: UInt16[Array, "entries"]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(int(part.nbytes) for part in (self.slot, self.of_pixel, self.start, self.toward, self.share))


def straight(n_layers: int) -> DepartureMaps:
    """No departures: every link leaves in the direction of its pixel."""
    slot = np.full(n_layers, -1, np.int32)
    return DepartureMaps(
        slot, np.zeros(1, np.int32), np.zeros((1, 2), np.int64), np.zeros((1, 3), np.int16), np.zeros(1, np.uint16)
    )


def stack(layers: Sequence[Departures | None], of_pixel: Int32[Array, "pixels"]) -> DepartureMaps:
    """Put the departures of layers one behind the other."""
    some = [layer for layer in layers if layer is not None]
    if not some:
        return straight(len(layers))
    slot = np.cumsum([layer is not None for layer in layers]).astype(np.int32) - 1
    slot[[layer is None for layer in layers]] = -1
    offset = np.concatenate(([0], np.cumsum([len(layer) for layer in some])))
    start = np.stack([layer.start + before for layer, before in zip(some, offset[:-1], strict=True)])
    toward, share = (np.concatenate([getattr(layer, name) for layer in some]) for name in ("toward", "share"))
    return DepartureMaps(slot, of_pixel, start, toward, share)


def one_each(east: Array, north: Array, up: Array) -> Departures:
    """One direction for every pixel.

    Args:
        east, north, up: components in pixel order, of any length; one of length zero becomes straight down.

    >>> one_each(np.array([3.0]), np.array([0.0]), np.array([-4.0])).toward.tolist()
    [[19660, 0, -26214]]
    """
    parts = np.stack([np.ravel(part) for part in (east, north, up)], axis=1)
    length = np.linalg.norm(parts, axis=1, keepdims=True)
    parts = np.where(length > 0.0, parts * (UNIT / np.maximum(length, 1e-9)), (0.0, 0.0, -UNIT))
    n = len(parts)
    toward = np.rint(parts).astype(np.int16)
    return Departures(np.arange(n + 1, dtype=np.int64), toward, np.full(n, WHOLE, np.uint16))


def merge(
    direct: Departures, direct_gain: Float32[Array, "pixels"], rays: Departures, rays_gain: Float32[Array, "pixels"]
) -> Departures:
    """Departures of the sum of two sets of paths, of which the first has one direction for every pixel.

    Args:
        direct: one direction a pixel, as `one_each` gives.
        direct_gain: its power, above 0.
        rays: any number of directions a pixel.
        rays_gain: their power together, 0 where there are none.
    """
    pixels = len(direct_gain)
    part = rays_gain / (direct_gain + rays_gain)
    part[part < LEAST_SHARE] = 0.0
    kept = np.where(part > 0.0, np.diff(rays.start), 0)
    start = np.concatenate(([0], np.cumsum(kept + 1)))
    toward, share = np.empty((start[-1], 3), np.int16), np.empty(start[-1], np.uint16)
    toward[start[:-1]] = direct.toward
    of_ray = np.repeat(np.arange(pixels), np.diff(rays.start))
    entry = part[of_ray] > 0.0
    of_ray, number = of_ray[entry], np.arange(len(rays))[entry]
    to = start[of_ray] + 1 + number - rays.start[of_ray]
    toward[to], share[to] = rays.toward[number], np.rint(rays.share[number] * part[of_ray]).astype(np.uint16)
    given = np.bincount(of_ray, share[to], pixels).astype(np.int64)
    share[start[:-1]] = np.maximum(WHOLE - given, 0)
    return Departures(start, toward, share)
