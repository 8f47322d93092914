"""What is written down of people during a run: modes, journeys, demand, and one street.

Little enough for days of a whole city: a row a minute of modes, a row a journey, some thirty rows a minute of demand,
and of one street every vehicle each second of the first quarter of every hour.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from jaxtyping import Int8

from mndt.city.schema import SERVICES
from mndt.state import Kpis, Mode, NetworkState
from mndt.users.journeys import Ended, Journeys, follow
from mndt.users.population import CLUSTERS
from mndt.users.street import Street

Array = np.ndarray
Columns = dict[str, Array]

TABLES: Final = ("people", "journeys", "demand", "street")
"""Names of the tables."""

WATCH_S: Final = 900
"""The street is watched this long from the start of every hour of a run."""

SERVICE_NAMES: Final = (*(service.name for service in SERVICES), "idle")
UNKNOWN_CLUSTER: Final = "unknown"


class Census:
    """Collects seconds until `tables` is called.

    Args:
        journeys: of everyone at the start, `Journeys.of` at the first one.
        cluster: row of CLUSTERS of each user; None where users have none.
        street: to be watched; None for none.
        first_s: first second of the run.
    """

    def __init__(
        self, journeys: Journeys, cluster: Int8[Array, "users"] | None, street: Street | None, first_s: int
    ) -> None:
        self.journeys, self.street, self.first_s = journeys, street, first_s
        self.names = CLUSTERS if cluster is not None else (UNKNOWN_CLUSTER,)
        row = np.zeros(len(journeys.mode), np.intp) if cluster is None else np.asarray(cluster, np.intp)
        self._row = row * len(SERVICE_NAMES)
        self._clear()

    def _clear(self) -> None:
        self._times: list[int] = []
        self._modes = np.zeros(len(Mode), np.int64)
        self._began = self._given_up = 0
        self._ended: list[tuple[int, Ended]] = []
        n = len(self.names) * len(SERVICE_NAMES)
        self._bits, self._seconds = np.zeros(n), np.zeros(n, np.int64)
        self._street: list[tuple[int, tuple[Array, ...]]] = []

    def add(self, before: NetworkState, after: NetworkState, kpis: Kpis) -> None:
        """Take in the second from `before` to `after`."""
        time_s = kpis.time_s
        self._times.append(time_s)
        self._modes += np.bincount(after.users.mode + 1, minlength=len(Mode))
        self.journeys, ended, began = follow(self.journeys, before.users, after.users, time_s)
        self._began += began
        self._ended.append((time_s, ended))
        self._given_up += _given_up(after.mobility) - _given_up(before.mobility)
        column = self._row + np.where(after.service >= 0, after.service, len(SERVICES))
        self._bits += np.bincount(column, kpis.user_offered_bits, minlength=len(self._bits))
        present = after.users.mode != Mode.ABSENT
        self._seconds += np.bincount(column[present], minlength=len(self._seconds))
        if self.street is not None and (time_s - self.first_s) % 3600 < WATCH_S:
            self._street.append((time_s, self.street.find(before.users, after.users)))

    def tables(self) -> dict[str, Columns]:
        """The tables of the seconds since the last call."""
        found = {
            "people": self._people_rows(),
            "journeys": self._journey_rows(),
            "demand": self._demand_rows(),
            "street": self._street_rows(),
        }
        self._clear()
        return found

    def _people_rows(self) -> Columns:
        seconds = len(self._times)
        return {
            "time_s": np.array([self._times[0]], np.int32),
            "seconds": np.array([seconds], np.int32),
            **{mode.name.lower(): np.array([self._modes[mode + 1] / seconds]) for mode in Mode},
            "started": np.array([self._began], np.int32),
            "arrived": np.array([sum(len(ended.user) for _, ended in self._ended)], np.int32),
            "disconnected": np.array([self._given_up], np.int32),
        }

    def _journey_rows(self) -> Columns:
        ended = [e for _, e in self._ended]
        when = np.repeat([t + 1 for t, _ in self._ended], [len(e.user) for e in ended])
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(e, name) for e in ended])
            for name in ("user", "departure_s", "mode", "from_area", "to_area", "distance_m")
        }
        return {"user": columns.pop("user"), "arrival_s": when.astype(np.int32), **columns}

    def _demand_rows(self) -> Columns:
        some = np.flatnonzero(self._seconds)
        cluster, service = np.divmod(some, len(SERVICE_NAMES))
        return {
            "time_s": np.full(len(some), self._times[0], np.int32),
            "cluster": np.array([*self.names, ""])[cluster],
            "service": np.array(SERVICE_NAMES)[service],
            "user_seconds": self._seconds[some],
            "offered_bits": self._bits[some],
        }

    def _street_rows(self) -> Columns:
        names = ("user", "position_m", "speed_mps", "mode")
        found = [rows for _, rows in self._street]
        kinds = (np.int32, np.float32, np.float32, np.int8)
        empty = tuple(np.zeros(0, kind) for kind in kinds)
        columns = [np.concatenate(parts) for parts in zip(empty, *found, strict=True)]
        when = np.repeat([t + 1 for t, _ in self._street], [len(rows[0]) for rows in found])
        return {"time_s": when.astype(np.int32), **dict(zip(names, columns, strict=True))}


def _given_up(memory: Any) -> int:
    """Trips that a source of positions gave up since the start because no way leads there."""
    count = getattr(memory, "n_disconnected", None)
    return 0 if count is None else int(np.asarray(count).sum())
