"""What goes over the wire between a network and its twin: topics and JSON, the same on both sides.

| topic | from | kept | what |
|---|---|---|---|
| `net/NAME/desired` | twin | yes | the last `Change` asked for |
| `net/NAME/reported` | network | yes | its configuration, and what became of the last request |
| `net/NAME/pm/CELL` | network | no | one cell's counters of one period |
| `net/NAME/period` | network | no | the end of a period: totals, and that all cells have reported |
| `net/NAME/end` | network | no | there is no more to come |

All with quality of service 1: at least once, so perhaps twice. A desired change expires (MQTT 5), so that a network
that was cut off does not find it hours later.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

import numpy as np

from mndt.errors import InputError
from mndt.plants import Acknowledgement, Change, Configuration, Turn

DESIRED, REPORTED, PM, PERIOD, END = "desired", "reported", "pm", "period", "end"

QOS: Final = 1


def topic(name: str, *parts: str) -> str:
    """A topic of a network; names may hold anything.

    >>> topic("city", "pm", "mast/1")
    'net/city/pm/mast%2F1'
    """
    return "/".join(("net", *(quote(part, safe="") for part in (name, *parts))))


def cell_of(heard: str) -> str:
    """The cell of a topic.

    >>> cell_of("net/city/pm/mast%2F1")
    'mast/1'
    """
    return unquote(heard.rsplit("/", 1)[-1])


def decode(payload: bytes | bytearray) -> dict[str, Any] | None:
    """A message's content; None where it is not JSON of an object: anybody may write to a broker."""
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def encode(content: Mapping[str, Any]) -> bytes:
    """A message; what is not a number is null."""
    return json.dumps(_plain(content), separators=(",", ":"), allow_nan=False).encode()


def change_to_json(change: Change) -> dict[str, Any]:
    """A change as a message."""
    turns = [{"cell": turn.cell, "setting": turn.setting, "value": turn.value} for turn in change.turns]
    return {"request": change.request, "revision": change.revision, "turns": turns}


def change_of_json(content: Mapping[str, Any]) -> Change | None:
    """The change of a message; None where it is none."""
    try:
        turns = tuple(Turn(str(t["cell"]), str(t["setting"]), float(t["value"])) for t in content["turns"])
        revision = content["revision"]
        return Change(str(content["request"]), turns, None if revision is None else int(revision))
    except (KeyError, TypeError, ValueError):
        return None


def report_to_json(configuration: Configuration, answer: Acknowledgement | None) -> dict[str, Any]:
    """What is in force, and what became of the last request."""
    last = None
    if answer is not None:
        last = {
            "request": answer.request, "accepted": answer.accepted, "revision": answer.revision,
            "reason": answer.reason, "repeated": answer.repeated,
        }  # fmt: skip
    values = {name: array.tolist() for name, array in configuration.values.items()}
    return {
        "revision": configuration.revision, "time_s": configuration.time_s, "cell": list(configuration.cell),
        "values": values, "answer": last,
    }  # fmt: skip


def report_of_json(content: Mapping[str, Any]) -> tuple[Configuration, Acknowledgement | None] | None:
    """What a report says; None where it is none."""
    try:
        cell = tuple(str(name) for name in content["cell"])
        values = {str(name): numbers(array) for name, array in content["values"].items()}
        configuration = Configuration(int(content["revision"]), float(content["time_s"]), cell, values)
        answer = None if content["answer"] is None else Acknowledgement(**content["answer"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return (configuration, answer) if all(len(v) == len(cell) for v in values.values()) else None


def numbers(values: Any) -> np.ndarray:
    """An array of what a message holds; null is NaN."""
    return np.array([math.nan if value is None else float(value) for value in values], np.float64)


def require_client() -> Any:
    """The client library.

    Raises:
        InputError: it is not installed.
    """
    try:
        import paho.mqtt.client as client
    except ImportError:
        fix = "install it with pip install 'mndt[plant]'"
        raise InputError("paho-mqtt", "not installed", allowed="the extra plant", fix=fix) from None
    return client


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
