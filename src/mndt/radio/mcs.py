"""What a block's SINR is worth in bit/s: rate laws by name.

``rate = block_hz * efficiency(SINR)``, the efficiency in bit/s/Hz being one of

- "shannon": ``log2(1 + SINR / gap)``, without a gap the paper's law;
- "64qam", "256qam": the largest entry of the table of modulation and coding schemes (TS 38.214,
  tables 5.1.3.1-1 and 5.1.3.1-2) not above that, 0 below the table;
- "truncated": ``0.6 log2(1 + SINR)``, 0 below -10 dB, at most 4.4 (TR 36.942 annex A.1, downlink).

The gap is by how much a real code needs more SINR than Shannon's limit. Overhead (control channels,
reference signals) and retransmissions are in none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from array_api_compat import array_namespace
from jaxtyping import Float32, Float64

from mndt.errors import unknown_name
from mndt.parallel import by_rows
from mndt.units import db_to_linear

Array = np.ndarray

TABLE_64QAM: Final = (
    (2, (120, 157, 193, 251, 308, 379, 449, 526, 602, 679)),
    (4, (340, 378, 434, 490, 553, 616, 658)),
    (6, (438, 466, 517, 567, 616, 666, 719, 772, 822, 873, 910, 948)),
)
"""TS 38.214 table 5.1.3.1-1, indices 0 to 28: bits per symbol and 1024 times the code rates."""

TABLE_256QAM: Final = (
    (2, (120, 193, 308, 449, 602)),
    (4, (378, 434, 490, 553, 616, 658)),
    (6, (466, 517, 567, 616, 666, 719, 772, 822, 873)),
    (8, (682.5, 711, 754, 797, 841, 885, 916.5, 948)),
)
"""TS 38.214 table 5.1.3.1-2, indices 0 to 27: bits per symbol and 1024 times the code rates."""

_STEPPED: Final = {"64qam": TABLE_64QAM, "256qam": TABLE_256QAM}

LAWS: Final = ("shannon", *_STEPPED, "truncated")

_SHARE, _LEAST_SINR_DB, _MOST = 0.6, -10.0, 4.4
"""Of "truncated": TR 36.942 annex A.1, downlink baseline."""


class Coefficients(NamedTuple):
    """A law as the kernels read it: all float32, no infinity."""

    per_gap: np.float32  # 1 / gap
    share: np.float32  # of Shannon's efficiency
    floor: np.float32  # SINR below which nothing is carried
    ceiling: np.float32  # bit/s/Hz
    threshold: Float32[Array, "entries"]  # SINR from which an entry is used; empty for smooth laws
    entry: Float32[Array, "entries"]  # bit/s/Hz


@dataclass(frozen=True)
class Law:
    """A rate law with its gap."""

    gap: float = 1.0  # linear
    share: float = 1.0  # of Shannon's efficiency
    floor: float = 0.0  # SINR below which nothing is carried
    ceiling: float = np.inf  # bit/s/Hz
    entries: Float64[Array, "entries"] | None = None  # bit/s/Hz, rising; None for smooth laws

    def coefficients(self) -> Coefficients:
        """For the kernels."""
        entries = np.empty(0) if self.entries is None else self.entries
        tiny, most = float(np.finfo(np.float32).tiny), 128.0  # log2 of no float32 is above
        return Coefficients(
            np.float32(1.0 / self.gap),
            np.float32(self.share),
            np.float32(max(self.floor, tiny)),
            np.float32(min(self.ceiling, most)),
            np.asarray(self.gap * (2.0**entries - 1.0), np.float32),
            np.asarray(entries, np.float32),
        )


def spectral_efficiencies(table: tuple[tuple[int, tuple[float, ...]], ...]) -> Float64[Array, "entries"]:
    """Bit/s/Hz of the entries of a table, by index: bits per symbol times code rate.

    >>> float(spectral_efficiencies(TABLE_64QAM)[-1]), float(spectral_efficiencies(TABLE_256QAM)[-1])
    (5.5546875, 7.40625)
    """
    return np.array([bits * rate / 1024.0 for bits, rates in table for rate in rates])


@cache
def law_of(name: str, gap_db: float = 0.0) -> Law:
    """The law of this name; the gap is not for "truncated", whose share stands for it.

    Raises:
        InputError: an unknown name.
    """
    if name not in LAWS:
        raise unknown_name("rate_law", name, LAWS)
    if name == "truncated":
        return Law(share=_SHARE, floor=float(db_to_linear(_LEAST_SINR_DB)), ceiling=_MOST)
    gap = float(db_to_linear(gap_db))
    if name == "shannon":
        return Law(gap)
    entries = np.sort(spectral_efficiencies(_STEPPED[name]))  # index 17 of the first table is below index 16
    return Law(gap, ceiling=float(entries[-1]), entries=entries)


@cache
def coefficients(name: str, gap_db: float = 0.0) -> Coefficients:
    """The law of this name for the kernels, made once."""
    return law_of(name, gap_db).coefficients()


def ceiling(law: str) -> float:
    """The most bit/s/Hz a law can give.

    >>> ceiling("shannon"), ceiling("256qam"), ceiling("truncated")
    (inf, 7.40625, 4.4)
    """
    return law_of(law).ceiling


def efficiency(law: str, sinr: Any, gap_db: float = 0.0) -> Any:
    """Bit/s/Hz at a linear SINR (array-API generic): the reference for the kernels.

    >>> [float(efficiency(law, np.asarray(1000.0)).round(3)) for law in LAWS]
    [9.967, 5.555, 7.406, 4.4]
    """
    xp, form = array_namespace(sinr), law_of(law, gap_db)
    e = form.share * xp.log2(1.0 + sinr / form.gap)
    if form.entries is not None:
        entries = xp.asarray(np.concatenate([[0.0], form.entries]))
        below = xp.searchsorted(entries[1:], xp.reshape(e, (-1,)), side="right")
        return xp.reshape(xp.take(entries, below), e.shape)
    return xp.where(sinr < form.floor, 0.0, xp.where(e > form.ceiling, form.ceiling, e))


def rate_bps(law: str, sinr: Any, block_hz: Any, gap_db: float = 0.0) -> Any:
    """Rate in bit/s on a bandwidth of `block_hz` at a linear SINR (array-API generic).

    >>> float(rate_bps("64qam", np.asarray(3.0), 180e3).round()), float(rate_bps("shannon", np.asarray(3.0), 180e3))
    (344531.0, 360000.0)
    """
    return block_hz * efficiency(law, sinr, gap_db)


def sinr_for_efficiency(law: str, efficiency: Any, gap_db: float = 0.0) -> Any:
    """The least linear SINR at which a law gives at least this many bit/s/Hz; inf above its ceiling.

    Shannon's equation inverted, ``gap (2^e - 1)``, with e raised to the next entry of a table.

    >>> float(sinr_for_efficiency("shannon", np.asarray(2.0))), float(sinr_for_efficiency("64qam", np.asarray(5.6)))
    (3.0, inf)
    """
    xp, form = array_namespace(efficiency), law_of(law, gap_db)
    e = efficiency
    if form.entries is not None:
        entries = xp.asarray(np.concatenate([form.entries, [np.inf]]))
        e = xp.reshape(xp.take(entries, xp.searchsorted(entries[:-1], xp.reshape(e, (-1,)))), e.shape)
    sinr = form.gap * (2.0 ** (e / form.share) - 1.0)
    sinr = xp.where((sinr < form.floor), form.floor, sinr)
    return xp.where(efficiency > 0.0, xp.where(e > form.ceiling, xp.inf, sinr), 0.0)


def apply(
    law: str, sinr: Float32[Array, "cells blocks"], block_hz: Float32[Array, "cells"], gap_db: float = 0.0
) -> Float32[Array, "cells blocks"]:
    """`rate_bps` of every block of every cell, fast.

    Args:
        law: one of `LAWS`.
        sinr: linear, finite, 0 where a block is free.
        block_hz: width of a cell's blocks.
        gap_db: the SNR gap.

    >>> apply("256qam", np.float32([[0.0, 3.0], [1e6, 0.1]]), np.float32([1.0, 1.0])).tolist()
    [[0.0, 1.9140625], [7.40625, 0.0]]
    """
    from mndt.radio import _mcs

    out = np.empty(sinr.shape, np.float32)
    by_rows(_mcs.rates_of_cells, len(sinr), sinr, block_hz, coefficients(law, gap_db), out)
    return out
