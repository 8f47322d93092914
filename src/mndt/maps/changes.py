"""What a planner would turn: ``cells.NAME.FIELD=VALUE`` read, checked and applied without new gain maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mndt.city._inventory import plain
from mndt.city.antennas import is_file, with_pattern
from mndt.city.schema import CELL_FIELDS, Field
from mndt.errors import InputError, unknown_name
from mndt.units import dbm_to_w, w_to_dbm

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.state import CellSettings

TURNED: Final = ("azimuth_deg", "mechanical_tilt_deg", "electrical_tilt_deg", "power_dbm", "pattern", "status")
"""What may be changed on a map; for a position, height or carrier the inventory has to change."""

_STATUS: Final = {"on": 1.0, "off": 0.0}


@dataclass(frozen=True)
class Change:
    """One field of one or more cells at a new value, in the field's unit."""

    cells: tuple[int, ...]
    field: str  # one of TURNED
    value: float | str
    more: bool = False  # the value is added to what is there


def cells_named(city: City, site: str | None, cell: str | None) -> tuple[int, ...]:
    """Rows of the cells of a site, of one cell, or none where neither is named.

    Raises:
        InputError: no such site or cell in the city, or both are given.
    """
    if site is not None and cell is not None:
        raise InputError("--cell", "given with --site", allowed="one of the two", fix="drop one")
    if cell is not None:
        return (_row("--cell", cell, city.cells.name),)
    if site is not None:
        row = _row("--site", site, city.sites.name)
        found = tuple(np.flatnonzero(city.cells.site == row).tolist())
        if not found:
            raise InputError(
                "--site", f"'{site}', which has no cells", allowed="a site with cells", fix="choose another"
            )
        return found
    return ()


def _row(option: str, name: str, names: Sequence[str]) -> int:
    if name in names:
        return names.index(name)
    close = get_close_matches(name, names, n=1, cutoff=0.4)
    allowed = ", ".join(names) if len(names) <= 12 else f"one of {len(names)} names such as {', '.join(names[:3])}"
    fix = f"did you mean '{close[0]}'?" if close else "see the column of names in the inventory"
    raise InputError(option, f"'{name}'", allowed=allowed, fix=fix)


def is_change(text: str) -> bool:
    """Whether an assignment speaks of a cell or site, not of a key of the scenario."""
    return text.startswith(("cells.", "sites."))


def read_change(text: str, city: City, chosen: Sequence[int] = (), option: str = "--set") -> Change:
    """A change out of ``cells.NAME.FIELD=VALUE``, ``sites.NAME.FIELD=VALUE`` or, for chosen cells, ``FIELD=VALUE``.

    Fields have the names and other names that an inventory's columns have; ``+=`` adds to what is there.

    Raises:
        InputError: no such cell or field, or a value out of its range.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    more, key = key.endswith("+"), key.removesuffix("+").rstrip()
    if not equals or not key or not value:
        allowed = "cells.NAME.FIELD=VALUE, or FIELD=VALUE with --cell or --site"
        raise InputError(option, f"'{text}'", allowed=allowed, fix="write it like mechanical_tilt_deg=8")
    kind, name, field = "", "", key
    if is_change(key):
        kind, _, rest = key.partition(".")
        name, _, field = rest.rpartition(".")  # names may contain dots
    rows = _rows(kind, name, city, chosen, option, text)
    known = _field(field, option)
    return Change(rows, *_value(known, field, value, option, more), more)


def _rows(kind: str, name: str, city: City, chosen: Sequence[int], option: str, text: str) -> tuple[int, ...]:
    if kind == "cells":
        return (_row(option, name, city.cells.name),)
    if kind == "sites":
        return cells_named(city, city.sites.name[_row(option, name, city.sites.name)], None)
    if not chosen:
        fix = "name the cell with --cell, or in the change itself: cells.NAME.FIELD=VALUE"
        raise InputError(option, f"'{text}' of no cell", allowed="a change of a cell", fix=fix)
    return tuple(chosen)


def _field(name: str, option: str) -> Field:
    """The field a name stands for; columns in other units are known, too."""
    if name == "status":
        return Field("status", "", str, "on", None, None, "", False, (), tuple(_STATUS))
    for field in CELL_FIELDS:
        others = (alias for c in field.conversions for alias in (c.column, *c.aliases))
        if plain(name) in (field.name, *field.aliases, *others):
            if field.name in TURNED:
                return field
            fix = "change it in the inventory; the gain maps depend on it"
            raise InputError(option, field.name, allowed=", ".join(TURNED), fix=fix)
    raise unknown_name(option, name, TURNED)


def _value(field: Field, name: str, text: str, option: str, more: bool) -> tuple[str, float | str]:
    if more and (field.kind is str or plain(name) not in (field.name, *field.aliases)):
        fix = "write = and the new value"
        raise InputError(option, f"{name}+={text}", allowed="+= for angles and power_dbm", fix=fix)
    if field.kind is str:
        allowed = field.choices
        if text.lower() in allowed:
            return field.name, text.lower()
        if field.name == "pattern" and is_file(text):
            return field.name, text
        raise unknown_name(f"{option} {field.name}", text, [*allowed, "FILE.msi"] if field.files else allowed)
    conversion = next((c for c in field.conversions if plain(name) in (c.column, *c.aliases)), None)
    try:
        value = float(text)
    except ValueError:
        unit = conversion.unit if conversion else field.unit
        raise InputError(f"{option} {name}", f"'{text}'", allowed=f"a number in {unit}", fix="correct it") from None
    if conversion is not None:
        value = conversion.convert(value, {})
    assert field.low is not None
    assert field.high is not None
    low = field.low - field.high if more else field.low
    if not low <= value <= field.high:  # written so that NaN fails
        raise InputError(f"{option} {field.name}", f"{value:g}", allowed=field.allowed, fix="correct it")
    return field.name, value


def apply(city: City, settings: CellSettings, changes: Iterable[Change]) -> tuple[City, CellSettings]:
    """City and settings after the changes, in their order.

    Raises:
        InputError: an antenna file that cannot be read.
    """
    turned = {name: getattr(settings, name).copy() for name in ("azimuth_deg", "mechanical_tilt_deg")}
    turned |= {name: getattr(settings, name).copy() for name in ("electrical_tilt_deg", "power_w")}
    for change in changes:
        cells = list(change.cells)
        if change.field == "pattern":
            for cell in cells:
                city = with_pattern(city, cell, str(change.value))
        elif change.field == "status":
            turned["power_w"][cells] = _STATUS[str(change.value)] * settings.power_w[cells]
        elif change.field == "power_dbm":
            was_dbm = w_to_dbm(turned["power_w"][cells])
            turned["power_w"][cells] = dbm_to_w(_new(change, was_dbm))
        else:
            turned[change.field][cells] = _new(change, turned[change.field][cells])
    return city, replace(settings, **turned)


def _new(change: Change, was: np.ndarray) -> np.ndarray:
    """The new values, in the field's unit."""
    value = float(change.value)
    new = was + value if change.more else np.full(len(was), value)
    return np.asarray(new % 360.0 if change.field == "azimuth_deg" else new, np.float64)


def told(city: City, settings: CellSettings, change: Change) -> str:
    """A change in words, with what was before."""
    first = change.cells[0]
    names = [city.cells.name[cell] for cell in change.cells]
    who = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    what = change.field.removesuffix("_deg").removesuffix("_dbm").replace("_", " ")
    if change.field == "status":
        return f"{who} {change.value}"
    if change.field == "pattern":
        return f"{who}: antenna {Path(city.cells.pattern[first]).name} -> {Path(str(change.value)).name}"
    dbm = change.field == "power_dbm"
    unit = " dBm" if dbm else "\N{DEGREE SIGN}"
    if change.more:
        return f"{who}: {what} {change.value:+g}{unit.removesuffix('m')}"
    was = float(w_to_dbm(settings.power_w[first])) if dbm else getattr(settings, change.field)[first]
    return f"{who}: {what} {was:g}{unit} -> {change.value:g}{unit}"
