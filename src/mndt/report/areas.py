"""Areas of interest on the page: where demand is not met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mndt.report.incidents import area_words
from mndt.report.numbers import per
from mndt.report.section import Section, fill
from mndt.report.view import RunView, View, plain

if TYPE_CHECKING:
    from mndt.city.model import City

Array = np.ndarray

ROWS: Final = 10
"""Rows of the table of areas."""

SMALL: Final = 0.3
"""Pixels of the small map, as a share of those of the large ones."""


@dataclass(frozen=True)
class Unmet:
    """Demand and service of every area as means over a run; the last row, which is row -1, is the way between them."""

    active: Array
    offered_bps: Array
    delivered_bps: Array
    outage: Array  # share of the active users

    @property
    def unmet_bps(self) -> Array:
        """What was asked for and not delivered; where a backlog is worked off it is 0."""
        found: Array = np.maximum(self.offered_bps - self.delivered_bps, 0.0)
        return found


def unmet(view: View, run: RunView) -> Unmet | None:
    """Read the table of areas; None where an older version wrote the run.

    Args:
        view: for the city.
        run: whose.
    """
    needed = ("DRB.MeanActiveUeDl", "X.OfferedDl", "X.ThroughputDl", "X.OutageRatio")
    table = run.table("areas", "area", "seconds", *needed)
    if table is None:
        return None
    active, offered, delivered, outage = (f'"{name}" * seconds' for name in needed)
    sums = plain(
        table.aggregate(
            f"area, sum({active}) AS active, sum({offered}) AS offered, sum({delivered}) AS delivered, "
            f'sum({outage} * "DRB.MeanActiveUeDl") AS outage',
            "area",
        )
    )
    n = len(view.city.areas) + 1

    def spread(name: str) -> Array:
        values = np.zeros(n)
        values[sums["area"]] = sums[name]
        return values

    total = spread("active")
    return Unmet(
        active=total / run.seconds,
        offered_bps=spread("offered") / run.seconds,
        delivered_bps=spread("delivered") / run.seconds,
        outage=np.divide(spread("outage"), total, out=np.full(n, np.nan), where=total > 0),
    )


def areas_part(view: View) -> Section | None:
    """The areas with most unmet demand under the last run, as a table and on a small map."""
    pairs = [(row, run, seen) for row, run in enumerate(view.runs) if (seen := unmet(view, run)) is not None]
    if not pairs or not len(view.city.areas):
        return None
    judged = pairs[-1][2].unmet_bps[:-1]
    order = np.lexsort((np.arange(len(judged)), -judged))[:ROWS]
    worst = [int(area) for area in order if judged[area] > 0]
    top_bps = max(float(seen.unmet_bps[:-1].max()) for _, _, seen in pairs)
    values = {
        "names": [run.name for _, run, _ in pairs],
        "colours": [row for row, _, _ in pairs],
        "judged": pairs[-1][1].name,
        "rows": [_row(view, area, [seen for _, _, seen in pairs]) for area in worst],
        "sentences": [_sentence(run, seen, worst) for _, run, seen in pairs],
        **_map(view, [seen for _, _, seen in pairs], top_bps, worst),
    }
    lead = (
        "Unmet demand: bits that people asked for while they were in an area, less those delivered to them there, "
        "as a mean over the run."
    )
    return Section("Areas with unmet demand", fill("areas.html", values), "areas", lead)


def _row(view: View, area: int, seen: list[Unmet]) -> dict[str, Any]:
    a = view.city.areas
    return {
        "area": area,
        "what": area_words(view.city, area),
        "x": f"{a.x_m[area]:.0f}",
        "y": f"{a.y_m[area]:.0f}",
        "active": float(seen[-1].active[area]),
        "offered": float(seen[-1].offered_bps[area]) / 1e6,
        "unmet": [float(s.unmet_bps[area]) / 1e6 for s in seen],
        "share": [100 * per(float(s.unmet_bps[area]), float(s.offered_bps[area])) for s in seen],
        "outage": 100 * float(seen[-1].outage[area]),
    }


def _sentence(run: RunView, seen: Unmet, worst: list[int]) -> dict[str, str]:
    """How much of the unmet demand is where."""
    from mndt.pictures.words import digits

    per_area, way = seen.unmet_bps[:-1], float(seen.unmet_bps[-1])
    inside = float(per_area.sum())
    text = f"{digits(inside / 1e6)} Mbit/s unmet in areas, {digits(way / 1e6)} Mbit/s on the way between them."
    if inside > 0 and worst:
        share = 100 * float(per_area[worst].sum()) / inside
        text += f" The areas in the table have {share:.0f} % of what is unmet in areas."
    return {"name": run.name, "text": text}


def _map(view: View, seen: list[Unmet], top_bps: float, worst: list[int]) -> dict[str, Any]:
    """The small map: ground once, areas once a run, numbers of the table's rows over it."""
    from mndt.pictures import areas, layers, to_png_base64
    from mndt.pictures.words import digits

    city = view.city
    width_m, depth_m = city.frame.width_m, city.frame.depth_m
    base = layers.layer_picture(city.frame, layers.ground(city, flat=True), small=SMALL)
    pictures = [
        layers.layer_picture(city.frame, areas.areas_layer(city, s.unmet_bps[:-1], top_bps), small=SMALL) for s in seen
    ]
    return {
        "city": city.name,
        "attribution": city.attribution,
        "width": round(width_m, 1),
        "depth": round(depth_m, 1),
        "base": to_png_base64(base),
        "pictures": [to_png_base64(picture, transparent=True) for picture in pictures],
        "stops": areas.stops(),
        "ticks": [digits(areas.stop_value(share, top_bps) / 1e6) for share in (0, 0.25, 0.5, 0.75, 1)],
        "radius": round(0.021 * float(np.sqrt(width_m * depth_m)), 1),
        "marks": [_mark(city, area, number) for number, area in enumerate(worst, start=1)],
    }


def _mark(city: City, area: int, number: int) -> dict[str, Any]:
    """Where a number of the table stands on the map, in metres, y downwards."""
    x_m, y_m = float(city.areas.x_m[area]), float(city.areas.y_m[area])
    return {"number": number, "x": round(x_m, 1), "y": round(city.frame.depth_m - y_m, 1)}
