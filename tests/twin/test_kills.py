"""A process that dies at any moment of an activation: the next one finds out, and ends it in a known state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_network import FakeNetwork, settings_of

from mndt.plants import Turn
from mndt.twin.activation import Activator
from mndt.twin.audit import LOG, Audit
from mndt.twin.desk import Desk, RefusedError
from mndt.twin.guard import Prediction
from mndt.twin.plan import ActivationMode, ActivationResult, Confirmation, JobState, PlanDescriptor

GOOD = Prediction(0.95, 0.95, 0.05, 0.05)
TURNS = (Turn("a", "power_dbm", 28.0), Turn("b", "power_dbm", 28.0))
ROLLED_BACK = ActivationResult.ACTIVATION_FAILED_ROLLED_BACK


class Killed(BaseException):
    """The end of a process: nothing it does afterwards has any effect."""


class Mortal:
    """Counts what a process does to the world, and lets it die at the n-th: before it, or after it, unanswered."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at, self.after, self.done = at, after, 0

    def wrap(self, do: Callable[..., Any]) -> Callable[..., Any]:
        def mortal(*args: Any, **kwargs: Any) -> Any:
            number, self.done = self.done, self.done + 1
            if number > self.at or (number == self.at and not self.after):
                raise Killed
            answer = do(*args, **kwargs)
            if number == self.at:
                raise Killed
            return answer

        return mortal


class Proxy:
    """The network as a dying process reaches it."""

    def __init__(self, network: FakeNetwork, mortal: Mortal) -> None:
        self.observe, self.apply = mortal.wrap(network.observe), mortal.wrap(network.apply)


def ready(folder: Path, network: FakeNetwork, mode: ActivationMode) -> str:
    desk = Desk(folder)
    confirmation = Confirmation(within_s=30.0, over_s=20.0)
    digest = desk.submit(PlanDescriptor("p", "anna", TURNS, mode, confirmation), "anna")
    assert desk.validate(digest, "twin", network.observe(), lambda *_: GOOD) == []
    desk.approve(digest, "bo")
    return digest


def process(folder: Path, network: FakeNetwork, mortal: Mortal) -> Activator:
    desk = Desk(folder)
    desk.audit.append = mortal.wrap(desk.audit.append)  # type: ignore[method-assign]
    return Activator(desk, Proxy(network, mortal), "carla", allow_activate=True)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("mode", [ActivationMode.ATOMIC, ActivationMode.BEST_EFFORT])
def test_wherever_an_activation_is_killed_the_next_process_leads_back(
    tmp_path: Path, mode: ActivationMode, after: bool
) -> None:
    killed, at, ends = True, -1, set()
    while killed:
        at += 1
        folder, network = tmp_path / str(at), FakeNetwork()
        digest = ready(folder, network, mode)
        before = settings_of(network)
        try:
            process(folder, network, Mortal(at, after=after)).activate(digest)
            killed = False
        except Killed:
            pass
        changed = settings_of(network)
        found = Activator(Desk(folder), network, "dora", allow_activate=True).recover()
        standing = Desk(folder).standing(digest)
        if standing.result is ActivationResult.ACTIVATED:  # it died after its last word, or not at all
            assert found == []
            assert settings_of(network) == changed != before
        else:
            assert settings_of(network) == before
            assert standing.result is (ROLLED_BACK if standing.jobs else None)
        assert len(network.carried_out) == len(set(network.carried_out))
        ends.add(standing.result)
    assert at >= 10
    assert ends == {None, ROLLED_BACK, ActivationResult.ACTIVATED}


@pytest.mark.parametrize("first", [4, 5, 6, 8])
def test_a_recovery_that_is_killed_as_well_is_ended_by_the_next(tmp_path: Path, first: int) -> None:
    for second in range(7):
        folder, network = tmp_path / str(second), FakeNetwork()
        digest = ready(folder, network, ActivationMode.ATOMIC)
        before = settings_of(network)
        with pytest.raises(Killed):
            process(folder, network, Mortal(first, after=True)).activate(digest)
        try:
            process(folder, network, Mortal(second, after=bool(second % 2))).recover()
        except Killed:
            Activator(Desk(folder), network, "dora", allow_activate=True).recover()
        assert settings_of(network) == before
        assert Desk(folder).standing(digest).result is ROLLED_BACK


def test_a_killed_fallback_is_ended_by_the_next_process(tmp_path: Path) -> None:
    for at in range(12):
        folder, network = tmp_path / str(at), FakeNetwork()
        digest = ready(folder, network, ActivationMode.ATOMIC)
        before = settings_of(network)
        Activator(Desk(folder), network, "carla", allow_activate=True).activate(digest)
        activated = settings_of(network)
        try:
            process(folder, network, Mortal(at, after=True)).fall_back(digest)
        except Killed:
            Activator(Desk(folder), network, "dora", allow_activate=True).recover()
            jobs = [record for record in Desk(folder).audit.records() if record.kind == "fallback-job"]
            assert settings_of(network) == (before if jobs else activated)
            assert not jobs or jobs[-1]["state"] == JobState.COMPLETED
        else:
            assert settings_of(network) == before
            return
    raise AssertionError("a fallback takes fewer steps than that")


def test_a_record_that_was_half_written_is_dropped_and_said_so(tmp_path: Path) -> None:
    network = FakeNetwork()
    digest = ready(tmp_path, network, ActivationMode.ATOMIC)
    before = settings_of(network)
    with pytest.raises(Killed):
        process(tmp_path, network, Mortal(6, after=True)).activate(digest)
    with (tmp_path / LOG).open("ab") as log:
        log.write(b'{"account":"x","at":"2026')
    assert Activator(Desk(tmp_path), network, "dora", allow_activate=True).recover() == [digest]
    assert settings_of(network) == before
    assert "torn-record" in [record.kind for record in Audit(tmp_path).records()]


# Clocks -------------------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_while_kpis_are_awaited_leads_back(tmp_path: Path) -> None:
    network = FakeNetwork()
    digest = ready(tmp_path, network, ActivationMode.ATOMIC)
    before, apply = settings_of(network), network.apply

    def set_back(change: Any) -> Any:
        network.apply = apply  # type: ignore[method-assign]
        network.now_s -= 3600.0
        return apply(change)

    network.apply = set_back  # type: ignore[method-assign]
    desk = Desk(tmp_path)
    assert Activator(desk, network, "carla", allow_activate=True).activate(digest) is ROLLED_BACK
    assert "set back" in desk.standing(digest).ends[-1]["reason"]
    assert settings_of(network) == before


def test_nothing_begins_before_the_last_activation_by_the_networks_clock(tmp_path: Path) -> None:
    network = FakeNetwork()
    first = ready(tmp_path, network, ActivationMode.ATOMIC)
    Activator(Desk(tmp_path), network, "carla", allow_activate=True).activate(first)
    network.now_s -= 3600.0
    desk = Desk(tmp_path)
    second = desk.submit(PlanDescriptor("q", "anna", (Turn("c", "power_dbm", 28.0),)), "anna")
    desk.validate(second, "twin", network.observe(), lambda *_: GOOD)
    desk.approve(second, "bo")
    with pytest.raises(RefusedError, match="before the last activation"):
        Activator(Desk(tmp_path), network, "carla", allow_activate=True).activate(second)


def test_two_processes_do_not_activate_at_once(tmp_path: Path) -> None:
    network = FakeNetwork()
    digest = ready(tmp_path, network, ActivationMode.ATOMIC)
    one = Activator(Desk(tmp_path), network, "carla", allow_activate=True)
    two = Activator(Desk(tmp_path), network, "dora", allow_activate=True)
    apply, refused = network.apply, []

    def meanwhile(change: Any) -> Any:
        with pytest.raises(RefusedError, match="another activation is under way"):
            two.activate(digest)
        refused.append(change.request)
        return apply(change)

    network.apply = meanwhile  # type: ignore[method-assign]
    assert one.activate(digest) is ActivationResult.ACTIVATED
    assert len(refused) == 1


def test_reports_of_an_older_configuration_are_late_whatever_their_time(tmp_path: Path) -> None:
    """A network whose reports lag two periods behind its acknowledgements is not taken for one that disobeys."""
    network = FakeNetwork()
    digest = ready(tmp_path, network, ActivationMode.ATOMIC)
    observe, kept = network.observe, []

    def lagging() -> Any:
        now = observe()
        kept.append(now.configuration)
        return replace(now, configuration=kept[max(0, len(kept) - 3)])

    network.observe = lagging  # type: ignore[method-assign]
    result = Activator(Desk(tmp_path), network, "carla", allow_activate=True).activate(digest)
    assert result is ActivationResult.ACTIVATED
