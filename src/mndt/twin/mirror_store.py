"""Where the mirror keeps measurements: parts of Parquet, each written whole, and what the network was set to.

Any tool reads them::

    SELECT cell, avg("RRU.PrbTotDl") FROM 'mirror/kpis/*.parquet' GROUP BY cell
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64, Int

from mndt.checkpoint import write_atomically
from mndt.errors import InputError
from mndt.plants import Configuration, UserSamples
from mndt.runfolder import write_json

Array = np.ndarray

HEAD: Final = "mirror.json"
TABLE, LATE, USERS, CONFIGURATIONS = "kpis", "late", "users", "configurations"

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True)
class Rows:
    """Some records: row by row the end of the period, the arrival, the cell and its counters."""

    end_s: Float64[Array, "records"]
    arrival_s: Float64[Array, "records"]
    row: Int[Array, "records"]  # of the cell
    values: Float64[Array, "records counters"]  # NaN: missing

    def only(self, which: Bool[Array, "records"] | Int[Array, "some"]) -> Rows:
        """Some of them."""
        return Rows(self.end_s[which], self.arrival_s[which], self.row[which], self.values[which])


def empty_rows(n_counters: int) -> Rows:
    """No record."""
    return Rows(np.empty(0), np.empty(0), np.empty(0, np.intp), np.empty((0, n_counters)))


def join_rows(parts: Sequence[Rows], n_counters: int) -> Rows:
    """Some records after others."""
    parts = parts or [empty_rows(n_counters)]
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__dataclass_fields__))


class Store:
    """Tables of one mirror.

    Args:
        folder: is made where it does not exist.
        cell: names of the cells.
        counters: columns.
        period_s: of a record.

    Attributes:
        parts: first and last end of the periods of each part, by its path.
        last_period: the last one that was written, -1 where none was.
        counts: of the processes before.

    Raises:
        InputError: the folder has other cells, counters or periods, or cannot be written.
    """

    def __init__(self, folder: Path, cell: tuple[str, ...], counters: tuple[str, ...], period_s: float) -> None:
        self.folder, self._cell, self._counters = folder, cell, counters
        self._make = {"cell": list(cell), "counters": list(counters), "period_s": period_s}
        self.parts: dict[Path, tuple[float, float]] = {}
        self.counts: dict[str, int] = {}
        self.unwritten_users: list[tuple[float, UserSamples]] = []
        self._configurations: list[Configuration] = []
        try:
            for table in (TABLE, LATE, USERS, CONFIGURATIONS):
                (folder / table).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            allowed = "a folder that can be written"
            raise InputError("mirror", f"{folder} ({reason})", allowed=allowed, fix="choose another one") from None
        self._go_on()
        ends = [last for _, last in self.parts.values()]
        self.last_period = round(max(ends) / period_s) if ends else -1
        self._wake()

    def write(self, rows: Sequence[Rows], late: Sequence[Rows], counts: dict[str, int]) -> None:
        """Add a part, and say how far it goes."""
        number = len(self.parts)
        if rows:
            joined = join_rows(rows, len(self._counters))
            path = self._write_part(TABLE, number, joined)
            self.parts[path] = (float(joined.end_s.min()), float(joined.end_s.max()))
        if late:
            self._write_part(LATE, self._parts_of(LATE), join_rows(late, len(self._counters)))
        if self.unwritten_users:
            self._write_users()
        self.counts = dict(counts)
        self._write_head()

    def read(self, begin_s: float, end_s: float) -> Rows:
        """Records of the parts that touch these times."""
        import pyarrow.parquet as pq

        found = []
        for path, (first, last) in self.parts.items():
            if last > begin_s and first <= end_s:
                table = pq.read_table(path)
                values = [table[name].to_numpy() for name in self._counters]
                times = table["end_s"].to_numpy(), table["arrival_s"].to_numpy()
                found.append(Rows(*times, table["row"].to_numpy().astype(np.intp), np.stack(values, axis=1)))
        return join_rows(found, len(self._counters))

    def add_users(self, end_s: float, samples: UserSamples) -> None:
        """What users measured at the end of a period; written with the next part."""
        self.unwritten_users.append((end_s, samples))

    def users(self, time_s: float) -> tuple[float, UserSamples] | None:
        """The last samples until some time, and their time."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        recent = [found for found in self.unwritten_users if found[0] <= time_s]
        if recent:
            return max(recent, key=lambda found: found[0])
        for path in sorted((self.folder / USERS).glob("part-*.parquet"), reverse=True):
            table = pq.read_table(path, filters=pc.field("end_s") <= time_s)
            if len(table):
                last = pc.max(table["end_s"]).as_py()
                table = table.filter(pc.field("end_s") == last)
                return last, UserSamples(**{name: table[name].to_numpy() for name in UserSamples.__dataclass_fields__})
        return None

    def add_configuration(self, configuration: Configuration) -> None:
        """Keep a configuration that differs from the last one by its revision."""
        if self._configurations and self._configurations[-1].revision == configuration.revision:
            return
        values = {name: [_null(v) for v in array.tolist()] for name, array in configuration.values.items()}
        content = {
            "revision": configuration.revision, "time_s": configuration.time_s,
            "cell": list(configuration.cell), "values": values,
        }  # fmt: skip
        number = len(self._configurations)
        write_json(self.folder / CONFIGURATIONS / f"configuration-{number:06d}.json", content)
        self._configurations.append(configuration)

    def configuration(self, time_s: float) -> Configuration | None:
        """What the network was set to at some time, as it said by then."""
        known = [configuration for configuration in self._configurations if configuration.time_s <= time_s]
        return known[-1] if known else None

    # Inside ------------------------------------------------------------------------------------

    def _write_part(self, table: str, number: int, rows: Rows) -> Path:
        import pyarrow as pa

        names = pa.DictionaryArray.from_arrays(pa.array(rows.row.astype(np.int32)), pa.array(list(self._cell)))
        columns: dict[str, Any] = {"end_s": rows.end_s, "arrival_s": rows.arrival_s, "cell": names}
        columns["row"] = rows.row.astype(np.int32)
        columns |= {name: rows.values[:, column] for column, name in enumerate(self._counters)}
        return self._write_table(table, number, columns)

    def _write_users(self) -> None:
        """Positions and what was measured there, one row a user and period."""
        names = list(UserSamples.__dataclass_fields__)
        samples = sorted(self.unwritten_users, key=lambda found: found[0])
        columns = {"end_s": np.concatenate([np.full(len(s.x_m), end_s) for end_s, s in samples])}
        columns |= {name: np.concatenate([getattr(s, name) for _, s in samples]) for name in names}
        self._write_table(USERS, self._parts_of(USERS), columns)
        self.unwritten_users = []

    def _write_table(self, table: str, number: int, columns: dict[str, Any]) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / table / f"part-{number:06d}.parquet"
        content = pa.table(columns)
        write_atomically(path, lambda part: pq.write_table(content, part, compression="zstd"))
        return path

    def _wake(self) -> None:
        """Load what writing needs: the first part would else take half a second, while records wait."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        cell = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1, np.int32)), pa.array(["a"]))
        pq.write_table(pa.table({"cell": cell, "value": pa.array(np.zeros(1))}), pa.BufferOutputStream())

    def _parts_of(self, table: str) -> int:
        return len(list((self.folder / table).glob("part-*.parquet")))

    def _write_head(self) -> None:
        write_json(self.folder / HEAD, {"schema_version": SCHEMA_VERSION, **self._make, "counts": self.counts})

    def _go_on(self) -> None:
        """What a process before left."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        head = self.folder / HEAD
        if head.exists():
            try:
                raw = json.loads(head.read_text(encoding="utf-8"))
                made = {name: raw[name] for name in self._make}
                self.counts = dict(raw["counts"])
            except (OSError, ValueError, KeyError, TypeError):
                fix = "choose another folder"
                raise InputError("mirror", head, allowed="a mirror's own file", fix=fix) from None
            if raw.get("schema_version") != SCHEMA_VERSION or made != self._make:
                fix = "choose another folder"
                raise InputError(
                    "mirror",
                    f"{self.folder} of another network",
                    allowed="the same cells, counters and period",
                    fix=fix,
                )
        else:
            self._write_head()
        for path in sorted((self.folder / TABLE).glob("part-*.parquet")):
            ends = pq.read_table(path, columns=["end_s"])["end_s"]
            self.parts[path] = (float(pc.min(ends).as_py()), float(pc.max(ends).as_py()))
        for path in sorted((self.folder / CONFIGURATIONS).glob("configuration-*.json")):
            raw = json.loads(path.read_text(encoding="utf-8"))
            values = {name: np.array([np.nan if v is None else v for v in vs]) for name, vs in raw["values"].items()}
            self._configurations.append(Configuration(raw["revision"], raw["time_s"], tuple(raw["cell"]), values))


def _null(value: float) -> float | None:
    return value if np.isfinite(value) else None
