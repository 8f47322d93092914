"""A run handed on in formats that other tools read."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mndt import runfolder
from mndt.errors import InputError
from mndt.formats.pm_xml import Element, dn_value, file_name, write_pm_xml
from mndt.network import kpi

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.runfolder import Columns, Run

DAY: Final = date(2026, 1, 5)
"""A run knows the time of day only; this is the Monday that its first midnight is taken for."""

COUNTERS: Final = "counters.csv"
"""Unit and meaning of the exported counters, for which the XML format has no place."""

_CHUNK_S: Final = 600


def pm_xml(
    folder: str | Path, out: str | Path, *, period_s: int = 900, force: bool = False, day: date = DAY
) -> list[str]:
    """Write a run's table of cells as 3GPP performance measurement files (TS 32.435).

    Args:
        folder: of the run; an unfinished one gives the periods it has.
        out: the folder to make: one file a granularity period, and `COUNTERS`.
        period_s: length of a period, whole minutes up to a day. Periods begin at multiples of it; values of one
            that the run covers in part carry the flag ``suspect``.
        force: replace a folder that an earlier export made.
        day: date of the run's first midnight, UTC.

    Returns:
        What was written, in lines for people.

    Raises:
        InputError: no run, a period that file names cannot tell, or a folder that must not be written.
    """
    out = Path(out)
    if period_s % 60 or not 60 <= period_s <= 86_400:
        allowed = "whole minutes from 60 to 86400 s, for file names tell minutes"
        raise InputError("--period", f"{period_s} s", allowed=allowed, fix="choose another length")
    runfolder.refuse_existing(out, force, marker=COUNTERS)
    run = runfolder.read(folder)
    midnight = datetime.combine(day, time(), UTC)
    unique = str(run.info.get("name", "mndt"))
    elements = len(set(run.city.cells.site.tolist()))
    with runfolder.fresh_folder(out, replace_existing=force, marker=COUNTERS) as fresh:
        whole, names, files = 0, [], 0
        for first_s, period in _periods(run, period_s):
            begin = midnight + timedelta(seconds=first_s)
            end = begin + timedelta(seconds=period_s)
            values, complete = period.values(), period.seconds == period_s
            names, whole, files = list(values), whole + complete, files + 1
            path = fresh / file_name(begin, end, elements=elements, unique=unique)
            stations = _elements(run.city, np.stack(list(values.values()), axis=1), suspect=not complete)
            write_pm_xml(path, stations, names, begin, end, sender=f"ManagementNode={dn_value(unique)}")
        _write_counters(fresh / COUNTERS, names)
    many = "files" if files != 1 else "file"
    lines = [
        f"{files} {many} of {period_s} s in {out}: {len(run.city.cells)} cells, {len(names)} counters",
        f"units and definitions: {out / COUNTERS}",
    ]
    if files > whole:
        lines.append(f"covered in part, and flagged suspect: {files - whole}")
    return lines


def _periods(run: Run, period_s: int) -> Iterator[tuple[int, kpi.Period]]:
    """Beginning, in seconds since midnight, and cells of every period that the run touches."""
    cells, n_cells = run.cells, len(run.city.cells)
    times = run.kpis.fetchnumpy()["time_s"]
    for first_s in range(int(times.min()) // period_s * period_s, int(times.max()) + 1, period_s):
        period = kpi.Period("cell")
        for begin_s in range(first_s, first_s + period_s, _CHUNK_S):
            end_s = min(begin_s + _CHUNK_S, first_s + period_s)
            rows = cells.filter(f"time_s >= {begin_s} AND time_s < {end_s}").order("time_s, cell").fetchnumpy()
            period.add(_by_second(rows, n_cells))
        yield first_s, period


def _by_second(rows: Columns, n_cells: int) -> Columns:
    """Columns as [seconds, cells]."""
    return {name: np.ma.getdata(values).reshape(-1, n_cells) for name, values in rows.items()}


def _elements(city: City, values: np.ndarray, *, suspect: bool) -> Iterator[Element]:
    """Every station with its cells."""
    for site in np.unique(city.cells.site):
        rows = np.flatnonzero(city.cells.site == site)
        yield Element(
            dn=f"ManagedElement={dn_value(city.sites.name[site])}",
            objects=[f"GNBDUFunction=1,NRCellDU={dn_value(city.cells.name[row])}" for row in rows],
            values=values[rows],
            suspect=np.full(len(rows), suspect),
        )


def _write_counters(path: Path, names: list[str]) -> None:
    known = {f.column: f for f in kpi.KPI_FIELDS if f.level == "cell"}
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["name", "unit", "over_a_period", "clause_of_ts_28_552", "definition"])
        for name in names:
            f = known[name]
            table.writerow([name, f.unit, f.rule, f.clause, " ".join(f.definition.split())])
