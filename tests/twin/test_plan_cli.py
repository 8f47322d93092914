"""Plans from the command line, on an emulated network that outlives every process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mndt.cli import main
from mndt.errors import InputError
from mndt.plants import Change, Configuration, Turn, reported, turned
from mndt.plants.emulated import EmulatedPlant
from mndt.scenario import dump, parse
from mndt.state import Status
from mndt.twin.activation import Activator
from mndt.twin.connection import Connection, Network, read_connection, write_connection
from mndt.twin.desk import Desk
from mndt.twin.kept import KeptPlant
from mndt.twin.plan import ActivationResult, PlanDescriptor
from mndt.twin.prediction import covered, predict, settings_of
from mndt.world import as_built
from plants.small_world import small_world

SCENARIO = """
name = "town"
[city]
source = "synthetic"
lanes = 120
areas = 30
outdoor_sites = 2
indoor_sites = 3
size_m = 400.0
[radio]
engine = "tr38901"
resolution_m = 8.0
"""


def call(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a network; its world is built once for all tests but one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mndt.runs.build", lambda scenario: small_world())
    (tmp_path / "town.toml").write_text(dump(parse(SCENARIO)))
    assert call("plan", "network", "town.toml", "--period", "5", "--strength", "0.3").exit_code == 0
    return tmp_path


def write_plan(file: Path, value: float = 27.0, **keys: object) -> None:
    cell = small_world().city.cells.name[0]
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    rules = '[confirm]\nwithin_s = 20\nover_s = 10\n"X.OutageRatio" = { at_most_more = 1.0 }\n'
    change = f'[[change]]\ncell = "{cell}"\npower_dbm = {value}\n'
    file.write_text('name = "quiet"\n' + "\n".join(lines) + "\n" + change + rules)


def test_a_plan_goes_all_the_way_from_a_file_to_the_network_and_back(place: Path) -> None:
    (place / "plans" / "rails.toml").write_text("coverage_floor = 0\noutage_ceiling = 1\noutage_rise = 1\n")
    write_plan(place / "p.toml")
    valid = call("plan", "validate", "p.toml", "--as", "anna", "--seconds", "3", "--seeds", "2")
    assert valid.exit_code == 0, valid.output
    assert "coverage" in valid.output
    assert "2 seeds" in valid.output
    digest = json.loads(call("plan", "status", "--json").stdout)[0]["plan"]
    assert call("plan", "approve", digest, "--as", "Anna").exit_code == 2
    unapproved = call("plan", "activate", digest, "--as", "carla", "--allow-activate")
    assert unapproved.exit_code == 2
    assert "nobody has approved" in unapproved.output
    assert call("plan", "approve", digest[:12], "--as", "bo").exit_code == 0
    read_only = call("plan", "activate", digest, "--as", "carla")
    assert read_only.exit_code == 2
    assert "--allow-activate" in read_only.output
    done = call("plan", "activate", digest, "--as", "carla", "--allow-activate")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "ACTIVATED"
    cell = small_world().city.cells.name[0]
    assert _now().value(cell, "power_dbm") == pytest.approx(27.0, abs=1e-3)
    assert "ACTIVATED" in call("plan", "status").output
    assert "before it:" in call("plan", "status", digest).output
    assert call("plan", "fallback", digest, "--as", "bo", "--allow-activate").output == "COMPLETED\n"
    assert _now().value(cell, "power_dbm") == pytest.approx(30.0, abs=1e-3)
    log = [json.loads(line) for line in call("plan", "log", "--json").stdout.splitlines()]
    assert [record["n"] for record in log] == list(range(len(log)))
    assert [b["follows"] for b in log[1:]] == [a["hash"] for a in log[:-1]]
    assert call("plan", "recover", "--as", "bo", "--allow-activate").output == "nothing was left unfinished\n"


def _now() -> Configuration:
    found = Network("plans").plant.observe().configuration
    assert found is not None
    return found


def test_a_plan_that_hits_a_rail_is_not_valid_and_says_which(place: Path) -> None:
    (place / "plans" / "rails.toml").write_text("power_step_db = 1\n")
    write_plan(place / "p.toml")
    found = call("plan", "validate", "p.toml", "--as", "anna")
    assert found.exit_code == 2
    assert "not valid: step:" in found.output
    write_plan(place / "p.toml", 40.0, planner="anna")
    (place / "plans" / "rails.toml").write_text("power_step_db = 20\n")
    assert "its maximum" in call("plan", "validate", "p.toml", "--as", "anna").output
    assert call("plan", "stop", "--as", "bo", "--reason", "drill").exit_code == 0
    assert (place / "plans" / "STOP").read_text() == "bo: drill\n"
    assert call("plan", "release", "--as", "bo").exit_code == 0
    digest = json.loads(call("plan", "status", "--json").stdout)[1]["plan"]
    assert call("plan", "reject", digest, "--as", "bo", "--reason", "too loud").exit_code == 0
    assert "rejected" in call("plan", "status", digest).output


def test_the_written_plan_explains_itself_and_can_be_read(place: Path) -> None:
    from mndt.twin.plan_file import read_plan

    assert call("plan", "new", "my.toml", "--as", 'an"na').exit_code == 0
    read = read_plan("my.toml")
    assert (read.name, read.planner) == ("my", 'an"na')
    text = Path("my.toml").read_text()
    Path("my.toml").write_text("\n".join(line.removeprefix("# ") for line in text.splitlines()))
    assert {turn.setting for turn in read_plan("my.toml").turns} == set(small_settings())
    assert call("plan", "new", "my.toml", "--as", "anna").exit_code == 2


def small_settings() -> list[str]:
    from mndt.plants import TURNABLE

    return list(TURNABLE)


def test_folders_without_plans_or_network_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "a folder with plans" in call("plan", "status").output
    write_plan(tmp_path / "p.toml")
    assert "mndt plan network" in call("plan", "validate", "p.toml", "--as", "anna").output
    for text in ("scenario = 1", "colour = 1", "kind = 'emulated'", "scenario = 'helsinki'\nkind = 'x'", "x ="):
        (tmp_path / "network.toml").write_text(text)
        with pytest.raises(InputError):
            read_connection(tmp_path)
    with pytest.raises(InputError, match="a new folder"):
        write_connection(tmp_path, Connection("helsinki"))


def test_a_recording_is_validated_on_and_never_turned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "town.toml").write_text(dump(parse(SCENARIO)))
    names = small_world().city.cells.name
    (tmp_path / "pm").mkdir()
    rows = "".join(f"{t},{name},{0.5}\n" for t in (28800, 28900) for name in names)
    (tmp_path / "pm" / "a.csv").write_text("end_s,cell,RRU.PrbTotDl\n" + rows)
    (tmp_path / "pm" / "configuration.csv").write_text("cell,power_dbm\n" + "".join(f"{n},30\n" for n in names))
    assert call("plan", "network", "town.toml", "--replay", "pm").exit_code == 0
    assert Network("plans").latest().end_s == 28900.0
    (tmp_path / "plans" / "rails.toml").write_text("coverage_floor = 0\noutage_ceiling = 1\noutage_rise = 1\n")
    write_plan(tmp_path / "p.toml")
    found = call("plan", "validate", "p.toml", "--as", "anna", "--seconds", "2", "--seeds", "1")
    assert found.exit_code == 0, found.output
    digest = Desk("plans").all()[0].plan.hash
    call("plan", "approve", digest, "--as", "bo")
    refused = call("plan", "activate", digest, "--as", "carla", "--allow-activate")
    assert refused.exit_code == 2
    assert "cannot be turned" in refused.output


# The network that outlives its process ------------------------------------------------------------


def test_a_kept_network_is_the_same_for_everybody_who_opens_it(tmp_path: Path) -> None:
    def opened() -> KeptPlant:
        return KeptPlant(EmulatedPlant(small_world(), seed=2, period_s=2), tmp_path / "n.npz")

    one, two, alone = opened(), opened(), EmulatedPlant(small_world(), seed=2, period_s=2)
    turn = Turn(one.cell[0], "power_dbm", 20.0)
    for plant in (one, two, opened()):
        assert plant.observe().totals == alone.observe().totals
    assert two.apply(Change("x", (turn,), 0)).revision == alone.apply(Change("x", (turn,), 0)).revision == 1
    assert one.apply(Change("x", (turn,), 0)).repeated
    found = one.observe()
    assert found.totals == alone.observe().totals
    assert found.configuration is not None
    assert found.configuration.has(turn)


_DIES = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from plants.small_world import small_world
from mndt.plants.emulated import EmulatedPlant
from mndt.twin.activation import Activator
from mndt.twin.desk import Desk
from mndt.twin.kept import KeptPlant

plant = KeptPlant(EmulatedPlant(small_world(), period_s=10), Path("network.npz"))
apply = plant.apply
def carry_out_and_die(change):
    apply(change)
    os.kill(os.getpid(), signal.SIGKILL)
plant.apply = carry_out_and_die
Activator(Desk("."), plant, "carla", allow_activate=True).activate({digest!r})
"""


def test_a_process_that_is_killed_after_the_network_obeyed_is_led_back(tmp_path: Path) -> None:
    def opened() -> KeptPlant:
        return KeptPlant(EmulatedPlant(small_world(), period_s=10), tmp_path / "network.npz")

    (tmp_path / "rails.toml").write_text("coverage_floor = 0\noutage_ceiling = 1\n")
    desk, turn = Desk(tmp_path), Turn(small_world().city.cells.name[0], "power_dbm", 27.0)
    digest = desk.submit(PlanDescriptor("p", "anna", (turn,)), "anna")
    latest = opened().observe()
    plain = predict(small_world(), desk.standing(digest).plan, reported_now(), time_s=100, seconds=1, seeds=(1,))
    assert desk.validate(digest, "anna", latest, lambda *_: plain) == []
    desk.approve(digest, "bo")
    code = _DIES.format(tests=str(Path(__file__).parents[1]), digest=digest)
    died = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert died.returncode == -signal.SIGKILL
    changed = opened().observe().configuration
    assert changed is not None
    assert changed.has(turn)
    assert Desk(tmp_path).standing(digest).word == "activation RUNNING or interrupted"
    assert Activator(Desk(tmp_path), opened(), "dora", allow_activate=True).recover() == [digest]
    restored = opened().observe().configuration
    assert restored is not None
    assert not restored.has(turn)
    assert Desk(tmp_path).standing(digest).result is ActivationResult.ACTIVATION_FAILED_ROLLED_BACK


# What the twin predicts ---------------------------------------------------------------------------


def reported_now(**arrays: object) -> Configuration:
    world = small_world()
    return reported(as_built(world.city), world.city.cells.name, 0, 0.0)


def test_a_plan_that_changes_nothing_is_predicted_to_change_nothing() -> None:
    cell = small_world().city.cells.name[0]
    same = PlanDescriptor("same", "anna", (Turn(cell, "power_dbm", 30.0),))
    found = predict(small_world(), same, reported_now(), time_s=28_800, seconds=3, seeds=(1, 2))
    assert (found.coverage_before, found.outage_before) == (found.coverage_after, found.outage_after)
    assert found.throughput_before_bps == found.throughput_after_bps > 0
    assert "+0.0000, standard error 0.0000" in found.note


def test_a_network_turned_off_is_predicted_to_cover_and_carry_nothing() -> None:
    names = small_world().city.cells.name
    off = PlanDescriptor("off", "anna", tuple(Turn(name, "status", float(Status.OFF)) for name in names))
    found = predict(small_world(), off, reported_now(), time_s=28_800, seconds=3, seeds=(1,))
    assert found.coverage_before > 0.5
    assert (found.coverage_after, found.throughput_after_bps) == (0.0, 0.0)
    assert found.outage_after == pytest.approx(1.0)
    assert found.throughput_before_bps > 0


def test_coverage_is_the_share_of_pixels_that_a_plain_count_finds() -> None:
    world, settings = small_world(), as_built(small_world().city)
    level_db = (world.channel.maps.level >> 1) / 64.0
    power_dbm = 10 * np.log10(settings.power_w / world.city.cells.blocks) + 30
    share = np.mean((level_db + power_dbm).max(axis=2) >= -80.0)
    assert 0.05 < share < 0.999
    assert covered(world, settings, least_dbm=-80.0) == pytest.approx(share, abs=2e-3)


def test_a_network_of_other_cells_is_not_predicted() -> None:
    other = Configuration(0, 0.0, ("x",), {"power_dbm": np.array([30.0])})
    assert not predict(
        small_world(), PlanDescriptor("x", "anna", (Turn("x", "power_dbm", 20.0),)), other, time_s=0
    ).trusted


def test_what_a_network_reports_is_what_the_twin_is_set_to() -> None:
    world = small_world()
    names, built = world.city.cells.name, as_built(world.city)
    turns = (Turn(names[1], "power_dbm", 22.5), Turn(names[0], "azimuth_deg", 33.0), Turn(names[2], "status", 1.0))
    settings = turned(built, turns, names)
    again = settings_of(world, reported(settings, names, 3, 0.0))
    for name in (
        "power_w",
        "azimuth_deg",
        "mechanical_tilt_deg",
        "electrical_tilt_deg",
        "handover_offset_db",
        "status",
    ):
        np.testing.assert_allclose(getattr(again, name), getattr(settings, name), rtol=1e-6)
    assert (again.power_w <= world.city.cells.max_power_w).all()
