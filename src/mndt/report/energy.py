"""Energy on the page: power over time, where it goes, what it carries, which stations take it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mndt.network.energy import EnergyModel, kwh
from mndt.report import incidents
from mndt.report.numbers import measure, per
from mndt.report.section import Section, fill
from mndt.report.view import RunView, View, plain
from mndt.state import Status

Array = np.ndarray

DAY_S: Final = 86_400

STATIONS: Final = 10
"""Rows of the table of stations."""

ALIKE: Final = 0.02
"""Stations whose powers differ by less, as a share of the greatest, take equally much."""

POWER: Final = "PEE.AvgPower"


@dataclass(frozen=True)
class Split:
    """Where the power of a run went, as means over it in W; they add up to the total."""

    radio_w: float
    baseband_w: float
    cooling_w: float
    waking_w: float  # cells that start up: neither asleep nor serving

    @property
    def parts(self) -> list[tuple[str, float]]:
        """Names and watts."""
        named = [
            ("radio units", self.radio_w),
            ("basebands", self.baseband_w),
            ("cooling", self.cooling_w),
            ("waking up", self.waking_w),
        ]
        total_w = sum(watts for _, watts in named)
        return [(name, watts) for name, watts in named if watts > 5e-4 * total_w]


def energy_part(view: View) -> Section | None:
    """Power and energy of the runs; nothing where none was recorded."""
    from mndt.pictures import curves, to_svg

    known = [run for run in view.runs if math.isfinite(run.total(POWER))]
    if not known:
        return None
    totals = {run.name: run.totals if run in known else {"time_s": run.totals["time_s"]} for run in view.runs}
    told = " and ".join(f"{run.total(POWER) / 1e3:.2f} kW under {run.name}" for run in known)
    label = f"Power consumed over time: {told} on average.{incidents.spoken(view)}"
    svg = to_svg(curves.kpi_curve(totals, POWER, incidents.bands(view)), name="power", label=label)
    values = {
        "svg": svg,
        "names": view.names,
        "rows": _rows(view),
        "splits": [bars for run in known if (bars := _bars(view, run, known))],
        "tables": [
            {"name": run.name, "sentence": _idle_quarter(view, run), "rows": _stations(view, run)} for run in known
        ],
        "shown": min(STATIONS, len(view.city.sites)),
        "stations": len(view.city.sites),
    }  # fmt: skip
    lead = "What all stations take from the mains: radio units, basebands and cooling. Not what they radiate."
    return Section("Energy", fill("energy.html", values), "energy", lead)


def _rows(view: View) -> list[dict[str, Any]]:
    """The measures of all runs, each with a sentence of what it means."""
    power_w = [run.total(POWER) for run in view.runs]
    minutes = " and ".join(dict.fromkeys(_duration(run.seconds) for run in view.runs))
    whole_day = all(run.seconds >= DAY_S for run in view.runs)
    per_traffic = [per(w, run.total("X.ThroughputDl") / 1e6) for w, run in zip(power_w, view.runs, strict=True)]
    radiated = [run.total("X.TransmitPower") for run in view.runs]
    shares = [f"{100 * out / w:.2g} %" for out, w in zip(radiated, power_w, strict=True) if w > 0]
    share = f", {' and '.join(shares)} of the power consumed" if shares else ""
    per_day = (
        "Mean over the run, per 24 hours."
        if whole_day
        else f"As if all 24 hours were like the {minutes} simulated; hours with less traffic take less."
    )
    return [
        measure("Power consumed", [w / 1e3 for w in power_w], "kW", -1, "Mean over the run, all stations together."),
        measure(
            "Energy of the run",
            [kwh(w, run.seconds) for w, run in zip(power_w, view.runs, strict=True)],
            "kWh",
            -1,
            f"Mean power times the {minutes} simulated.",
        ),
        measure(
            "Energy per day",
            [kwh(w, DAY_S) for w in power_w],
            "kWh",
            -1,
            per_day,
            tag="" if whole_day else "extrapolated",
        ),
        measure(
            "Power per traffic",
            per_traffic,
            "W per Mbit/s",
            -1,
            "Mean power over mean throughput: as many joules for each megabit delivered.",
        ),
        measure("Radiated", radiated, "W", 0, f"What leaves all antennas together{share}."),
    ]


def _duration(seconds: int) -> str:
    if seconds % 3600 == 0:
        return f"{seconds // 3600} h"
    return f"{seconds / 60:.3g} minutes" if seconds >= 120 else f"{seconds} s"


# ---- where it goes ----------------------------------------------------------------------------


def _bars(view: View, run: RunView, known: list[RunView]) -> dict[str, Any]:
    """The split of one run as a bar, on the scale of the run that takes most; empty where it is not known."""
    from mndt.pictures.words import digits

    found = split(view, run)
    if found is None:
        return {}
    most_w, total_w = max(other.total(POWER) for other in known), run.total(POWER)
    return {
        "name": run.name,
        "total": f"{digits(total_w / 1e3)} kW",
        "parts": [
            {
                "name": name,
                "width": 100 * watts / most_w,
                "watts": digits(watts / 1e3),
                "share": f"{digits(100 * watts / total_w)} %",
            }
            for name, watts in found.parts
        ],
    }


def split(view: View, run: RunView) -> Split | None:
    """Radio units, basebands and cooling of a run: its energy model at the recorded states and radiated powers.

    What the model does not explain with them is what cells take while they start up, for they are recorded
    as asleep then.

    Args:
        view: for the city.
        run: one that recorded its power.

    Returns:
        None where it did not record the states of its cells, or took less than they say: then it had another model.
    """
    table = run.table("cells", "X.Status", "X.TransmitPower", POWER)
    if table is None:
        return None
    model = EnergyModel.build(view.city.cells, len(view.city.sites), run.run.scenario.energy)
    seen = plain(
        table.aggregate(
            'cell, "X.Status" AS status, count(*) AS seconds, sum("X.TransmitPower"::DOUBLE) AS sent',
            'cell, "X.Status"',
        )
    )
    cell, status, seconds = seen["cell"], seen["status"].astype(np.int64), run.seconds
    row_w = model.rru_w[status, cell] * seen["seconds"] + (status == Status.ON) * model.slope[cell] * seen["sent"]
    radio_w = np.bincount(cell, row_w, len(view.city.cells)) / seconds
    runs = _running_share(view, run)
    baseband_w = float((runs * model.site_bbu_w).sum())
    base_cooling_w = float((runs * (model.site_base_w - model.site_bbu_w)).sum())
    cooling_w = float((model.cooling * radio_w).sum()) + base_cooling_w
    rest_w = run.total(POWER) - float(radio_w.sum()) - baseband_w - cooling_w
    if not rest_w > -1e-3 * run.total(POWER):
        return None
    return Split(float(radio_w.sum()), baseband_w, cooling_w, max(0.0, rest_w))


def _running_share(view: View, run: RunView) -> Array:
    """Share of the run in which at least one cell of each station was not off: its baseband ran."""
    site, n_sites = np.asarray(view.city.cells.site), len(view.city.sites)
    cells_of = np.bincount(site, minlength=n_sites)
    table = run.table("cells", "X.Status")
    assert table is not None  # whoever asks has seen that it is there
    off = plain(table.filter(f'"X.Status" = {int(Status.OFF)}').project("time_s, cell"))
    key = (off["time_s"].astype(np.int64) - run.span_s[0]) * n_sites + site[off["cell"]]
    moment, cells_off = np.unique(key, return_counts=True)
    dark = np.bincount((moment % n_sites)[cells_off == cells_of[moment % n_sites]], minlength=n_sites)
    found: Array = np.where(cells_of > 0, 1.0 - dark / run.seconds, 0.0)
    return found


# ---- stations ---------------------------------------------------------------------------------


def _per_station(view: View, run: RunView) -> tuple[Array, Array]:
    """Mean power in W and traffic in Mbit/s of every station."""
    site, n = view.city.cells.site, len(view.city.sites)
    return (
        np.bincount(site, run.per_cell["consumed_w"], n),
        np.bincount(site, run.per_cell["rate_bps"], n) / 1e6,
    )


def _stations(view: View, run: RunView) -> list[dict[str, Any]]:
    """The stations that take most; among equals the one that carries least comes first."""
    power_w, mbps = _per_station(view, run)
    cells_of = np.bincount(view.city.cells.site, minlength=len(power_w))
    most_w = max(float(power_w.max(initial=0.0)), 1e-9)
    order = np.lexsort((mbps, np.floor((most_w - power_w) / (ALIKE * most_w))))[:STATIONS]
    return [
        {
            "station": view.city.sites.name[s],
            "cells": int(cells_of[s]),
            "power": float(power_w[s]),
            "share": 100 * float(power_w[s] / power_w.sum()) if power_w.sum() > 0 else 0.0,
            "rate": float(mbps[s]),
            "per_traffic": per(float(power_w[s]), float(mbps[s])),
        }
        for s in order
    ]


def _idle_quarter(view: View, run: RunView) -> str:
    """What the quarter of stations with least traffic takes and carries: where sleep would save."""
    power_w, mbps = _per_station(view, run)
    n = len(power_w) // 4
    if n < 1 or not power_w.sum() > 0 or not mbps.sum() > 0:
        return ""
    least = np.argsort(mbps, kind="stable")[:n]
    taken, carried = 100 * power_w[least].sum() / power_w.sum(), 100 * mbps[least].sum() / mbps.sum()
    return (
        f"The quarter of stations with least traffic ({n} of {len(power_w)}) takes {taken:.0f} % of the power and "
        f"carries {carried:.2g} % of the traffic."
    )
