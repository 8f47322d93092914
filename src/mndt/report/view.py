"""What the report reads from runs, once: names, totals, cells, users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np

from mndt.errors import InputError

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.pictures.tables import Table
    from mndt.report.coverage import Coverage
    from mndt.report.incidents import Happening
    from mndt.scenario import Scenario

Array = np.ndarray
Columns = dict[str, Array]

TableName = Literal["areas", "cells", "events", "people", "journeys", "demand", "street"]

MOBILITY_KINDS: Final = ("handover", "refused", "handover-failure", "radio-link-failure")
"""Kinds of events that concern a serving cell, as `mndt.state.Mobility` has them."""

MISHAPS: Final = frozenset({"X.HandoversRefused", "X.HandoverFailures", "X.RadioLinkFailures", "X.PingPongs"})
"""Totals that mean something only where handover is simulated."""


class RunLike(Protocol):
    """What the report needs of a run: `mndt.runs.Run` has it all."""

    @property
    def folder(self) -> Path:
        """Where the run lies."""

    @property
    def info(self) -> dict[str, Any]:
        """run.json: versions, seed, start, steps and the city in figures."""

    @property
    def name(self) -> str:
        """The policy."""

    @property
    def scenario(self) -> Scenario:
        """The exact configuration."""

    @property
    def city(self) -> City:
        """The city it was made in."""

    @property
    def kpis(self) -> Table:
        """Totals, one row a second."""

    @property
    def cells(self) -> Table:
        """One row a second and cell."""

    @property
    def areas(self) -> Table:
        """One row a minute and area of interest; area -1 is the way."""

    @property
    def events(self) -> Table:
        """What happened to whom."""

    @property
    def users(self) -> Table:
        """Everyone, once a minute."""


@dataclass(frozen=True)
class RunView:
    """One run, read."""

    name: str  # unique on the page
    run: RunLike
    totals: Columns
    per_cell: Columns  # one value a cell, over the whole run

    @cached_property
    def summary(self) -> dict[str, float]:
        """Totals over the run."""
        from mndt.network.kpi import summarise

        return summarise({name: values for name, values in self.totals.items() if name != "time_s"})

    @cached_property
    def snapshot_s(self) -> int:
        """When everyone was last looked at; the last second where there is nobody."""
        last = int(plain(self.run.users.aggregate("coalesce(max(time_s), -1) AS last"))["last"][0])
        return last if last >= 0 else self.span_s[1] - 1

    @cached_property
    def snapshot(self) -> Columns:
        """Everyone at the last minute."""
        return plain(self.run.users.filter(f"time_s = {self.snapshot_s}"))

    @cached_property
    def rates(self) -> Columns:
        """Rates of active users at every minute; all the report reads of all snapshots, for they fill gigabytes."""
        return plain(self.run.users.filter('"X.Active"').project('"X.UserRate", "X.Active"'))

    @property
    def span_s(self) -> tuple[int, int]:
        """Its first second and the first one after it."""
        return int(self.totals["time_s"][0]), int(self.totals["time_s"][-1]) + 1

    @property
    def seconds(self) -> int:
        """How many were simulated."""
        return len(self.totals["time_s"])

    def total(self, column: str) -> float:
        """A total over the run; nan where the run did not record it, or where it cannot be other than 0."""
        if column in MISHAPS and not self.simulates_handover:
            return float("nan")
        return self.summary.get(column, float("nan"))

    @cached_property
    def simulates_handover(self) -> bool:
        """Whether users were handed over by event A3. A policy may name their cells anew every second instead:
        what it changes belongs to the second, while an A3 handover is dated to its milliseconds."""
        table = self.table("events", "offset_ms")
        if table is None:
            return True
        told = ", ".join(f"'{kind}'" for kind in MOBILITY_KINDS)
        found = plain(
            table.filter(f"kind IN ({told})").aggregate("count(*) AS events, count(*) FILTER (offset_ms > 0) AS timed")
        )
        return int(found["timed"][0]) > 0 or int(found["events"][0]) == 0

    def table(self, name: TableName, *columns: str) -> Table | None:
        """A table of the run, or None where an older version wrote the run and it lacks these columns."""
        try:
            found: Table | None = getattr(self.run, name, None)
        except InputError as error:
            if error.field == "run":  # no part of this table; a damaged one is another matter
                return None
            raise
        return found if found is not None and set(columns) <= set(found.columns) else None


@dataclass(frozen=True)
class View:
    """All runs, read; the first is the one that others are compared with."""

    runs: tuple[RunView, ...]
    coverage: Coverage | None

    @property
    def city(self) -> City:
        """The city of all runs."""
        return self.runs[0].run.city

    @property
    def names(self) -> list[str]:
        """Names of the runs."""
        return [run.name for run in self.runs]

    @cached_property
    def incidents(self) -> tuple[Happening, ...]:
        """What the scripts of the runs made happen, in order of time."""
        from mndt.report.incidents import happenings

        return happenings(self)


def view(runs: Sequence[RunLike], coverage: Coverage | None = None) -> View:
    """Read runs for the report.

    Raises:
        InputError: none given, or not of the same city.
    """
    if not runs:
        raise InputError("runs", "none", allowed="at least one run", fix="name a run folder")
    first = runs[0].city
    for run in runs[1:]:
        if (run.city.name, run.city.cells.name) != (first.name, first.cells.name):
            raise InputError(
                "runs",
                f"{first.name} with {len(first.cells)} cells and {run.city.name} with {len(run.city.cells)} cells",
                allowed="runs of the same city and cells",
                fix="write one report per city",
            )
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [f"{run.name}, {run.folder.name}" for run in runs]
    if len(set(names)) < len(names):
        names = [f"{name} ({row})" for row, name in enumerate(names, start=1)]
    return View(tuple(_read(run, name) for run, name in zip(runs, names, strict=True)), coverage)


def _read(run: RunLike, name: str) -> RunView:
    have = run.cells.columns
    sums = ", ".join(f'sum("{column}") AS "{column}"' for column in (*_NEEDED, *_WELCOME) if column in have)
    cells = plain(run.cells.aggregate(f"cell, count(*) AS seconds, {sums}", "cell"))
    return RunView(name, run, plain(run.kpis), over_time(cells, len(run.city.cells)))


def plain(table: Table) -> Columns:
    """The columns of a table as arrays."""
    return {name: np.ma.getdata(values) for name, values in table.fetchnumpy().items()}


_NEEDED: Final = (
    "RRC.ConnMean", "X.BelowMinimum", "RRU.PrbUsedDl", "RRU.PrbAvailDl", "DRB.PdcpSduVolumeDL", "X.TransmitPower",
)  # fmt: skip
_WELCOME: Final = ("PEE.AvgPower",)


def over_time(cells: Columns, n_cells: int) -> Columns:
    """Each cell over all seconds: means, and the volume per second as a rate.

    Args:
        cells: sums over some seconds, with their number in `seconds`; without it, a row is one second.
        n_cells: number of cells.

    Returns:
        Columns `block_use` (%), `connected` (users), `rate_bps` (delivered), `below` (users below the
        minimum of their service), `below_share` (of its connected users, %), `power_w` (radiated), and
        `consumed_w`, nan where it was not recorded.
    """
    row = np.asarray(cells["cell"], dtype=np.int64)
    seconds = np.maximum(np.bincount(row, cells.get("seconds"), minlength=n_cells), 1)

    def total(name: str) -> Array:
        return np.bincount(row, weights=np.asarray(cells[name], np.float64), minlength=n_cells)

    connected, below = total("RRC.ConnMean"), total("X.BelowMinimum")
    used, available = total("RRU.PrbUsedDl"), total("RRU.PrbAvailDl")
    return {
        "block_use": 100 * np.divide(used, available, out=np.zeros(n_cells), where=available > 0),
        "connected": connected / seconds,
        "rate_bps": 1e6 * total("DRB.PdcpSduVolumeDL") / seconds,
        "below": below / seconds,
        "below_share": 100 * np.divide(below, connected, out=np.zeros(n_cells), where=connected > 0),
        "power_w": total("X.TransmitPower") / seconds,
        "consumed_w": total("PEE.AvgPower") / seconds if "PEE.AvgPower" in cells else np.full(n_cells, np.nan),
    }
