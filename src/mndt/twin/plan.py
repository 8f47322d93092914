"""Plans: what shall be changed, written down once and never edited, named by its hash.

The words and states are those of plan management, TS 28.572 (Release 19): a plan descriptor goes through a validation
job and, once approved, an activation job; a fallback descriptor leads back.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from mndt.errors import InputError
from mndt.plants import Configuration, Turn


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
