"""Rate laws in vectorised numba. `mcs` holds the same laws, written to be read."""

from __future__ import annotations

from typing import Any

import numba as nb

from mndt.radio._simd import FAST, F, log2f


@nb.njit(inline="always", **FAST)
def _smooth(sinr: Any, block_hz: Any, per_gap: Any, share: Any, floor: Any, ceiling: Any) -> Any:
    """Rate in bit/s by a smooth law."""
    efficiency = min(max(share * log2f(F(1.0) + sinr * per_gap), F(0.0)), ceiling)
    return block_hz * efficiency if sinr >= floor else F(0.0)


@nb.njit(**FAST)
def rate(sinr: Any, block_hz: Any, law: Any) -> Any:
    """Rate in bit/s of one block. `law`: see `mcs.Coefficients`."""
    n_entries = law.threshold.shape[0]
    if n_entries == 0:
        return _smooth(sinr, block_hz, law.per_gap, law.share, law.floor, law.ceiling)
    j = 0
    while j < n_entries and sinr >= law.threshold[j]:
        j += 1
    return block_hz * law.entry[j - 1] if j > 0 else F(0.0)


@nb.njit(**FAST)
def rates(sinr: Any, block_hz: Any, law: Any, out: Any) -> None:
    """Rate in bit/s of a row of SINRs on blocks of one width."""
    n_entries = law.threshold.shape[0]
    if n_entries == 0:
        per_gap, share, floor, ceiling = law.per_gap, law.share, law.floor, law.ceiling
        for k in range(out.shape[0]):
            out[k] = _smooth(sinr[k], block_hz, per_gap, share, floor, ceiling)
        return
    for k in range(out.shape[0]):
        out[k] = F(0.0)
    for j in range(n_entries):  # rising, entry by entry over the whole row: no search, so it vectorises
        least, bps = law.threshold[j], block_hz * law.entry[j]
        for k in range(out.shape[0]):
            out[k] = bps if sinr[k] >= least else out[k]


@nb.njit(**FAST)
def rates_of_cells(low: int, high: int, sinr: Any, block_hz: Any, law: Any, out: Any) -> None:
    """Rate in bit/s of every block of the cells `low` to `high`."""
    for c in range(low, high):
        rates(sinr[c], block_hz[c], law, out[c])
