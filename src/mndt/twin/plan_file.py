"""Files of plans: TOML that people write, read once and checked key by key."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from mndt.errors import InputError, unknown_name
from mndt.plants import TURNABLE, Turn, Turnable, check_turn
from mndt.twin.plan import (
    AT_LEAST_SHARE,
    AT_MOST_MORE,
    OWN_RULES,
    ActivationMode,
    Confirmation,
    KpiRule,
    PlanDescriptor,
)

_KEYS: Final = ("name", "planner", "mode", "reason", "revision", "change", "confirm")
_STATUS: Final = {"on": 0.0, "sleep": 1.0, "off": 2.0}


def read_plan(path: str | Path, *, planner: str | None = None) -> PlanDescriptor:
    """A plan from a TOML file.

    Args:
        path: the file.
        planner: who made it, where the file does not say.

    Raises:
        InputError: the first thing that does not fit.

    Such a file::

        name = "quieter-mast"
        planner = "anna"
        mode = "ATOMIC"

        [[change]]
        cell = "mast-1"
        power_dbm = 27
        electrical_tilt_deg = 8

        [confirm]
        within_s = 120
        "X.OutageRatio" = { at_most_more = 0.02 }
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError("plan", f"{path} ({reason})", allowed="a readable TOML file", fix="check the path") from None
    except UnicodeDecodeError:
        raise InputError(
            "plan", "not UTF-8", allowed="a TOML file in UTF-8", fix="save it so", where=str(path)
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            "syntax", str(error).lower(), allowed="TOML, that is key = value", fix="correct that place", where=str(path)
        ) from None
    return parse_plan(raw, where=str(path), planner=planner)


def parse_plan(raw: Mapping[str, Any], *, where: str = "plan", planner: str | None = None) -> PlanDescriptor:
    """A plan from nested dicts, as TOML gives them.

    Raises:
        InputError: the first thing that does not fit.
    """
    for key in raw:
        if key not in _KEYS:
            raise unknown_name("key", key, _KEYS, where=where)
    mode = raw.get("mode", "ATOMIC")
    if mode not in list(ActivationMode):
        raise unknown_name("mode", str(mode), [str(known) for known in ActivationMode], where=where)
    revision = raw.get("revision")
    if revision is not None and (not isinstance(revision, int) or isinstance(revision, bool) or revision < 0):
        _refuse("revision", revision, "a whole number of 0 or more", where)
    return PlanDescriptor(
        name=_text(raw, "name", where),
        planner=_text(raw, "planner", where, planner),
        turns=_turns(raw.get("change"), where),
        mode=ActivationMode(mode),
        confirmation=_confirmation(raw.get("confirm", {}), where),
        revision=revision,
        reason=_text(raw, "reason", where, ""),
    )


def _text(raw: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = raw.get(key, default)
    if not isinstance(value, str) or (not value.strip() and default != "") or len(value) > 500:
        _refuse(key, "missing" if value is None else repr(value), "a text", where)
    return value


def _turns(changes: Any, where: str) -> tuple[Turn, ...]:
    if not isinstance(changes, list) or not changes:
        _refuse("[[change]]", "missing", "at least one table with a cell and its new settings", where)
    turns: dict[tuple[str, str], Turn] = {}
    for number, change in enumerate(changes, start=1):
        place = f"{where}: change {number}"
        if not isinstance(change, dict):
            _refuse("[[change]]", change, "a table", place)
        cell = _text(change, "cell", place)
        if len(change) < 2:
            _refuse("settings", "missing", "at least one of " + ", ".join(TURNABLE), place)
        for setting, value in change.items():
            if setting == "cell":
                continue
            turn = Turn(cell, setting, _number(setting, value, place))
            check_turn(turn, (cell,), where=place)
            if (cell, setting) in turns:
                _refuse(setting, "given twice", f"once for {cell}", place)
            turns[cell, setting] = turn
    return tuple(turns.values())


def _number(name: str, value: Any, where: str) -> float:
    if name == "status" and value in _STATUS:
        return _STATUS[value]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        _refuse(name, value, "on, sleep or off" if name == "status" else "a number", where)
    return float(value)


def _confirmation(raw: Any, where: str) -> Confirmation:
    if not isinstance(raw, dict):
        _refuse("[confirm]", raw, "a table", where)
    place, own = f"{where}: confirm", Confirmation()
    lengths = {name: _number(name, raw.get(name, getattr(own, name)), place) for name in ("within_s", "over_s")}
    if not 1 <= lengths["over_s"] <= lengths["within_s"] <= 86_400:
        _refuse("within_s", f"{lengths['within_s']:g}", f"over_s ({lengths['over_s']:g} s) to 86400 s", place)
    rules = tuple(_rule(kpi, rule, place) for kpi, rule in raw.items() if kpi not in lengths)
    return Confirmation(**lengths, rules=rules or OWN_RULES)


def _rule(kpi: str, raw: Any, where: str) -> KpiRule:
    from mndt.network.kpi import KPI_FIELDS

    known = {field.column for field in KPI_FIELDS if field.level in ("total", "cell")}
    if kpi not in known:
        raise unknown_name("KPI", kpi, known, where=where)
    if not isinstance(raw, dict) or not raw or raw.keys() - {AT_MOST_MORE, AT_LEAST_SHARE}:
        _refuse(kpi, raw, f"{{ {AT_MOST_MORE} = number }} or {{ {AT_LEAST_SHARE} = number }}", where)
    return KpiRule(kpi, **{name: _number(name, value, f"{where}: {kpi}") for name, value in raw.items()})


def _refuse(field: str, value: object, allowed: str, where: str) -> NoReturn:
    raise InputError(field, value, allowed=allowed, fix="correct the plan", where=where)


def template(name: str, planner: str) -> str:
    """A plan in which every key is explained.

    Args:
        name: of the plan.
        planner: who makes it.
    """
    lines = [(f"{s.name} = {_SAMPLES[s.name]}", s) for s in TURNABLE.values()]
    width = max(len(line) for line, _ in lines)
    settings = "\n".join(
        ("" if number == 0 else "# ") + f"{line:<{width + 2 * (number == 0)}}  # {_meaning(s)}"
        for number, (line, s) in enumerate(lines)
    )
    own = Confirmation()
    rules = "\n".join(f'"{rule.kpi}" = {_rule_text(rule)}' for rule in own.rules)
    return _TEMPLATE.format(
        name=_quoted(name), planner=_quoted(planner), settings=settings, within_s=own.within_s, over_s=own.over_s,
        rules=rules,
    )  # fmt: skip


_SAMPLES: Final = {
    "power_dbm": "27", "azimuth_deg": "120", "mechanical_tilt_deg": "4", "electrical_tilt_deg": "6",
    "handover_offset_db": "2", "status": '"sleep"',
}  # fmt: skip

_TEMPLATE: Final = """\
name = {name}
planner = {planner}  # somebody else approves it
reason = ""  # for whoever approves it
mode = "ATOMIC"  # all or nothing; BEST_EFFORT: cell by cell; STOP_ON_ERROR: cell by cell up to the first refusal
# revision = 0  # of the network's configuration, where the plan holds for that one only

[[change]]  # one such table for each cell
cell = "NAME"
{settings}

[confirm]  # what the network's own KPIs must say afterwards, else it falls back
within_s = {within_s:g}  # seconds by the network's clock
over_s = {over_s:g}  # KPIs are means over this long, before and after
{rules}
"""


def _meaning(setting: Turnable) -> str:
    if setting.name == "status":
        return "on, sleep or off"
    return f"{setting.meaning}; {setting.low:g} to {setting.high:g} {setting.unit}"


def _rule_text(rule: KpiRule) -> str:
    limits = {AT_MOST_MORE: rule.at_most_more, AT_LEAST_SHARE: rule.at_least_share}
    return "{ " + ", ".join(f"{name} = {value:g}" for name, value in limits.items() if value is not None) + " }"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
