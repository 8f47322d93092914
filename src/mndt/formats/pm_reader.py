"""Reading performance measurement files: TS 32.435, TS 28.532, and what vendors make of them.

Files are streamed, plain or gzip. Names count, not namespaces; counters may be listed one by one
(``measType`` and ``r``) or in one line (``measTypes`` and ``measResults``). A file that declares
entities is refused: that is how a small file grows without end.
"""

from __future__ import annotations

import gzip
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, NoReturn
from xml.parsers import expat

import numpy as np

from mndt.errors import InputError

Array = np.ndarray

ROOTS: Final = ("measCollecFile", "measDataFile")
_ELEMENTS: Final = ("managedElement", "measEntity")
_PERIODS: Final = ("granPeriod", "granularityPeriod")
_WITH_TEXT: Final = ("measType", "measTypes", "r", "measResults", "suspect")
_NOTHING: Final = ("", "nil", "null", "nan", "n/a", "-")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_LONGEST_TEXT: Final = 10_000_000
_DEEPEST: Final = 100


@dataclass
class PmInfo:
    """What was read and what is to be known about it."""

    files: list[Path] = field(default_factory=list)
    vendors: Counter[str] = field(default_factory=Counter)  # files by vendor
    counters: list[str] = field(default_factory=list)
    missing: int = 0  # values the files say are not there
    repeated: int = 0  # values that came again, equal
    suspect: int = 0  # rows with the flag
    problems: list[str] = field(default_factory=list)  # values passed over, in sentences


def read_pm_xml(
    source: str | Path | Iterable[str | Path], *, skip_bad: bool = False
) -> tuple[dict[str, Array], PmInfo]:
    """The values of measurement files as a table, and what was found about them.

    Args:
        source: a file, a folder of ``.xml`` and ``.xml.gz`` files, or several of either.
        skip_bad: take values that are no numbers as missing and say so in `PmInfo.problems`.

    Returns:
        Columns ``end_s`` (end of the period, Unix time), ``duration_s`` (NaN = not told),
        ``managed_element`` and ``object`` (distinguished names), ``name`` (the last part of the
        object's), ``suspect``, then one column a counter, NaN where it was not measured. One row a
        period and object. A list of numbers, as some vendors write distributions, becomes columns
        ``counter[0]``, ``counter[1]`` and so on.

    Raises:
        InputError: unreadable or damaged files, entities, values that are no numbers or that
            contradict each other; with file and line.

    How busy a cell was::

        table, info = read_pm_xml("exported")
        print(table["RRU.PrbTotDl"][table["name"] == "mast-1"])
    """
    files = list(_files([source] if isinstance(source, str | Path) else source))
    if not files:
        raise InputError("files", "none", allowed="at least one .xml or .xml.gz file", fix="check the path")
    table = _Table(PmInfo(files), skip_bad)
    for path in files:
        _File(path, table).read()
    return table.columns(), table.info


def _files(sources: Iterable[str | Path]) -> Iterator[Path]:
    for source in map(Path, sources):
        if source.is_dir():
            yield from sorted(p for p in source.iterdir() if p.name.lower().endswith((".xml", ".xml.gz")))
        else:
            yield source


class _Table:
    """Rows as they come; a column is as long as its last value, the rest is missing."""

    def __init__(self, info: PmInfo, skip_bad: bool) -> None:
        self.info, self.skip_bad = info, skip_bad
        self.row_of: dict[tuple[int, float | None, str], int] = {}
        self.elements: list[str] = []
        self.suspect = bytearray()
        self.values: dict[str, array[float]] = {}

    def row(self, end_s: int, duration_s: float | None, element: str, ldn: str, suspect: bool) -> int:
        key = (end_s, duration_s, _join(element, ldn))
        row = self.row_of.setdefault(key, len(self.row_of))
        if row == len(self.elements):
            self.elements.append(element)
            self.suspect.append(suspect)
        self.suspect[row] |= suspect
        return row

    def put(self, row: int, counter: str, text: str, where: str) -> None:
        column = self.values.setdefault(counter, array("d"))
        value = self._number(counter, text, where)
        if value != value:
            self.info.missing += 1
            return
        if len(column) <= row:
            column.extend([np.nan] * (row + 1 - len(column)))
        if column[row] == value:
            self.info.repeated += 1
        elif column[row] == column[row]:
            raise InputError(
                counter, text, allowed=f"{column[row]:.15g}, which this object had in this period before",
                fix="remove one of the files", where=where,
            )  # fmt: skip
        column[row] = value

    def _number(self, counter: str, text: str, where: str) -> float:
        if text.lower() in _NOTHING:
            return np.nan
        if _NUMBER.fullmatch(text) and abs(value := float(text)) < np.inf:
            return value
        error = InputError(counter, f"'{text[:40]}'", allowed="a number or NIL", fix="correct the line", where=where)
        if not self.skip_bad:
            raise error
        self.info.problems.append(str(error))
        return np.nan

    def columns(self) -> dict[str, Array]:
        n = len(self.row_of)
        objects = [dn for _, _, dn in self.row_of]
        self.info.counters = list(self.values)
        self.info.suspect = sum(self.suspect)
        durations = [np.nan if d is None else d for _, d, _ in self.row_of]
        return {
            "end_s": np.array([end_s for end_s, _, _ in self.row_of], np.int64),
            "duration_s": np.array(durations, np.float64),
            "managed_element": np.array(self.elements, object),
            "object": np.array(objects, object),
            "name": np.array([_last_name(dn) for dn in objects], object),
            "suspect": np.frombuffer(bytes(self.suspect), np.bool_),
        } | {name: np.concatenate([values, np.full(n - len(values), np.nan)]) for name, values in self.values.items()}


class _File:
    """One file: what the parser has met, and which values wait for the end of their object."""

    def __init__(self, path: Path, table: _Table) -> None:
        self.path, self.table = path, table
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.EntityDeclHandler = self.refuse_entity
        self.parser.CharacterDataHandler = self.characters
        self.depth = 0
        self.text: list[str] | None = None
        self.length = 0
        self.element = ""
        self.period: tuple[int, float | None] | None = None
        self.types: dict[str, str] = {}
        self.place = ""  # p of the element being read
        self.ldn = ""
        self.results: list[tuple[str, str, int]] = []  # place, text, line
        self.suspect = False

    def read(self) -> None:
        try:
            with closing(_open(self.path)) as stream:
                self.parser.ParseFile(stream)
        except expat.ExpatError as error:
            what = f"damaged XML ({expat.errors.messages[error.code]})"
            raise InputError(
                "content", what, allowed="a whole measurement file", fix="fetch the file again",
                where=f"{self.path} line {error.lineno}",
            ) from None  # fmt: skip
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise InputError(
                "content", "damaged gzip data", allowed="a complete file", fix="fetch it again", where=str(self.path)
            ) from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError("file", f"'{self.path}' ({reason})", allowed="a readable file", fix="check it") from None

    @property
    def where(self) -> str:
        return f"{self.path} line {self.parser.CurrentLineNumber}"

    # What the parser calls ---------------------------------------------------------------------

    def refuse_entity(self, name: str, *_: Any) -> None:
        raise InputError(
            "entity", name, allowed="no entities of a file's own", fix="take the declaration out", where=self.where
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name, given = tag.rpartition(":")[2], {key.lower(): value for key, value in attributes.items()}
        self.depth += 1
        if self.depth == 1 and name not in ROOTS:
            self.fail("root element", name, f"{ROOTS[0]} (TS 32.435) or {ROOTS[1]} (TS 28.532)", "name another file")
        if self.depth > _DEEPEST:
            self.fail("depth", self.depth, f"at most {_DEEPEST}", "fetch the file again")
        if name in _WITH_TEXT:
            self.text, self.length, self.place = [], 0, given.get("p", "").strip()
        elif name == "fileHeader":
            self.table.info.vendors[given.get("vendorname", "")] += 1
        elif name in _ELEMENTS:
            self.element = given.get("localdn", "")
        elif name == "measData":
            self.element = ""
        elif name == "measInfo":
            self.types, self.period = {}, None
        elif name in _PERIODS:
            self.period = self.seconds(given.get("endtime", "")), self.duration(given.get("duration"))
        elif name == "measValue":
            self.ldn, self.results, self.suspect = given.get("measobjldn", ""), [], False

    def characters(self, text: str) -> None:
        if self.text is not None:
            self.length += len(text)
            if self.length > _LONGEST_TEXT:
                self.fail("text", f"{self.length} characters", f"at most {_LONGEST_TEXT}", "fetch the file again")
            self.text.append(text)

    def end(self, tag: str) -> None:
        name = tag.rpartition(":")[2]
        self.depth -= 1
        text, line = "".join(self.text or ()).strip(), self.parser.CurrentLineNumber
        if name == "r":
            self.results.append((self.place or str(len(self.results) + 1), text, line))
        elif name == "measType":
            self.types[self.place or str(len(self.types) + 1)] = text
        elif name == "measTypes":
            self.types = {str(place): word for place, word in enumerate(text.split(), start=1)}
        elif name == "measResults":
            self.results = [(str(place), word, line) for place, word in enumerate(text.split(), start=1)]
        elif name == "suspect":
            self.suspect = text.lower() in ("true", "1")
        elif name == "measValue":
            self.keep()
        if name in _WITH_TEXT:
            self.text = None

    def keep(self) -> None:
        """The object is complete: its values go into the table."""
        if self.period is None:
            self.fail("granPeriod", "missing", "a granularity period before the values", "ask the sender")
        row = self.table.row(*self.period, self.element, self.ldn, self.suspect)
        for place, text, line in self.results:
            where = f"{self.path} line {line}"
            if place not in self.types:
                raise InputError(
                    "p", f"'{place}'", allowed="the place of a listed counter", fix="fetch the file again", where=where
                )
            counter, parts = self.types[place], text.split(",")
            if len(parts) == 1:
                self.table.put(row, counter, text, where)
            else:
                for number, part in enumerate(parts):
                    self.table.put(row, f"{counter}[{number}]", part.strip(), where)

    # Values ------------------------------------------------------------------------------------

    def seconds(self, text: str) -> int:
        """Unix time of an ISO 8601 time; one without a time zone is taken as UTC."""
        try:
            time = datetime.fromisoformat(text.strip())
        except ValueError:
            self.fail("endTime", f"'{text}'", "a time such as 2026-01-05T08:15:00+00:00", "correct the line")
        return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())

    def duration(self, text: str | None) -> float | None:
        """Seconds of an ISO 8601 duration, or of a plain number."""
        if text is None:
            return None
        found = _DURATION.fullmatch(text.strip())
        if found and any(found.groups()):
            days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
            return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if _NUMBER.fullmatch(text.strip()):
            return float(text)
        self.fail("duration", f"'{text}'", "a duration such as PT900S", "correct the line")

    def fail(self, field: str, value: object, allowed: str, fix: str) -> NoReturn:
        raise InputError(field, value, allowed=allowed, fix=fix, where=self.where)


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _join(element: str, ldn: str) -> str:
    """The full name of an object: some write it within its element, some in full."""
    if not element or ldn == element or ldn.startswith(f"{element},"):
        return ldn
    return f"{element},{ldn}" if ldn else element


def _last_name(dn: str) -> str:
    r"""The value of the last part of a distinguished name, escapes undone.

    >>> _last_name(r"ManagedElement=mast,NRCellDU=east\, 2nd floor")
    'east, 2nd floor'
    """
    last = re.split(r"(?<!\\)(?:\\\\)*,", dn)[-1]
    if last.startswith("/"):  # as in /rnc=1/cell=2
        last = last.rpartition("/")[2]
    value = re.split(r"(?<!\\)(?:\\\\)*=", last, maxsplit=1)[-1]
    return re.sub(r"(?s)\\(?:([0-9A-Fa-f]{2})|(.))", lambda m: chr(int(m[1], 16)) if m[1] else m[2], value)
