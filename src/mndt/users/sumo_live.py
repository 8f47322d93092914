"""A live SUMO scenario as the source of positions, through libsumo (extra `plant`).

Every vehicle and every person of the scenario is a user while it is on the map. A user that enters
gets the lowest row that nobody has had for `REST_S`, so that what the network kept for the last one
has gone; who finds no row waits until one is free, and that is told. SUMO runs at steps of one
second with the seed of the run. Its state is not saved: to go on with a run, the scenario is
replayed from its begin, which gives the same positions.
"""

from __future__ import annotations

import atexit
import logging
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float64, Int8, Int32, Int64

from mndt.city.model import Frame
from mndt.errors import InputError
from mndt.formats.geo import Box, NetPlace, net_place
from mndt.state import Mode, Users
from mndt.streams import Streams

Array = np.ndarray

REST_S: Final = 10
"""Seconds a row stays empty between two users."""

NAME: Final = "U48"
"""SUMO's ids as kept in the memory; longer ones are cut."""

_log = logging.getLogger(__name__)
_PERSON: Final = "person "


@dataclass(frozen=True)
class SumoMemory:
    """Memory of `SumoMobility`: who is in which row, and where the live scenario stands."""

    holder: Any  # texts[users]: id in SUMO, "" for a free row; persons begin with "person "
    left_s: Int64[Array, "users"]  # second in which a free row became free
    seed: Int64[Array, "1"]
    begin_s: Int64[Array, "1"]  # second of the run at which the scenario begins
    n_waiting: Int64[Array, "1"]  # users on the map without a row, now


@dataclass(frozen=True)
class Snapshot:
    """Everyone in SUMO at one moment."""

    name: Any  # texts
    x_m: Float64[Array, "agents"]
    y_m: Float64[Array, "agents"]
    speed_mps: Float64[Array, "agents"]
    mode: Int8[Array, "agents"]


class SumoMobility:
    """Positions from a live SUMO scenario.

    Args:
        config: the .sumocfg.
        frame: the city's box.
        n_users: rows of the population: at most so many are there at once.
        offset_m: where the net's origin lies in the city, for nets without a projection.

    Raises:
        InputError: libsumo is missing, the scenario does not load, or its net lies nowhere.

    The run's first second is the scenario's begin, whatever the clock says.
    """

    def __init__(
        self, config: str | Path, frame: Frame, n_users: int, offset_m: tuple[float, float] | None = None
    ) -> None:
        self.config, self.frame, self._n_users = Path(config), frame, n_users
        self.box = Box(frame.epsg, frame.origin_easting_m, frame.origin_northing_m)
        self.place: NetPlace = net_place(net_of(self.config), offset_m)
        self._live = _Live(self.config)

    @property
    def n_users(self) -> int:
        """Rows of the population."""
        return self._n_users

    def start(self, time_s: int, streams: Streams) -> tuple[SumoMemory, Users]:
        """Begin the scenario; who departs in its first second comes with the first step."""
        n = self.n_users
        memory = SumoMemory(
            holder=np.zeros(n, NAME),
            left_s=np.full(n, time_s - REST_S, np.int64),
            seed=np.array([streams.seed], np.int64),
            begin_s=np.array([time_s], np.int64),
            n_waiting=np.zeros(1, np.int64),
        )
        self._live.go_to(streams.seed, 0)
        return memory, _nobody(n)

    def step(self, memory: SumoMemory, time_s: int, streams: Streams) -> tuple[SumoMemory, Users]:
        """Let the scenario run to the end of this second; replay it where it stands elsewhere."""
        self._live.go_to(int(memory.seed[0]), time_s + 1 - int(memory.begin_s[0]))
        name, x, y, speed, mode = self._live.everyone()
        x_m, y_m = self.place.metres(self.box, x, y) if len(x) else (x, y)
        on_map = (x_m >= 0) & (x_m <= self.frame.width_m) & (y_m >= 0) & (y_m <= self.frame.depth_m)
        seen = Snapshot(*(np.asarray(values)[on_map] for values in (name, x_m, y_m, speed, mode)))
        memory, row = seat(memory, seen.name, time_s + 1)
        users, there = _nobody(self.n_users), row >= 0
        users.x_m[row[there]], users.y_m[row[there]] = seen.x_m[there], seen.y_m[there]
        users.speed_mps[row[there]], users.mode[row[there]] = seen.speed_mps[there], seen.mode[there]
        return memory, users


def seat(memory: SumoMemory, names: Any, time_s: int) -> tuple[SumoMemory, Int32[Array, "agents"]]:
    """A row for everyone who is there: their own, or, for who enters, the lowest that has rested.

    Args:
        memory: who held which row a second ago.
        names: texts[agents], everyone who is there now, in SUMO's order.
        time_s: now.

    Returns:
        The memory, and each one's row; -1 for who has to wait.
    """
    row = np.full(len(names), -1, np.int32)
    holder, left_s = memory.holder.copy(), memory.left_s.copy()
    taken = np.flatnonzero(holder != "")
    order = np.argsort(names, kind="stable")
    at = np.minimum(np.searchsorted(names[order], holder[taken]), max(len(names) - 1, 0))
    stays = names[order][at] == holder[taken] if len(names) else np.zeros(len(taken), bool)
    row[order[at[stays]]] = taken[stays]
    gone = taken[~stays]
    holder[gone], left_s[gone] = "", time_s
    new = np.flatnonzero(row < 0)
    free = np.flatnonzero((holder == "") & (time_s - left_s >= REST_S))[: len(new)]
    row[new[: len(free)]] = free
    holder[free] = names[new[: len(free)]]
    waiting = len(new) - len(free)
    if waiting and not memory.n_waiting[0]:
        _log.warning(
            "%d of %d users of SUMO find no row at second %d of the day and wait outside: raise users.count",
            waiting, len(names), time_s,
        )  # fmt: skip
    return replace(memory, holder=holder, left_s=left_s, n_waiting=np.array([waiting], np.int64)), row


def net_of(config: Path) -> Path:
    """The net file a .sumocfg names.

    Raises:
        InputError: no such file, no configuration, or none that names a net.
    """
    try:
        root = ElementTree.parse(config).getroot()
    except (OSError, ElementTree.ParseError) as error:
        reason = getattr(error, "strerror", None) or "no XML"
        raise InputError(
            "mobility.file", f"{config} ({reason})", allowed="a .sumocfg of SUMO", fix="check the path"
        ) from None
    entry = root.find(".//net-file")
    value = "" if entry is None else entry.get("value", entry.get("v", ""))
    if not value:
        raise InputError("net-file", "missing", allowed="the path of a net", fix="add it", where=str(config))
    return config.parent / value


class _Live:
    """The one SUMO that libsumo runs in this process, and where it stands."""

    _owner: _Live | None = None

    def __init__(self, config: Path) -> None:
        try:
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # what it thinks of other packages' versions
                import libsumo
        except ImportError:
            raise InputError(
                "mobility.source", "sumo", allowed="own or tracks without libsumo",
                fix="install it with: pip install 'mndt[plant]'",
            ) from None  # fmt: skip
        self.sumo: Any = libsumo
        self.config, self.seed, self.second = config, -1, -1
        self._mode_of: dict[str, int] = {}

    def go_to(self, seed: int, second: int) -> None:
        """Let the scenario stand a number of seconds after its begin: onward, or from its begin anew."""
        if _Live._owner is not self or self.seed != seed or self.second > second or self.second < 0:
            self._begin(seed)
        try:
            for _ in range(second - self.second):
                self.sumo.simulationStep()
        except Exception as error:
            raise self._failed(error) from None
        self.second = second

    def everyone(self) -> tuple[Any, Array, Array, Array, Array]:
        """Ids, positions in the net, speeds and modes of all vehicles and persons."""
        vehicle, person = self.sumo.vehicle, self.sumo.person
        cars, people = vehicle.getIDList(), person.getIDList()
        at = [vehicle.getPosition(k) for k in cars] + [person.getPosition(k)[:2] for k in people]
        speed = [vehicle.getSpeed(k) for k in cars] + [person.getSpeed(k) for k in people]
        mode = [self._mode(k) for k in cars]
        mode += [Mode.CAR if person.getVehicle(k) else Mode.WALK for k in people]
        xy = np.array(at, float).reshape(-1, 2)
        names = np.array([*cars, *(_PERSON + k for k in people)], NAME)
        # a parked vehicle has SUMO's invalid speed
        return names, xy[:, 0], xy[:, 1], np.maximum(np.array(speed, float), 0.0), np.array(mode, np.int8)

    def _mode(self, vehicle: str) -> int:
        sort = self.sumo.vehicle.getTypeID(vehicle)
        if sort not in self._mode_of:
            kind = self.sumo.vehicle.getVehicleClass(vehicle)
            self._mode_of[sort] = {"bicycle": Mode.BICYCLE, "pedestrian": Mode.WALK}.get(kind, Mode.CAR)
        return self._mode_of[sort]

    def _begin(self, seed: int) -> None:
        if _Live._owner is not None:
            self.sumo.close()
        else:
            atexit.register(_close)
        _Live._owner = None
        options = ["--seed", str(seed % 2**31), "--step-length", "1", "--no-step-log", "--no-warnings"]
        try:
            self.sumo.start([shutil.which("sumo") or "sumo", "-c", str(self.config), *options])
        except Exception as error:
            raise self._failed(error) from None
        _Live._owner, self.seed, self.second = self, seed, 0

    def _failed(self, error: Exception) -> InputError:
        what = f"'{' '.join(str(error).split())[:120] or 'it stops'}'"
        return InputError(
            "SUMO", what, allowed="a scenario that sumo -c runs", fix="mend the scenario", where=str(self.config)
        )


def _close() -> None:
    """Let SUMO end its files as the program ends."""
    if _Live._owner is not None:
        _Live._owner.sumo.close()
        _Live._owner = None


def _nobody(n: int) -> Users:
    none = np.zeros((3, n), np.float32)
    return Users(none[0], none[1], none[2], np.full(n, Mode.ABSENT, np.int8), np.full(n, -1, np.int32))
