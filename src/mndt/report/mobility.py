"""Mobility on the page: how often users are handed over, how often that goes wrong, and between which cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mndt.report import incidents
from mndt.report.numbers import measure, per
from mndt.report.section import Section, fill
from mndt.report.view import MOBILITY_KINDS, Columns, RunView, View, plain

PAIRS: Final = 8
"""Rows of the table of cell pairs."""

COUNTS: Final = ("X.Handovers", "X.HandoversRefused", "X.HandoverFailures", "X.RadioLinkFailures", "X.PingPongs")

UNKNOWN: Final = float("nan")


@dataclass(frozen=True)
class Moves:
    """What the events of a run say about serving cells."""

    pairs: Columns  # from_cell, cell, done, refused, failed, ping_pongs, lost: one row a pair of cells
    lost_users: int  # who lost its cell at least once
    lost_back: int  # losses after which the user came back to the same cell


def moves(run: RunView) -> Moves | None:
    """Read the events of a run; None where handover is not simulated, or an older version wrote them."""
    table = run.table("events", "offset_ms", "ping_pong")
    if table is None or not run.simulates_handover:
        return None
    told = ", ".join(f"'{kind}'" for kind in MOBILITY_KINDS)
    table = table.filter(f"kind IN ({told})")
    lost = "kind = 'radio-link-failure'"
    whole = plain(
        table.aggregate(
            f"count(DISTINCT user) FILTER ({lost}) AS users, count(*) FILTER ({lost} AND cell = from_cell) AS back"
        )
    )
    pairs = plain(
        table.filter("cell >= 0 AND from_cell >= 0 AND cell <> from_cell").aggregate(
            "from_cell, cell, count(*) FILTER (kind = 'handover') AS done, count(*) FILTER (kind = 'refused') AS "
            "refused, count(*) FILTER (kind = 'handover-failure') AS failed, count(*) FILTER (ping_pong) AS "
            f"ping_pongs, count(*) FILTER ({lost}) AS lost",
            "from_cell, cell",
        )
    )
    return Moves(pairs, int(whole["users"][0]), int(whole["back"][0]))


def mobility_part(view: View) -> Section | None:
    """Rates and shares of all runs, and the pairs of cells where most goes wrong."""
    from mndt.pictures import curves, to_svg

    if not any("X.RadioLinkFailures" in run.summary for run in view.runs):
        return None
    found = [moves(run) for run in view.runs]
    totals = {run.name: run.totals for run in view.runs}
    told = " and ".join(f"{run.total('X.Handovers'):,.0f} under {run.name}" for run in view.runs)
    label = f"Handovers a second over time: {told} in all.{incidents.spoken(view)}"
    svg = to_svg(curves.kpi_curve(totals, "X.Handovers", incidents.bands(view)), name="handovers", label=label)
    both = zip(view.runs, found, strict=True)
    tables = [{"name": run.name, "rows": _pairs(view, seen)} for run, seen in both if seen is not None]
    values = {
        "svg": svg,
        "names": view.names,
        "rows": _rows(view, found),
        "named": [run.name for run in view.runs if not run.simulates_handover],
        "tables": tables,
        "shown": PAIRS,
    }  # fmt: skip
    lead = "Users that go over from cell to cell while they are connected. Idle users do not count."
    return Section("Mobility", fill("mobility.html", values), "mobility", lead)


def _rows(view: View, found: list[Moves | None]) -> list[dict[str, Any]]:
    """The measures of all runs, each with a sentence of what it means."""
    counts = [{name: run.total(name) for name in COUNTS} for run in view.runs]
    minutes = [run.total("DRB.MeanActiveUeDl") * run.seconds / 60 for run in view.runs]
    windows = dict.fromkeys(f"{run.run.scenario.handover.ping_pong_s:g} s" for run in view.runs)

    def each(part: str, *whole: str) -> list[float]:
        return [_share(c[part], sum(c[name] for name in whole)) for c in counts]

    def per_minute(column: str) -> list[float]:
        return [per(c[column], m) for c, m in zip(counts, minutes, strict=True)]

    done, refused, failed, lost, back = COUNTS
    return [
        measure(
            "Handovers per active user",
            per_minute(done),
            "per min",
            0,
            "Done, per active user and minute: how much signalling the borders of cells cost.",
        ),
        measure(
            "Refused",
            each(refused, done, refused, failed),
            "%",
            -1,
            "Of all handovers asked for: the target had no place, and the user stayed.",
        ),
        measure(
            "Failed",
            each(failed, done, failed),
            "%",
            -1,
            "Of all handovers begun: the target was too weak when the user came. Too early, or to the wrong cell.",
        ),
        measure(
            "Ping-pong",
            each(back, done),
            "%",
            -1,
            f"Of all handovers done: back to the cell left less than {' or '.join(windows)} before.",
        ),
        measure(
            "Radio-link failures per active user",
            per_minute(lost),
            "per min",
            -1,
            "Per active user and minute: the serving cell was drowned or too weak for too long.",
        ),
        measure(
            "Users with radio-link failures",
            [UNKNOWN if seen is None else float(seen.lost_users) for seen in found],
            "users",
            -1,
            "How many different users they hit.",
        ),
        measure(
            "Back to the same cell",
            [
                UNKNOWN if seen is None else _share(seen.lost_back, c[lost])
                for seen, c in zip(found, counts, strict=True)
            ],
            "%",
            0,
            "Of all radio-link failures: no better cell was there, so the place lacks coverage or is drowned in "
            "interference. The others were handed over too late.",
        ),
    ]


def _share(part: float, whole: float) -> float:
    """In per cent; unknown of nothing."""
    return 100 * per(part, whole)


def _pairs(view: View, seen: Moves) -> list[dict[str, Any]]:
    """The pairs of cells between which most goes wrong; where equal, the busiest first."""
    p, name = seen.pairs, view.city.cells.name
    trouble = p["failed"] + p["refused"] + p["ping_pongs"] + p["lost"]
    order = np.lexsort((p["cell"], p["from_cell"], -p["done"], -trouble))[:PAIRS]
    return [
        {"from": name[p["from_cell"][k]], "to": name[p["cell"][k]]}
        | {key: int(p[key][k]) for key in ("done", "failed", "refused", "ping_pongs", "lost")}
        for k in order
    ]
