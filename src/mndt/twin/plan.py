"""Plans: what shall be changed, written down once and never edited, named by its hash.

The words and states are those of plan management, TS 28.572 (Release 19): a plan descriptor goes through a validation
job and, once approved, an activation job; a fallback descriptor leads back.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NoReturn

from mndt.errors import InputError, unknown_name
from mndt.plants import TURNABLE, Configuration, Turn, check_turn


class ActivationMode(StrEnum):
    """What becomes of a plan of which the network refuses a part."""

    ATOMIC = "ATOMIC"  # all of it in one request, or nothing
    BEST_EFFORT = "BEST_EFFORT"  # cell by cell; what is refused is left out
    STOP_ON_ERROR = "STOP_ON_ERROR"  # cell by cell up to the first refusal


class JobState(StrEnum):
    """Where a validation or activation job stands."""

    NOT_STARTED = "NOT_STARTED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class ActivationResult(StrEnum):
    """What an activation job came to."""

    ACTIVATED = "ACTIVATED"
    PARTIALLY_ACTIVATED = "PARTIALLY_ACTIVATED"
    ACTIVATION_FAILED_ROLLED_BACK = "ACTIVATION_FAILED_ROLLED_BACK"
    ACTIVATION_FAILED_ROLLBACK_FAILED = "ACTIVATION_FAILED_ROLLBACK_FAILED"


AT_MOST_MORE, AT_LEAST_SHARE = "at_most_more", "at_least_share"


@dataclass(frozen=True)
class KpiRule:
    """What a KPI of the network must be after a change, compared with before it."""

    kpi: str
    at_most_more: float | None = None  # no more than this above what it was
    at_least_share: float | None = None  # no less than this share of what it was

    def holds(self, before: float, after: float) -> bool:
        """Whether it does; never where one of them is not known.

        >>> KpiRule("X.OutageRatio", at_most_more=0.05).holds(0.10, 0.14)
        True
        """
        if not (math.isfinite(before) and math.isfinite(after)):
            return False
        if self.at_most_more is not None and after > before + self.at_most_more:
            return False
        return self.at_least_share is None or after >= self.at_least_share * before


OWN_RULES: Final = (KpiRule("X.OutageRatio", at_most_more=0.05), KpiRule("X.ThroughputDl", at_least_share=0.8))
"""How a plan that says nothing is confirmed; the numbers are assumed."""


@dataclass(frozen=True)
class Confirmation:
    """How the network's own KPIs confirm an activation; where they do not, it falls back by itself."""

    within_s: float = 120.0  # by then, by the network's clock
    over_s: float = 30.0  # KPIs are means over this long, before and after
    rules: tuple[KpiRule, ...] = OWN_RULES


@dataclass(frozen=True)
class PlanDescriptor:
    """A plan. What it says is fixed, and so is its hash.

    >>> plan = PlanDescriptor("quiet", "anna", (Turn("mast-1", "power_dbm", 27.0),))
    >>> plan.hash[:16], plan.cells
    ('6b4a14265065b4fb', ('mast-1',))
    """

    name: str
    planner: str
    turns: tuple[Turn, ...]
    mode: ActivationMode = ActivationMode.ATOMIC
    confirmation: Confirmation = Confirmation()
    revision: int | None = None  # of the configuration it was made for; None: that of its validation
    reason: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "turns", tuple(sorted(self.turns, key=lambda turn: (turn.cell, turn.setting))))

    @property
    def cells(self) -> tuple[str, ...]:
        """Cells it turns, in the order of their names."""
        return tuple(dict.fromkeys(turn.cell for turn in self.turns))

    @property
    def hash(self) -> str:
        """SHA-256 of its canonical JSON, in hexadecimal."""
        return hashlib.sha256(canonical(to_json(self)).encode()).hexdigest()

    def steps(self) -> tuple[tuple[Turn, ...], ...]:
        """What is asked of the network at a time: all of it, or one cell after the other."""
        if self.mode is ActivationMode.ATOMIC:
            return (self.turns,)
        return tuple(tuple(turn for turn in self.turns if turn.cell == cell) for cell in self.cells)


def canonical(content: Any) -> str:
    """The one way to write something as JSON: sorted keys, no spaces, ASCII, no NaN.

    >>> canonical({"b": 1.0, "a": "ü"})
    '{"a":"\\\\u00fc","b":1.0}'
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def to_json(plan: PlanDescriptor) -> dict[str, Any]:
    """A plan as JSON holds it; numbers are floats, so that 8 and 8.0 are one plan."""
    confirmation = plan.confirmation
    return {
        "name": plan.name,
        "planner": plan.planner,
        "mode": str(plan.mode),
        "reason": plan.reason,
        "revision": plan.revision,
        "turns": [turn_to_json(turn) for turn in plan.turns],
        "confirm": {
            "within_s": float(confirmation.within_s),
            "over_s": float(confirmation.over_s),
            "rules": [
                {"kpi": rule.kpi, AT_MOST_MORE: _float(rule.at_most_more), AT_LEAST_SHARE: _float(rule.at_least_share)}
                for rule in confirmation.rules
            ],
        },
    }


def from_json(content: Mapping[str, Any]) -> PlanDescriptor:
    """The plan that `to_json` wrote."""
    confirm = content["confirm"]
    return PlanDescriptor(
        name=content["name"],
        planner=content["planner"],
        turns=tuple(turn_of_json(turn) for turn in content["turns"]),
        mode=ActivationMode(content["mode"]),
        confirmation=Confirmation(
            confirm["within_s"], confirm["over_s"], tuple(KpiRule(**r) for r in confirm["rules"])
        ),
        revision=content["revision"],
        reason=content["reason"],
    )


def turn_to_json(turn: Turn) -> dict[str, Any]:
    """One turn as JSON holds it."""
    return {"cell": turn.cell, "setting": turn.setting, "value": float(turn.value) + 0.0}  # no minus zero


def turn_of_json(content: Mapping[str, Any]) -> Turn:
    """The turn that `turn_to_json` wrote."""
    return Turn(content["cell"], content["setting"], float(content["value"]))


def _float(value: float | None) -> float | None:
    return None if value is None else float(value) + 0.0


# Files of plans --------------------------------------------------------------------------------

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


def fallback_turns(plan: PlanDescriptor, configuration: Configuration) -> tuple[Turn, ...]:
    """The fallback descriptor: what the network says now about everything that the plan would turn.

    Raises:
        InputError: the network does not say it, so that nothing would lead back.
    """
    turns = []
    for turn in plan.turns:
        value = configuration.value(turn.cell, turn.setting)
        if not math.isfinite(value):
            allowed = "a value that the network reports, for a fallback needs it"
            raise InputError(turn.setting, "unknown", allowed=allowed, fix="leave it out", where=turn.cell)
        turns.append(Turn(turn.cell, turn.setting, value))
    return tuple(turns)
