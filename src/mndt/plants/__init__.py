"""What stands in for the physical network: seen by `observe`, turned by `apply`, and by nothing else.

The twin never looks behind `PhysicalNetwork`: an emulated network, recorded files and a real network's
management system are one and the same to it. Units are those of the border (dBm, degrees), names of
KPIs those of TS 28.552 (`mndt.network.kpi`), cells go by their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NoReturn, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int32

from mndt.city.schema import CELL_FIELDS
from mndt.errors import InputError, MndtError, unknown_name
from mndt.state import CellSettings, Status
from mndt.units import dbm_to_w, w_to_dbm

__all__ = [
    "NO_POWER_DBM",
    "TURNABLE",
    "Acknowledgement",
    "Change",
    "Configuration",
    "EndedError",
    "Observation",
    "PhysicalNetwork",
    "Turn",
    "Turnable",
    "UnreachableError",
    "UserSamples",
    "check_turn",
    "reported",
    "turned",
]

Array = np.ndarray

NO_POWER_DBM: Final = -99.0
"""What a cell of 0 W reports: files and messages have no room for minus infinity."""

SAME: Final = 1e-3
"""Two values of a setting closer than this are one: 32-bit watts do not keep every digit of a dBm."""


@dataclass(frozen=True)
class Turnable:
    """One setting of a cell that can be turned from outside."""

    name: str
    unit: str
    low: float
    high: float
    meaning: str


def _of_schema(name: str, meaning: str) -> Turnable:
    """Ranges are those of the inventory."""
    field = next(f for f in CELL_FIELDS if f.name == name)
    assert field.low is not None
    assert field.high is not None
    return Turnable(name, field.unit, field.low, field.high, meaning)


TURNABLE: Final[dict[str, Turnable]] = {
    setting.name: setting
    for setting in (
        _of_schema("power_dbm", "power budget of the cell, at most what it was built for"),
        _of_schema("azimuth_deg", "compass bearing of boresight"),
        _of_schema("mechanical_tilt_deg", "downwards positive"),
        _of_schema("electrical_tilt_deg", "downwards positive"),
        Turnable("handover_offset_db", "dB", -24.0, 24.0, "cell-individual offset (Q-OffsetRange, TS 38.331)"),
        Turnable("status", "", float(Status.ON), float(Status.OFF), "0 on, 1 asleep, 2 off"),
    )
}
"""What can be turned, by name."""


class UnreachableError(MndtError):
    """Nothing came back: what was asked may or may not have been done. Only an observation can tell."""


class EndedError(MndtError):
    """The network has no more observations to give, as at the end of a recording."""


@dataclass(frozen=True)
class Turn:
    """One value for one setting of one cell."""

    cell: str
    setting: str  # of TURNABLE
    value: float


@dataclass(frozen=True)
class Change:
    """Turns that a network carries out together or not at all.

    `request` names it: a network that gets the same one twice carries it out once. `revision` is the configuration
    it was made for; a network that has another one by now refuses. None: whatever it has.
    """

    request: str
    turns: tuple[Turn, ...]
    revision: int | None = None


@dataclass(frozen=True)
class Acknowledgement:
    """What a network answers to a `Change`."""

    request: str
    accepted: bool
    revision: int  # of the configuration that is in force now
    reason: str = ""  # of a refusal
    repeated: bool = False  # the answer to a request that was carried out before


@dataclass(frozen=True)
class Configuration:
    """What a network says its cells are set to. Never mixed with what somebody wants them to be."""

    revision: int  # grows by every change
    time_s: float  # when it was read, by the network's clock
    cell: tuple[str, ...]
    values: Mapping[str, Float64[Array, "cells"]]  # by names of TURNABLE; NaN where the network does not say

    def value(self, cell: str, setting: str) -> float:
        """One setting of one cell; NaN where the network does not say.

        Raises:
            InputError: no such cell.
        """
        if cell not in self.cell:
            raise unknown_name("cell", cell, self.cell)
        values = self.values.get(setting)
        return float("nan") if values is None else float(values[self.cell.index(cell)])

    def has(self, turn: Turn) -> bool:
        """Whether this is in force."""
        return bool(abs(self.value(turn.cell, turn.setting) - turn.value) <= SAME)


@dataclass(frozen=True)
class UserSamples:
    """What users measured at the end of a period, where a network tells: row u is a user."""

    x_m: Float32[Array, "users"]
    y_m: Float32[Array, "users"]
    serving: Int32[Array, "users"]  # row of the cell, -1 = none
    rsrp_dbm: Float32[Array, "users"]  # of the serving cell; -inf without one
    sinr_db: Float32[Array, "users"]  # -inf without a block
    rate_bps: Float32[Array, "users"]


@dataclass(frozen=True)
class Observation:
    """One period of a network as it was measured.

    Times are seconds by the network's clock, since the midnight of a scenario or since 1970, as the network counts;
    `arrival_s` is when the last record of the period was in, by the same clock.
    """

    begin_s: float
    end_s: float
    arrival_s: float
    cell: tuple[str, ...]
    kpis: Mapping[str, Float64[Array, "cells"]]  # NaN where a record is missing
    totals: Mapping[str, float]
    users: UserSamples | None = None
    configuration: Configuration | None = None

    @property
    def lag_s(self) -> float:
        """How late it came."""
        return self.arrival_s - self.end_s


@runtime_checkable
class PhysicalNetwork(Protocol):
    """A network that can be watched and, perhaps, turned."""

    def observe(self) -> Observation:
        """The next period.

        Raises:
            EndedError: there is none.
            UnreachableError: nothing came.
        """

    def apply(self, change: Change) -> Acknowledgement:
        """Ask for a change; it holds from the next period on.

        Raises:
            UnreachableError: no answer came; the change may or may not be in force.
        """


def check_turn(turn: Turn, cells: tuple[str, ...], *, where: str = "") -> None:
    """See whether a network of these cells could carry this out.

    Raises:
        InputError: an unknown cell or setting, or a value outside the setting's range.

    >>> check_turn(Turn("mast-1", "electrical_tilt_deg", 6.0), ("mast-1",))
    """
    if turn.cell not in cells:
        raise unknown_name("cell", turn.cell, cells, where=where)
    if turn.setting not in TURNABLE:
        raise unknown_name("setting", turn.setting, TURNABLE, where=where)
    setting, place = TURNABLE[turn.setting], f"{where}: {turn.cell}" if where else turn.cell
    if not setting.low <= turn.value <= setting.high:  # written so that NaN fails
        _refuse(turn, f"{setting.low:g} to {setting.high:g} {setting.unit}".strip(), place)
    if turn.setting == "status" and turn.value not in (0.0, 1.0, 2.0):
        _refuse(turn, setting.meaning, place)


def _refuse(turn: Turn, allowed: str, place: str) -> NoReturn:
    raise InputError(turn.setting, f"{turn.value:g}", allowed=allowed, fix="choose a value in this range", where=place)


def reported(settings: CellSettings, cell: tuple[str, ...], revision: int, time_s: float) -> Configuration:
    """Settings of the twin in the words of the border."""
    power_dbm = np.maximum(w_to_dbm(settings.power_w), NO_POWER_DBM)
    values = {name: np.asarray(getattr(settings, name), np.float64) for name in TURNABLE if name != "power_dbm"}
    return Configuration(revision, time_s, cell, {"power_dbm": power_dbm} | values)


def turned(settings: CellSettings, turns: tuple[Turn, ...], cell: tuple[str, ...]) -> CellSettings:
    """Settings of the twin after some turns; `settings` stays as it is.

    >>> one, none = np.ones(1, np.float32), np.zeros(1, np.float32)
    >>> before = CellSettings(one, none, none, none, none, np.zeros(1, np.int8))
    >>> turned(before, (Turn("mast-1", "power_dbm", 20.0),), ("mast-1",)).power_w.round(3).tolist()
    [0.10000000149011612]
    """
    row = {name: number for number, name in enumerate(cell)}
    arrays: dict[str, Array] = {}
    for turn in turns:
        name = "power_w" if turn.setting == "power_dbm" else turn.setting
        array = arrays.setdefault(name, getattr(settings, name).copy())
        silent = name == "power_w" and turn.value <= NO_POWER_DBM
        array[row[turn.cell]] = (0.0 if silent else dbm_to_w(turn.value)) if name == "power_w" else turn.value
    return replace(settings, **arrays)
