"""The inner loop of the field solver: several time steps in one passage over the rows."""

from __future__ import annotations

from typing import Any

import numba as nb

from mndt.radio._simd import FAST

# Loops over whole rows of slices that all start at 0: with indices such as j - 1 LLVM would not vectorise.


@nb.njit(inline="always", **FAST)
def _slopes(hx: Any, hy: Any, here: Any, east: Any, north: Any, courant: Any) -> None:
    for j in range(len(hx)):
        hx[j] -= courant * (north[j] - here[j])
        hy[j] += courant * (east[j] - here[j])


@nb.njit(inline="always", **FAST)
def _curl(out: Any, keep: Any, gain: Any, east: Any, west: Any, north: Any, south: Any) -> None:
    for j in range(len(out)):
        out[j] = keep[j] * out[j] + gain[j] * (east[j] - west[j] - north[j] + south[j])


@nb.njit(**FAST)
def advance(
    ez: Any,
    hx: Any,
    hy: Any,
    keep: Any,
    gain: Any,
    courant: Any,
    source_row: Any,
    source: Any,
    values: Any,
    layer_e: Any,
    layer_h: Any,
    row_memory: Any,
    col_memory: Any,
    depths: Any,
) -> None:
    """As many time steps as there are `values`, in place.

    A row's magnetic and electric fields are updated together, and step k follows step k-1 one row
    behind: a row is used by all steps while it is in the cache. The order within each step is Yee's.

    Args:
        ez, hx, hy: fields f32[rows, cols]; hx half a cell north, hy half a cell east of ez, both times
            the impedance of vacuum.
        keep, gain: f32[rows, cols], what a step leaves of ez, and what it takes from the curl.
        courant: c dt / dx.
        source_row: where `source` f32[cols] times `values` f32[steps] is added to ez.
        layer_e, layer_h: f32[2, 3, most] for rows and for columns: recursion factors b and c, and
            1 / kappa - 1, from the outside inwards, at the places of ez and half a cell further.
        row_memory, col_memory: f32[2, 2 deep, cols] and f32[rows, 2, 2 deep], the convolutions.
        depths: i64[2] depth of the absorbing rows and columns.
    """
    rows, cols = ez.shape
    n_steps = len(values)
    deep_rows, deep_cols = depths[0], depths[1]
    for front in range(rows - 2 + n_steps):
        for k in range(n_steps):
            i = front - k
            if i < 0 or i >= rows - 1:
                continue
            _slopes(hx[i, : cols - 1], hy[i], ez[i], ez[i, 1:], ez[i + 1], courant)
            low = i < deep_rows
            if low or i >= rows - 1 - deep_rows:
                d = i if low else rows - 2 - i  # cells from the border
                slot = i if low else 2 * deep_rows - 1 - d
                b, c, s = layer_h[0, 0, d], layer_h[0, 1, d], layer_h[0, 2, d]
                for j in range(cols - 1):
                    slope = ez[i + 1, j] - ez[i, j]
                    row_memory[0, slot, j] = b * row_memory[0, slot, j] + c * slope
                    hx[i, j] -= courant * (row_memory[0, slot, j] + s * slope)
            for q in range(2 * deep_cols):
                low = q < deep_cols
                d = q if low else 2 * deep_cols - 1 - q
                j = q if low else cols - 2 - d
                slope = ez[i, j + 1] - ez[i, j]
                col_memory[i, 0, q] = layer_h[1, 0, d] * col_memory[i, 0, q] + layer_h[1, 1, d] * slope
                hy[i, j] += courant * (col_memory[i, 0, q] + layer_h[1, 2, d] * slope)
            if i == 0:
                continue
            inner = cols - 1
            _curl(ez[i, 1:inner], keep[i, 1:], gain[i, 1:], hy[i, 1:], hy[i], hx[i, 1:], hx[i - 1, 1:])
            low = i <= deep_rows
            if low or i >= rows - 1 - deep_rows:
                d = i - 1 if low else rows - 2 - i
                slot = d if low else 2 * deep_rows - 1 - d
                b, c, s = layer_e[0, 0, d], layer_e[0, 1, d], layer_e[0, 2, d]
                for j in range(1, cols - 1):
                    slope = hx[i, j] - hx[i - 1, j]
                    row_memory[1, slot, j] = b * row_memory[1, slot, j] + c * slope
                    ez[i, j] -= gain[i, j] * (row_memory[1, slot, j] + s * slope)
            for q in range(2 * deep_cols):
                low = q < deep_cols
                d = q if low else 2 * deep_cols - 1 - q
                j = q + 1 if low else cols - 2 - d
                slope = hy[i, j] - hy[i, j - 1]
                col_memory[i, 1, q] = layer_e[1, 0, d] * col_memory[i, 1, q] + layer_e[1, 1, d] * slope
                ez[i, j] += gain[i, j] * (col_memory[i, 1, q] + layer_e[1, 2, d] * slope)
            if i == source_row:
                for j in range(1, cols - 1):
                    ez[i, j] += source[j] * values[k]
