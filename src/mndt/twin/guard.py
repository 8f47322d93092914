"""Guard-rails: what no plan may do, whoever approved it.

Each rail is a function that gives sentences about what is wrong, none where all is well. Three moments: what the plan
says (`of_plan`), what the twin predicts (`of_prediction`) and what is the case when it is activated (`of_moment`).
A rail that cannot tell, for a number is missing, counts as hit.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from mndt.errors import InputError, unknown_name
from mndt.plants import Configuration, Observation
from mndt.twin.audit import Record
from mndt.twin.plan import PlanDescriptor

RAILS_FILE: Final = "rails.toml"
STOP_FILE: Final = "STOP"
"""While a file of this name lies in the folder of plans nothing is activated; what is being activated falls back."""

DAY_S: Final = 86_400
_WINDOW: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


@dataclass(frozen=True)
class Rails:
    """The limits; every default is assumed and an operator's own file replaces it."""

    power_low_dbm: float = 0.0  # of what a plan may set
    power_high_dbm: float = 46.0
    tilt_low_deg: float = -5.0  # mechanical and electrical, each
    tilt_high_deg: float = 15.0
    power_step_db: float = 10.0  # from what is set now
    tilt_step_deg: float = 8.0
    cells_per_plan: int = 10
    coverage_floor: float = 0.8  # share of the ground that the twin predicts as covered
    coverage_drop: float = 0.02  # from what the twin predicts without the plan
    outage_ceiling: float = 0.7  # share of active users that the twin predicts in outage
    outage_rise: float = 0.02
    rate_window_s: float = 3600.0  # of the rate limit
    plans_per_window: int = 6
    cells_per_window: int = 30
    freeze: tuple[str, ...] = ()  # "07:00-09:30" by the network's clock, every day
    stale_s: float = 120.0  # observations older than this are too old to act on
    valid_s: float = 3600.0  # how long a validation holds
    separate_accounts: bool = False  # planner and approver must have different accounts, not names alone

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name), getattr(type(self), field.name))


def _check(name: str, value: Any, default: Any) -> None:
    if name == "freeze":
        for window in value:
            if not isinstance(window, str) or not _WINDOW.fullmatch(window):
                fix = "write it so"
                raise InputError(name, repr(window), allowed="windows such as 07:00-09:30", fix=fix, where="rails")
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError(name, repr(value), allowed="true or false", fix="write it so", where="rails")
    elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(name, repr(value), allowed="a number", fix="write it so", where="rails")
    elif value < 0 and not name.endswith(("low_dbm", "high_dbm", "low_deg", "high_deg")):
        raise InputError(name, value, allowed="0 or more", fix="give another one", where="rails")


def read_rails(folder: str | Path) -> Rails:
    """The rails of a folder of plans: its file, where it has one, else the defaults.

    Raises:
        InputError: the file does not fit.
    """
    path = Path(folder) / RAILS_FILE
    if not path.exists():
        return Rails()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = str(error).splitlines()[0].lower()
        fix = "correct the file"
        raise InputError("rails", reason, allowed="a TOML file in UTF-8", fix=fix, where=str(path)) from None
    known = asdict(Rails())
    for name, value in raw.items():
        if name not in known:
            raise unknown_name("rail", name, known, where=str(path))
        if isinstance(known[name], tuple):
            raw[name] = tuple(value) if isinstance(value, list) else (value,)
    return Rails(**raw)


@dataclass(frozen=True)
class Prediction:
    """What the twin says a plan comes to. Shares are of 1; means over seeds.

    `trusted` is False where the twin knows that it does not know, as beyond the range it was calibrated in: such a
    prediction validates nothing.
    """

    coverage_before: float
    coverage_after: float
    outage_before: float
    outage_after: float
    throughput_before_bps: float = math.nan
    throughput_after_bps: float = math.nan
    seeds: int = 1
    trusted: bool = True
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """As the audit holds it; what is not known is null."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Prediction:
        """The prediction that `to_json` wrote."""
        known: dict[str, Any] = {name: math.nan if value is None else value for name, value in content.items()}
        return cls(**known)


# What the plan says ----------------------------------------------------------------------------

_STEPS: Final[Mapping[str, str]] = {
    "power_dbm": "power_step_db", "mechanical_tilt_deg": "tilt_step_deg", "electrical_tilt_deg": "tilt_step_deg",
}  # fmt: skip


def of_plan(plan: PlanDescriptor, configuration: Configuration, rails: Rails) -> list[str]:
    """Ranges, steps and the number of cells."""
    found = []
    if len(plan.cells) > rails.cells_per_plan:
        found.append(f"cells_per_plan: the plan turns {len(plan.cells)} cells, allowed are {rails.cells_per_plan}")
    for turn in plan.turns:
        if turn.cell not in configuration.cell:
            found.append(f"cells: the network has no cell {turn.cell}")
            continue
        what, now = f"{turn.cell} {turn.setting}", configuration.value(turn.cell, turn.setting)
        if not math.isfinite(now):
            found.append(f"configuration: the network does not report {what}, so nothing would lead back")
        low, high = _range(turn.setting, rails)
        if not low <= turn.value <= high:
            found.append(f"range: {what} would be {turn.value:g}, allowed is {low:g} to {high:g}")
        most = getattr(rails, _STEPS[turn.setting]) if turn.setting in _STEPS else math.inf
        if abs(turn.value - now) > most + 1e-3:
            found.append(f"step: {what} would go from {now:.5g} to {turn.value:g}, allowed is a step of {most:g}")
    return found


def _range(setting: str, rails: Rails) -> tuple[float, float]:
    if setting == "power_dbm":
        return rails.power_low_dbm, rails.power_high_dbm
    if setting in _STEPS:
        return rails.tilt_low_deg, rails.tilt_high_deg
    return -math.inf, math.inf


# What the twin predicts ------------------------------------------------------------------------


def of_prediction(prediction: Prediction, rails: Rails) -> list[str]:
    """Floors of coverage and outage; written so that what is not a number hits them."""
    p, found = prediction, []
    if not p.trusted:
        found.append(f"prediction: the twin does not stand by it ({p.note or 'no reason given'})")
    if not p.coverage_after >= rails.coverage_floor:
        found.append(
            f"coverage_floor: predicted coverage is {p.coverage_after:.3f}, the floor is {rails.coverage_floor:g}"
        )
    if not p.coverage_after >= p.coverage_before - rails.coverage_drop - 1e-9:
        found.append(
            f"coverage_drop: predicted coverage falls from {p.coverage_before:.3f} to {p.coverage_after:.3f}, "
            f"allowed is a drop of {rails.coverage_drop:g}"
        )
    if not p.outage_after <= rails.outage_ceiling:
        found.append(
            f"outage_ceiling: predicted outage is {p.outage_after:.3f}, the ceiling is {rails.outage_ceiling:g}"
        )
    if not p.outage_after <= p.outage_before + rails.outage_rise + 1e-9:
        found.append(
            f"outage_rise: predicted outage rises from {p.outage_before:.3f} to {p.outage_after:.3f}, "
            f"allowed is a rise of {rails.outage_rise:g}"
        )
    return found


# What is the case ------------------------------------------------------------------------------


def of_moment(
    plan: PlanDescriptor, observation: Observation, now_s: float, records: Sequence[Record], rails: Rails, folder: Path
) -> list[str]:
    """Kill switch, clock, stale data, freeze, rate limit.

    Args:
        plan: to be activated.
        observation: the latest.
        now_s: by the network's clock.
        records: of the audit.
        rails: the limits.
        folder: of the plans, where the kill switch lies.
    """
    found = list(of_switch(folder))
    started = [record for record in records if record.kind == "activation-job" and record["state"] == "RUNNING"]
    latest_s = max((float(record["network_s"]) for record in started), default=-math.inf)
    if now_s < latest_s:
        found.append(
            f"clock: it is {now_s:.0f} s by the network's clock, before the last activation at {latest_s:.0f} s"
        )
    age_s = now_s - observation.end_s
    if not -1.0 <= age_s <= rails.stale_s:
        found.append(f"stale_s: the latest observation is {age_s:.0f} s old, allowed are {rails.stale_s:g} s")
    for window in rails.freeze:
        if _inside(window, now_s % DAY_S):
            found.append(f"freeze: it is {_clock(now_s)}, and nothing is changed in {window}")
    recent = [record for record in started if float(record["network_s"]) > now_s - rails.rate_window_s]
    if len(recent) >= rails.plans_per_window:
        found.append(
            f"plans_per_window: {len(recent)} plans in the last {rails.rate_window_s:g} s are all that is allowed"
        )
    cells = sum(len({turn["cell"] for turn in record["fallback"]}) for record in recent)
    if cells + len(plan.cells) > rails.cells_per_window:
        total = f"{cells} cells in the last {rails.rate_window_s:g} s and {len(plan.cells)} more"
        found.append(f"cells_per_window: {total} are above {rails.cells_per_window}")
    return found


def of_switch(folder: Path) -> list[str]:
    """The kill switch; one that cannot be looked at counts as thrown."""
    try:
        thrown = (folder / STOP_FILE).exists()
    except OSError:
        thrown = True
    return [f"kill switch: {folder / STOP_FILE} is there"] if thrown else []


def _inside(window: str, second: float) -> bool:
    """Whether a time of day is in a window; one that ends before it begins goes over midnight.

    >>> _inside("23:00-01:00", 1800.0), _inside("07:00-09:00", 9 * 3600.0)
    (True, False)
    """
    found = _WINDOW.fullmatch(window)
    assert found is not None
    h0, m0, h1, m1 = (int(part) for part in found.groups())
    begin, end = 3600 * h0 + 60 * m0, 3600 * h1 + 60 * m1
    return begin <= second < end if begin <= end else second >= begin or second < end


def _clock(now_s: float) -> str:
    minutes = int(now_s % DAY_S) // 60
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
