"""A network behind an MQTT 5 broker, and the other end: any network put behind one."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

import numpy as np

from mndt.plants import (
    Acknowledgement,
    Change,
    Configuration,
    EndedError,
    Observation,
    PhysicalNetwork,
    UnreachableError,
)
from mndt.plants import mqtt_messages as m
from mndt.plants.mqtt_link import Link

Array = np.ndarray

EXPIRES_S: Final = 30
"""How long a broker keeps a change: a network that was cut off must not find it hours later."""

REMEMBERED: Final = 100
"""Answers and configurations the twin's end keeps: what is older has been read or never will be."""

GRACE_S: Final = 0.2
"""How long a period is waited for after its end was heard, where cells are missing."""


class MqttPlant:
    """The twin's end.

    Args:
        name: of the network.
        broker: host and port.
        timeout_s: how long an observation, and an answer, may take.
        every: give every period that came since the last call, in order; else only what comes after a call, so that
            nothing old is ever taken for the present.

    Raises:
        UnreachableError: no broker, or no such network behind it.

    A network in the next room::

        with MqttPlant("city", ("10.0.0.7", 1883)) as plant:
            print(plant.observe().totals)
    """

    def __init__(
        self, name: str, broker: tuple[str, int] = ("127.0.0.1", 1883), *, timeout_s: float = 10.0, every: bool = False
    ) -> None:
        self._name, self._timeout_s, self._every = name, timeout_s, every
        self._news = threading.Condition()
        self._configuration: Configuration | None = None
        self._configurations: dict[int, Configuration] = {}  # by revision
        self._answers: dict[str, Acknowledgement] = {}
        self._cells: dict[float, dict[str, dict[str, Any]]] = {}  # end of a period -> cell -> message
        self._periods: list[tuple[dict[str, Any], float]] = []  # messages, and when they came
        self._last_s, self._ended = -np.inf, False
        self._link = Link(broker, [m.topic(name) + "/#"], self._hear, timeout_s=timeout_s)
        with self._news:
            if not self._news.wait_for(lambda: self._configuration is not None, timeout_s):
                self._link.close()
                raise UnreachableError(f"no network {name!r} has reported to the broker at {broker[0]}:{broker[1]}")

    def __enter__(self) -> MqttPlant:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def cell(self) -> tuple[str, ...]:
        """Names of its cells, as it last reported them."""
        assert self._configuration is not None  # `__init__` waited for it
        return self._configuration.cell

    def observe(self) -> Observation:
        """The next period.

        Raises:
            UnreachableError: nothing came in time.
            EndedError: the network has said that there is no more.
        """
        with self._news:
            if not self._every:
                self._periods.clear()
            if not self._news.wait_for(lambda: self._periods or self._ended, self._timeout_s):
                raise UnreachableError(f"no period came within {self._timeout_s:g} s")
            if not self._periods:
                raise EndedError("the network has ended")
            period, came = self._periods.pop(0)
            end_s = float(period["end_s"])
            self._news.wait_for(lambda: len(self._cells.get(end_s, ())) >= len(self.cell), GRACE_S)
            cells = self._cells.get(end_s, {})
            self._forget_until(end_s)
            self._last_s = end_s
            return _observation(period, cells, self.cell, came, self._configurations)

    def apply(self, change: Change) -> Acknowledgement:
        """Ask for a change and wait for the network's own answer.

        Raises:
            UnreachableError: no broker, or no answer in time.
        """
        with self._news:
            self._answers.pop(change.request, None)
        self._link.send(m.topic(self._name, m.DESIRED), m.change_to_json(change), kept=True, expires_s=EXPIRES_S)
        with self._news:
            if not self._news.wait_for(lambda: change.request in self._answers, self._timeout_s):
                raise UnreachableError(f"no answer came within {self._timeout_s:g} s")
            return self._answers[change.request]

    def close(self) -> None:
        """Say goodbye to the broker."""
        self._link.close()

    # In the client's thread --------------------------------------------------------------------

    def _hear(self, topic: str, content: dict[str, Any]) -> None:
        kind = topic.removeprefix(m.topic(self._name) + "/").partition("/")[0]
        with self._news:
            if kind == m.REPORTED:
                self._hear_report(content)
            elif kind == m.PM and isinstance(content.get("end_s"), int | float):
                self._cells.setdefault(float(content["end_s"]), {}).setdefault(m.cell_of(topic), content)
            elif kind == m.PERIOD and _is_period(content):
                known = {period["end_s"] for period, _ in self._periods} | {self._last_s}
                if content["end_s"] not in known:  # at least once may be twice
                    self._periods.append((content, time.time()))
            elif kind == m.END:
                self._ended = True
            self._news.notify_all()

    def _hear_report(self, content: dict[str, Any]) -> None:
        report = m.report_of_json(content)
        if report is None:
            return
        configuration, answer = report
        self._configuration = configuration
        self._configurations[configuration.revision] = configuration
        if answer is not None:
            self._answers[answer.request] = answer
        _forget(self._answers)
        _forget(self._configurations)

    def _forget_until(self, end_s: float) -> None:
        for old in [known for known in self._cells if known <= end_s]:
            del self._cells[old]


class MqttBridge:
    """The network's end: any network behind a broker.

    Args:
        plant: the network.
        name: it goes by.
        broker: host and port.
        configuration: what the network is set to now.
        timeout_s: how long a network without a broker waits for it before it goes on.

    Raises:
        UnreachableError: no broker.
    """

    def __init__(
        self,
        plant: PhysicalNetwork,
        name: str,
        broker: tuple[str, int] = ("127.0.0.1", 1883),
        *,
        configuration: Callable[[], Configuration],
        timeout_s: float = 1.0,
    ) -> None:
        self._plant, self._name, self._configuration = plant, name, configuration
        self._asked: queue.Queue[dict[str, Any]] = queue.Queue()
        self._last: Acknowledgement | None = None
        self._link = Link(
            broker, [m.topic(name, m.DESIRED)], lambda _, asked: self._asked.put(asked), timeout_s=timeout_s
        )
        self._report()

    def serve(self, periods: int | None = None, *, pace_s: float = 0.0, stop: threading.Event | None = None) -> None:
        """Observe and publish, period after period; carry out what is asked for in between.

        Args:
            periods: how many; None: until stopped, or until the network ends.
            pace_s: seconds from one period to the next, by the wall clock; 0: as fast as it goes.
            stop: set by another thread.
        """
        done = 0
        while (periods is None or done < periods) and not (stop is not None and stop.is_set()):
            due = time.monotonic() + pace_s
            self._answer_until(due)
            try:
                observation = self._plant.observe()
            except EndedError:
                break
            with suppress(UnreachableError):  # a network goes on without a broker; what is not published is missing
                self._report()
                self._publish(observation)
            done += 1
        with suppress(UnreachableError):
            self._link.send(m.topic(self._name, m.END), {})

    def close(self) -> None:
        """Say goodbye to the broker."""
        self._link.close()

    # Inside ------------------------------------------------------------------------------------

    def _answer_until(self, due: float) -> None:
        """Take up what is asked for, until the next period is due."""
        while True:
            left_s = due - time.monotonic()
            try:
                content = self._asked.get(timeout=left_s) if left_s > 0 else self._asked.get_nowait()
            except queue.Empty:
                return
            change = m.change_of_json(content)
            if change is not None:
                self._last = self._plant.apply(change)
                with suppress(UnreachableError):
                    self._report()

    def _report(self) -> None:
        self._link.send(m.topic(self._name, m.REPORTED), m.report_to_json(self._configuration(), self._last), kept=True)

    def _publish(self, observation: Observation) -> None:
        times = {"begin_s": observation.begin_s, "end_s": observation.end_s}
        for row, name in enumerate(observation.cell):
            values = {kpi: float(array[row]) for kpi, array in observation.kpis.items()}
            self._link.send(m.topic(self._name, m.PM, name), {**times, "values": values}, wait=False)
        revision = None if observation.configuration is None else observation.configuration.revision
        lag_s = observation.arrival_s - observation.end_s
        content = {**times, "totals": dict(observation.totals), "revision": revision, "sent": time.time() - lag_s}
        self._link.send(m.topic(self._name, m.PERIOD), content)


def _forget(known: dict[Any, Any]) -> None:
    for old in list(known)[:-REMEMBERED]:
        del known[old]


def _is_period(content: dict[str, Any]) -> bool:
    times = (content.get(name) for name in ("begin_s", "end_s", "sent"))
    totals = content.get("totals")
    return (
        all(isinstance(time_s, int | float) for time_s in times) and isinstance(totals, dict) and _are_numbers(totals)
    )


def _are_numbers(values: dict[str, Any]) -> bool:
    return all(value is None or isinstance(value, int | float) for value in values.values())


def _observation(
    period: dict[str, Any], cells: dict[str, dict[str, Any]], names: tuple[str, ...], came: float,
    configurations: dict[int, Configuration],
) -> Observation:  # fmt: skip
    """One period of what was heard; cells that are missing are NaN."""
    rows = [_values(cells.get(name, {})) for name in names]
    counters = dict.fromkeys(counter for row in rows for counter in row)
    kpis = {counter: m.numbers([row.get(counter) for row in rows]) for counter in counters}
    totals = {name: float("nan") if value is None else float(value) for name, value in period["totals"].items()}
    revision = period.get("revision")
    configuration = configurations.get(revision) if isinstance(revision, int) else None
    arrival_s = float(period["end_s"]) + max(0.0, came - float(period["sent"]))
    return Observation(
        float(period["begin_s"]), float(period["end_s"]), arrival_s, names, kpis, totals, None, configuration
    )


def _values(message: dict[str, Any]) -> dict[str, Any]:
    values = message.get("values")
    return values if isinstance(values, dict) and _are_numbers(values) else {}
