"""Figures of the report: headline, differences, the table of KPIs, the city beside Table I."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from mndt.network.kpi import KPI_FIELDS
from mndt.report.view import RunView, View

LEAST_DIFFERENCE: Final = 0.005
"""In the units of the page; less is no difference to a planner."""

SLIGHT: Final = 0.01
"""As a share of what it was before; less is no difference to a planner either."""


def of(run: RunView, column: str) -> str:
    """A total of a run with its unit.

    Args:
        run: whose.
        column: which KPI.
    """
    from mndt.pictures.words import digits, shown

    look = shown(column)
    return f"{digits(run.total(column) * look.scale)} {look.unit}".strip()


def verdict(difference: float, better: int) -> str:
    """Whether a difference is for the better; nothing where neither way is, or where there is none.

    >>> verdict(-0.5, better=-1), verdict(0.0, better=1), verdict(2.0, better=0)
    ('better', '', '')
    """
    if better == 0 or not math.isfinite(difference) or abs(difference) < LEAST_DIFFERENCE:
        return ""
    return "better" if difference * better > 0 else "worse"


def difference_text(before: float, after: float, unit: str) -> str:
    """A difference on paper: percentage points between shares, else the value and how many per cent.

    >>> difference_text(40.0, 42.5, "%"), difference_text(200.0, 250.0, "Mbit/s")
    ('+2.50 points', '+50.0 Mbit/s (+25 %)')
    """
    from mndt.pictures.words import signed

    if not (math.isfinite(before) and math.isfinite(after)):
        return "–"
    if unit == "%":
        return f"{signed(after - before)} points"
    text = f"{signed(after - before)} {unit}".strip()
    if not before or unit == "dB":
        return text
    return f"{text} ({percent(before, after)})"


def percent(before: float, after: float) -> str:
    """A relative change; beyond a tripling as a factor.

    >>> percent(2.0, 1.0), percent(1.0, 8.0)
    ('−50 %', '8.0 times')
    """
    change = 100 * (after / before - 1)
    if abs(change) < 0.05:
        return "0 %"
    if abs(change) >= 200 and after > 0:
        return f"{after / before:.1f} times"
    sign = "+" if change >= 0 else "−"
    return f"{sign}{abs(change):.1f} %" if abs(change) < 9.95 else f"{sign}{abs(change):.0f} %"


def per(part: float, whole: float) -> float:
    """A quotient; unknown of nothing.

    >>> per(1.0, 4.0), per(1.0, 0.0)
    (0.25, nan)
    """
    return part / whole if whole > 0 else math.nan


def measure(
    label: str, values: Sequence[float], unit: str, better: int, meaning: str, *, tag: str = ""
) -> dict[str, Any]:
    """A row of a table of measures: a value per run, the difference of the last from the first, what it means.

    Args:
        label: its name.
        values: one a run, in `unit`; nan where a run does not know it.
        unit: as printed.
        better: 1 = more is better, -1 = less is, 0 = neither by itself.
        meaning: a sentence.
        tag: a word of warning beside the name.
    """
    from mndt.pictures.words import digits

    first, last = values[0], values[-1]
    several = len(values) > 1
    return {
        "label": label,
        "values": [digits(value) for value in values],
        "unit": unit,
        "difference": difference_text(first, last, unit) if several else "",
        "verdict": verdict(math.copysign(1.0, last - first), better) if several and not is_slight(first, last) else "",
        "meaning": meaning,
        "tag": tag,
    }


def is_slight(before: float, after: float) -> bool:
    """Whether a change is too small, or unknown, to be called better or worse where no interval is at hand.

    >>> is_slight(200.0, 200.5), is_slight(200.0, 210.0), is_slight(math.nan, 1.0)
    (True, False, True)
    """
    return not abs(after - before) >= SLIGHT * abs(before)


def tile(view: View, column: str) -> dict[str, Any]:
    """One headline figure: a value per run, and how the others differ from the first."""
    from mndt.pictures.words import digits, shown

    look = shown(column)
    values = [run.total(column) * look.scale for run in view.runs]
    longest = 100.0 if look.unit == "%" else max([v for v in values if math.isfinite(v)] or [1.0])
    rows = [
        {
            "row": row,
            "name": run.name,
            "value": digits(value),
            "bar": 100 * value / longest if longest and math.isfinite(value) else 0.0,
            "difference": difference_text(values[0], value, look.unit) if row else "",
            "verdict": verdict(value - values[0], look.better) if row and not is_slight(values[0], value) else "",
        }
        for row, (run, value) in enumerate(zip(view.runs, values, strict=True))
    ]
    return {"label": look.label, "unit": look.unit, "rows": rows, "definition": _definition(column)}


def finding(view: View) -> str:
    """The headline in a sentence or two."""
    from mndt.pictures.words import digits

    first, last = view.runs[0], view.runs[-1]
    if len(view.runs) == 1:
        return (
            f"The network delivers {of(first, 'X.ThroughputDl')} under {first.name}, meets "
            f"{of(first, 'X.SatisfiedShare')} of the demand, and leaves {of(first, 'X.OutageRatio')} of the active "
            "users without the service they need."
        )
    a, b = first.summary["X.ThroughputDl"], last.summary["X.ThroughputDl"]
    if a and abs(b / a - 1) < 0.005:
        carries = f"as much traffic as under {first.name}"
    elif a and b / a >= 2:
        carries = f"{b / a:.1f} times the traffic it delivers under {first.name}"
    else:
        carries = (
            f"{abs(100 * (b / a - 1)):.0f} % {'more' if b > a else 'less'} traffic than under {first.name}"
            if a
            else "traffic"
        )
    shares = {run.name: 100 * run.summary["X.OutageRatio"] for run in (first, last)}
    return (
        f"Under {last.name} the network delivers {carries}. It meets {of(last, 'X.SatisfiedShare')} of the demand "
        f"instead of {of(first, 'X.SatisfiedShare')}, and {digits(shares[last.name])} % of the active users are in "
        f"outage instead of {digits(shares[first.name])} %."
    )


def kpi_rows(view: View) -> list[dict[str, Any]]:
    """Every total of the runs: values, difference of the last from the first, interval, definition.

    A difference is called better or worse only where its interval leaves out zero.
    """
    from mndt.pictures.words import digits, shown, signed

    first, last = view.runs[0], view.runs[-1]
    intervals = _intervals(view)
    rows = []
    known = {column for run in view.runs for column in run.summary}
    for number, f in enumerate((f for f in KPI_FIELDS if f.level == "total" and f.column in known), start=1):
        look = shown(f.column)
        values = [run.total(f.column) * look.scale for run in view.runs]
        low, high = intervals.get(f.column, (0.0, 0.0))
        unclear = f.column in intervals and low <= 0 <= high
        known_all = all(math.isfinite(value) for value in (values[0], values[-1]))
        rows.append(
            {
                "number": number,
                "column": f.column,
                "label": look.label,
                "unit": look.unit,
                "values": [digits(value) for value in values],
                "difference": difference_text(values[0], values[-1], look.unit) if first is not last else "",
                "verdict": "" if first is last or unclear else verdict(values[-1] - values[0], look.better),
                "interval": f"{signed(low)} to {signed(high)}" if f.column in intervals and known_all else "",
                "definition": f.definition,
            }
        )
    return rows


def _intervals(view: View) -> dict[str, tuple[float, float]]:
    """95 % intervals of the difference of the last run from the first, as shown on paper."""
    from mndt.comparison import compare
    from mndt.errors import InputError
    from mndt.pictures.words import shown

    if len(view.runs) < 2:
        return {}
    try:
        found = compare(view.runs[0].run, view.runs[-1].run)  # type: ignore[arg-type]
    except InputError:  # runs over other seconds cannot be paired
        return {}
    scale = {d.name: shown(d.name).scale for d in found}
    return {d.name: (d.low * scale[d.name], d.high * scale[d.name]) for d in found if d.low < d.high}


def _definition(column: str) -> str:
    return next(f.definition for f in KPI_FIELDS if f.column == column and f.level == "total")


# ---- the city beside the paper's --------------------------------------------------------------


DENSE: Final = frozenset({"users", "lanes", "areas", "outdoor_stations", "indoor_stations"})
"""Settings that grow with the area."""


def table1_rows(view: View) -> list[dict[str, str]]:
    """Settings of Table I, the paper's and this city's, and per square kilometre those that grow with the area."""
    from mndt.experiments.table1 import SETTINGS, TABLE1

    area_km2 = view.city.frame.area_km2
    ours = _settings(view)
    rows = []
    for setting in SETTINGS:
        dense = setting.keys if set(setting.keys) <= DENSE else ()
        rows.append(
            {
                "name": setting.label,
                "paper": " / ".join(_span([TABLE1[key]]) for key in setting.keys),
                "ours": " / ".join(_span(ours[key]) for key in setting.keys),
                "paper_km2": " / ".join(_density(TABLE1[key] / TABLE1["area_km2"]) for key in dense),
                "ours_km2": " / ".join(_density(float(ours[key][0]) / area_km2) for key in dense),
            }
        )
    return rows


def _settings(view: View) -> dict[str, list[float]]:
    """The keys of Table I in this city: one value, or those of all its cells."""
    from mndt.units import THERMAL_NOISE_DBM_PER_HZ, w_to_dbm

    city, counts = view.city, view.runs[0].run.info["city"]
    power_dbm, indoor = w_to_dbm(city.cells.max_power_w), city.sites.indoor[city.cells.site]
    whole = ("users", "lanes", "areas", "outdoor_stations", "indoor_stations")
    return {
        "area_km2": [round(city.frame.area_km2, 2)],
        **{key: [float(counts[key])] for key in whole},
        "outdoor_power_dbm": power_dbm[~indoor].tolist(),
        "indoor_power_dbm": power_dbm[indoor].tolist(),
        "channels": city.cells.blocks.tolist(),
        "block_hz": city.cells.block_hz.tolist(),
        "noise_dbm_per_hz": [THERMAL_NOISE_DBM_PER_HZ],
    }


def _span(values: list[float]) -> str:
    """One value, or the ends of several; a dash of none."""
    if not len(values):
        return "–"
    low, high = (f"{v:,.10g}".replace("-", "−") for v in (round(min(values), 2), round(max(values), 2)))
    return low if low == high else f"{low} to {high}"


def _density(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
