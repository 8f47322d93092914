"""docs/kpis.md, made from the table of KPIs."""

from __future__ import annotations

from typing import Final

from mndt.city.schema import SERVICES
from mndt.network.kpi_fields import KPI_FIELDS

_HEAD: Final = """\
# KPIs

What the twin measures in every second, in the downlink. Names are those of 3GPP TS 28.552 (Release 17) where the
counter means the same, with its clause; our own carry the prefix `X.`. A user is *active* when it has bits to receive
in this second, *connected* when it is active and a cell admitted it, *refused* when it is active and none did. This
page is made from `mndt.network.kpi.KPI_FIELDS`.

The last column says what a KPI is over a period (a minute of the table of areas, a granularity period of exported
files, a whole run): *weighted by* names the column that is its denominator in each second.
"""

_TITLES: Final = {
    "total": "Totals of the network",
    "cell": "Per cell",
    "user": "Per user",
    "area": "Per area of interest",
}
_NOTES: Final = {
    "cell": "Handovers, refusals, failures and ping-pongs count at the cell that the user leaves.",
    "user": "The table of users also tells place, speed, service, serving cell and whether the user is connected.",
    "area": "One row a minute and area that anybody was in; users on the way share area -1.",
}


def document() -> str:
    """docs/kpis.md: the definition of every KPI, made from `KPI_FIELDS`."""
    lines = [_HEAD.rstrip()]
    for level, title in _TITLES.items():
        lines += ["", f"## {title}", ""]
        lines += [_NOTES[level], ""] if level in _NOTES else []
        lines += ["| name | unit | definition | TS 28.552 | from `Kpis` | over a period |", "|---|---|---|---|---|---|"]
        for f in KPI_FIELDS:
            if f.level == level:
                source = ", ".join(f"`{name}`" for name in f.field.split(", "))
                rule = "" if level == "user" else f.rule
                cells = (f"`{f.column}`", f.unit or "-", f.definition, f.clause, source, rule)
                lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    lines += [
        "",
        "Minimum rates by service, in bit/s (below them an active user is in outage):",
        "",
        "| service | minimum rate |",
        "|---|---|",
        *(f"| {s.name} | {s.min_rate_bps:,.0f} |" for s in SERVICES),
    ]
    return "\n".join(lines) + "\n"
