"""What an outcome is worth, in per cent of the energy with every cell on."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float64

from mndt.optimise.sleep.fleet import Fleet
from mndt.optimise.sleep.problem import Outcome

Array = np.ndarray

PRICE: Final = 10.0
"""Of a unit of traffic that is not served, by its grid's mean energy for a unit with every cell on."""


def always_on(fleet: Fleet, demand: Float64[Array, "grids slots"]) -> Float64[Array, "grids"]:
    """Energy of each grid in Wh with every cell on, basebands of shared stations by number of cells."""
    f, slots = fleet, demand.shape[1]
    fixed = np.bincount(f.grid, f.idle_wh + f.base_share * f.bbu_wh[f.station])
    full = np.bincount(f.grid, f.load_wh) / f.grid_capacity
    served = np.minimum(demand, f.grid_capacity[:, None]).sum(axis=1)
    return np.asarray(slots * fixed + full * served)


def price_of(fleet: Fleet, demand: Float64[Array, "grids slots"]) -> Float64[Array, "grids"]:
    """Wh for a unit of traffic that is not served."""
    return np.asarray(PRICE * always_on(fleet, demand) / np.maximum(demand.sum(axis=1), 1e-9))


def score(
    fleet: Fleet, demand: Float64[Array, "grids slots"], outcome: Outcome, *, begin: int, slots_per_day: int = 48
) -> dict[str, float]:
    """Figures of an outcome that was played from slot `begin` on.

    `kwh`; `saving`, `switching`, shares of the energy with every cell on; `j`, energy and switching, and `j10u`, that
    and unserved traffic at its price, in per cent of it; `unserved`, share of the traffic, `unserved_grids`, mean over
    grids; switches of a cell and of a station in a day.
    """
    played = demand[:, begin:]
    on = float(always_on(fleet, played).sum())
    energy, switching = float(outcome.energy_wh.sum()), float(outcome.switching_wh.sum())
    lost, total = outcome.unserved.sum(axis=0), played.sum(axis=1)
    days = played.shape[1] / slots_per_day
    return {
        "kwh": energy / 1000.0,
        "saving": 1.0 - energy / on,
        "switching": switching / on,
        "j": 100.0 * (energy + switching) / on,
        "j10u": 100.0 * (energy + switching + float((price_of(fleet, played) * lost).sum())) / on,
        "unserved": float(lost.sum() / max(total.sum(), 1e-9)),
        "unserved_grids": float((lost / np.maximum(total, 1e-9)).mean()),
        "cell_switches": float(outcome.cell_switches.sum()) / len(fleet.grid) / days,
        "station_switches": float(outcome.station_switches.sum()) / len(fleet.bbu_w) / days,
    }
