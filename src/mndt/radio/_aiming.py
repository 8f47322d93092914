"""Antenna gains of whole maps in numba. Plain reference: `mndt.radio.antenna.gain_db`."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

_F = np.float32
_LARGEST = 255 * 64  # of |gain| in steps of 1/64 dB
_PER_DB = _F(np.log(10.0) / 10.0)
_DB = _F(10.0 / np.log(10.0))
_jit = nb.njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "nsz", "contract", "reassoc"})


@_jit
def _read(table: Any, at: Any, last: Any) -> Any:
    node = min(max(np.int32(at), np.int32(0)), last)
    rest = at - _F(node)
    return table[node] + rest * (table[node + 1] - table[node])


@_jit
def _pattern_db(
    east: Any, north: Any, up: Any, mount: Any, right: Any, left: Any, vertical: Any, column: Any, peak: Any
) -> Any:
    """Gain towards a unit vector; mount = sine and cosine of bearing, of tilt; peak = gain, largest attenuation."""
    last = np.int32(right.shape[0] - 2)
    half = _F(0.5) * _F(last + 1)
    ahead = east * mount[0] + north * mount[1]
    aside = east * mount[1] - north * mount[0]
    forward = ahead * mount[3] - up * mount[2]
    at_v = (ahead * mount[2] + up * mount[3] + _F(1.0)) * half
    at_h = (forward / np.sqrt(forward * forward + aside * aside + _F(1e-12)) + _F(1.0)) * half
    across = _read(right, at_h, last) if aside >= 0 else _read(left, at_h, last)
    return peak[0] + max(across + _read(vertical, at_v, last), -peak[1]) + _read(column, at_v, last)


@_jit
def write_aimed(
    low: Any,
    high: Any,
    loss_level: Any,
    pixel_m: Any,
    cells: Any,
    layer_of_cell: Any,
    place_m: Any,
    mount: Any,
    omni: Any,
    right: Any,
    left: Any,
    vertical: Any,
    column: Any,
    peak: Any,
    slot: Any,
    of_pixel: Any,
    start: Any,
    toward: Any,
    share: Any,
    level: Any,
) -> None:
    """level[row, col, cells[k]] = loss level of the cell's layer plus its antenna gain, for rows low to high.

    Row k of place_m: x, y, height over the user; of mount, peak and the tables: see `_pattern_db`.
    slot[k] is the row of `start` where the departures of the cell's layer begin, -1 for none: then the
    direction is the straight line to the pixel. of_pixel: the pixel whose departures hold for each.
    """
    cols = level.shape[1]
    for row in range(low, high):
        for k in range(len(cells)):
            cell, layer, at = cells[k], layer_of_cell[k], slot[k]
            if omni[k]:
                for col in range(cols):
                    level[row, col, cell] = loss_level[row, col, layer]
                continue
            x_m, y_m, rise_m = place_m[k, 0], place_m[k, 1], place_m[k, 2]
            turn, across, back, down, array, top = mount[k], right[k], left[k], vertical[k], column[k], peak[k]
            for col in range(cols):
                old = loss_level[row, col, layer]
                pixel = of_pixel[row * cols + col] if at >= 0 else 0
                first = start[at, pixel] if at >= 0 else 0
                end = start[at, pixel + 1] if at >= 0 else 0
                if end == first:
                    east = (_F(col) + _F(0.5)) * pixel_m - x_m
                    north = (_F(row) + _F(0.5)) * pixel_m - y_m
                    scale = _F(1.0) / np.sqrt(east * east + north * north + rise_m * rise_m + _F(1e-6))
                    gain = _pattern_db(
                        east * scale, north * scale, -rise_m * scale, turn, across, back, down, array, top
                    )
                else:
                    total = _F(0.0)
                    for entry in range(first, end):
                        east, north, up = (
                            _F(toward[entry, 0]) * _F(1.0 / 32767),
                            _F(toward[entry, 1]) * _F(1.0 / 32767),
                            _F(toward[entry, 2]) * _F(1.0 / 32767),
                        )
                        gain = _pattern_db(east, north, up, turn, across, back, down, array, top)
                        total += _F(share[entry]) * np.exp(gain * _PER_DB)
                    if end - first > 1:
                        gain = np.log(total * _F(1.0 / 65535)) * _DB
                steps = min(max((old >> 1) + np.int32(np.rint(gain * _F(64.0))), -_LARGEST), _LARGEST)
                level[row, col, cell] = np.int16(2 * steps + (old & 1))
