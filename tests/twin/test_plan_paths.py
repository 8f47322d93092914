"""Whatever anybody does in whatever order: nothing is activated without a valid plan and another person's approval."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from fake_network import CELLS, FakeNetwork, settings_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mndt.plants import Turn
from mndt.twin.activation import Activator
from mndt.twin.audit import Audit
from mndt.twin.desk import Desk, RefusedError, same_person
from mndt.twin.guard import STOP_FILE, Prediction
from mndt.twin.plan import ActivationMode, ActivationResult, PlanDescriptor

PEOPLE = ("anna", "bo", "Anna ")
GOOD, BAD = Prediction(0.95, 0.95, 0.05, 0.05), Prediction(0.95, 0.5, 0.05, 0.5)
FAULTS = ("", "", "lost", "mute", "late", "refused", "wrong name")


class Killed(BaseException):
    """A process that ends without a word."""


class Plans(RuleBasedStateMachine):
    """People, a desk that is opened anew at every step as after a restart, and a network with faults."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.network = FakeNetwork()
        self.plans: list[str] = []
        self.before: dict[str, tuple[float, ...]] = {}

    @rule(
        who=st.sampled_from(PEOPLE), cell=st.sampled_from(CELLS), power=st.sampled_from([24.0, 28.0, 60.0]),
        mode=st.sampled_from(list(ActivationMode)),
    )  # fmt: skip
    def submit(self, who: str, cell: str, power: float, mode: ActivationMode) -> None:
        turns = (Turn(cell, "power_dbm", power), Turn("c", "electrical_tilt_deg", 5.0))
        digest = Desk(self.folder).submit(PlanDescriptor(f"p{len(self.plans)}", who, turns, mode), who)
        self.plans.append(digest)

    @precondition(lambda self: self.plans)
    @rule(data=st.data(), good=st.booleans())
    def validate(self, data: st.DataObject, good: bool) -> None:
        with suppress(RefusedError):
            digest = data.draw(st.sampled_from(self.plans))
            Desk(self.folder).validate(digest, "twin", self.network.observe(), lambda *_: GOOD if good else BAD)

    @precondition(lambda self: self.plans)
    @rule(data=st.data(), who=st.sampled_from(PEOPLE))
    def approve(self, data: st.DataObject, who: str) -> None:
        with suppress(RefusedError):
            Desk(self.folder).approve(data.draw(st.sampled_from(self.plans)), who)

    @precondition(lambda self: self.plans)
    @rule(data=st.data(), faults=st.lists(st.sampled_from(FAULTS), max_size=4), killed=st.booleans())
    def activate(self, data: st.DataObject, faults: list[str], killed: bool) -> None:
        digest = data.draw(st.sampled_from(self.plans))
        acting = Activator(Desk(self.folder), self.network, "carla", allow_activate=True)
        with suppress(RefusedError):
            acting.recover()
        before, standing = settings_of(self.network), Desk(self.folder).standing(digest)
        self.network.faults.extend(faults)
        if killed:
            acting._confirm = acting._fail = _kill  # type: ignore[method-assign, assignment]
        result = None
        try:
            with suppress(RefusedError):
                result = acting.activate(digest)
        except Killed:
            self.before[digest] = before
        self.network.faults.clear()
        touched = result is not None or digest in self.before
        if touched:
            assert standing.valid
            assert standing.approval is not None
            assert not same_person(standing.approval.by, standing.plan.planner)
            assert not (self.folder / STOP_FILE).exists()
        if result is ActivationResult.ACTIVATION_FAILED_ROLLED_BACK or not touched:
            assert settings_of(self.network) == before

    @rule()
    def recover(self) -> None:
        Activator(Desk(self.folder), self.network, "carla", allow_activate=True).recover()
        for digest, before in self.before.items():
            if Desk(self.folder).standing(digest).jobs:
                assert settings_of(self.network) == before
        self.before.clear()

    @rule(thrown=st.booleans())
    def switch(self, thrown: bool) -> None:
        desk = Desk(self.folder)
        desk.stop("bo", "x") if thrown else desk.release("bo", "x")

    @invariant()
    def the_log_is_whole_and_nothing_was_done_twice(self) -> None:
        Audit(self.folder)
        assert len(self.network.carried_out) == len(set(self.network.carried_out))


def _kill(*_: object, **__: object) -> None:
    raise Killed


TestPlans = Plans.TestCase
TestPlans.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
