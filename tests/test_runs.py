from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fake_engine
import mndt
from mndt import checkpoint, comparison, runfolder, runs
from mndt.city.model import City
from mndt.city.store import save_city
from mndt.city.synthetic import synthetic_city
from mndt.errors import InputError
from mndt.network.handover_parameters import HandoverParameters
from mndt.network.incident_parameters import Incident
from mndt.network.incidents import Entry
from mndt.network.kpi import changes
from mndt.scenario import CitySource, RunParameters, Scenario
from mndt.state import Action, Mobility, MobilityLog, NoWay
from mndt.streams import Streams


@pytest.fixture(scope="module")
def city() -> City:
    return synthetic_city(lanes=120, areas=30, outdoor_sites=2, indoor_sites=3, size_m=400.0)


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mndt.engine", fake_engine)
    monkeypatch.setattr(mndt, "engine", fake_engine, raising=False)


def content(folder: Path) -> dict[str, bytes]:
    """Every file but the wall-clock times."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "timings.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_run_leaves_every_table(tmp_path: Path, city: City) -> None:
    run = runs.run(city, minutes=2.5, out=tmp_path / "a")
    assert run.finished
    assert run.kpis.fetchnumpy()["time_s"].tolist() == list(range(8 * 3600, 8 * 3600 + 150))
    assert run.cells.shape[0] == 150 * len(city.cells)
    assert run.users.shape[0] == 3 * fake_engine.N_USERS  # at the end of each part
    assert set(run.events.fetchnumpy()["kind"]) == {"handover", "outage", "recovery"}
    for table in runfolder.TABLES:
        assert len(list((tmp_path / "a" / table).iterdir())) == 3
    assert run.summary["X.ThroughputDl"] == pytest.approx(np.mean(run.kpis.fetchnumpy()["X.ThroughputDl"]))
    assert run.scenario.run == RunParameters(minutes=2.5)
    assert run.city.roads.n_lanes == city.roads.n_lanes
    assert run.info["city"]["users"] == fake_engine.N_USERS
    assert (tmp_path / "a" / "timings.json").exists()


def test_areas_are_summed_up_by_the_minute(tmp_path: Path, city: City) -> None:
    run = runs.run(city, minutes=2.5, out=tmp_path / "a")
    rows = run.areas.fetchnumpy()
    assert rows["time_s"].tolist() == [28800] * 3 + [28860] * 3 + [28920] * 3
    assert rows["seconds"].tolist() == [60] * 6 + [30] * 3
    assert rows["area"].tolist() == [-1, 0, 1] * 3  # nobody enters the last area, nobody is left out
    for at in (28800, 28860, 28920):
        assert rows["X.Users"][rows["time_s"] == at].sum() == pytest.approx(fake_engine.N_USERS)


def test_shares_of_areas_are_weighted_by_their_active_users(city: City) -> None:
    """One of two in outage, then none of six: one of eight."""
    state, kpis = fake_engine.step(
        fake_engine.build_world(city), fake_engine.start(fake_engine.build_world(city)), Action(), Streams(1)
    )
    part, none = runfolder.Part(), np.zeros(len(state.users), bool)
    for active, outage, offered in ((2, 1, 100.0), (6, 0, 300.0)):
        second = replace(
            kpis,
            area_users=np.int32([8, 0]),
            area_active=np.int32([active, 0]),
            area_connected=np.int32([active, 0]),
            area_outage=np.int32([outage, 0]),
            area_offered_bits=np.float32([offered, 0]),
            area_delivered_bits=np.float32([0, 0]),
        )
        part.add(second, runfolder.events(state, state, second, none))
    rows = {name: values.tolist() for name, values in part.tables(state)["areas"].items()}
    assert rows["area"] == [0]  # nobody was on the way
    assert rows["X.OutageRatio"] == [0.125]
    assert rows["DRB.MeanActiveUeDl"] == [4]
    assert rows["X.OfferedDl"] == [200]


def test_columns_tell_their_units(tmp_path: Path, city: City) -> None:
    import pyarrow.parquet as pq

    runs.run(city, minutes=0.1, out=tmp_path / "a")
    for table, column, unit in (("cells", "PEE.Energy", b"kWh"), ("areas", "X.OfferedDl", b"bit/s")):
        schema = pq.read_schema(tmp_path / "a" / table / "part-0000.parquet")
        assert schema.field(column).metadata[b"unit"] == unit


def test_events_of_one_second_by_hand(city: City) -> None:
    """A power cut begins; user 2 hands over to and fro; user 0 goes into outage, user 1 comes out of it."""
    world = fake_engine.build_world(city)
    before = fake_engine.start(world, time_s=28800, seed=1)
    after, kpis = fake_engine.step(world, before, Action(), Streams(1))
    log = MobilityLog(
        offset_ms=np.int32([40, 480]),
        user=np.int32([2, 2]),
        kind=np.int8([Mobility.HANDOVER, Mobility.RADIO_LINK_FAILURE]),
        from_cell=np.int32([1, 0]),
        to_cell=np.int32([0, -1]),
        ping_pong=np.array([True, False]),
    )
    out, was_out = np.zeros((2, fake_engine.N_USERS), bool)
    out[0] = was_out[1] = True
    kpis = replace(kpis, mobility=log, user_outage=out)
    rows = runfolder.events(before, after, kpis, was_out, [Entry(28800, "start", "power-cut", "station mast")])
    assert rows["kind"].tolist() == ["power-cut", "handover", "radio-link-failure", "outage", "recovery"]
    assert rows["phase"].tolist() == ["start", "", "", "", ""]
    assert rows["target"].tolist() == ["station mast", "", "", "", ""]
    assert rows["offset_ms"].tolist() == [0, 40, 480, 0, 0]
    assert rows["user"].tolist() == [-1, 2, 2, 0, 1]
    assert rows["cell"].tolist() == [-1, 0, -1, *after.serving[:2]]
    assert rows["from_cell"].tolist() == [-1, 1, 0, *before.serving[:2]]
    assert rows["ping_pong"].tolist() == [False, True, False, False, False]
    assert set(rows["time_s"]) == {28800}
    lost = NoWay(*np.int32([[28799, 28800], [0, 2], [7, 7], [8, 9]]))
    after = replace(after, mobility=SimpleNamespace(no_way=lost))
    way = runfolder.events(before, after, replace(kpis, mobility=log_of_nothing(), user_outage=out), out)
    assert (way["kind"].tolist(), way["user"].tolist()) == (["no-way"], [2])
    assert way["target"].tolist() == ["area 7 to area 9"]
    after = replace(after, mobility=None)
    quiet = runfolder.events(before, after, replace(kpis, mobility=log_of_nothing(), user_outage=out), out)
    assert all(len(values) == 0 for values in quiet.values())
    joined = runfolder.join([quiet, rows])
    assert joined["target"][0] == "station mast"


def log_of_nothing() -> MobilityLog:
    return changes(np.int32([0]), np.int32([0]))


def test_same_seed_same_bytes_and_another_seed_others(tmp_path: Path, city: City) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        runs.run(city, minutes=1, seed=seed, out=tmp_path / name)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a")["totals/part-0000.parquet"] != content(tmp_path / "c")["totals/part-0000.parquet"]


def test_the_folder_repeats_its_run_by_itself(tmp_path: Path, city: City) -> None:
    runs.run(city, minutes=1, seed=3, out=tmp_path / "a")
    runs.run(tmp_path / "a" / "scenario.toml", out=tmp_path / "b")
    assert content(tmp_path / "a")["totals/part-0000.parquet"] == content(tmp_path / "b")["totals/part-0000.parquet"]


def test_scripted_incidents_are_among_the_events(tmp_path: Path, city: City) -> None:
    failure = Incident("cell-failure", "08:00:30", 40, cell=city.cells.name[1])
    run = runs.run(
        Scenario(name="x", incidents=(failure,)),
        world=fake_engine.build_world(city, incidents=[failure]),
        minutes=2,
        out=tmp_path / "a",
    )
    rows = run.events.filter("phase != ''").fetchnumpy()
    assert rows["time_s"].tolist() == [28830, 28870]
    assert rows["phase"].tolist() == ["start", "end"]
    assert set(rows["kind"]) == {"cell-failure"}
    assert all(city.cells.name[1] in target for target in rows["target"])


def test_outage_events_balance(tmp_path: Path, city: City) -> None:
    """Every user alternates between outage and recovery, across the ends of parts too."""
    run = runs.run(city, minutes=2, out=tmp_path / "a")
    rows = run.events.filter("kind != 'handover'").order('"user", time_s').fetchnumpy()
    for user in range(fake_engine.N_USERS):
        kinds = [str(kind) for kind in rows["kind"][rows["user"] == user]]
        assert kinds == (["outage", "recovery"] * len(kinds))[: len(kinds)]


@pytest.mark.parametrize("at", [5, 60, 61, 130])
def test_resume_after_ctrl_c_gives_the_same_bytes(
    tmp_path: Path, city: City, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.run(city, minutes=2.5, out=tmp_path / "whole")
    real, calls = fake_engine.step, iter(range(1000))

    def interrupted(*arguments: object) -> object:
        if next(calls) == at:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(fake_engine, "step", interrupted)
    with pytest.raises(runs.Interrupted, match="--resume"):
        runs.run(city, minutes=2.5, out=tmp_path / "paused")
    paused = runs.read(tmp_path / "paused")
    assert paused.info["status"] == "interrupted"
    assert paused.summary == {}
    if at >= 60:
        assert paused.kpis.shape[0] == at // 60 * 60
    monkeypatch.setattr(fake_engine, "step", real)
    assert runs.resume(tmp_path / "paused").finished
    assert content(tmp_path / "paused") == content(tmp_path / "whole")


SLOW_RUN = """
import fake_engine, sys
fake_engine.install(slow=0.004)
from mndt import runs
runs.run(sys.argv[1], out=sys.argv[2])
"""


def test_resume_after_kill_9_gives_the_same_bytes(tmp_path: Path, city: City) -> None:
    save_city(city, tmp_path / "city.npz")
    scenario = Scenario(
        name="tiny", city=CitySource(source="file", file=str(tmp_path / "city.npz")), run=RunParameters(minutes=4)
    )
    from mndt.scenario import dump

    (tmp_path / "s.toml").write_text(dump(scenario))
    whole = runs.run(tmp_path / "s.toml", out=tmp_path / "whole")
    command = [sys.executable, "-c", SLOW_RUN, str(tmp_path / "s.toml"), str(tmp_path / "killed")]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)})
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed" / "checkpoint.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = runs.read(tmp_path / "killed")
    assert not killed.finished
    assert killed.kpis.shape[0] in (60, 120, 180)
    assert runs.resume(tmp_path / "killed").summary == whole.summary
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def test_a_part_without_its_checkpoint_is_written_anew(tmp_path: Path, city: City) -> None:
    """A kill between the part and the checkpoint: the part is there, the checkpoint is older."""
    runs.run(city, minutes=3, out=tmp_path / "whole")
    runs.run(city, minutes=3, out=tmp_path / "b")
    for path in (tmp_path / "b").rglob("part-0002.parquet"):
        path.write_bytes(b"left over")
        (path.parent / ".part-0002.parquet.x1y2.part").write_bytes(b"half")
    info = json.loads((tmp_path / "b" / "run.json").read_text())
    info["status"] = "running"
    del info["summary"]
    runfolder.write_json(tmp_path / "b" / "run.json", info)
    (tmp_path / "b" / "checkpoint.npz").unlink()
    runs.resume(tmp_path / "b")
    assert content(tmp_path / "b") == content(tmp_path / "whole")


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path, city: City) -> None:
    runs.run(city, minutes=1, out=tmp_path / "a")
    before = content(tmp_path / "a")
    runs.resume(tmp_path / "a")
    assert content(tmp_path / "a") == before


def test_nothing_is_overwritten_without_force(tmp_path: Path, city: City) -> None:
    runs.run(city, minutes=1, out=tmp_path / "a")
    before = content(tmp_path / "a")
    with pytest.raises(InputError, match="--force"):
        runs.run(city, minutes=1, seed=5, out=tmp_path / "a")
    assert content(tmp_path / "a") == before
    runs.run(city, minutes=1, seed=5, out=tmp_path / "a", force=True)
    assert runs.read(tmp_path / "a").info["seed"] == 5


def test_force_never_removes_what_is_no_run(tmp_path: Path, city: City) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("dear")
    with pytest.raises(InputError, match=r"run\.json"):
        runs.run(city, minutes=1, out=tmp_path / "thesis", force=True)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "dear"


def test_default_folders_are_numbered(tmp_path: Path, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [runs.run(city, minutes=0.1, policy="proportional-fair").folder.name for _ in range(2)]
    assert [name.rpartition("-")[2] for name in names] == ["1", "2"]
    assert "proportional-fair" in names[0]


def test_a_fault_in_the_world_leaves_nothing(tmp_path: Path, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise InputError("users.count", 0, allowed="1 or more", fix="ask for some")

    monkeypatch.setattr(fake_engine, "build_world", broken)
    with pytest.raises(InputError):
        runs.run(city, minutes=1, out=tmp_path / "deep" / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence(tmp_path: Path, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(InputError, match="no space left on device"):
        runs.run(city, minutes=1, out=tmp_path / "a")
    assert [path.name for path in (tmp_path / "a").rglob("*.part")] == []


def test_other_versions_are_refused(tmp_path: Path, city: City) -> None:
    run = runs.run(city, minutes=1, out=tmp_path / "a")
    runfolder.write_json(run.folder / "run.json", run.info | {"schema_version": 99})
    with pytest.raises(InputError, match="schema_version is 99, allowed is 1"):
        runs.read(run.folder)
    other = run.info | {"status": "running", "versions": run.info["versions"] | {"numpy": "1.0"}}
    runfolder.write_json(run.folder / "run.json", other)
    with pytest.raises(InputError, match=r"numpy.*1\.0, which wrote this run"):
        runs.resume(run.folder)


def test_compare_finds_the_difference(tmp_path: Path, city: City) -> None:
    a = runs.run(city, minutes=10, out=tmp_path / "a")
    b = runs.run(city, minutes=10, policy="proportional-fair", out=tmp_path / "b")
    found = {d.name: d for d in runs.compare(a, b)}["X.ThroughputDl"]
    assert found.b == pytest.approx(2 * found.a)  # the fake doubles every rate
    assert found.low < found.difference < found.high
    assert found.difference == pytest.approx(found.a)
    same = {d.name: d for d in runs.compare(a, a)}["X.ThroughputDl"]
    assert (same.low, same.difference, same.high) == (0, 0, 0)


def test_jackknife_of_a_mean_is_the_method_of_batch_means() -> None:
    """Five batches with means 0..4: mean 2, s = sqrt(2.5), t(4, 97.5 %) = 2.7764."""
    values = np.repeat(np.arange(5.0), 20)
    without = np.array([values[kept].mean() for kept in comparison._all_but_one(100, 20)])
    assert comparison._half_width(without) == pytest.approx(2.776445 * np.sqrt(2.5) / np.sqrt(5), rel=1e-5)
    assert np.isnan(comparison._half_width(np.array([])))


def test_batches() -> None:
    assert len(comparison._all_but_one(600, 60)) == 10
    assert len(comparison._all_but_one(100, 60)) == 6  # of 15 s: at least five
    assert comparison._all_but_one(1, 60) == []
    assert (
        sum((~kept).astype(int) for kept in comparison._all_but_one(119, 20)) == 1
    ).all()  # every second in one batch


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Of 400 pairs of noisy ratios without a difference, about 95 % hold 0 in the interval."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        part, whole = rng.gamma(2, size=(2, 200)), rng.gamma(5, size=(2, 200))
        masks = comparison._all_but_one(200, 20)
        without = np.array([np.subtract(*(part[:, m].sum(axis=1) / whole[:, m].sum(axis=1))) for m in masks])
        half = comparison._half_width(without)
        hits += abs(np.subtract(*(part.sum(axis=1) / whole.sum(axis=1)))) <= half
    assert 0.92 < hits / 400 < 0.98


def test_shares_are_compared_over_the_period(tmp_path: Path, city: City) -> None:
    """The value shown is the one of the report: a ratio of sums, not a mean of ratios."""
    a = runs.run(city, minutes=2, out=tmp_path / "a")
    b = runs.run(city, minutes=2, seed=1, out=tmp_path / "b")
    for difference in runs.compare(a, b):
        assert difference.a == pytest.approx(a.summary[difference.name])
        assert difference.b == pytest.approx(b.summary[difference.name])


def test_runs_over_other_seconds_are_not_compared(tmp_path: Path, city: City) -> None:
    a = runs.run(city, minutes=1, out=tmp_path / "a")
    b = runs.run(city, minutes=2, out=tmp_path / "b")
    with pytest.raises(InputError, match="same seconds"):
        runs.compare(a, b)


def test_checkpoint_gives_everything_back(tmp_path: Path, city: City) -> None:
    world = fake_engine.build_world(city)
    state = fake_engine.start(world, time_s=5, seed=1)
    checkpoint.save(tmp_path / "c.npz", (state, None), {"part": 3})
    other = fake_engine.start(world, time_s=9, seed=2)
    (back, nothing), extra = checkpoint.load(tmp_path / "c.npz", (other, np.zeros(1)))
    assert nothing is None
    assert extra == {"part": 3}
    assert back.time_s == 5
    assert back.mobility.label == "walkers"
    assert back.mobility.feet.home[1] == 2.5
    for one, two in ((back.users.x_m, state.users.x_m), (back.mobility.feet.home[0], state.mobility.feet.home[0])):
        assert one.dtype == two.dtype
        assert np.array_equal(one, two)


def test_records_come_back_aligned_and_leave_no_chance_bytes(tmp_path: Path) -> None:
    """Gaps between the fields of records hold whatever was in memory; files must not."""
    pair = np.dtype([("flag", np.int8), ("value", np.float64)], align=True)
    kind = np.dtype([("small", np.int8), ("pair", pair), ("few", np.int16, (3,))], align=True)
    files = []
    for rubbish in (0x00, 0xFF):
        records = np.frombuffer(bytes([rubbish]) * kind.itemsize * 4, dtype=kind).copy()
        records["small"], records["pair"]["flag"], records["pair"]["value"], records["few"] = 1, 2, 0.5, 3
        checkpoint.save(tmp_path / "c.npz", {"records": records})
        files.append((tmp_path / "c.npz").read_bytes())
    assert files[0] == files[1]
    back, _ = checkpoint.load(tmp_path / "c.npz", {"records": np.zeros(0, kind)})
    assert back["records"].dtype.isalignedstruct
    assert (back["records"] == records).all()


def test_a_broken_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "c.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match="not a checkpoint"):
        checkpoint.load(tmp_path / "c.npz", None)
    checkpoint.save(tmp_path / "e.npz", fake_engine.Mobility(1))
    with pytest.raises(InputError, match="allowed is Feet as this version"):
        checkpoint.load(tmp_path / "e.npz", fake_engine.Feet(np.zeros(1), (np.zeros(1), 0.0)))


def test_a_checkpoint_refuses_what_it_cannot_bring_back(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="Generator"):
        checkpoint.save(tmp_path / "c.npz", {"rng": np.random.default_rng(0)})
    assert list(tmp_path.iterdir()) == []


# Policies of one's own -------------------------------------------------------------------------


def greedy(state: Any) -> Action:
    return Action(blocks="proportional-fair")


def fundamentals(state: Any) -> Action:
    return Action()


class Thinker:
    def __call__(self, state: Any) -> Action:
        return Action()


def test_a_function_is_a_policy_and_gives_the_run_its_name(tmp_path: Path, city: City) -> None:
    own = runs.run(city, policy=greedy, minutes=0.5, out=tmp_path / "own")
    known = runs.run(city, policy="proportional-fair", minutes=0.5, out=tmp_path / "known")
    assert own.name == own.scenario.run.policy == "greedy"
    np.testing.assert_array_equal(*(run.kpis.fetchnumpy()["X.ThroughputDl"] for run in (own, known)))


def test_names_of_functions() -> None:
    assert [runs.name_of(p) for p in (greedy, fundamentals, Thinker(), lambda state: Action())] == [
        "greedy", "own-fundamentals", "Thinker", "lambda",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"policy is 7, allowed is one of .*fundamentals, .* or a function"):
        runs.run("helsinki", policy=7)  # type: ignore[arg-type]


def test_a_run_under_a_function_cannot_be_resumed(tmp_path: Path, city: City) -> None:
    def tired(state: Any) -> Action:
        if state.time_s == 8 * 3600 + 70:
            raise KeyboardInterrupt
        return Action()

    with pytest.raises(runs.Interrupted):
        runs.run(city, policy=tired, minutes=2, out=tmp_path / "a")
    before = content(tmp_path / "a")
    with pytest.raises(InputError, match="policy is 'tired', a function of the program that made the run"):
        runs.resume(tmp_path / "a")
    assert content(tmp_path / "a") == before


def test_a_folder_is_named_after_the_function(tmp_path: Path, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert runs.run(city, policy=lambda state: Action(), minutes=0.1).folder.name.endswith("-lambda-1")


# What has no effect ----------------------------------------------------------------------------


def test_handover_keys_mean_nothing_without_event_a3(
    tmp_path: Path, city: City, caplog: pytest.LogCaptureFixture
) -> None:
    scenario = Scenario(handover=HandoverParameters(offset_db=5.0, filter_k=8))
    (hint,) = runs.hints(scenario)
    assert hint.startswith("handover.offset_db, handover.filter_k without effect: the policy fundamentals")
    assert not runs.hints(Scenario())
    assert not runs.hints(scenario.model_copy(update={"run": RunParameters(policy="proportional-fair")}))
    save_city(city, tmp_path / "c.npz")
    here = scenario.model_copy(update={"city": CitySource(source="file", file=str(tmp_path / "c.npz"))})
    runs.run(here, minutes=0.1, out=tmp_path / "a")
    assert hint in caplog.text


def test_an_incident_out_of_sight_is_told() -> None:
    seen, late = (Incident("cell-failure", at, 60, cell="A") for at in ("07:59:30", "08:02"))
    early = Incident("power-cut", "07:00", 3600, site="B", battery_min=5)
    tomorrow = Incident("cell-failure", "08:00", 60, day=1, cell="A")
    two = RunParameters(minutes=2)
    assert not runs.hints(Scenario(run=two, incidents=(seen,)))
    (hint,) = runs.hints(Scenario(run=two, incidents=(seen, late, early, tomorrow)))
    assert hint == (
        "of 4 incidents 1 falls into the run, 08:00:00 to 08:02:00: [[incidents]] 2 (cell-failure at 08:02), "
        "3 (power-cut at 07:00), 4 (cell-failure at 08:00 on day 1) are outside"
    )


def test_an_incident_under_way_at_the_start_is_in_the_log(tmp_path: Path, city: City) -> None:
    cell = city.cells.name[0]
    script = (
        Incident("cell-failure", "07:59:30", 60, cell=cell),
        Incident("power-cut", "07:50", 1200, site=city.sites.name[0], battery_min=5),
        Incident("cell-failure", "07:59", 60, cell=cell),  # ends as the run begins: nobody sees it
    )
    save_city(city, tmp_path / "c.npz")
    source = CitySource(source="file", file=str(tmp_path / "c.npz"))
    run = runs.run(Scenario(city=source, incidents=script), minutes=2, out=tmp_path / "a")
    rows = run.events.filter("phase <> ''").project("time_s - 28800 AS t, kind, phase").fetchall()
    assert rows == [
        (0, "cell-failure", "start"),
        (0, "power-cut", "start"),
        (0, "power-cut", "battery-empty"),
        (30, "cell-failure", "end"),
    ]


def test_policies_that_admit_unlike_numbers_are_told_apart(tmp_path: Path, city: City) -> None:
    from mndt.network.scheduling import BLOCKS
    from mndt.optimise.policy import POLICIES, SCHEDULERS

    for name, make in POLICIES.items():  # as the policies decide; None is the network's own, random
        assert SCHEDULERS[name] == (make(None)(None).blocks or "random") in BLOCKS  # type: ignore[arg-type]
    under = {
        name: runs.run(city, policy=policy, minutes=0.1, out=tmp_path / name)
        for name, policy in {"f": "fundamentals", "p": "proportional-fair", "s": "service-need", "own": greedy}.items()
    }
    note = comparison.admission_note(under["f"], under["p"])
    assert "1 under fundamentals and 4 under proportional-fair" in note
    assert not comparison.admission_note(under["s"], under["p"])
    assert not comparison.admission_note(under["own"], under["p"])
