"""The mirror: what a network measured, taken in record by record, kept, and asked for at any time.

Records come as networks send them: late, twice, out of order, in part, or wrong. The rule for each is below, in
`Counts`, and nothing is dropped in silence. What is asked of the mirror is `state`: the last good value of each counter
of each cell at some time, with its age, so that a gap shows as a gap and never as a zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64

from mndt.errors import InputError
from mndt.network.kpi import KPI_FIELDS
from mndt.plants import Configuration, Observation, UserSamples
from mndt.twin.mirror_records import Counts, Lags, Record, State
from mndt.twin.mirror_store import Rows, Store, empty_rows, join_rows

Array = np.ndarray

SKEW_S: Final = 1.0
"""How far ahead of its arrival a record may end: clocks differ. Assumed."""

GRID: Final = 1e-3
"""Share of a period by which a record's end may miss the grid of periods."""


LOOK_BACK_S: Final = 900.0
"""Older values than this are not taken for the present; assumed."""

_NEVER: Final = 2**62
"""A period that nobody lives to see."""


@dataclass
class _Period:
    """A period that records may still come for."""

    values: Float64[Array, "cells counters"]
    arrival_s: Float64[Array, "cells"]  # NaN: not there


class Mirror:
    """Measurements of one network, in one folder.

    Args:
        folder: of its tables; one that exists goes on where it ended.
        cell: names of the cells.
        counters: what each record should have.
        period_s: between two records of a cell; periods end at its multiples.
        window_s: how long after a newer period began records are still taken in.
        batch_s: how much time one part of the table holds; this much and the window are lost where a process is
            killed, and then counted as missing.

    Raises:
        InputError: the folder is another network's.

    An hour as it comes::

        mirror = Mirror("mirror", plant.cell, ["RRU.PrbTotDl", "DRB.UEThpDl"], period_s=10)
        for observation in plant.rest():
            mirror.take_observation(observation)
        mirror.close()
    """

    def __init__(
        self,
        folder: str | Path,
        cell: Sequence[str],
        counters: Sequence[str],
        *,
        period_s: float = 1.0,
        window_s: float = 30.0,
        batch_s: float = 60.0,
    ) -> None:
        if period_s <= 0 or window_s < 0 or batch_s < period_s:
            raise InputError("period_s", period_s, allowed="above 0, and no more than batch_s", fix="choose others")
        self.cell, self.counters, self.period_s = tuple(cell), tuple(counters), float(period_s)
        self._window, self._batch = math.ceil(window_s / period_s), math.ceil(batch_s / period_s)
        self._row = {name: row for row, name in enumerate(self.cell)}
        self._low, self._high = _ranges(self.counters)
        self._store = Store(Path(folder), self.cell, self.counters, self.period_s)
        self._open: dict[int, _Period] = {}
        self._waiting: list[Rows] = []  # closed, not written
        self._late: list[Rows] = []
        self._newest_of = np.full(len(self.cell), -1, np.int64)  # period, by cell
        self._last, self._last_end_s = self._latest(empty_rows(len(self.counters)))
        self.counts, self.lags = Counts(**self._store.counts), Lags()
        self._closed = self._newest = self._store.last_period
        # before the first record of all nothing can be missing; after those of a process before, it can
        self._earliest = self._closed + 1 if self._closed >= 0 else _NEVER
        if self._closed >= 0:
            last_s = self._closed * self.period_s
            self._last, self._last_end_s = self._latest(self._store.read(last_s - LOOK_BACK_S, last_s))

    # Taking in ---------------------------------------------------------------------------------

    def take_observation(self, observation: Observation) -> None:
        """All that one period of a network says, its configuration included."""
        names = [name for name in self.counters if name in observation.kpis]
        table = np.array([observation.kpis[name] for name in names], np.float64).reshape(len(names), -1)
        for row, name in enumerate(observation.cell):
            if np.isfinite(table[:, row]).any():  # else the record is not there
                values = dict(zip(names, table[:, row].tolist(), strict=True))
                self.take(Record(name, observation.end_s, observation.arrival_s, values))
        if observation.users is not None:
            self._store.add_users(observation.end_s, observation.users)
        if observation.configuration is not None:
            self.take_configuration(observation.configuration)

    def take(self, record: Record) -> None:
        """Take one record in; see `Counts` for what becomes of those that do not fit."""
        counts, row = self.counts, self._row.get(record.cell)
        if row is None:
            counts.unknown_cell += 1
            return
        number = self._number(record)
        if number is None:
            counts.impossible_time += 1
            return
        self.lags.add(record.arrival_s - record.end_s)
        if self._earliest == _NEVER:
            self._closed, self._newest = number - self._window - 1, number
        values = self._values(record)
        if number <= self._closed:
            counts.late += 1
            self._late.append(self._rows(number, np.array([row]), values[None], np.array([record.arrival_s])))
            return
        period = self._open.get(number) or self._begin(number)
        if not math.isnan(period.arrival_s[row]):
            same = np.array_equal(period.values[row], values, equal_nan=True)
            counts.duplicate += same
            counts.contradicting += not same
            return
        self._earliest = min(self._earliest, number)
        counts.taken += 1
        counts.out_of_order += bool(number < self._newest_of[row])
        self._newest_of[row] = max(self._newest_of[row], number)
        period.values[row], period.arrival_s[row] = values, record.arrival_s
        newer = ~np.isnan(values) & (record.end_s >= self._last_end_s[row])
        self._last[row, newer], self._last_end_s[row, newer] = values[newer], number * self.period_s
        if number > self._newest:
            self._newest = number
            self._close_until(number - self._window - 1)

    def take_configuration(self, configuration: Configuration) -> None:
        """What a network says it is set to; kept where it is another revision than the last one."""
        self._store.add_configuration(configuration)

    def flush(self) -> None:
        """Write what is closed."""
        if self._waiting or self._late or self._store.unwritten_users:
            self._store.write(self._waiting, self._late, asdict(self.counts))
            self._waiting, self._late = [], []

    def close(self) -> None:
        """Close all periods and write them: afterwards everything older is late."""
        self._close_until(self._newest)
        self.flush()

    # Asking ------------------------------------------------------------------------------------

    def state(self, time_s: float, *, known_s: float = math.inf, look_back_s: float = LOOK_BACK_S) -> State:
        """What was measured until some time.

        Args:
            time_s: periods that had ended by then count.
            known_s: records that had arrived by then count: what the twin knew when it decided.
            look_back_s: older values are none.
        """
        if known_s == math.inf and time_s >= self._newest * self.period_s:
            value, end_s = self._last, self._last_end_s  # kept up as records come in
        else:
            rows = self.rows(time_s - look_back_s, time_s)
            value, end_s = self._latest(rows.only(rows.arrival_s <= known_s))
        known = end_s > time_s - look_back_s
        value, end_s = np.where(known, value, np.nan), np.where(known, end_s, -np.inf)
        return State(time_s, self.cell, self.counters, value, time_s - end_s, self._store.configuration(time_s))

    def rows(self, begin_s: float, end_s: float) -> Rows:
        """Records that ended after `begin_s` and until `end_s`, in the order of time; late ones are not among them."""
        memory = [*self._waiting, *(self._rows_of(number) for number in sorted(self._open))]
        found = join_rows([self._store.read(begin_s, end_s), *memory], len(self.counters))
        found = found.only((found.end_s > begin_s) & (found.end_s <= end_s))
        return found.only(np.argsort(found.end_s, kind="stable"))

    def users(self, time_s: float) -> tuple[float, UserSamples] | None:
        """What users measured last at some time, where the network tells, and when that was."""
        return self._store.users(time_s)

    def metrics(self) -> dict[str, float]:
        """Counts, lags and the share of records that are missing."""
        expected = self.counts.taken + self.counts.missing
        return {
            **{name: float(number) for name, number in asdict(self.counts).items()},
            "missing_share": self.counts.missing / expected if expected else math.nan,
            "lag_median_s": self.lags.percentile_s(50.0),
            "lag_p95_s": self.lags.percentile_s(95.0),
            "lag_worst_s": self.lags.worst_s,
        }

    # Inside ------------------------------------------------------------------------------------

    def _number(self, record: Record) -> int | None:
        """The period a record is of; None where that cannot be."""
        if not (math.isfinite(record.end_s) and math.isfinite(record.arrival_s)):
            return None
        periods = record.end_s / self.period_s
        number = round(periods)
        on_grid, ahead_s = abs(periods - number) <= GRID, record.end_s - record.arrival_s
        return number if on_grid and number >= 0 and ahead_s <= SKEW_S else None

    def _values(self, record: Record) -> Float64[Array, "counters"]:
        values = np.array([record.values.get(name, math.nan) for name in self.counters], np.float64)
        # a network says NaN for what it did not measure; anything else that does not fit is wrong
        missing = np.isnan(values)
        wrong = ~missing & ~((values >= self._low) & (values <= self._high))
        self.counts.impossible_value += int(np.count_nonzero(wrong))
        self.counts.missing_value += int(np.count_nonzero(missing))
        values[wrong] = np.nan
        return values

    def _latest(self, rows: Rows) -> tuple[Array, Array]:
        """Of rows in the order of time the last good value in each place, and when it ended."""
        value = np.full((len(self.cell), len(self.counters)), np.nan)
        end_s = np.full(value.shape, -np.inf)
        for column in range(len(self.counters)):  # of values for one place the last one stays
            good = np.isfinite(rows.values[:, column])
            value[rows.row[good], column] = rows.values[good, column]
            end_s[rows.row[good], column] = rows.end_s[good]
        return value, end_s

    def _begin(self, number: int) -> _Period:
        shape = len(self.cell), len(self.counters)
        self._open[number] = period = _Period(np.full(shape, np.nan), np.full(shape[0], np.nan))
        return period

    def _close_until(self, last: int) -> None:
        """Nothing more is taken in for these periods; what is not there is missing."""
        filled = 0
        for number in sorted(number for number in self._open if number <= last):
            rows = self._rows_of(number)
            del self._open[number]
            self._waiting.append(rows)
            self.counts.missing += len(self.cell) - len(rows.row)
            filled += 1
        empty = max(0, last - max(self._closed + 1, self._earliest) + 1 - filled)
        self.counts.gaps += empty
        self.counts.missing += empty * len(self.cell)
        self._closed = max(self._closed, last)
        if self._waiting and self._closed - round(self._waiting[0].end_s[0] / self.period_s) + 1 >= self._batch:
            self.flush()

    def _rows_of(self, number: int) -> Rows:
        period = self._open.get(number)
        if period is None:
            return empty_rows(len(self.counters))
        there = np.flatnonzero(~np.isnan(period.arrival_s))
        return self._rows(number, there, period.values[there], period.arrival_s[there])

    def _rows(self, number: int, row: Array, values: Array, arrival_s: Array) -> Rows:
        return Rows(np.full(len(row), number * self.period_s), arrival_s.copy(), row, values.copy())


def _ranges(counters: Sequence[str]) -> tuple[Array, Array]:
    """What each counter can be: counts, powers and rates are not negative, shares end at 1 and 100."""
    units = {f.column: f.unit for f in KPI_FIELDS}
    low = [-np.inf if units.get(name) in ("dB", "dBm") else 0.0 for name in counters]
    high = [
        100.0 if units.get(name) == "%" else 1.0 if name.endswith(("Ratio", "Share")) else 1e18 for name in counters
    ]
    return np.array(low), np.array(high)
