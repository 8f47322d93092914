"""The sections every report has, in their order."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from mndt.report import incidents, maps, numbers
from mndt.report.areas import areas_part
from mndt.report.energy import POWER, energy_part
from mndt.report.incidents import incidents_part
from mndt.report.mobility import mobility_part
from mndt.report.radio import radio_part
from mndt.report.section import Part, Section, fill
from mndt.report.users import users_part
from mndt.report.view import RunView, View

HEADLINE: Final = ("X.ThroughputDl", "X.SatisfiedShare", "X.OutageRatio", POWER)
"""What a planner wants to know first."""

NOTES: Final = {
    "X.SatisfiedShare": "Bits delivered per bit offered in the same 30 s; above 100 % where a backlog is worked off."
}
"""What a reader should know about a curve."""

WORST: Final = 10
"""Rows of the table of cells under pressure."""


def heading(view: View) -> dict[str, Any]:
    """Title, the runs, and the headline figures: what stands above all sections."""
    from mndt.optimise.policy import in_a_sentence
    from mndt.pictures.curves import clock

    first = view.runs[0]
    policies = dict.fromkeys(str(run.run.info["policy"]) for run in view.runs)
    start_s = int(first.totals["time_s"][0]) // 60 * 60
    end_s = int(first.totals["time_s"][-1]) + 1
    counts = first.run.info["city"]
    return {
        "city": view.city.name,
        "hours": f"{clock(start_s)} to {clock(end_s)}",
        "users": int(counts["users"]),
        "cells": len(view.city.cells),
        "sites": len(view.city.sites),
        "seeds": sorted({int(run.run.info["seed"]) for run in view.runs}),
        "names": view.names,
        "policies": [(name, sentence) for name in policies if (sentence := in_a_sentence(name))],
        "tiles": [numbers.tile(view, column) for column in HEADLINE if column != POWER or _knows_power(view)],
        "incidents": len(view.incidents),
        "finding": numbers.finding(view),
        "attribution": view.city.attribution,
        "version": first.run.info["versions"]["mndt"],
    }


def _knows_power(view: View) -> bool:
    return any(math.isfinite(run.total(POWER)) for run in view.runs)


def map_part(view: View) -> Section:
    """The city, its cells, and who serves whom."""
    lead = "Every dot is a user, in the colour of the cell that serves it; neighbouring cells differ."
    return Section("The city and its network", fill("map.html", maps.city_values(view)), "map", lead)


def coverage_part(view: View) -> Section | None:
    """Best-server power with its legend, and which cell is best where."""
    if view.coverage is None:
        return None
    lead = (
        "Power received from the strongest cell on one resource block, at full power and without fast fading, "
        "as the gain maps have it."
    )
    return Section("Coverage", fill("coverage.html", maps.coverage_values(view, view.coverage)), "coverage", lead)


def curves_part(view: View) -> Section:
    """KPIs over time."""
    from mndt.pictures import curves, to_svg
    from mndt.pictures.words import shown

    totals, bands = {run.name: run.totals for run in view.runs}, incidents.bands(view)
    panels = []
    for row, column in enumerate(curves.CURVES):
        look = shown(column)
        values = " and ".join(f"{numbers.of(run, column)} under {run.name}" for run in view.runs)
        label = f"{look.label} over time: {values} on average.{incidents.spoken(view)}"
        svg = to_svg(curves.kpi_curve(totals, column, bands), name=f"curve{row}", label=label)
        panels.append({"label": look.label, "unit": look.unit, "svg": svg, "note": NOTES.get(column, "")})
    lead = f"Bold: running mean over {curves.SMOOTH_S} s. Thin: every second."
    if bands:
        lead += " Shaded: incidents, by the letters of the table below."
    return Section("KPIs over time", fill("curves.html", {"panels": panels, "names": view.names}), "curves", lead)


def rates_part(view: View) -> Section:
    """How the rate is spread over users."""
    from mndt.pictures import curves, to_svg
    from mndt.pictures.curves import rate_text

    rates = {run.name: curves.active_rates_bps(run.rates) for run in view.runs}
    marks = (5, 25, 50, 75, 95)
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "samples": len(values),
            "none": 100 * float(np.mean(values <= 0)) if len(values) else float("nan"),
            "marks": [rate_text(v) for v in np.percentile(values, marks)] if len(values) else ["–"] * len(marks),
        }
        for name, values in rates.items()
    ]
    middle = " and ".join(f"{row['marks'][2]} under {row['name']}" for row in rows)
    svg = to_svg(curves.rate_curves(rates), name="rates", label=f"Distribution of user rates: the median is {middle}.")
    lead = (
        "What the blocks of active users could carry, over all snapshots (one a minute). Users without a block "
        "count as 0. A curve begins at the share of users below the axis."
    )
    values = {"svg": svg, "rows": rows, "marks": marks, "names": view.names}
    return Section("User rates", fill("rates.html", values), "rates", lead)


def kpis_part(view: View) -> Section:
    """Every total with its difference, its interval and its definition."""
    values = {"rows": numbers.kpi_rows(view), "names": view.names}
    lead = "Over the whole run. Names and denominators are those of TS 28.552 where the counter means the same."
    return Section("All KPIs", fill("kpis.html", values), "kpis", lead)


def cells_part(view: View) -> Section:
    """The cells under most pressure, per run."""
    tables = [{"name": run.name, "rows": _worst(view, run)} for run in view.runs]
    lead = (
        f"The {min(WORST, len(view.city.cells))} cells with most users below the minimum rate of their service; "
        "where equal, the fullest first. Means over the run."
    )
    return Section("Cells under pressure", fill("cells.html", {"tables": tables}), "cells", lead)


def _worst(view: View, run: RunView) -> list[dict[str, Any]]:
    per_cell, city = run.per_cell, view.city
    order = np.lexsort((-per_cell["block_use"], -per_cell["below"]))[:WORST]
    return [
        {
            "cell": city.cells.name[c],
            "site": city.sites.name[city.cells.site[c]],
            "kind": maps.kind(city, int(c)),
            "connected": float(per_cell["connected"][c]),
            "below": float(per_cell["below"][c]),
            "below_share": float(per_cell["below_share"][c]),
            "block_use": float(per_cell["block_use"][c]),
            "rate": float(per_cell["rate_bps"][c]) / 1e6,
        }
        for c in order
    ]


def table1_part(view: View) -> Section:
    """This city beside the city of the paper."""
    lead = (
        "The setting of the paper this twin follows (Li et al., 2023, Table I) beside this city, "
        "and both per square kilometre."
    )
    return Section("Beside Table I", fill("table1.html", {"rows": numbers.table1_rows(view)}), "table1", lead)


def making_part(view: View) -> Section:
    """How to make these figures again: configuration, versions, models."""
    from mndt.references import SOURCES

    used = [s for s in SOURCES if any(s.used(run.run.scenario) for run in view.runs)]
    runs = [
        {
            "name": run.name,
            "folder": _place(run),
            "command": f"mndt run {_place(run)}/scenario.toml",
            "configuration": _configuration(run),
            "seed": run.run.info["seed"],
            "versions": run.run.info["versions"],
        }
        for run in view.runs
    ]
    values = {"runs": runs, "sources": used, "attribution": view.city.attribution}
    return Section("How this was made", fill("making.html", values), "making")


def _configuration(run: RunView) -> str:
    """The scenario as the run folder holds it: its paths are relative, for pages travel."""
    from mndt.scenario import dump

    path = run.run.folder / "scenario.toml"
    return path.read_text(encoding="utf-8") if path.is_file() else dump(run.run.scenario)


def _place(run: RunView) -> str:
    """The folder as the user named it; of an absolute path the last part, for pages travel."""
    folder = run.run.folder
    return folder.name if folder.is_absolute() else folder.as_posix()


PARTS: Final[tuple[Part, ...]] = (
    map_part,
    users_part,
    coverage_part,
    radio_part,
    curves_part,
    incidents_part,
    rates_part,
    mobility_part,
    energy_part,
    cells_part,
    areas_part,
    kpis_part,
    table1_part,
    making_part,
)
"""What makes the sections of a page, in their order. The last one closes the page."""
