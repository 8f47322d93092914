"""Values of a radio map: one number a pixel, from gain maps and the settings of the cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from jaxtyping import Bool, Float32, Int32

from mndt.errors import InputError, unknown_name
from mndt.units import db_to_linear, linear_to_db, noise_w

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.radio.aiming import GainMaps
    from mndt.radio.maps import SiteMaps
    from mndt.state import CellSettings

Array = np.ndarray


@dataclass(frozen=True)
class Kind:
    """A kind of map."""

    name: str
    unit: str  # "" where values are names
    title: str
    label: str  # at the colours
    of_station: bool  # needs a site or cell
    turns: bool  # settings of the cells change it
    shared: bool = False  # told of the cell that serves, whichever it is
    better: int = 1  # -1: less is better, 0: neither
    ends: tuple[float, float] | None = None  # of the colours, where maps shall compare


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("gain", "dB", "gain", "gain, antenna included", False, True),
        Kind("loss", "dB", "path loss", "loss without antenna", True, False, better=-1),
        Kind("los", "", "line of sight", "", True, False),
        Kind("rsrp", "dBm", "received power", "power of the best cell on a block", False, True, True),
        Kind("best-server", "", "best server", "", False, True, True, better=0),
        Kind("sinr", "dB", "SINR", "SINR of the best cell", False, True, True, ends=(-10.0, 30.0)),
    )
}
"""Kinds of map, by the name that `mndt map --layer` takes."""


@dataclass(frozen=True)
class Raster:
    """One number a pixel; row 0 is the south. For maps of names the number is a row of `names`."""

    values: Float32[Array, "rows cols"]  # nan: nothing to say here
    cell_m: float
    kind: Kind
    names: tuple[str, ...] = ()
    difference: bool = False  # after minus before

    @property
    def unit(self) -> str:
        """Unit of the values; differences of levels are in dB."""
        return "dB" if self.difference and self.kind.unit else self.kind.unit

    @cached_property
    def known(self) -> Float32[Array, "pixels"]:
        """The values there are."""
        return np.asarray(self.values[np.isfinite(self.values)])


@dataclass(frozen=True)
class Network:
    """A city with gain maps aimed at its settings."""

    city: City
    settings: CellSettings
    site_maps: SiteMaps
    maps: GainMaps
    noise_figure_db: float = 0.0

    @property
    def block_w(self) -> Float32[Array, "cells"]:
        """Power of each cell on one of its blocks."""
        return np.asarray(self.settings.power_w / self.city.cells.blocks, np.float32)

    @cached_property
    def best(self) -> tuple[Float32[Array, "rows cols"], Int32[Array, "rows cols"]]:
        """Level in dBm and row of the strongest cell."""
        from mndt.radio.aiming import coverage_dbm

        return coverage_dbm(self.maps, self.block_w)


def raster_of(network: Network, layer: str, cells: Sequence[int] = (), *, load: float = 1.0) -> Raster:
    """The values of one kind of map.

    Args:
        network: aimed.
        layer: a name of `KINDS`.
        cells: of the station that is looked at; none: all cells. What is told of the cell that serves (level,
            SINR, who it is) is then told only where one of these does.
        load: share of their blocks that other cells use: what counts as interference in a SINR.

    Raises:
        InputError: no such kind, or one that needs a station.
    """
    if layer not in KINDS:
        raise unknown_name("--layer", layer, KINDS)
    kind = KINDS[layer]
    if kind.of_station and not cells:
        raise InputError(f"--layer {layer}", "of no station", allowed="with --site or --cell", fix="name one")
    rows = np.asarray(cells, np.intp)
    if layer == "gain":
        values = network.maps.level[:, :, rows if len(rows) else slice(None)].max(axis=2) >> 1
        return _raster(values / np.float32(64.0), network, kind)
    if layer in ("loss", "los"):
        level = network.site_maps.level[:, :, np.unique(network.site_maps.layers.of_cell[rows])].max(axis=2)
        if layer == "loss":
            return _raster((level >> 1) / np.float32(-64.0), network, kind)
        return _raster((level & 1).astype(np.float32), network, kind, ("no line of sight", "line of sight"))
    best_dbm, best = network.best
    served = np.isin(best, rows) if len(rows) else best >= 0
    values = {"best-server": lambda: best, "rsrp": lambda: best_dbm, "sinr": lambda: _sinr_db(network, load)}[layer]()
    names = network.city.cells.name if layer == "best-server" else ()
    return _raster(np.where(served, values, np.nan), network, kind, names)


def _raster(values: Array, network: Network, kind: Kind, names: tuple[str, ...] = ()) -> Raster:
    return Raster(np.asarray(values, np.float32), network.maps.cell_m, kind, names)


def _sinr_db(network: Network, load: float) -> Array:
    """Best server's power over noise and what the other cells on its carrier send, `load` of the time."""
    cells, best = network.city.cells, network.best[1]
    carriers, of = np.unique(cells.carrier_hz, return_inverse=True)
    noise = np.array([noise_w(hz, network.noise_figure_db) for hz in cells.block_hz])
    out = np.empty(best.shape, np.float32)
    for row in range(len(out)):  # row by row, to stay small beside the maps
        power_w = db_to_linear((network.maps.level[row] >> 1) / 64.0) * network.block_w  # float64: own is subtracted
        at, server = np.arange(best.shape[1]), np.maximum(best[row], 0)
        on_carrier = np.stack([power_w[:, of == k].sum(axis=1) for k in range(len(carriers))], axis=1)
        own = power_w[at, server]
        out[row] = linear_to_db(own / (load * (on_carrier[at, of[server]] - own) + noise[server]))
    return out


def difference(before: Raster, after: Raster) -> Raster:
    """What a change does: after minus before; of best servers, who serves where somebody else did before.

    Raises:
        InputError: settings of cells do not change this kind of map.
    """
    kind = after.kind
    if not kind.turns:
        allowed = ", ".join(name for name, other in KINDS.items() if other.turns)
        fix = "choose another, or drop --before and --after"
        raise InputError("--layer", f"{kind.name}, which no setting changes", allowed=allowed, fix=fix)
    if kind.unit:
        values = after.values - before.values
    else:
        values = np.where(after.values == before.values, np.nan, after.values)
    return Raster(np.asarray(values, np.float32), after.cell_m, kind, after.names, difference=True)


def masked(raster: Raster, where: Bool[Array, "rows cols"]) -> Raster:
    """The map with values only there."""
    values = np.where(where, raster.values, np.float32(np.nan))
    return Raster(values, raster.cell_m, raster.kind, raster.names, raster.difference)


def summary(raster: Raster) -> list[str]:
    """A map in a few lines."""
    known, share = raster.known, raster.known.size / max(raster.values.size, 1)
    if not known.size:
        return ["nothing changes" if raster.difference else "no value anywhere"]
    kind, unit = raster.kind, raster.unit
    if not unit:
        return _names(raster, share)
    low, middle, high = np.percentile(known, (5, 50, 95))
    if raster.difference:
        up, down = float((known > 1.0).mean()), float((known < -1.0).mean())
        better, worse = (down, up) if kind.better < 0 else (up, down)
        ends = f"5 % below {low:+.1f}, 5 % above {high:+.1f} {unit}"
        return [f"better by over 1 dB on {better:.1%} of the area, worse on {worse:.1%}", ends]
    return [f"median {middle:.1f} {unit}, 5 % below {low:.1f}, 5 % above {high:.1f}"]


def _names(raster: Raster, share: float) -> list[str]:
    rows, counts = np.unique(raster.known.astype(int), return_counts=True)
    if raster.kind.name == "los":
        return [f"line of sight on {counts[rows == 1].sum() / counts.sum():.1%} of the area"]
    if raster.difference:
        return [f"another cell serves on {share:.1%} of the area"]
    largest = rows[counts.argmax()]
    name, part = raster.names[largest], counts.max() / raster.values.size
    return [f"{len(rows)} cells serve on {share:.1%} of the area, {name} the most: {part:.1%}"]
