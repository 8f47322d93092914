"""From the columns and texts of a table to checked values of `schema.CELL_FIELDS`."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, NoReturn

from mndt.city.schema import CELL_FIELDS, Conversion, Field
from mndt.errors import InputError
from mndt.formats.inventory import number

logger = logging.getLogger(__name__)

_YES: Final = {"true", "t", "yes", "y", "1", "indoor", "in"}
_NO: Final = {"false", "f", "no", "n", "0", "outdoor", "out"}

Record = dict[str, Any]  # field name -> value in the field's unit, None = derive it


@dataclass(frozen=True)
class Columns:
    """Which column of a table holds which field."""

    direct: dict[str, str]  # field name -> column
    converted: dict[str, tuple[str, Conversion]]  # field name -> column in another unit


def plain(column: str) -> str:
    """A column name without case, blanks and brackets.

    >>> plain(" Tx Power (dBm) ")
    'tx_power_dbm'
    """
    return re.sub(r"[^0-9a-z]+", "_", column.strip().lower()).strip("_")


def find_columns(columns: Sequence[str], where: str) -> Columns:
    """Match columns with fields; a field's own name wins over its aliases in their order.

    Raises:
        InputError: a required field has no column.
    """
    named: dict[str, str] = {}
    for column in columns:
        named.setdefault(plain(column), column)
    direct: dict[str, str] = {}
    converted: dict[str, tuple[str, Conversion]] = {}
    for field in CELL_FIELDS:
        own = next((named[name] for name in (field.name, *field.aliases) if name in named), None)
        other = next(((named[n], c) for c in field.conversions for n in (c.column, *c.aliases) if n in named), None)
        if own is not None:
            direct[field.name] = own
        elif other is not None:
            converted[field.name] = other
    used = {*direct.values(), *(column for column, _ in converted.values())}
    unused = [column for column in columns if column and column not in used]
    for field in CELL_FIELDS:
        if field.required and field.name not in direct:
            _refuse_missing(field, columns, unused, where)
    _tell_unused(unused, {*direct, *converted}, where)
    return Columns(direct, converted)


def _refuse_missing(field: Field, columns: Sequence[str], unused: Sequence[str], where: str) -> NoReturn:
    near = {plain(column): column for column in unused}
    close = next((m for n in (field.name, *field.aliases) for m in get_close_matches(n, near, n=1, cutoff=0.75)), None)
    found = ", ".join(column for column in columns if column) or "none"
    fix = f"the columns found are {found}"
    fix += f"; did you mean '{near[close]}'?" if close else f"; add a column {field.name}"
    raise InputError(
        f"column {field.name}", "missing", allowed=f"{field.name} or one of {', '.join(field.aliases)}",
        fix=fix, where=where,
    )  # fmt: skip


def _tell_unused(unused: Sequence[str], used_fields: set[str], where: str) -> None:
    """Unused columns are normal; one that looks like a misspelt field is worth a word."""
    names = {
        name: field.name
        for field in CELL_FIELDS
        if field.name not in used_fields
        for name in (field.name, *field.aliases)
    }
    for column in unused:
        close = get_close_matches(plain(column), names, n=1, cutoff=0.85)
        if close:
            logger.warning("%s: column '%s' is not used; did you mean '%s'?", where, column, close[0])
    if unused:
        logger.info("%s: columns not used: %s", where, ", ".join(unused))


def pick(values: Mapping[str, str], columns: Columns) -> dict[str, Any]:
    """A line's texts by field; a text in another unit comes as (text, conversion)."""
    picked: dict[str, Any] = {name: values[column] for name, column in columns.direct.items() if column in values}
    for name, (column, conversion) in columns.converted.items():
        if column in values:
            picked[name] = (values[column], conversion)
    return picked


def check(
    raw: Mapping[str, Any],
    where: str,
    *,
    decimal_comma: bool = False,
    swapped: Callable[[float, float], bool] = lambda latitude_deg, longitude_deg: False,
) -> Record:
    """One cell's values, each of its type and within its range; what is left out gets its default.

    Args:
        raw: field name -> text or value, see `pick`.
        where: file and line, for messages.
        decimal_comma: texts may hold 60,17.
        swapped: whether a position makes sense once latitude and longitude are exchanged.

    Raises:
        InputError: a required value is missing, of the wrong kind or out of range.
    """
    record: Record = {}
    # values in other units last: their conversion may need another field
    for field in sorted(CELL_FIELDS, key=lambda f: isinstance(raw.get(f.name), tuple)):
        value = raw.get(field.name)
        if value is None or value == "":
            if field.required:
                raise InputError(
                    field.name, "empty", allowed=field.allowed, fix="fill it in for every cell", where=where
                )
            record[field.name] = field.default
        elif isinstance(value, tuple):
            text, conversion = value
            record[field.name] = _converted(field, text, conversion, record, where, decimal_comma)
        else:
            record[field.name] = _typed(field, value, where, decimal_comma)
    for field in CELL_FIELDS:
        _check_range(field, record, where, swapped)
    return record


def _converted(
    field: Field, text: str, conversion: Conversion, record: Record, where: str, decimal_comma: bool
) -> float | int:
    try:
        value = number(text, decimal_comma=decimal_comma)
    except ValueError:
        _refuse_text(conversion.column, text, f"a number in {conversion.unit}", where)
    result = conversion.convert(value, record)
    if field.low is not None and field.high is not None and not field.low <= result <= field.high:
        raise InputError(
            conversion.column, f"{value:g} {conversion.unit}", allowed=f"what gives {field.name} {field.allowed}",
            fix="check the value and its unit", where=where,
        )  # fmt: skip
    return int(result) if field.kind is int else result


def _typed(field: Field, value: Any, where: str, decimal_comma: bool) -> Any:
    if field.kind is str:
        text = " ".join(str(value).split())
        if not field.choices:
            return text
        if field.files and text.lower().endswith(field.files):
            return text.replace("\\", "/")
        if text.lower() not in field.choices:
            close = get_close_matches(text.lower(), field.choices, n=1, cutoff=0.5)
            fix = f"did you mean '{close[0]}'?" if close else "choose one of these"
            raise InputError(field.name, f"'{text}'", allowed=field.allowed, fix=fix, where=where)
        return text.lower()
    if field.kind is bool:
        word = str(value).strip().lower()
        if word not in _YES | _NO:
            _refuse_text(field.name, str(value), "true or false", where)
        return word in _YES
    try:
        result = number(str(value), decimal_comma=decimal_comma)
    except ValueError:
        _refuse_text(field.name, str(value), field.allowed, where)
    if field.kind is int:
        if result != int(result):
            _refuse_text(field.name, str(value), f"a whole number, {field.allowed}", where)
        return int(result)
    return result


def _refuse_text(name: str, text: str, allowed: str, where: str) -> NoReturn:
    shown = text if len(text) <= 40 else text[:37] + "..."
    raise InputError(name, f"'{shown}'", allowed=allowed, fix="correct the value, or leave it empty", where=where)


def _check_range(field: Field, record: Record, where: str, swapped: Callable[[float, float], bool]) -> None:
    value = record[field.name]
    if value is None or field.low is None or field.high is None or field.low <= value <= field.high:
        return
    fix = "correct the value" + ("" if field.required or field.conversions else ", or leave it empty")
    if field.name in ("latitude_deg", "longitude_deg"):
        if swapped(record["latitude_deg"], record["longitude_deg"]):
            fix = "latitude and longitude are swapped, exchange the two columns"
    elif field.conversions:
        others = ", ".join(f"{c.column} ({c.unit})" for c in field.conversions)
        fix = f"correct the value, or name the column after its unit: {others}"
    raise InputError(field.name, f"{value:g}", allowed=field.allowed, fix=fix, where=where)
