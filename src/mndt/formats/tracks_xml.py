"""SUMO's FCD output and GPX, streamed through expat: megabytes at a time, gigabytes in all."""

from __future__ import annotations

import gzip
import zlib
from array import array
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from xml.parsers import expat

import numpy as np

from mndt.errors import InputError
from mndt.formats.tracks import Chunks, Place, TrackTable, since_midnight

_BLOCK: Final = 1 << 20  # bytes given to the parser at once
_CHUNK: Final = 500_000  # records kept as Python numbers

_WALK, _BICYCLE, _CAR = 1, 2, 3


def read_fcd(path: Path, place: Place, *, has_net: bool) -> TrackTable:
    """Floating car data as SUMO writes them (``--fcd-output``): vehicles and persons.

    Positions are degrees when SUMO ran with ``--fcd-output.geo``, else metres of its net: then the
    net is needed.

    Raises:
        InputError: no FCD output, damaged, or positions in metres without a net.
    """
    parser, chunks = expat.ParserCreate(), Chunks()
    vehicles: dict[str, int] = {}
    persons: dict[str, int] = {}
    names: list[str] = []
    kind_of: dict[str, int] = {}
    user, kind, seconds, xs, ys = array("i"), array("b"), array("d"), array("d"), array("d")
    now, system, root = float("nan"), "net" if has_net else "", ""

    def flush() -> None:
        nonlocal system
        x, y = np.array(xs), np.array(ys)
        if not system and len(x):
            system = _system(x, y, path)
        x_m, y_m = place(x, y, system) if len(x) else (x, y)
        chunks.add(np.array(user, np.int32), np.array(seconds), x_m, y_m, np.array(kind, np.int8))
        for values in (user, kind, seconds, xs, ys):
            del values[:]

    def start(name: str, a: dict[str, str]) -> None:
        nonlocal now, root
        if name == "vehicle":
            rows, label = vehicles, a["id"]
            sort = a.get("type", "")
            mode = kind_of.get(sort, 0) or kind_of.setdefault(sort, _mode_of_type(sort))
        elif name == "person":
            rows, label, mode = persons, a["id"], _WALK
        elif name == "timestep":
            now = float(a["time"])
            if len(xs) > _CHUNK:
                flush()
            return
        else:
            if not root and name != "fcd-export":
                raise _WrongError("outermost element", f"<{name}>", "<fcd-export>", "give SUMO's FCD output")
            root = root or name
            return
        row = rows.get(label, -1)
        if row < 0:
            row = rows[label] = len(names)
            names.append(label)
        xs.append(float(a["x"]))
        ys.append(float(a["y"]))
        user.append(row)
        kind.append(mode)
        seconds.append(now)

    _parse(path, parser, start)
    flush()
    table = chunks.table([f"positions in {'degrees' if system == 'degrees' else 'metres of the net'}"])
    return TrackTable(**{**vars(table), "names": tuple(names)})


def _system(x: np.ndarray, y: np.ndarray, path: Path) -> str:
    if np.abs(x).max() <= 180.0 and np.abs(y).max() <= 90.0:
        return "degrees"
    raise InputError(
        "positions", f"x up to {x.max():,.1f}, y up to {y.max():,.1f}", allowed="degrees, or metres with their net",
        fix="give the net with mobility.net, or run SUMO with --fcd-output.geo", where=str(path),
    )  # fmt: skip


def _mode_of_type(name: str) -> int:
    """SUMO's types have free names; those that say bicycle or pedestrian are taken at their word."""
    name = name.lower()
    if ("bike" in name or "bicycle" in name or "cycl" in name) and "motor" not in name:
        return _BICYCLE
    return _WALK if "ped" in name else _CAR


def read_gpx(path: Path, place: Place) -> TrackTable:
    """Tracks of GPX 1.0 and 1.1; a track's <name> is its user, else its number in the file.

    Raises:
        InputError: no GPX, or a point without position or time.
    """
    parser, chunks = expat.ParserCreate(), Chunks()
    rows: list[tuple[int, float, float, float]] = []
    names: list[str] = []
    path_of: list[str] = []
    text: list[str] = []
    lon, lat, when, zoned = float("nan"), float("nan"), float("nan"), False

    def start(name: str, a: dict[str, str]) -> None:
        nonlocal lon, lat, when
        name = name.rpartition(":")[2]
        if not path_of and name != "gpx":
            raise _WrongError("outermost element", f"<{name}>", "<gpx>", "give a GPX file")
        path_of.append(name)
        text.clear()
        if name == "trk":
            names.append(f"track {len(names) + 1}")
        if name == "trkpt":
            lon, lat, when = float(a["lon"]), float(a["lat"]), float("nan")

    def end(name: str) -> None:
        nonlocal when, zoned
        name = path_of.pop()
        content = "".join(text).strip()
        if name == "time" and path_of[-1] == "trkpt":
            at = datetime.fromisoformat(content.replace("Z", "+00:00"))
            zoned = at.tzinfo is not None
            at = at.replace(tzinfo=None)  # the clock as written
            when = (at - datetime(1970, 1, 1)).total_seconds()
        if name == "name" and path_of[-1:] == ["trk"] and content:
            names[-1] = content
        if name == "trkpt":
            rows.append((len(names) - 1, when, lon, lat))
        text.clear()

    _parse(path, parser, start, end, text.append)
    columns = np.array(rows, float).reshape(-1, 4)
    x, y = place(columns[:, 2], columns[:, 3], "degrees") if len(columns) else (columns[:, 2], columns[:, 3])
    label = {name: k for k, name in enumerate(dict.fromkeys(names))}
    user = np.array([label[names[int(row)]] for row in columns[:, 0]], np.int32)
    chunks.add(user, since_midnight(columns[:, 1], epoch=True), x, y, -1)
    table = chunks.table(["times in UTC, as GPX has them"] if zoned else [])
    return TrackTable(**{**vars(table), "names": tuple(label)})


class _WrongError(Exception):
    """Something in the file that does not fit: field, value, allowed, fix."""


def _parse(
    path: Path,
    parser: Any,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    characters: Callable[[str], None] | None = None,
) -> None:
    """Give a file, plain or gzip, to a parser; every error becomes a sentence with its line."""

    def entity(name: str, *_: object) -> None:
        raise _WrongError("entity", f"'{name}'", "no declared entities", "write the value itself")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = characters, entity
    parser.buffer_text = True

    def wrong(field: str, value: str, allowed: str, fix: str) -> InputError:
        return InputError(field, value, allowed=allowed, fix=fix, where=f"{path} line {parser.CurrentLineNumber}")

    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            while block := file.read(_BLOCK):
                parser.Parse(block)
            parser.Parse(b"", True)
    except _WrongError as error:
        raise wrong(*error.args) from None
    except expat.ExpatError as error:
        raise wrong("XML", f"'{expat.errors.messages[error.code]}'", "well-formed XML", "check the file") from None
    except KeyError as error:
        raise wrong(str(error.args[0]), "missing", "given for every record", "add the attribute") from None
    except ValueError as error:
        raise wrong("value", f"({error})", "numbers and times", "correct the file") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "damaged gzip"
        raise InputError("tracks", f"{path} ({reason})", allowed="a readable file", fix="check the path") from None
