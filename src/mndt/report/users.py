"""People on the page: where they are by the hour, how they move, what they ask for, and one street closely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mndt.report import incidents
from mndt.report.numbers import measure, per
from mndt.report.section import Section, fill
from mndt.report.view import Columns, RunView, View, plain
from mndt.state import Mode

if TYPE_CHECKING:
    from mndt.users.street import Street

Array = np.ndarray

MOST_MOMENTS: Final = 8
"""Maps of where people are, in a row."""

STEPS_S: Final = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600)
"""Steps of time between maps, and of the demand."""

DEMAND_STEPS: Final = 150
"""Steps of time of the chart of demand, at most."""

LEAST_WAY_M: Final = 50.0
"""Who drove less along the street crossed it, or stood at its lights in a side street."""

MOVING: Final = (Mode.WALK, Mode.BICYCLE, Mode.CAR)
MODE_WORDS: Final = {Mode.WALK: "on foot", Mode.BICYCLE: "by bicycle", Mode.CAR: "by car"}


def users_part(view: View) -> Section | None:
    """What people did in the first run, and how many journeys each run had."""
    shown = next((run for run in view.runs if run.table("people", "walk", "started") is not None), None)
    if shown is None or not len(_people(shown)["time_s"]):
        return None
    people = _people(shown)
    values = {
        "names": view.names,
        "shown": shown.name if len(view.runs) > 1 else "",
        "density": _density(view, shown),
        "modes": _modes(view, shown, people),
        "split": _split(shown, people),
        "rows": _rows(view),
        "demand": _demand(view, shown),
        "street": _street(view, shown),
    }
    lead = "Where people are, how they move, and what they ask for: the demand side, before any cell serves it."
    return Section("Users", fill("users.html", values), "users", lead)


def _people(run: RunView) -> Columns:
    table = run.table("people")
    return {"time_s": np.zeros(0, np.int32)} if table is None else plain(table)


def step_s(span_s: float, most: int) -> int:
    """The shortest round step of which no more than `most` are needed to fill a span.

    >>> step_s(1200, 8), step_s(86400, 8)
    (300, 10800)
    """
    return next((step for step in STEPS_S if span_s <= step * most), STEPS_S[-1])


def _density(view: View, run: RunView) -> dict[str, Any] | None:
    """Maps of people, each the mean of all snapshots in its stretch of time."""
    from mndt.pictures import people, to_png_base64
    from mndt.pictures.curves import clock

    step, users = step_s(run.seconds, MOST_MOMENTS), run.run.users
    times = plain(users.aggregate(f"time_s // {step} AS slot, count(DISTINCT time_s) AS n", "slot"))
    if not len(times["slot"]):
        return None
    pixel, frame = people.PIXEL_M, view.city.frame
    found = plain(
        users.filter("mode >= 0").aggregate(
            f"time_s // {step} AS slot, CAST(y_m / {pixel} - 0.5 AS INTEGER) AS row, "
            f"CAST(x_m / {pixel} - 0.5 AS INTEGER) AS col, mode = {int(Mode.INSIDE)} AS inside, count(*) AS n",
            "slot, row, col, inside",
        )
    )
    panels = []
    for slot in np.sort(times["slot"]).tolist():
        snapshots = int(times["n"][times["slot"] == slot][0])
        rasters = []
        for inside in (True, False):
            mine = (found["slot"] == slot) & (found["inside"].astype(bool) == inside)
            at = (found["row"][mine], found["col"][mine])
            rasters.append(people.density(frame, *at, found["n"][mine] / snapshots))
        begin, end = max(slot * step, run.span_s[0]), min((slot + 1) * step, run.span_s[1])
        panels.append((f"{clock(begin)} to {clock(end)}", (rasters[0], rasters[1])))
    told = ", ".join(panel[0] for panel in panels)
    return {"png": to_png_base64(people.density_maps(view.city, panels)), "times": told, "pixel": pixel}


def _modes(view: View, run: RunView, people: Columns) -> dict[str, Any]:
    from mndt.pictures import people as pictures
    from mndt.pictures import to_svg

    step = step_s(run.seconds, DEMAND_STEPS)
    seconds = people["seconds"].astype(float)
    group = people["time_s"] // step
    starts, of = np.unique(group, return_inverse=True)
    time = np.bincount(of, seconds)
    when = np.maximum(starts * step, people["time_s"][0])
    layers = {MODE_WORDS[mode]: np.bincount(of, people[_column(mode)] * seconds) / time for mode in MOVING}
    spoken = ", ".join(f"{values.mean():.0f} {name}" for name, values in layers.items())
    bands = incidents.bands(view)
    fig = pictures.stacked(when, run.span_s[1], layers, "people", bands)
    share = 100 * per(float(people["inside"] @ seconds), float(_present(people) @ seconds))
    return {
        "svg": to_svg(fig, name="modes", label=f"People on the way over time: {spoken} on average."),
        "inside": f"{share:.1f} %",
    }


def _column(mode: Mode) -> str:
    return mode.name.lower()


def _present(people: Columns) -> Array:
    return np.asarray(sum(people[_column(mode)] for mode in Mode if mode != Mode.ABSENT))


def _split(run: RunView, people: Columns) -> list[dict[str, Any]]:
    """A row a mode: journeys that ended, and people on the way."""
    table = run.table("journeys", "departure_s", "distance_m")
    if table is None:
        return []
    found = plain(
        table.aggregate(
            "mode, count(*) AS n, avg(distance_m) FILTER (departure_s >= 0) AS distance_m, "
            "avg(arrival_s - departure_s) FILTER (departure_s >= 0) AS duration_s, "
            "count(*) FILTER (departure_s >= 0) AS whole",
            "mode",
        )
    )
    row_of = {int(mode): row for row, mode in enumerate(found["mode"])}
    seconds = people["seconds"].astype(float)
    spent = {mode: float(people[_column(mode)] @ seconds) for mode in MOVING}
    rows = []
    for mode in MOVING:
        row = row_of.get(mode)
        whole = 0 if row is None else int(found["whole"][row])
        distance, duration = (float(found[k][row]) if whole else float("nan") for k in ("distance_m", "duration_s"))
        rows.append(
            {
                "mode": MODE_WORDS[mode],
                "n": 0 if row is None else int(found["n"][row]),
                "share": 100 * per(0.0 if row is None else float(found["n"][row]), float(found["n"].sum())),
                "time_share": 100 * per(spent[mode], sum(spent.values())),
                "hours": spent[mode] / 3600,
                "distance": distance / 1000,
                "minutes": duration / 60,
                "speed": 3.6 * per(distance, duration),
            }
        )
    return rows


def _rows(view: View) -> list[dict[str, Any]]:
    """Journeys of all runs."""
    found = [_people(run) for run in view.runs]

    def each(name: str) -> list[float]:
        return [float(people[name].sum()) if name in people else float("nan") for people in found]

    return [
        measure("Journeys begun", each("started"), "", 0, "People who left an area, or came onto the map on the way."),
        measure("Journeys ended", each("arrived"), "", 0, "Arrived in an area, or left the map."),
        measure(
            "Journeys given up", each("disconnected"), "", -1, "No way leads there: such people stay where they are."
        ),
    ]


def _demand(view: View, run: RunView) -> list[dict[str, Any]]:
    """Charts of offered traffic, by cluster and by service."""
    from mndt.pictures import people, to_svg
    from mndt.pictures.words import digits

    step = step_s(run.seconds, DEMAND_STEPS)
    first_s, end_s = run.span_s
    charts = []
    for column, title in (
        ("cluster", "Offered traffic by cluster of users"),
        ("service", "Offered traffic by service"),
    ):
        table = run.table("demand", column, "offered_bits")
        if table is None:
            return []
        found = plain(
            table.aggregate(
                f"{column}, time_s // {step} AS slot, sum(offered_bits) AS bits, sum(user_seconds) AS user_seconds",
                f"{column}, slot",
            )
        )
        slots = np.unique(found["slot"])
        begin = np.maximum(slots * step, first_s)
        width = np.minimum((slots + 1) * step, end_s) - begin
        total = {
            str(name): float(found["bits"][found[column] == name].sum())
            for name in np.unique(found[column].astype(str))
        }
        layers = {}
        for name in sorted((name for name in total if total[name] > 0), key=lambda name: -total[name]):
            mine = found[column].astype(str) == name
            rate = np.zeros(len(slots))
            rate[np.searchsorted(slots, found["slot"][mine])] = found["bits"][mine]
            layers[name] = rate / width / 1e6
        mean = {name: digits(total[name] / run.seconds / 1e6) for name in layers}
        label = f"{title}, mean in Mbit/s: " + ", ".join(f"{name} {value}" for name, value in mean.items()) + "."
        fig = people.stacked(begin, end_s, layers, "Mbit/s", incidents.bands(view))
        charts.append({"title": title, "svg": to_svg(fig, name=f"demand-{column}", label=label)})
    return charts


def _street(view: View, run: RunView) -> dict[str, Any] | None:
    """Vehicles on the street in the quarter of an hour in which most drove along it."""
    from mndt.pictures import people, to_png_base64
    from mndt.pictures.curves import clock
    from mndt.users.census import WATCH_S
    from mndt.users.street import choose_street

    table = run.table("street", "position_m", "speed_mps")
    street = choose_street(view.city.roads)
    if table is None or street is None:
        return None
    first_s = run.span_s[0]
    hours = plain(table.aggregate(f"(time_s - 1 - {first_s}) // 3600 AS hour, count(*) AS n", "hour"))
    if not len(hours["hour"]):
        return None
    busiest = int(hours["hour"][np.lexsort((hours["hour"], -hours["n"]))[0]])
    begin = first_s + 3600 * busiest
    rows = plain(table.filter(f"time_s > {begin} AND time_s <= {begin + WATCH_S}"))
    rows = {name: values[_along(rows)] for name, values in rows.items()}
    if not len(rows["time_s"]):
        return None
    limit = float(view.city.roads.edge_speed_mps[street.edges].max())
    at = (rows["user"], rows["mode"] == Mode.BICYCLE, rows["time_s"], rows["position_m"], rows["speed_mps"])
    fig = people.space_time(*at, street.length_m, street.signals_m.tolist(), limit)
    return {
        "png": to_png_base64(fig),
        "time": f"{clock(begin)} to {clock(min(begin + WATCH_S, run.span_s[1]))}",
        "vehicles": len(np.unique(rows["user"])),
        "speed": f"{3.6 * float(rows['speed_mps'].mean()):.0f}",
        "standing": f"{100 * float(np.mean(rows['speed_mps'] < 0.1)):.0f}",
        "lights": len(street.signals_m),
        "whence": _place(street, 0),
        "whither": _place(street, -1),
    }


def _along(rows: Columns) -> Array:
    """Rows of those who drove some way along the street."""
    users, of = np.unique(rows["user"], return_inverse=True)
    low, high = np.full(len(users), np.inf), np.full(len(users), -np.inf)
    np.minimum.at(low, of, rows["position_m"])
    np.maximum.at(high, of, rows["position_m"])
    return np.asarray((high - low >= LEAST_WAY_M)[of])


def _place(street: Street, end: int) -> str:
    return f"x {street.x_m[end]:.0f} m, y {street.y_m[end]:.0f} m"
