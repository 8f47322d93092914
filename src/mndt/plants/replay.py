"""Recorded measurements as a network: it can be watched, period by period, and never turned.

A folder (or file) holds performance measurement files of 3GPP, CSV or Parquet. Tables have one row a period and
cell: `end_s` (or `time_s`; seconds, or a time stamp), `cell` (or `name`), perhaps `duration_s`, and one column a
counter. A file `configuration.csv` or `.parquet` beside them, one row a cell with columns of `TURNABLE`, says
what the cells were set to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from mndt.errors import InputError, unknown_name
from mndt.formats.pm_reader import read_pm_xml
from mndt.network import kpi
from mndt.plants import TURNABLE, Acknowledgement, Change, Configuration, EndedError, Observation, Turn, check_turn

Array = np.ndarray
Table = dict[str, Array]

TIMES: Final = ("end_s", "time_s", "end_time", "timestamp", "time")
CELLS: Final = ("cell", "name", "object")
NO_COUNTERS: Final = ("end_s", "duration_s", "managed_element", "object", "name", "suspect", "cell", *TIMES)
CONFIGURATION: Final = "configuration"

READ_ONLY: Final = "recorded measurements cannot be turned"


class ReplayPlant:
    """A recording that plays itself.

    Args:
        source: a folder or a file; see above.
        skip_bad: take values in measurement files that are no numbers as missing.

    Attributes:
        cell: names of the cells, in alphabetical order.
        repeated: records that came again for the same period and cell; the first one counts.
        left: periods still to come.

    Raises:
        InputError: nothing to read, or a file that does not fit.

    Whatever a network did yesterday::

        for observation in ReplayPlant("measurements/2026-01-05").rest():
            print(observation.end_s, observation.totals)
    """

    def __init__(self, source: str | Path, *, skip_bad: bool = False) -> None:
        source = Path(source)
        table = _read(source, skip_bad)
        names = table.pop("cell")
        self.cell: tuple[str, ...] = tuple(sorted(set(names.tolist())))
        row_of = {name: row for row, name in enumerate(self.cell)}
        self._column = np.array([row_of[name] for name in names], np.intp)
        self._end_s, self._duration_s = table.pop("end_s"), table.pop("duration_s")
        self._counters = table
        self._ends = np.unique(self._end_s)
        self._next, self.repeated = 0, 0
        self._values = _configuration(source, self.cell)

    @property
    def left(self) -> int:
        """Periods still to come."""
        return len(self._ends) - self._next

    def observe(self) -> Observation:
        """The next period.

        Raises:
            EndedError: the recording is over.
        """
        if not self.left:
            raise EndedError("the recording is over")
        end_s = float(self._ends[self._next])
        rows = np.flatnonzero(self._end_s == end_s)
        rows = self._first_of_each(rows)
        kpis = {name: self._spread(values, rows) for name, values in self._counters.items()}
        begin_s = self._begin_s(end_s, rows)
        self._next += 1
        configuration = None
        if self._values:
            configuration = Configuration(0, end_s, self.cell, self._values)
        return Observation(begin_s, end_s, end_s, self.cell, kpis, _totals(kpis), None, configuration)

    def rest(self) -> Iterator[Observation]:
        """All periods still to come."""
        while self.left:
            yield self.observe()

    def apply(self, change: Change) -> Acknowledgement:
        """Refuses: what is past stays as it was."""
        return Acknowledgement(change.request, False, 0, READ_ONLY)

    def _first_of_each(self, rows: Array) -> Array:
        _, first = np.unique(self._column[rows], return_index=True)
        self.repeated += len(rows) - len(first)
        return np.asarray(rows[np.sort(first)])

    def _spread(self, values: Array, rows: Array) -> Array:
        out = np.full(len(self.cell), np.nan)
        out[self._column[rows]] = values[rows]
        return out

    def _begin_s(self, end_s: float, rows: Array) -> float:
        """By the records' duration; where none tells, since the period before."""
        told = self._duration_s[rows]
        if np.isfinite(told).any():
            return end_s - float(np.nanmax(told))
        steps = np.diff(self._ends)
        return end_s - (float(steps[max(0, self._next - 1)]) if len(steps) else 0.0)


# Inside -----------------------------------------------------------------------------------------


def _totals(kpis: Table) -> dict[str, float]:
    """Sums of what adds up over cells, which is all that counters of cells tell of the network."""
    known = {f.column: f for f in kpi.KPI_FIELDS if f.level == "cell"}
    totals = {}
    for name, values in kpis.items():
        field = known.get(name)
        if field is not None and not field.over and field.unit != "ratio" and np.isfinite(values).any():
            totals[name] = float(np.nansum(values))
    return totals


def _read(source: Path, skip_bad: bool) -> Table:
    """Columns `end_s`, `duration_s`, `cell` and counters."""
    if not source.exists():
        raise InputError("recording", source, allowed="an existing folder or file", fix="check the path")
    files = sorted(p for p in source.iterdir() if p.is_file()) if source.is_dir() else [source]
    kinds: dict[str, list[Path]] = {"xml": [], "csv": [], "parquet": []}
    for path in files:
        name = path.name.lower()
        if name.startswith(CONFIGURATION) or name == "counters.csv":  # the latter explains measurement files
            continue
        kind = "xml" if name.endswith((".xml", ".xml.gz")) else path.suffix.lower()[1:]
        if kind in kinds:
            kinds[kind].append(path)
    found = [kind for kind, paths in kinds.items() if paths]
    if len(found) != 1:
        value = f"{source} with " + (" and ".join(found) if found else "no such files")
        allowed = "a folder of one kind: PM XML, CSV or Parquet"
        raise InputError("recording", value, allowed=allowed, fix="check the path")
    if found == ["xml"]:
        return _of_pm(kinds["xml"], skip_bad)
    return _of_table(_query(kinds[found[0]], found[0]), str(source))


def _of_pm(files: list[Path], skip_bad: bool) -> Table:
    table, _ = read_pm_xml(files, skip_bad=skip_bad)
    counters = {name: values for name, values in table.items() if name not in NO_COUNTERS}
    names = table["name"]
    if any(count > 1 for count in Counter(zip(table["end_s"].tolist(), names.tolist(), strict=True)).values()):
        names = table["object"]  # cells of one name in several elements
    return {
        "end_s": table["end_s"].astype(np.float64), "duration_s": table["duration_s"], "cell": names
    } | counters  # fmt: skip


def _query(files: list[Path], kind: str) -> Table:
    """All rows of some files of one kind, as columns."""
    import duckdb

    names = [str(path) for path in files]
    try:
        connection = duckdb.connect()
        read: Any = connection.read_csv if kind == "csv" else connection.read_parquet
        columns: dict[str, Any] = read(names, union_by_name=True).fetchnumpy()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        where = names[0] if len(names) == 1 else str(files[0].parent)
        raise InputError(
            "content", reason, allowed=f"whole {kind} files", fix="fetch them again", where=where
        ) from None
    return {name: _plain(values) for name, values in columns.items()}


def _plain(values: Any) -> Array:
    """Masked entries are missing: NaN in numbers, "" in texts."""
    if isinstance(values, np.ma.MaskedArray):
        if values.dtype.kind in "fiub":
            return np.ma.filled(values.astype(np.float64), np.nan)
        return np.ma.filled(values, "") if values.dtype.kind == "O" else np.ma.getdata(values)
    return np.asarray(values)


def _of_table(columns: Table, where: str) -> Table:
    time, cell = (_pick(columns, names, where) for names in (TIMES, CELLS))
    ends = columns[time]
    if ends.dtype.kind == "M":
        ends = ends.astype("datetime64[us]").astype(np.int64) / 1e6
    if ends.dtype.kind not in "fiu" or not np.isfinite(ends.astype(np.float64)).all():
        raise InputError(time, "not numbers", allowed="seconds or time stamps", fix="convert it", where=where)
    counters = {
        name: values.astype(np.float64)
        for name, values in columns.items()
        if name not in NO_COUNTERS and values.dtype.kind in "fiub"
    }
    if not counters:
        raise InputError("counters", "none", allowed="at least one column of numbers", fix="add one", where=where)
    n = len(ends)
    return {
        "end_s": ends.astype(np.float64),
        "duration_s": columns.get("duration_s", np.full(n, np.nan)).astype(np.float64),
        "cell": np.array([str(name) for name in columns[cell]], object),
    } | counters


def _pick(columns: Table, names: tuple[str, ...], where: str) -> str:
    for name in names:
        if name in columns:
            return name
    known = ", ".join(columns)
    raise InputError("columns", known, allowed=f"one of {', '.join(names)} among them", fix="name it so", where=where)


def _configuration(source: Path, cell: tuple[str, ...]) -> Table:
    """What the file beside the recording says; empty without one."""
    for kind in ("csv", "parquet"):
        path = source / f"{CONFIGURATION}.{kind}"
        if source.is_dir() and path.exists():
            break
    else:
        return {}
    columns = _query([path], kind)
    names = [str(name) for name in columns[_pick(columns, CELLS, str(path))]]
    values: Table = {}
    for setting, numbers in columns.items():
        if setting in CELLS:
            continue
        if setting not in TURNABLE:
            raise unknown_name("column", setting, [*CELLS[:1], *TURNABLE], where=str(path))
        values[setting] = np.full(len(cell), np.nan)
        for name, number in zip(names, numbers.astype(np.float64), strict=True):
            check_turn(Turn(name, setting, float(number)), cell, where=str(path))
            values[setting][cell.index(name)] = number
    return values
