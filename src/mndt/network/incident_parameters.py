"""Scripted events of a scenario: one `[[incidents]]` block each, and which keys each kind takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Final, Literal, get_args

from annotated_types import Ge, Gt, Le

from mndt.city.schema import SERVICES
from mndt.errors import InputError, unknown_name

Kind = Literal["cell-failure", "power-cut", "demand-surge", "special-event"]

KINDS: Final[tuple[str, ...]] = get_args(Kind)
"""Kinds of incidents."""

DAY_S: Final = 24 * 3600


@dataclass(frozen=True)
class Incident:
    """Something that happens at a set time, and ends.

    >>> Incident(kind="cell-failure", at="17:30", duration_s=1200, cell="A1").begin_s
    63000
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    kind: Kind  # what happens; all is as before once it ends
    at: str  # HH:MM or HH:MM:SS, when it begins
    duration_s: Annotated[int, Gt(0), Le(31 * DAY_S)]  # s until it ends
    day: Annotated[int, Ge(0), Le(30)] = 0  # 0 = the day on which the run begins
    cell: str | None = None  # cell-failure: name of the cell that fails
    site: str | None = None  # cell-failure and power-cut: name of the station that fails or is cut off
    area: Annotated[int, Ge(0)] | None = None  # demand-surge and special-event: row of the area of interest, from 0
    x_m: float | None = None  # centre of a circle, m east of the map's lower-left corner
    y_m: float | None = None  # centre of a circle, m north of the map's lower-left corner
    latitude_deg: Annotated[float, Ge(-90.0), Le(90.0)] | None = None  # centre of a circle, in place of y_m
    longitude_deg: Annotated[float, Ge(-180.0), Le(180.0)] | None = None  # centre of a circle, in place of x_m
    radius_m: Annotated[float, Gt(0.0), Le(100_000.0)] | None = None  # m, of the circle
    magnitude: Annotated[float, Gt(0.0), Le(1000.0)] | None = None
    """demand-surge: factor on all bits asked for inside; special-event: factor on the rates of its sessions (1)"""

    battery_min: Annotated[float, Ge(0.0), Le(10_000.0)] | None = None  # power-cut: min that stations run on (0)
    share: Annotated[float, Gt(0.0), Le(1.0)] | None = None
    """special-event: share of those inside, and otherwise idle, that is in a session at any time (0.5)"""

    service: str | None = None  # special-event: the service they use; left out: the mix of the table of services

    @property
    def begin_s(self) -> int:
        """First second, counted from midnight of the day on which the run begins."""
        hours, minutes, *seconds = (int(part) for part in self.at.split(":"))
        return self.day * DAY_S + hours * 3600 + minutes * 60 + sum(seconds)

    @property
    def end_s(self) -> int:
        """First second after it."""
        return self.begin_s + self.duration_s

    @property
    def dark_s(self) -> int:
        """A power cut's first second without batteries; for the others, and where they last, the end."""
        if self.kind != "power-cut":
            return self.end_s
        return min(self.end_s, self.begin_s + round(60 * (self.battery_min or 0.0)))


CIRCLE: Final = ("x_m", "y_m", "latitude_deg", "longitude_deg", "radius_m")

PLACES: Final = {
    "cell-failure": ("cell", "site"),
    "power-cut": ("site", "circle"),
    "demand-surge": ("area", "circle"),
    "special-event": ("area", "circle"),
}
"""Where an incident of each kind can be: exactly one of these."""

_EXTRAS: Final[dict[str, tuple[str, ...]]] = {
    "cell-failure": (),
    "power-cut": ("battery_min",),
    "demand-surge": ("magnitude",),
    "special-event": ("magnitude", "share", "service"),
}

TIME: Final = "a time HH:MM or HH:MM:SS from 00:00 to 23:59:59"

_A_CIRCLE: Final = "a circle (radius_m around x_m, y_m or latitude_deg, longitude_deg)"


def check_incident(incident: Incident, *, where: str = "") -> None:
    """See whether the keys of an incident fit its kind.

    Args:
        incident: with values in their ranges.
        where: which one it is, for the message.

    Raises:
        InputError: the first thing that does not fit.

    >>> check_incident(Incident(kind="cell-failure", at="17:30", duration_s=60, cell="A1"))
    """
    if incident.kind not in KINDS:
        raise unknown_name("kind", incident.kind, KINDS, where=where)
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?", incident.at):
        raise InputError("at", f"'{incident.at}'", allowed=TIME, fix="change it", where=where)
    given = [f.name for f in fields(incident) if getattr(incident, f.name) is not None]
    places: list[str] = [place for place in ("cell", "site", "area") if place in given]
    if any(name in given for name in CIRCLE):
        places.append("circle")
    _check_kind(incident.kind, given, places, where)
    if len(places) != 1:
        raise InputError(
            "the place", " and ".join(places) if places else "missing",
            allowed=" or ".join(_A_CIRCLE if place == "circle" else place for place in PLACES[incident.kind]),
            fix="keep one of them" if places else "add it", where=where,
        )  # fmt: skip
    if places == ["circle"]:
        _check_circle(given, where)
    if incident.kind == "demand-surge" and incident.magnitude is None:
        raise InputError("magnitude", "missing", allowed="a number above 0", fix="add it", where=where)
    names = [service.name for service in SERVICES]
    if incident.service is not None and incident.service not in names:
        raise unknown_name("service", incident.service, names, where=where)


def never_seen(incidents: Sequence[Incident], first_s: int, end_s: int) -> str:
    """Which incidents are over before a run begins or begin after it ends, in a sentence; empty if all are seen.

    Args:
        incidents: of the scenario.
        first_s: the run's first second since midnight.
        end_s: the first one after it.

    >>> never_seen([Incident("cell-failure", "17:30", 60, cell="A1")], 8 * 3600, 9 * 3600)
    'of 1 incident none falls into the run, 08:00:00 to 09:00:00: [[incidents]] 1 (cell-failure at 17:30) is outside'
    """
    missed = [(n, i) for n, i in enumerate(incidents, 1) if i.begin_s >= end_s or i.end_s <= first_s]
    if not missed:
        return ""
    seen, total = len(incidents) - len(missed), len(incidents)
    named = ", ".join(f"{n} ({i.kind} at {i.at}{f' on day {i.day}' if i.day else ''})" for n, i in missed)
    fall = f"{seen} fall{'s' if seen == 1 else ''}" if seen else "none falls"
    span = f"{_clock(first_s)} to {_clock(end_s)}"
    many, be = "s" if total > 1 else "", "is" if len(missed) == 1 else "are"
    return f"of {total} incident{many} {fall} into the run, {span}: [[incidents]] {named} {be} outside"


def _clock(time_s: int) -> str:
    day, second = divmod(time_s, DAY_S)
    text = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return f"{text} on day {day}" if day else text


def _check_kind(kind: str, given: list[str], places: list[str], where: str) -> None:
    """Refuse keys that mean nothing to this kind."""
    extras = [name for name in ("magnitude", "battery_min", "share", "service") if name in given]
    for name in (*places, *extras):
        if name not in PLACES[kind] and name not in _EXTRAS[kind]:
            key = next(key for key in CIRCLE if key in given) if name == "circle" else name
            kinds = " and ".join(other for other in KINDS if name in PLACES[other] or name in _EXTRAS[other])
            raise InputError(key, f"given for a {kind}", allowed=f"only for {kinds}", fix="remove it", where=where)


def _check_circle(given: list[str], where: str) -> None:
    centres = ({"x_m", "y_m"}, {"latitude_deg", "longitude_deg"})
    present = set(given) & set(CIRCLE)
    if "radius_m" not in present:
        raise InputError("radius_m", "missing", allowed="a number above 0", fix="add it", where=where)
    if present - {"radius_m"} not in centres:
        raise InputError(
            "the centre", " and ".join(sorted(present - {"radius_m"})) or "missing",
            allowed="x_m and y_m, or latitude_deg and longitude_deg", fix="give one of these pairs", where=where,
        )  # fmt: skip
