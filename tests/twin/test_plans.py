"""From a plan to a changed network and back, with everything that can go wrong on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fake_network import FakeNetwork, misbehave, settings_of

from mndt.errors import InputError
from mndt.plants import Turn
from mndt.twin.activation import Activator
from mndt.twin.audit import LOG, Audit, BrokenAuditError
from mndt.twin.desk import Desk, RefusedError
from mndt.twin.guard import STOP_FILE, Prediction, Rails, of_plan, of_prediction, read_rails
from mndt.twin.plan import (
    ActivationMode,
    ActivationResult,
    Confirmation,
    JobState,
    KpiRule,
    PlanDescriptor,
    from_json,
    to_json,
)
from mndt.twin.plan_file import parse_plan, read_plan

GOOD = Prediction(0.95, 0.945, 0.05, 0.055)
PLAN = PlanDescriptor("quiet", "anna", (Turn("a", "power_dbm", 28.0), Turn("b", "electrical_tilt_deg", 6.0)))
ROLLED_BACK = ActivationResult.ACTIVATION_FAILED_ROLLED_BACK


def approved(folder: Path, network: FakeNetwork, plan: PlanDescriptor = PLAN) -> tuple[Desk, str]:
    desk = Desk(folder)
    digest = desk.submit(plan, "anna")
    assert desk.validate(digest, "twin", network.observe(), lambda *_: GOOD) == []
    desk.approve(digest, "bo")
    return desk, digest


def activator(desk: Desk, network: FakeNetwork) -> Activator:
    return Activator(desk, network, "carla", allow_activate=True)


# Plans --------------------------------------------------------------------------------------------


def test_a_plan_is_one_hash_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(
        'name = "quiet"\nplanner = "anna"\n[[change]]\ncell = "b"\nelectrical_tilt_deg = 6\n'
        '[[change]]\ncell = "a"\npower_dbm = 28.0\n'
    )
    assert read_plan(tmp_path / "p.toml").hash == PLAN.hash == from_json(json.loads(json.dumps(to_json(PLAN)))).hash
    assert replace(PLAN, reason="night").hash != PLAN.hash
    assert len(PLAN.steps()) == 1 < len(replace(PLAN, mode=ActivationMode.BEST_EFFORT).steps()) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"change": []}, "at least one table"),
        ({"change": [{"cell": "a"}]}, "settings"),
        ({"change": [{"cell": "a", "power_dbm": "loud"}]}, "a number"),
        ({"change": [{"cell": "a", "volume": 3}]}, "setting"),
        ({"change": [{"cell": "a", "power_dbm": 28}, {"cell": "a", "power_dbm": 29}]}, "given twice"),
        ({"mode": "SOMEHOW"}, "ATOMIC"),
        ({"colour": "red"}, "colour"),
        ({"confirm": {"within_s": 5, "over_s": 30}}, "within_s"),
        ({"confirm": {"X.Nothing": {"at_most_more": 1}}}, "KPI"),
        ({"confirm": {"X.OutageRatio": {"below": 1}}}, "at_most_more"),
        ({"planner": " "}, "a text"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(change: dict[str, object], said: str) -> None:
    fine = {"name": "x", "planner": "anna", "change": [{"cell": "a", "power_dbm": 28}]}
    parse_plan(fine)
    with pytest.raises(InputError, match=said):
        parse_plan(fine | change)


# Rails --------------------------------------------------------------------------------------------


def test_every_rail_holds_what_it_names() -> None:
    now, rails = FakeNetwork().configuration, Rails(cells_per_plan=1)
    assert of_plan(PLAN, now, Rails()) == []
    assert "cells_per_plan" in of_plan(PLAN, now, rails)[0]
    for turn, named in (
        (Turn("a", "power_dbm", 50.0), "range"),
        (Turn("a", "power_dbm", 19.0), "step"),
        (Turn("a", "electrical_tilt_deg", 14.0), "step"),
        (Turn("z", "power_dbm", 30.0), "cells"),
        (Turn("a", "azimuth_deg", 30.0), "configuration"),
    ):
        assert of_plan(replace(PLAN, turns=(turn,)), now, Rails())[0].startswith(named)
    for prediction, named in (
        (replace(GOOD, coverage_after=0.7), "coverage_floor"),
        (replace(GOOD, coverage_after=0.92), "coverage_drop"),
        (replace(GOOD, outage_after=0.75), "outage_ceiling"),
        (replace(GOOD, outage_after=0.08), "outage_rise"),
        (replace(GOOD, coverage_after=float("nan")), "coverage_floor"),
        (replace(GOOD, trusted=False), "prediction"),
    ):
        assert of_prediction(prediction, Rails())[0].startswith(named)
    assert of_prediction(GOOD, Rails()) == []


def test_rails_are_read_from_the_folder_and_nonsense_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rails.toml").write_text('cells_per_plan = 3\nfreeze = "07:00-09:30"\n')
    assert read_rails(tmp_path) == Rails(cells_per_plan=3, freeze=("07:00-09:30",))
    for text in ("cells_per_plan = true", 'freeze = "late"', "colour = 1", "stale_s = -1", "stale_s ="):
        (tmp_path / "rails.toml").write_text(text)
        with pytest.raises(InputError):
            read_rails(tmp_path)


# The way through ----------------------------------------------------------------------------------


def test_an_approved_plan_is_activated_confirmed_and_led_back_from(tmp_path: Path) -> None:
    network = FakeNetwork()
    before = settings_of(network)
    desk, digest = approved(tmp_path, network)
    assert activator(desk, network).activate(digest) is ActivationResult.ACTIVATED
    assert network.power_dbm[0] == 28.0
    assert network.tilt_deg[1] == 6.0
    with pytest.raises(RefusedError, match="activated before"):
        activator(desk, network).activate(digest)
    assert activator(desk, network).fall_back(digest) is JobState.COMPLETED
    assert settings_of(network) == before
    kinds = [record.kind for record in desk.audit.records()]
    assert kinds[:4] == ["plan", "validation-job", "validation", "approval"]
    assert kinds.index("activation-job") < kinds.index("step") < kinds.index("confirmation")


def test_who_planned_does_not_approve_and_hashes_are_named(tmp_path: Path) -> None:
    network, desk = FakeNetwork(), Desk(tmp_path)
    digest = desk.submit(PLAN, "dora")
    for word in ("anna", "dora"):
        with pytest.raises(RefusedError, match="only a valid plan"):
            desk.approve(digest, word)
    desk.validate(digest, "twin", network.observe(), lambda *_: GOOD)
    for word in ("ANNA", " dora "):
        with pytest.raises(RefusedError, match="another person"):
            desk.approve(digest, word)
    with pytest.raises(InputError, match="at least 12"):
        desk.approve(digest[:6], "bo")
    desk.approve(digest[:12], "bo")
    desk.validate(digest, "twin", network.observe(), lambda *_: GOOD)  # a newer validation was not approved
    with pytest.raises(RefusedError, match="nobody has approved"):
        activator(desk, network).activate(digest)


@pytest.mark.parametrize(
    ("hinder", "said"),
    [
        (lambda network, folder: (folder / STOP_FILE).write_text("stop"), "kill switch"),
        (lambda network, folder: (folder / "rails.toml").write_text('freeze = "00:00-24:00"'), "freeze"),
        (lambda network, folder: (folder / "rails.toml").write_text("plans_per_window = 0"), "plans_per_window"),
        (lambda network, folder: (folder / "rails.toml").write_text("cells_per_window = 1"), "cells_per_window"),
        (lambda network, folder: (folder / "rails.toml").write_text("coverage_floor = 0.99"), "coverage_floor"),
        (lambda network, folder: setattr(network, "unmeasured", ("X.OutageRatio",)), "does not give X.OutageRatio"),
        (lambda network, folder: setattr(network, "revision", 7), "revision"),
        (lambda network, folder: setattr(network, "now_s", network.now_s + 5000), "valid_s"),
        (lambda network, folder: setattr(network, "silent", True), "stale_s"),
    ],
)
def test_a_rail_at_the_moment_of_activation_leaves_the_network_alone(tmp_path, hinder, said) -> None:
    network = FakeNetwork()
    before = settings_of(network)
    desk, digest = approved(tmp_path, network)
    hinder(network, tmp_path)
    with pytest.raises(RefusedError, match=said):
        activator(desk, network).activate(digest)
    assert settings_of(network) == before
    assert network.carried_out == []


def test_nothing_is_asked_of_a_network_without_leave(tmp_path: Path) -> None:
    network = FakeNetwork()
    desk, digest = approved(tmp_path, network)
    with pytest.raises(RefusedError, match="--allow-activate"):
        Activator(desk, network, "carla").activate(digest)
    assert network.carried_out == []


# What goes wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "result", "times"),
    [
        (["lost"], ActivationResult.ACTIVATED, 1),
        (["mute"], ActivationResult.ACTIVATED, 1),
        (["wrong name"], ActivationResult.ACTIVATED, 1),
        (["late"], ActivationResult.ACTIVATED, 1),
        (["lost", "lost", "mute"], ActivationResult.ACTIVATED, 1),
        (["refused"], ROLLED_BACK, 0),
    ],
)
def test_requests_that_get_lost_late_or_twice_are_carried_out_once(tmp_path, faults, result, times) -> None:
    network = FakeNetwork()
    before = settings_of(network)
    desk, digest = approved(tmp_path, network)
    misbehave(network, faults)
    assert activator(desk, network).activate(digest) is result
    assert len(network.carried_out) == times
    assert (settings_of(network) != before) == (result is ActivationResult.ACTIVATED)


def test_a_network_that_never_answers_is_led_back_or_said_not_to_be(tmp_path: Path) -> None:
    network = FakeNetwork()
    before = settings_of(network)
    desk, digest = approved(tmp_path, network)
    misbehave(network, ["lost"] * 3)
    assert activator(desk, network).activate(digest) is ROLLED_BACK
    assert settings_of(network) == before


def test_a_late_request_does_not_undo_the_fallback(tmp_path: Path) -> None:
    network = FakeNetwork()
    before = settings_of(network)
    desk, digest = approved(tmp_path, network)
    misbehave(network, ["late", "late", "late"])
    assert activator(desk, network).activate(digest) is ROLLED_BACK
    assert network.late == []
    assert settings_of(network) == before


@pytest.mark.parametrize(("mode", "partly"), [("BEST_EFFORT", True), ("STOP_ON_ERROR", True), ("ATOMIC", False)])
def test_a_refused_part_means_what_the_mode_says(tmp_path: Path, mode: str, partly: bool) -> None:
    network = FakeNetwork()
    turns = tuple(Turn(cell, "power_dbm", 28.0) for cell in "abc")
    desk, digest = approved(tmp_path, network, PlanDescriptor("x", "anna", turns, ActivationMode(mode)))
    misbehave(network, ["", "refused"] if partly else ["refused"])
    result = activator(desk, network).activate(digest)
    assert result is (ActivationResult.PARTIALLY_ACTIVATED if partly else ROLLED_BACK)
    expected = {"BEST_EFFORT": [28, 30, 28], "STOP_ON_ERROR": [28, 30, 30], "ATOMIC": [30, 30, 30]}[mode]
    assert network.power_dbm.tolist() == expected


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda network: setattr(network, "stuck", True), "not in force"),
        (lambda network: setattr(network, "leap_s", 500.0), "leapt"),
    ],
)
def test_what_the_network_does_not_confirm_falls_back(tmp_path: Path, spoil, said: str) -> None:
    network = FakeNetwork()
    desk, digest = approved(tmp_path, network)
    acting = activator(desk, network)
    apply = network.apply

    def spoiling(change):
        network.apply = apply
        spoil(network)
        return apply(change)

    network.apply = spoiling
    assert acting.activate(digest) is ROLLED_BACK
    assert said in desk.standing(digest).ends[-1]["reason"]
    assert network.power_dbm[0] == 30.0


def test_worse_kpis_fall_back(tmp_path: Path) -> None:
    network = FakeNetwork()
    rule = KpiRule("X.OutageRatio", at_most_more=0.001)
    plan = replace(PLAN, confirmation=Confirmation(60.0, 30.0, (rule,)))
    desk, digest = approved(tmp_path, network, plan)
    assert activator(desk, network).activate(digest) is ROLLED_BACK
    assert "X.OutageRatio went from" in desk.standing(digest).ends[-1]["reason"]
    assert network.power_dbm[0] == 30.0


@pytest.mark.parametrize("after", ["intended", "carried out", "acknowledged"])
def test_a_process_killed_in_the_middle_is_led_back_by_the_next(tmp_path: Path, after: str) -> None:
    network = FakeNetwork()
    before = settings_of(network)
    desk, digest = approved(tmp_path, network)
    dying = activator(desk, network)

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    if after == "acknowledged":
        dying._confirm = kill  # type: ignore[method-assign]
    else:
        apply = network.apply

        def apply_and_die(change):
            if after == "carried out":
                apply(change)
            raise Killed

        network.apply = apply_and_die
    dying._fail = kill  # type: ignore[method-assign]
    with pytest.raises(Killed):
        dying.activate(digest)
    if after != "acknowledged":
        network.apply = apply
    assert desk.standing(digest).word == "activation RUNNING or interrupted"
    assert activator(Desk(tmp_path), network).recover() == [digest]
    assert settings_of(network) == before
    assert desk.standing(digest).result is ROLLED_BACK
    assert activator(Desk(tmp_path), network).recover() == []


# The audit ----------------------------------------------------------------------------------------


def test_an_edited_log_is_noticed(tmp_path: Path) -> None:
    desk, _ = approved(tmp_path, FakeNetwork())
    log = (tmp_path / LOG).read_bytes()
    lines = log.splitlines(keepends=True)
    for edited in (
        log.replace(b'"valid":true', b'"valid":false'),
        b"".join(lines[:1] + lines[2:]),
        b"".join(lines[:-1]),
        b"".join([lines[1], lines[0], *lines[2:]]),
        lines[0] + b"\n" + b"".join(lines[1:]),
    ):
        (tmp_path / LOG).write_bytes(edited)
        with pytest.raises(BrokenAuditError):
            Audit(tmp_path)
    (tmp_path / LOG).write_bytes(log + b'{"half a rec')  # killed while writing: nothing followed from it
    assert Audit(tmp_path).append("note", "anna").n == len(lines) + 1
    assert desk.audit.find(desk.audit.records()[2].hash) is not None
