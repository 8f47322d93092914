"""The run folder: what lies where, how it is written so that a kill never breaks it, how it is read.

```
run.json            schema version, status, versions, seed, policy, the city in figures, summary
scenario.toml       the exact configuration; `mndt run FOLDER/scenario.toml` repeats the run
city.npz            the city as it was
totals/part-*.parquet   one row a second          cells/part-*.parquet   one row a second and cell
areas/part-*.parquet    one row a minute and area that anybody was in
users/part-*.parquet    everyone, once a minute   events/part-*.parquet  what happened to whom
people/part-*.parquet   one row a minute: modes, journeys begun and ended
journeys/part-*.parquet one row a journey that ended
demand/part-*.parquet   one row a minute, cluster and service
street/part-*.parquet   vehicles on one street, each second of the first quarter of every hour
checkpoint.npz      the state after the last finished part
timings.json        wall-clock times: the only file that differs between equal runs
```

A part holds 60 steps. Every file is written beside its place and moved in, so a reader and a kill
at any moment find finished parts only.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mndt.checkpoint import unwritable, write_atomically
from mndt.errors import InputError
from mndt.network import kpi
from mndt.state import Kpis, Mobility, NetworkState, NoWay

if TYPE_CHECKING:
    import duckdb

    from mndt.city.model import City
    from mndt.network.incidents import Entry
    from mndt.scenario import Scenario

SCHEMA_VERSION: Final = 1
"""Version of the folder's layout."""

STEPS_PER_PART: Final = 60
TABLES: Final = ("totals", "cells", "areas", "events", "users", "people", "journeys", "demand", "street")

_LEVELS: Final = {"totals": "total", "cells": "cell", "users": "user", "areas": "area"}
Columns = dict[str, np.ndarray]
"""A table: column name -> one value a row."""


@dataclass(frozen=True)
class Run:
    """A run on disk, finished or not. Tables are read when asked for, through DuckDB.

    Each table is a DuckDB relation: ``run.kpis.df()`` gives a pandas frame, ``.fetchnumpy()`` a dict
    of arrays, ``.filter('"X.OutageRatio" > 0.1')`` another relation.

    The seconds with the most outage::

        run = mndt.read_run("runs/helsinki-fundamentals-1")
        print(run.kpis.order('"X.OutageRatio" DESC').limit(5))
    """

    folder: Path
    info: dict[str, Any]  # run.json

    @property
    def finished(self) -> bool:
        """Whether every step was simulated."""
        return bool(self.info["status"] == "finished")

    @property
    def name(self) -> str:
        """Short name for tables and pictures: the policy's."""
        return str(self.info["policy"])

    @property
    def summary(self) -> dict[str, float]:
        """Totals over the whole run, see `mndt.network.kpi.summarise`; empty while it is unfinished."""
        return dict(self.info.get("summary") or {})

    @cached_property
    def scenario(self) -> Scenario:
        """The exact configuration."""
        from mndt.scenario import load

        return load(self.folder / "scenario.toml")

    @cached_property
    def city(self) -> City:
        """The city the run was made in."""
        from mndt.city.store import load_city

        return load_city(self.folder / "city.npz")

    @property
    def kpis(self) -> duckdb.DuckDBPyRelation:
        """Totals of the network, one row a second."""
        return self.table("totals")

    @property
    def cells(self) -> duckdb.DuckDBPyRelation:
        """One row a second and cell."""
        return self.table("cells")

    @property
    def areas(self) -> duckdb.DuckDBPyRelation:
        """One row a minute and area of interest that anybody was in; area -1 is the way."""
        return self.table("areas")

    @property
    def events(self) -> duckdb.DuckDBPyRelation:
        """Handovers and what hindered them, outages, scripted incidents."""
        return self.table("events")

    @property
    def users(self) -> duckdb.DuckDBPyRelation:
        """Everyone, once a minute."""
        return self.table("users")

    @property
    def people(self) -> duckdb.DuckDBPyRelation:
        """How people moved, one row a minute."""
        return self.table("people")

    @property
    def journeys(self) -> duckdb.DuckDBPyRelation:
        """Journeys that ended: who, from where, whither, how far, by what."""
        return self.table("journeys")

    @property
    def demand(self) -> duckdb.DuckDBPyRelation:
        """What was asked for, one row a minute, cluster and service."""
        return self.table("demand")

    @property
    def street(self) -> duckdb.DuckDBPyRelation:
        """Vehicles on one street, each second of the first quarter of every hour."""
        return self.table("street")

    def table(self, name: str) -> duckdb.DuckDBPyRelation:
        """One of the tables `TABLES`, in the order of time.

        Raises:
            InputError: nothing has been simulated yet.
        """
        import duckdb

        parts = [str(path) for path in sorted((self.folder / name).glob("part-*.parquet"))]
        if not parts:
            raise InputError(
                "run",
                self.folder,
                allowed="a run with at least one finished part",
                fix="finish it with mndt run --resume",
            )
        for part in parts:
            _refuse_damaged(Path(part))
        return duckdb.connect().read_parquet(parts)


def _refuse_damaged(part: Path) -> None:
    """A Parquet file ends with its magic bytes; one that was cut off does not."""
    with part.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 4))
        if file.read() != b"PAR1":
            raise InputError(
                "part", part, allowed="a whole Parquet file", fix="copy the run again, or delete it and run anew"
            )


def read(folder: str | Path) -> Run:
    """Open a run folder.

    Raises:
        InputError: it is none, or another version wrote it.

    What it came to::

        print(mndt.read_run("runs/helsinki-fundamentals-1").summary)
    """
    folder = Path(folder)
    try:
        info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        version = info["schema_version"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            "run", folder, allowed="a run folder of mndt (it holds run.json)", fix="check the path"
        ) from None
    if version != SCHEMA_VERSION:
        raise InputError(
            "schema_version",
            version,
            allowed=str(SCHEMA_VERSION),
            fix="use the version of mndt that wrote it",
            where=str(folder / "run.json"),
        )
    return Run(folder, info)


# Writing ---------------------------------------------------------------------------------------


@contextmanager
def fresh_folder(target: Path, *, replace_existing: bool = False, marker: str = "run.json") -> Iterator[Path]:
    """A hidden neighbour of `target` to fill; it becomes `target` when the block ends well.

    Raises:
        InputError: `target` exists, or the disk refuses.
    """
    refuse_existing(target, replace_existing, marker)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        hidden.mkdir()
    except OSError as error:
        raise unwritable(target, error) from None
    try:
        yield hidden
        if target.exists() and replace_existing:
            shutil.rmtree(target)
        os.rename(hidden, target)
    except OSError as error:
        raise unwritable(target, error) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def refuse_existing(target: Path, replace_existing: bool, marker: str = "run.json") -> None:
    """Raise InputError where `target` would be overwritten, or must not be: a folder of the same
    make holds the file `marker`."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not replace_existing:
        fix = "choose another one with --out, or add --force to replace it"
        raise InputError("out", f"{target} (exists)", allowed="a new folder", fix=fix)
    if not (target / marker).is_file():
        what = f"{target} (holds no {marker})"
        raise InputError(
            "out", what, allowed="a new folder or one of the same make", fix="choose another one with --out"
        )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON for people and programs, atomically; equal content gives equal bytes."""
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Write a text, atomically."""
    write_atomically(path, lambda part: _write_text(part, text))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def write_part(folder: Path, table: str, number: int, columns: Columns) -> None:
    """Write part `number` of a table, atomically; equal columns give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = [pa.array(values) for values in columns.values()]
    units = {f.column: {"unit": f.unit} for f in kpi.KPI_FIELDS if f.level == _LEVELS.get(table)}
    schema = [pa.field(n, a.type, metadata=units.get(n)) for n, a in zip(columns, arrays, strict=True)]
    content = pa.Table.from_arrays(arrays, schema=pa.schema(schema))
    place = folder / table
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(place, error) from None
    write_atomically(
        place / f"part-{number:04d}.parquet",
        lambda part: pq.write_table(content, part, compression="zstd", version="2.6"),
    )


def drop_parts(folder: Path, first: int) -> None:
    """Remove what a kill left over: parts from number `first` on, which are newer than the checkpoint
    and will be written anew, and files that were still being written."""
    for left_over in folder.rglob(".*.part"):
        left_over.unlink()
    for table in TABLES:
        for path in (folder / table).glob("part-*.parquet"):
            if int(path.stem.removeprefix("part-")) >= first:
                path.unlink()


# What is recorded ------------------------------------------------------------------------------


class Part:
    """The steps since the last part was written, as rows of its tables."""

    def __init__(self) -> None:
        self.kpis: Kpis | None = None  # of the last second
        self._times: list[int] = []
        self._totals: list[dict[str, float]] = []
        self._cells: list[Columns] = []
        self._areas = kpi.Period("area")
        self._events: list[Columns] = []

    def add(self, kpis: Kpis, happened: Columns) -> None:
        """Take in what was measured in one second, and its `events`."""
        self.kpis = kpis
        self._times.append(kpis.time_s)
        self._totals.append(kpi.total_row(kpis))
        self._cells.append(kpi.cell_columns(kpis))
        self._areas.add({name: values[np.newaxis] for name, values in kpi.area_columns(kpis).items()})
        self._events.append(happened)

    def tables(self, state: NetworkState) -> dict[str, Columns]:
        """The tables of this part; `state` is the one after its last step."""
        assert self.kpis is not None  # a part has one second at least
        return {
            "totals": self._total_rows(),
            "cells": self._cell_rows(),
            "areas": self._area_rows(),
            "events": join(self._events),
            "users": users(self.kpis, state),
        }

    def _total_rows(self) -> Columns:
        names = self._totals[0]
        return {"time_s": np.array(self._times, np.int32)} | {
            name: np.array([row[name] for row in self._totals]) for name in names
        }

    def _cell_rows(self) -> Columns:
        columns, seconds = join(self._cells), len(self._times)
        n_cells = len(next(iter(columns.values()))) // seconds
        return {
            "time_s": np.repeat(np.array(self._times, np.int32), n_cells),
            "cell": np.tile(np.arange(n_cells, dtype=np.int32), seconds),
        } | columns

    def _area_rows(self) -> Columns:
        """Areas that anybody was in; the last row, the way, is area -1 and comes first."""
        columns = {name: np.roll(values, 1) for name, values in self._areas.values().items()}
        visited = np.flatnonzero(columns["X.Users"] > 0)
        return {
            "time_s": np.full(len(visited), self._times[0], np.int32),
            "seconds": np.full(len(visited), len(self._times), np.int32),
            "area": (visited - 1).astype(np.int32),
        } | {name: values[visited] for name, values in columns.items()}


def users(kpis: Kpis, state: NetworkState) -> Columns:
    """One row a user: where it is, what it wants, who serves it, and its KPIs."""
    n_users = len(state.users)
    return (
        {"time_s": np.full(n_users, kpis.time_s, np.int32), "user": np.arange(n_users, dtype=np.int32)}
        | {f.name: getattr(state.users, f.name) for f in dataclasses.fields(state.users)}
        | {"service": state.service, "serving": state.serving, "connected": state.connected}
        | kpi.user_columns(kpis)
    )


def join(parts: Sequence[Columns]) -> Columns:
    """One table out of several with the same columns."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def events(
    before: NetworkState,
    after: NetworkState,
    kpis: Kpis,
    was_out: np.ndarray,
    incidents: Sequence[Entry] = (),
) -> Columns:
    """What happened in one second: scripted incidents, then what happened to serving cells, then
    users going into and coming out of outage, then trips given up because no way leads there.

    Args:
        before, after: the state at both ends of the second.
        kpis: measured in it.
        was_out: bool[users], who was in outage the second before.
        incidents: of the script, that begin or end in this second.

    Returns:
        Columns time_s; offset_ms into the second, 0 for what concerns all of it; kind: of an
        incident, or handover, refused, handover-failure, radio-link-failure (`mndt.state.Mobility`),
        outage, recovery, no-way; phase: of an incident; user, -1 = none; cell (serving now, -1 = none);
        from_cell (serving before); ping_pong; target: of an incident, and of a trip its areas.
    """
    log, lost = kpis.mobility, _lost(after, kpis.time_s)
    out, back = np.flatnonzero(kpis.user_outage & ~was_out), np.flatnonzero(was_out & ~kpis.user_outage)
    other = np.concatenate([out, back, lost.user]).astype(np.int32)
    way = [f"area {a} to area {b}" for a, b in zip(lost.from_area.tolist(), lost.to_area.tolist(), strict=True)]
    nowhere = np.full(len(incidents), -1, np.int32)
    few, many = len(incidents), len(log) + len(other)
    still = np.zeros(len(other), np.bool_)
    return {
        "time_s": np.full(few + many, kpis.time_s, np.int32),
        "offset_ms": np.concatenate([np.zeros(few, np.int32), log.offset_ms, np.zeros(len(other), np.int32)]),
        "kind": np.concatenate(
            [
                _texts(e.kind for e in incidents),
                _KINDS[log.kind],
                np.repeat(_OTHER, [len(out), len(back), len(lost.user)]),
            ]
        ),
        "phase": np.concatenate([_texts(e.phase for e in incidents), np.full(many, "")]),
        "user": np.concatenate([nowhere, log.user, other]),
        "cell": np.concatenate([nowhere, log.to_cell, after.serving[other]]),
        "from_cell": np.concatenate([nowhere, log.from_cell, before.serving[other]]),
        "ping_pong": np.concatenate([np.zeros(few, np.bool_), log.ping_pong, still]),
        "target": np.concatenate([_texts(e.target for e in incidents), np.full(many - len(way), ""), _texts(way)]),
    }


def _lost(after: NetworkState, time_s: int) -> NoWay:
    """Trips given up in a second, of sources that tell."""
    lost = getattr(after.mobility, "no_way", NoWay(*np.zeros((4, 0), np.int32)))
    now = lost.time_s == time_s
    return NoWay(*(column[now] for column in vars(lost).values()))


_KINDS: Final = np.array([kind.name.lower().replace("_", "-") for kind in Mobility])
_OTHER: Final = np.array(["outage", "recovery", "no-way"])


def _texts(values: Iterable[str]) -> np.ndarray:
    found = list(values)
    return np.array(found) if found else np.empty(0, "U1")
