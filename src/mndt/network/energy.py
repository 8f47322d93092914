"""Energy: what radio units, basebands and cooling consume, and cells that sleep and wake up.

A station with cells c consumes, in W at the mains,

    P = sum_c (1 + kappa_c) RRU_c + [one cell at least is not off] sum_c (1 + kappa_c) BBU_c

where RRU_c, the radio unit, is linear in the transmitted power (EARTH, eq. 2 and table 2 of Auer et
al. 2011, doi:10.1109/MWC.2011.6056691), the station's baseband runs as a whole or not at all, and
cooling takes kappa W for each W of the equipment it cools. With every cell of a station on, or every
one asleep, P is EARTH's figure. Constants and what they leave out: docs/energy.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int8

from mndt.city.model import Cells
from mndt.city.schema import ENERGY_CLASSES
from mndt.network.energy_parameters import EnergyParameters, check_energy
from mndt.state import Status

Array = np.ndarray

JOULE_PER_KWH = 3.6e6
"""1 kWh in J (exact)."""


@dataclass(frozen=True)
class Power:
    """What cells remember about their power supply: part of the network's state."""

    status: Int8[Array, "cells"]  # Status last asked for; a cell waking up is ON here
    wake_s: Float32[Array, "cells"]  # from the next second on: seconds until it served, were it asked to
    cycle_s: Float32[Array, "cells"]  # energy of this second's wake-ups, in seconds at full load


@dataclass(frozen=True)
class Consumption:
    """Power consumed at the mains, averaged over one second, in W.

    Cells add up to their stations, and stations to the total. A cell has its radio unit, and of its
    station's baseband and cooling a share among the cells that are not off.
    """

    cell_w: Float32[Array, "cells"]
    rru_w: Float32[Array, "cells"]
    bbu_w: Float32[Array, "sites"]
    cooling_w: Float32[Array, "sites"]
    site_w: Float32[Array, "sites"]

    @property
    def total_w(self) -> float:
        """Of all stations."""
        return float(self.site_w.sum(dtype=np.float64))


@dataclass(frozen=True)
class EnergyModel:
    """The parameters spread over the cells of one city, so that a second costs microseconds."""

    site: Int[Array, "cells"]
    n_sites: int
    rru_w: Float64[Array, "states cells"]  # by Status; on: without transmitted power
    slope: Float64[Array, "cells"]  # W for each W transmitted
    full_w: Float64[Array, "cells"]  # radio unit at the cell's maximum power
    base_w: Float64[Array, "cells"]  # what the cell adds to its station as built: baseband and its cooling
    site_base_w: Float64[Array, "sites"]
    site_bbu_w: Float64[Array, "sites"]  # of that, without cooling
    cooling: Float64[Array, "cells"]  # kappa: W of cooling for each W of equipment
    wake_s: Float32[Array, "states"]  # by Status
    cycle_s: Float32[Array, "states"]  # by Status, in seconds at full load

    @classmethod
    def build(cls, cells: Cells, n_sites: int, parameters: EnergyParameters | None = None) -> EnergyModel:
        """Everything that does not change from second to second.

        Args:
            cells: as built; `energy_class`, `site` and `max_power_w` are read.
            n_sites: number of sites, those without a cell counted.
            parameters: None = EARTH and TR 38.864.

        Raises:
            InputError: the baseband of a class consumes more than its idle or sleeping cells do.
        """
        p = parameters or EnergyParameters()
        check_energy(p)
        row = np.array([ENERGY_CLASSES.index(name) for name in cells.energy_class], dtype=np.intp)
        columns = np.array([_of_cell(p, name) for name in ENERGY_CLASSES])
        idle_w, sleep_w, slope, bbu_w, cooling = columns[row].T
        site = np.asarray(cells.site, dtype=np.intp)
        return cls(
            site=site,
            n_sites=n_sites,
            rru_w=np.stack([idle_w, sleep_w, np.zeros_like(idle_w)]),
            slope=slope,
            full_w=idle_w + slope * cells.max_power_w,
            base_w=bbu_w * (1.0 + cooling),
            site_base_w=np.bincount(site, bbu_w * (1.0 + cooling), n_sites),
            site_bbu_w=np.bincount(site, bbu_w, n_sites),
            cooling=cooling,
            wake_s=np.array([0.0, p.sleep_wake_s, p.off_wake_s], np.float32),
            cycle_s=np.array([0.0, p.sleep_cycle_s, p.off_cycle_s], np.float32),
        )


def start(n_cells: int) -> Power:
    """Every cell on and serving.

    >>> start(2).status.tolist()
    [0, 0]
    """
    return Power(np.full(n_cells, Status.ON, np.int8), np.zeros(n_cells, np.float32), np.zeros(n_cells, np.float32))


def advance(
    model: EnergyModel, power: Power, wanted: Int8[Array, "cells"]
) -> tuple[Power, Int8[Array, "cells"], Bool[Array, "cells"]]:
    """Carry out, at the beginning of a second, what the settings ask of each cell.

    Going down happens at once. A cell asked to wake up serves in the first second that begins at
    least its wake-up time later; until then it consumes like an idle cell. Sleeping cells of a
    station that was off start up all the same: they can serve `sleep_wake_s` after they are asked
    once that is done.

    Args:
        model: of the city.
        power: as the second before left it.
        wanted: Status asked for.

    Returns:
        The new memory; the status as users see it (a cell waking up is asleep); and which cells
        were switched, that is asked for another status than before.
    """
    switched = wanted != power.status
    # Seconds until service, were each cell asked now: never less than its state would take.
    need_s = np.maximum(power.wake_s, model.wake_s[wanted])
    serving = np.where((wanted == Status.ON) & (need_s > 0), np.int8(Status.SLEEP), wanted).astype(np.int8)
    wake_s = np.maximum(need_s - np.float32(1.0), model.wake_s[wanted])
    cycle_s = np.maximum(model.cycle_s[power.status] - model.cycle_s[wanted], np.float32(0.0))
    return Power(wanted.astype(np.int8), wake_s, cycle_s), serving, switched


def consumed_w(
    model: EnergyModel,
    status: Int8[Array, "cells"],
    transmitted_w: Float32[Array, "cells"],
    cycle_s: Float32[Array, "cells"] | None = None,
) -> Consumption:
    """What every cell and station consumes in one second.

    Args:
        model: of the city.
        status: Status of each cell; `Power.status`, in which a cell waking up is on.
        transmitted_w: mean power each cell transmits; ignored for cells that are not on.
        cycle_s: `Power.cycle_s`; None = nobody wakes up.

    One macro station of three cells at full load and at none, EARTH's 1,344 W and 780 W::

        model = EnergyModel.build(city.cells, len(city.sites))
        on = np.zeros(3, np.int8)
        consumed_w(model, on, np.full(3, 40, np.float32)).total_w
    """
    site, n = model.site, model.n_sites
    on, live = status == Status.ON, status != Status.OFF
    rru_w = model.rru_w[status, np.arange(len(status))] + on * (model.slope * transmitted_w)
    if cycle_s is not None:
        rru_w += cycle_s * model.full_w
    live_base_w = live * model.base_w
    running_w = np.bincount(site, live_base_w, n)
    scale = np.divide(model.site_base_w, running_w, out=np.zeros(n), where=running_w > 0)
    runs, cooling_w = running_w > 0, model.cooling * rru_w
    cell_w = rru_w + cooling_w + live_base_w * scale[site]
    base_cooling_w = runs * (model.site_base_w - model.site_bbu_w)
    return Consumption(
        cell_w=cell_w.astype(np.float32),
        rru_w=rru_w.astype(np.float32),
        bbu_w=(runs * model.site_bbu_w).astype(np.float32),
        cooling_w=(np.bincount(site, cooling_w, n) + base_cooling_w).astype(np.float32),
        site_w=np.bincount(site, cell_w, n).astype(np.float32),
    )


def kwh(mean_w: float, seconds: float) -> float:
    """Energy of a mean power over a time.

    >>> kwh(1344.0, 3600)
    1.344
    """
    return mean_w * seconds / JOULE_PER_KWH


def _of_cell(p: EnergyParameters, name: str) -> tuple[float, float, float, float, float]:
    """Radio unit idle and asleep, slope, baseband, kappa of one cell of a class.

    EARTH's watts are totals at the mains. Cooling is taken off first, then the baseband; the radio
    unit has the rest, and all of what grows with the transmitted power.
    """
    c = p.of_class(name)
    dry = 1.0 - c.cooling_share
    kappa = c.cooling_share / dry if p.cooling_factor is None or c.cooling_share == 0 else p.cooling_factor
    idle_w, sleep_w = (c.chains * max(w * dry - c.baseband_w, 0.0) for w in (c.idle_w, c.sleep_w))
    return idle_w, p.sleep_share * sleep_w, c.slope * dry, c.chains * c.baseband_w, kappa
