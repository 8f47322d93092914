"""Incidents on the page: bands behind curves, a table of what happened when, marks on the map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mndt.city.model import AREA_USES, BUILDING_USES
from mndt.network.incidents import NodeStatus
from mndt.report.section import Section, fill
from mndt.report.view import RunView, View, plain

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.network.incident_plans import Plan
    from mndt.pictures.bands import Band

BESIDE_S: Final = 60
"""Seconds before and after an incident that it is compared with."""

NAMES: Final[Mapping[str, str]] = {
    "cell-failure": "Cell failure",
    "power-cut": "Power cut",
    "demand-surge": "Demand surge",
    "special-event": "Special event",
}


@dataclass(frozen=True)
class Happening:
    """One incident of the script of one run or more."""

    sign: str  # stands for it on curves and maps
    plan: Plan
    runs: tuple[int, ...]  # rows of the runs in which it happens

    @property
    def name(self) -> str:
        """Its kind in words."""
        return NAMES.get(self.plan.kind, self.plan.kind)


def happenings(view: View) -> tuple[Happening, ...]:
    """All incidents that fall into the time of their runs, in order of time; equal ones of several runs once."""
    from mndt.network.incidents import prepare

    found: dict[tuple[Any, ...], tuple[Plan, list[int]]] = {}
    for row, run in enumerate(view.runs):
        scenario, (first_s, end_s) = run.run.scenario, run.span_s
        for plan in prepare(scenario.incidents, view.city, demand_scale=scenario.demand.scale).plans:
            if plan.begin_s < end_s and plan.end_s > first_s:
                key = (plan.begin_s, plan.end_s, plan.kind, plan.target, plan.dark_s, plan.magnitude, plan.share)
                found.setdefault((*key, plan.service), (plan, []))[1].append(row)
    ordered = [found[key] for key in sorted(found)]
    return tuple(Happening(sign(number), plan, tuple(rows)) for number, (plan, rows) in enumerate(ordered))


def sign(number: int) -> str:
    """A letter; from the 27th on with a figure.

    >>> sign(0), sign(25), sign(26)
    ('A', 'Z', 'A1')
    """
    turn, letter = divmod(number, 26)
    return chr(ord("A") + letter) + (str(turn) if turn else "")


def bands(view: View) -> list[Band]:
    """The incidents as bands behind curves."""
    from mndt.pictures.bands import Band

    return [
        Band(h.plan.begin_s, h.plan.dark_s, h.plan.end_s, h.sign, h.name.lower(), only_in(view, h).strip())
        for h in view.incidents
    ]


def only_in(view: View, happening: Happening) -> str:
    """Which runs it is confined to; nothing where all have it."""
    if len(happening.runs) == len(view.runs):
        return ""
    return f" ({' and '.join(view.names[row] for row in happening.runs)})"


def spoken(view: View) -> str:
    """The bands in words, for those who cannot see them."""
    from mndt.pictures.curves import clock

    told = [f"{h.name.lower()} {clock(h.plan.begin_s)} to {clock(h.plan.end_s)}" for h in view.incidents]
    return f" Shaded: {', '.join(told)}." if told else ""


# ---- the section ------------------------------------------------------------------------------


def incidents_part(view: View) -> Section | None:
    """What happened when, where, and what it did to the network."""
    if not view.incidents:
        return None
    rows = [_row(view, happening) for happening in view.incidents]
    lead = (
        "What the scenario made happen, shaded above. Outage ratio: of all active users of the network; where "
        "incidents overlap, a figure holds the effect of all of them."
    )
    values = {
        "rows": rows,
        "outs": [{"name": name, "rows": rows} for name, rows in out_tables(view) if rows],
        "names": view.names,
        "beside_s": BESIDE_S,
    }
    return Section("Incidents", fill("incidents.html", values), "incidents", lead)


def _row(view: View, happening: Happening) -> dict[str, Any]:
    from mndt.pictures.curves import clock

    plan = happening.plan
    return {
        "sign": happening.sign,
        "name": happening.name,
        "what": _what(plan),
        "where": where(view.city, plan),
        "begin": clock(plan.begin_s),
        "end": clock(plan.end_s),
        "cells": len(plan.cells),
        "only": only_in(view, happening).strip(" ()"),
        "effects": [_effect(run, plan) if row in happening.runs else [] for row, run in enumerate(view.runs)],
    }


def _what(plan: Plan) -> str:
    """What it does, in a sentence."""
    from mndt.city.schema import SERVICES
    from mndt.pictures.curves import clock

    if plan.kind == "cell-failure":
        return "Off until repaired."
    if plan.kind == "power-cut":
        if plan.dark_s <= plan.begin_s:
            return "Off until power is back."
        if plan.dark_s >= plan.end_s:
            return "On batteries, which last."
        return f"On batteries until {clock(plan.dark_s)}, then off until power is back."
    if plan.kind == "demand-surge":
        return f"Everyone inside asks for {plan.magnitude:g} times the bits."
    service = SERVICES[plan.service].name.replace("-", " ") if plan.service >= 0 else "the usual mix of services"
    rate = "" if plan.magnitude == 1 else f" at {plan.magnitude:g} times its rate"
    return f"{100 * plan.share:.0f} % of those inside and otherwise idle use {service}{rate}."


def where(city: City, plan: Plan) -> str:
    """The place of an incident."""
    if plan.area >= 0:
        return f"area {plan.area}: {area_words(city, plan.area)}"
    if len(plan.cells) == 1 and plan.target == city.cells.name[plan.cells[0]]:
        return f"cell {plan.target}"
    return f"station {plan.target}" if plan.target in city.sites.name else plan.target


def area_words(city: City, area: int) -> str:
    """What an area is for, and in what kind of building it is.

    Args:
        city: with its areas.
        area: row of them.
    """
    use, building = AREA_USES[city.areas.use[area]], int(city.areas.building[area])
    if building < 0:
        return f"{use}, open ground"
    kind = BUILDING_USES[city.buildings.use[building]]
    if kind == use:
        return f"{use} building"
    return f"{use}, {'unspecified' if kind == 'other' else kind} building"


def _effect(run: RunView, plan: Plan) -> list[str]:
    """Outage ratio in per cent before, during and after; a dash where the run has no such time."""
    from mndt.pictures.words import digits

    ratio = np.asarray(run.totals["X.OutageRatio"], np.float64)
    active = np.asarray(run.totals["DRB.MeanActiveUeDl"], np.float64)
    found = []
    for low, high in (
        (plan.begin_s - BESIDE_S, plan.begin_s),
        (plan.begin_s, plan.end_s),
        (plan.end_s, plan.end_s + BESIDE_S),
    ):
        seen = (run.totals["time_s"] >= low) & (run.totals["time_s"] < high) & (active > 0)
        weight = float(active[seen].sum())
        found.append(digits(100 * float((ratio[seen] * active[seen]).sum()) / weight) if weight else "–")
    return found


# ---- cells out of service ---------------------------------------------------------------------

_REASONS: Final = {NodeStatus.FAILURE: "failed", NodeStatus.NO_POWER: "without power"}


def out_rows(view: View, run: RunView) -> list[dict[str, Any]]:
    """Cells that an incident put out of service, as the run recorded them, with the time of it."""
    from mndt.pictures.curves import clock

    table = run.table("cells", "X.NodeStatus")
    if table is None or not view.incidents:
        return []
    spells = plain(
        table.filter(f'"X.NodeStatus" >= {int(NodeStatus.FAILURE)}').aggregate(
            'cell, "X.NodeStatus" AS status, min(time_s) AS first_s, max(time_s) AS last_s, count(*) AS seconds',
            'cell, "X.NodeStatus"',
        )
    )
    order = np.lexsort((spells["status"], spells["cell"]))
    return [
        {
            "row": int(spells["cell"][k]),
            "cell": view.city.cells.name[spells["cell"][k]],
            "reason": _REASONS[NodeStatus(spells["status"][k])],
            "begin": clock(int(spells["first_s"][k])),
            "end": clock(int(spells["last_s"][k]) + 1),
            "seconds": int(spells["seconds"][k]),
        }
        for k in order
    ]


def out_tables(view: View) -> list[tuple[str, list[dict[str, Any]]]]:
    """Name of a run and its cells out of service; one table without a name where it was the same in all runs."""
    tables = [(run.name, out_rows(view, run)) for run in view.runs]
    return [("", tables[0][1])] if all(rows == tables[0][1] for _, rows in tables) else tables


def notes(view: View) -> dict[int, str]:
    """Row of a cell -> when it was out of service, for the map."""
    found: dict[int, list[str]] = {}
    for name, table in out_tables(view):
        for row in table:
            text = f"{row['reason']} {row['begin']} to {row['end']}" + (f" under {name}" if name else "")
            found.setdefault(row["row"], []).append(text)
    return {row: ", ".join(texts) for row, texts in found.items()}


def circles(view: View) -> list[dict[str, Any]]:
    """Places of incidents on the map, in metres, y downwards; areas are drawn as a small ring."""
    city, depth_m = view.city, view.city.frame.depth_m
    least_m = 0.03 * float(np.sqrt(city.frame.width_m * depth_m))
    found: list[dict[str, Any]] = []
    for happening in view.incidents:
        plan = happening.plan
        if plan.radius_m <= 0 and plan.area < 0:
            continue  # cells are marked themselves
        x_m, y_m, radius_m = (
            (plan.x_m, plan.y_m, plan.radius_m)
            if plan.area < 0
            else (float(city.areas.x_m[plan.area]), float(city.areas.y_m[plan.area]), least_m)
        )
        found.append(
            {
                "sign": happening.sign,
                "x": round(x_m, 1),
                "y": round(depth_m - y_m, 1),
                "r": round(radius_m, 1),
                **_letter_at(x_m, depth_m - y_m, radius_m, len(found)),
                "label": f"{happening.sign} {happening.name}, {where(city, plan)}",
            }
        )
    return found


def _letter_at(x: float, y: float, radius: float, number: int) -> dict[str, float]:
    """Where on its circle the letter stands: each a little farther round, for circles of one place meet."""
    angle = np.radians(-60 + 35 * number)
    return {"tx": round(x + radius * float(np.sin(angle)), 1), "ty": round(y - radius * float(np.cos(angle)), 1)}
