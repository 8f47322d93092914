"""Days and times of travel diaries, in the ways people write them, as seconds since one Monday's midnight."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

import numpy as np
from jaxtyping import Float64

Array = np.ndarray
DAY_S: Final = 86_400.0

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
"""Row 0 is Monday."""

_CLOCK: Final = re.compile(r"(\d{1,2})[:.h](\d{2})(?:[:.](\d{2})(?:\.\d+)?)?")
_UNIT_S: Final = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "min": 60.0, "minutes": 60.0, "h": 3600.0, "hours": 3600.0}
_MONDAY: Final = date(1969, 12, 29)
"""Monday of the week in which Unix time begins: dates count from it, so that day % 7 is the weekday."""


def unit_of_name(column: str) -> float | None:
    """Seconds a unit that ends a column's name stands for.

    >>> unit_of_name("departure_min"), unit_of_name("departure")
    (60.0, None)
    """
    return _UNIT_S.get(re.split(r"[^a-z]+", column.lower())[-1])


def unit_of_values(numbers: Array) -> float:
    """The unit of plain numbers: up to 30 they are hours, up to 1,800 minutes, else seconds."""
    most = float(np.nanmax(numbers)) if np.isfinite(numbers).any() else 0.0
    return 3600.0 if most <= 30.0 else 60.0 if most <= 1800.0 else 1.0


def moment(text: str) -> tuple[float | None, float, bool]:
    """A time as (day since a Monday or None, seconds or a plain number, whether it is a plain number).

    Raises:
        ValueError: it is no time.

    >>> moment("07:30"), moment("1970-01-01T00:10"), moment("7.5")
    ((None, 27000.0, False), (3.0, 600.0, False), (None, 7.5, True))
    """
    text = text.strip()
    match = _CLOCK.fullmatch(text)
    if match and ":" in text:
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        if minutes > 59 or seconds > 59 or hours > 47:
            raise ValueError(text)
        return None, 3600.0 * hours + 60.0 * minutes + seconds, False
    if re.match(r"\d{4}-\d{2}-\d{2}[T ]", text):
        at = datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=None)
        clock = (at - datetime.combine(at.date(), datetime.min.time())).total_seconds()
        return float((at.date() - _MONDAY).days), clock, False
    value = float(text.replace(",", "."))
    if not np.isfinite(value):
        raise ValueError(text)
    return None, value, True


def day(text: str) -> tuple[float, str]:
    """A day as (number, kind); kinds are `date`, `weekday` (number of its row) and `number`.

    Raises:
        ValueError: it is no day.

    >>> day("2024-03-05"), day("Sat"), day("12")
    ((19796.0, 'date'), (5.0, 'weekday'), (12.0, 'number'))
    """
    text = text.strip().lower()
    for row, name in enumerate(WEEKDAYS):
        if len(text) >= 2 and name.startswith(text):
            return float(row), "weekday"
    for pattern in ("%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d"):
        if len(text) < 8:
            break
        try:
            return float((datetime.strptime(text[:10], pattern).date() - _MONDAY).days), "date"
        except ValueError:
            continue
    value = float(text)
    if value != int(value) or not -1 < value < 1e6:
        raise ValueError(text)
    return value, "number"


def align(days: Float64[Array, "rows"], kinds: Sequence[str], weekday: Float64[Array, "rows"]) -> Array:
    """Days counted from a Monday.

    Dates already are. Weekdays are their row; numbers of weekdays may run 0 to 6 or 1 to 7. Other
    numbers begin with a Monday, unless a column of weekdays beside them says otherwise.
    """
    finite = days[np.isfinite(days)]
    if not len(finite) or "date" in kinds:
        return days
    if kinds and kinds[0] == "weekday":
        return days - 1.0 if finite.max() >= 7.0 else days
    days = days - (1.0 if finite.min() == 1.0 else 0.0)
    both = np.isfinite(days) & np.isfinite(weekday)
    if both.any():
        days = days + np.median((weekday[both] - days[both]) % 7.0)
    return days
