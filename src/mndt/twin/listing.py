"""Plans and their audit in lines that people read, and in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from mndt.checks.output import aligned
from mndt.errors import InputError
from mndt.plants import Turn
from mndt.twin.audit import LOG, Record
from mndt.twin.desk import LEAST_HASH, Desk, Standing
from mndt.twin.plan import to_json

_LONG: Final = ("descriptor", "plan", "fallback", "baseline", "turns", "prediction", "before", "after")
"""What a line of the log leaves out; it is in the JSON."""

_PREDICTED: Final = (
    ("coverage_{}", "coverage", 1.0),
    ("outage_{}", "outage", 1.0),
    ("throughput_{}_bps", "throughput [Mbit/s]", 1e6),
)


def existing_desk(folder: str | Path) -> Desk:
    """The desk of a folder that has plans.

    Raises:
        InputError: it has none.
        BrokenAuditError: its audit was edited.
    """
    if not (Path(folder) / LOG).exists():
        fix = "hand a plan in with mndt plan validate, or choose another folder with --plans"
        raise InputError("plans", folder, allowed="a folder with plans", fix=fix)
    return Desk(folder)


def all_plans(desk: Desk, as_json: bool) -> str:
    """One line a plan, in the order they were handed in."""
    plans = desk.all()
    if as_json:
        return json.dumps([_summary(standing) for standing in plans])
    rows = [["plan", "name", "planner", "cells", "mode", "stands"]]
    for s in plans:
        rows.append(
            [s.plan.hash[:LEAST_HASH], s.plan.name, s.plan.planner, str(len(s.plan.cells)), str(s.plan.mode), s.word]
        )
    return aligned(rows) if plans else "no plans"


def one(desk: Desk, digest: str, as_json: bool) -> str:
    """All about one plan."""
    standing = desk.standing(digest)
    if as_json:
        return json.dumps(_summary(standing) | {"descriptor": to_json(standing.plan)})
    plan = standing.plan
    lines = [f"plan {plan.hash}", f"{plan.name} by {plan.planner}, {plan.mode}: {standing.word}"]
    lines += [f"  {line}" for line in _turns(plan.turns)]
    lines += prediction_lines(standing)
    if standing.validation is not None:
        lines += [f"not valid: {sentence}" for sentence in standing.validation["findings"]]
    for what, record in (("approved", standing.approval), ("rejected", standing.rejection)):
        if record is not None:
            lines.append(f"{what} by {record.by}, {record.at}")
    lines += confirmation_lines(desk.audit.records(), plan.hash)
    lines += [f"{end['result']}" + (f": {end['reason']}" if end["reason"] else "") for end in standing.ends]
    if standing.fallback:
        lines.append("before it:")
        lines += [f"  {line}" for line in _turns(standing.fallback)]
    return "\n".join(lines)


def prediction_lines(standing: Standing) -> list[str]:
    """What the twin said at the latest validation."""
    prediction = standing.validation["prediction"] if standing.validation is not None else None
    if not prediction:
        return []
    rows = [["predicted", "without", "with"]]
    for name, what, scale in _PREDICTED:
        values = [prediction[name.format(when)] for when in ("before", "after")]
        rows.append([what, *("?" if value is None else f"{value / scale:.4g}" for value in values)])
    return [*aligned(rows).splitlines(), f"({prediction['note']})"]


def confirmation_lines(records: Sequence[Record], digest: str) -> list[str]:
    """What the network's KPIs said after the activation."""
    found = [record for record in records if record.kind == "confirmation" and record["plan"] == digest]
    if not found:
        return []
    before, after = found[-1]["before"], found[-1]["after"]
    rows = [["measured", "before", "after"]]
    rows += [[name, _number(before[name]), _number(after[name])] for name in before]
    return aligned(rows).splitlines()


def log(desk: Desk, digest: str | None, as_json: bool) -> Iterator[str]:
    """The audit, one line a record."""
    whole = desk.find(digest) if digest else None
    for record in desk.audit.records():
        if whole is not None and record.content.get("plan") != whole:
            continue
        if as_json:
            known = {"n": record.n, "at": record.at, "by": record.by, "account": record.account, "kind": record.kind}
            yield json.dumps(known | dict(record.content) | {"follows": record.follows, "hash": record.hash})
        else:
            plan = str(record.content.get("plan", ""))[:LEAST_HASH]
            rest = "  ".join(f"{k}={_short(v)}" for k, v in record.content.items() if k not in _LONG)
            who = f"{record.n:>4}  {record.at}  {record.by:<10}  {record.kind:<19}"
            yield f"{who} {plan:<{LEAST_HASH}}  {rest}".rstrip()


# Inside -----------------------------------------------------------------------------------------


def _summary(standing: Standing) -> dict[str, Any]:
    plan, validation = standing.plan, standing.validation
    return {
        "plan": plan.hash,
        "name": plan.name,
        "planner": plan.planner,
        "mode": str(plan.mode),
        "cells": list(plan.cells),
        "stands": standing.word,
        "valid": standing.valid,
        "findings": [] if validation is None else list(validation["findings"]),
        "prediction": None if validation is None else validation["prediction"],
        "approved_by": None if standing.approval is None else standing.approval.by,
        "result": None if standing.result is None else str(standing.result),
    }


def _turns(turns: Iterable[Turn]) -> list[str]:
    return [f"{turn.cell} {turn.setting} = {turn.value:.5g}" for turn in turns]


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
