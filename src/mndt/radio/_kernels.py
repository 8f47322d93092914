"""The radio step in fused, vectorised numba. `radio.link` holds the same formulas, written to be read.

Conventions: row u a user, column c a cell, k a block. Every kernel writes only into its `out_` arrays.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from mndt.radio._simd import FAST, F, I, exp2f, float_of_bits, log2f, mix, sin_half_turns, step_of
from mndt.radio.fading import R_MAX

LOG2_PER_STEP: Final = F(np.log2(10.0) / 640.0)
"""A gain map stores dB in steps of 1/64: this turns steps into log2 of the gain."""

MINUS_LN2: Final = F(-np.log(2.0))


@nb.njit(**FAST)
def look_up(level: Any, cell_m: float, x_m: Any, y_m: Any, out_gain: Any, out_sight: Any) -> None:
    """Linear gain and line-of-sight flag of every (user, cell) from the pixel the user stands in.

    Users outside the map take the nearest border pixel. One pixel's cells are contiguous.
    """
    rows, columns, n_cells = level.shape
    for u in range(x_m.shape[0]):
        row = min(max(int(y_m[u] / cell_m), 0), rows - 1)
        column = min(max(int(x_m[u] / cell_m), 0), columns - 1)
        pixel, gain, sight = level[row, column], out_gain[u], out_sight[u]
        for c in range(n_cells):
            q = I(pixel[c])
            gain[c] = exp2f(F(I(q >> I(1))) * LOG2_PER_STEP)
            sight[c] = np.uint8(q & I(1))


@nb.njit(inline="always", **FAST)
def _fading_power(base: Any, c: Any, sight: Any, law: Any) -> Any:
    """Fading power of one link from one hashed draw.

    ``|m + n|^2`` with n complex normal is ``law0 + law1 * r * sin(angle) + law2 * r^2`` with
    r = sqrt(-ln u): Rician for any K, Rayleigh for law = (0, 0, 1), none for (1, 0, 0). The upper
    20 bits of the hash give u on (0, 1], the lower 12 the angle: by symmetry half a turn is enough.
    """
    bits = mix(I(base + step_of(I(c))))
    uniform = F(2.0) - float_of_bits(I(I(I(bits >> I(9)) & I(0x7FFFF8)) | I(0x3F800000)))
    squared = max(MINUS_LN2 * log2f(uniform), F(0.0))
    half_turn = (F(I(bits & I(0xFFF))) - F(2047.5)) * F(1.0 / 4096.0)
    seen = F(sight)
    swing = (law[1] + seen * law[4]) * np.sqrt(squared) * sin_half_turns(half_turn)
    return law[0] + seen * law[3] + swing + (law[2] + seen * law[5]) * squared


@nb.njit(inline="always", **FAST)
def _tabled_power(base: Any, c: Any, sight: Any, table: Any) -> Any:
    """As `_fading_power` for any other law: r through the amplitude table of its class."""
    bits = mix(I(base + step_of(I(c))))
    uniform = F(2.0) - float_of_bits(I(I(I(bits >> I(9)) & I(0x7FFFFF)) | I(0x3F800000)))
    n = table.shape[1] - 1
    at = np.sqrt(max(MINUS_LN2 * log2f(uniform), F(0.0))) * (F(n) / F(R_MAX))
    i = min(int(at), n - 1)
    amplitude = table[sight, i] + (at - F(i)) * (table[sight, i + 1] - table[sight, i])
    return amplitude * amplitude


@nb.njit(inline="always", **FAST)
def _draw(base: Any, c: Any, sight: Any, terms: Any, table: Any) -> Any:
    """`table` is None (decided while compiling) where the closed form covers both classes."""
    if table is None:
        return _fading_power(base, c, sight, terms)
    return _tabled_power(base, c, sight, table)


@nb.njit(inline="always", **FAST)
def _unpack(law: Any) -> Any:
    """Coefficients without sight, then what sight adds: scalars, or the loops would not vectorise."""
    return (
        law[0, 0], law[0, 1], law[0, 2],
        law[1, 0] - law[0, 0], law[1, 1] - law[0, 1], law[1, 2] - law[0, 2],
    )  # fmt: skip


@nb.njit(inline="always", **FAST)
def _link_base(key: Any, u: Any, k: Any) -> Any:
    """Hash of (key, user, block), the common part of one receiver's draws."""
    return mix(I(mix(I(I(key) + step_of(I(u)))) ^ step_of(I(I(k) + I(0x51ED)))))


@nb.njit(**FAST)
def own_fading(key: Any, serving: Any, sight: Any, law: Any, table: Any, n_blocks: int, out: Any) -> None:
    """Fading power of each user's own link on every block: the same draws as in `block_rates`."""
    terms = _unpack(law)
    for u in range(serving.shape[0]):
        c = serving[u]
        for k in range(n_blocks):
            if c < 0:
                out[u, k] = F(1.0)
            else:
                out[u, k] = _draw(_link_base(key, u, k), c, sight[u, c], terms, table)


@nb.njit(**FAST)
def block_rates(
    gain: Any,
    sight: Any,
    user_of_block: Any,
    power_w: Any,
    power_of_block_w: Any,
    noise_w: Any,
    block_hz: Any,
    key: Any,
    law: Any,
    table: Any,
    out_sinr: Any,
    out_rate_bps: Any,
) -> None:
    """SINR and Shannon rate of every used block, with fading on the signal and on every interferer.

    `power_of_block_w` is `power_w` transposed, so that the interferers of a block are contiguous.
    The sum over interferers skips the own cell by splitting the loop: subtracting the own power
    from a float32 total would lose the interference of users with a strong signal.
    """
    n_cells, n_blocks = user_of_block.shape
    terms = _unpack(law)
    for c in range(n_cells):
        for k in range(n_blocks):
            u = user_of_block[c, k]
            if u < 0 or power_w[c, k] <= F(0.0):
                out_sinr[c, k] = F(0.0)
                out_rate_bps[c, k] = F(0.0)
                continue
            base = _link_base(key, u, k)
            row, seen, power = gain[u], sight[u], power_of_block_w[k]
            interference = F(0.0)
            for b in range(c):
                interference += row[b] * power[b] * _draw(base, b, seen[b], terms, table)
            for b in range(c + 1, n_cells):
                interference += row[b] * power[b] * _draw(base, b, seen[b], terms, table)
            signal = row[c] * power[c] * _draw(base, c, seen[c], terms, table)
            sinr = signal / (interference + noise_w[c])
            out_sinr[c, k] = sinr
            out_rate_bps[c, k] = block_hz[c] * log2f(F(1.0) + sinr)


@nb.njit(**FAST)
def wideband_sinr(gain: Any, power_w: Any, noise_w: Any, serving: Any, out: Any) -> None:
    """SINR of each user from its serving cell when every cell spreads its power evenly.

    `power_w` per block and cell; without fading. 0 for users without a cell.
    """
    for u in range(gain.shape[0]):
        c = serving[u]
        if c < 0:
            out[u] = F(0.0)
            continue
        row, interference = gain[u], F(0.0)
        for b in range(c):
            interference += row[b] * power_w[b]
        for b in range(c + 1, gain.shape[1]):
            interference += row[b] * power_w[b]
        out[u] = row[c] * power_w[c] / (interference + noise_w[c])


@nb.njit(**FAST)
def distances(x_m: Any, y_m: Any, to_x_m: Any, to_y_m: Any, out_m: Any) -> None:
    """Plane distance of every user to every place."""
    for u in range(x_m.shape[0]):
        row = out_m[u]
        for s in range(to_x_m.shape[0]):
            dx, dy = x_m[u] - to_x_m[s], y_m[u] - to_y_m[s]
            row[s] = np.sqrt(dx * dx + dy * dy)


@nb.njit(**FAST)
def gain_by_formula(
    x_m: Any, y_m: Any, cell_x_m: Any, cell_y_m: Any, height_difference_m: float, breakpoint_m: float,
    carrier_ghz: float, out_gain: Any,
) -> None:  # fmt: skip
    """TR 38.901 UMi line-of-sight gain (table 7.4.1-1) straight from positions, without maps.

    For studies without a city, and to compare speed with simulators that have no maps.
    """
    near = F(-3.24 * np.log2(10.0)) - F(2.0) * log2f(F(carrier_ghz))
    squared_height = F(height_difference_m * height_difference_m)
    far = near + F(0.95) * log2f(F(breakpoint_m * breakpoint_m) + squared_height)
    squared_breakpoint = F(breakpoint_m * breakpoint_m)
    for u in range(x_m.shape[0]):
        gain = out_gain[u]
        for c in range(cell_x_m.shape[0]):
            dx, dy = x_m[u] - cell_x_m[c], y_m[u] - cell_y_m[c]
            flat = dx * dx + dy * dy
            log_squared = log2f(flat + squared_height)
            level = near - F(1.05) * log_squared
            beyond = far - F(2.0) * log_squared
            gain[c] = exp2f(level if flat <= squared_breakpoint else beyond)
