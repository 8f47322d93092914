from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given
from hypothesis import strategies as st

from mndt import scenario as scenarios
from mndt.errors import InputError
from mndt.network.energy_parameters import MacroPower
from mndt.network.incident_parameters import Incident
from mndt.scenario import PRESETS, CitySource, RunParameters, Scenario
from mndt.scenario_fields import keys_of, phrase


@pytest.mark.parametrize("name", PRESETS)
def test_dump_and_load_are_inverse(name: str) -> None:
    scenario = scenarios.load(name)
    assert scenarios.parse(scenarios.dump(scenario)) == scenario


def test_table1_has_the_papers_counts() -> None:
    scenario = scenarios.load("table1")
    city = scenario.city
    assert (city.lanes, city.areas, city.outdoor_sites, city.indoor_sites, city.size_m) == (1850, 1417, 39, 145, 2000)
    assert scenario.users.count == 13_000


def test_every_key_of_a_new_scenario_is_explained() -> None:
    lines = scenarios.dump(Scenario()).splitlines()
    for before, line in pairwise(lines):
        if "=" in line and not line.startswith(("#", "[")):
            assert before.startswith("#"), line
    for table in ("city", "users", "demand", "radio", "network", "energy", "run"):
        assert f"[{table}]" in lines
        for name in keys_of(type(getattr(Scenario(), table))):
            assert any(line.startswith((f"{name} =", f"# {name} =", f"[{table}.{name}]")) for line in lines), name


@given(
    name=st.from_regex(r"\A[a-zA-Z0-9_.-]{1,60}\Z"),
    minutes=st.floats(0.001, 10_080),
    seed=st.integers(0, 2**40),
    hour=st.integers(0, 23),
    file=st.text(st.characters(codec="utf-8"), min_size=1),
    bbox=st.tuples(*[st.floats(-180, 180)] * 4),
)
def test_any_scenario_survives_the_file(
    name: str, minutes: float, seed: int, hour: int, file: str, bbox: tuple[float, float, float, float]
) -> None:
    run = RunParameters(start=f"{hour:02d}:05", minutes=minutes, seed=seed)
    scenario = Scenario(name=name, run=run, city=CitySource(source="osm", file=file, bbox=bbox))
    back = tomllib.loads(scenarios.dump(scenario))
    assert back == scenarios.to_dict(scenario)
    assert Scenario.model_validate(back) == scenario


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("radio.resolution_m=0", "radio.resolution_m is 0, allowed is a number from 1 to 20; change it"),
        ("radio.resolution=4", "did you mean 'resolution_m'?"),
        ("radio.minutes=4", r"key in \[radio\] is 'minutes', .*; move it to \[run\]"),
        ("raido.resolution_m=4", "table is 'raido', .*; did you mean 'radio'?"),
        ("radio.scenario=UMx", "radio.scenario is 'UMx', allowed is .*; did you mean"),
        ("radio.shadowing=3", "radio.shadowing is 3, allowed is true or false"),
        ("radio.resolution_m=true", "radio.resolution_m is true, allowed is a number"),
        ("radio.resolution_m=nan", "radio.resolution_m is nan, .*; give a finite number"),
        ("users.count=-1", "users.count is -1, allowed is a whole number from 0 to"),
        ("users.count=2.5", "users.count is 2.5, allowed is a whole number"),
        ("run.start=25:00", "run.start is '25:00', allowed is a time HH:MM from 00:00 to 23:59"),
        ("run.minutes=0", "run.minutes is 0, allowed is a number above 0"),
        ("run.minutes=ten", "run.minutes is 'ten', allowed is a number above 0"),
        ("city.bbox=[1,2,3]", r"city.bbox.3 is missing, allowed is \[west, south, east, north\]"),
        ("city.source=osm", "city.file is missing"),
        ("city.source=osmium", "did you mean 'osm'?"),
        ("city.file=x.npz", "city.file is x.npz, allowed is a path where city.source is"),
        ("city.bbox=[1,2,3,4]", 'allowed is a box where city.source is "osm"'),
        ("schema_version=2", "schema_version is 2, allowed is 1; use the version of mndt that wrote this file"),
        ("name=a/b", "name is 'a/b', allowed is 1 to 60 letters"),
        ("radio=3", "radio is 3, allowed is a table"),
        ("radio", "allowed is key=value"),
        ("name.first=x", "allowed is a key of a table"),
    ],
)
def test_one_sentence_names_key_value_range_and_fix(assignment: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        scenarios.set_value(Scenario(), assignment)
    assert str(caught.value).count("\n") == 0
    assert "allowed is" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "here.toml: syntax is broken"),
        ("[run\nminutes = 1", "here.toml line 1: syntax is broken"),
        ("[run]\n\nminutes = 5 5", "here.toml line 3: syntax is broken"),
        ("[run]\nminutes = 1\nminutes = 2", "here.toml.*: syntax is broken"),
        ("run = 1", "here.toml: run is 1, allowed is a table"),
    ],
)
def test_a_broken_file_is_named_with_its_line(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        scenarios.parse(text, where="here.toml")


def test_set_value_keeps_the_rest() -> None:
    before = scenarios.load("table1")
    after = scenarios.set_value(before, "run.policy = proportional-fair")
    assert after.run.policy == "proportional-fair"
    assert after.model_copy(update={"run": before.run}) == before


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "city.npz").write_bytes(b"")
    (tmp_path / "here" / "scenario.toml").write_text('[city]\nsource = "file"\nfile = "city.npz"\n')
    monkeypatch.chdir(tmp_path)
    for given_path in ("here/scenario.toml", "here"):
        assert scenarios.load(given_path).city.file == str(tmp_path / "here" / "city.npz")


def test_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('[city]\nsource = "file"\nfile = "nowhere.npz"\n')
    with pytest.raises(InputError, match=r"s\.toml: city\.file is .*nowhere\.npz, allowed is an existing file"):
        scenarios.load(tmp_path / "s.toml")
    with pytest.raises(InputError, match="allowed is an existing TOML file"):
        scenarios.load(tmp_path / "other.toml")
    (tmp_path / "latin.toml").write_bytes('name = "Köln"'.encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        scenarios.load(tmp_path / "latin.toml")


def test_loading_a_scenario_loads_no_kernels() -> None:
    heavy = "numba", "scipy", "pyarrow", "duckdb", "matplotlib", "pandas"
    code = f"import mndt.scenario as s, sys; s.load('helsinki'); print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_json_schema_knows_every_table() -> None:
    schema = scenarios.json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert set(schema["properties"]) == set(Scenario.model_fields)
    assert schema["$defs"]["RunParameters"]["properties"]["minutes"]["maximum"] == 10_080


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotated[int, Ge(1), Le(5)], "a whole number from 1 to 5"),
        (Annotated[float, Gt(0), Lt(1)], "a number above 0 and below 1"),
        (Annotated[float, Le(3)], "a number at most 3"),
        (float, "a number"),
        (Literal["a", "b"], "a, b"),
        (bool, "true or false"),
        (tuple[float, float], "a list of 2 values, each a number"),
        (str | None, "a text in quotes, or left out"),
    ],
)
def test_ranges_in_words(annotation: object, words: str) -> None:
    assert phrase(annotation) == words


INCIDENTS = """
[[incidents]]
kind = "special-event"
at = "19:00"
duration_s = 7200
latitude_deg = 60.187
longitude_deg = 24.927
radius_m = 200.0
share = 0.6
service = "video"

[[incidents]]
kind = "power-cut"
at = "20:15:30"
duration_s = 1800
site = "tower"
battery_min = 10
"""


def test_incidents_are_read_and_survive_the_file() -> None:
    scenario = scenarios.parse(INCIDENTS)
    event, cut = scenario.incidents
    assert (event.kind, event.begin_s, event.end_s, event.share) == ("special-event", 68_400, 75_600, 0.6)
    assert (cut.site, cut.begin_s, cut.dark_s, cut.end_s) == ("tower", 72_930, 73_530, 74_730)
    text = scenarios.dump(scenario)
    assert scenarios.parse(text) == scenario
    assert text.count("\n[[incidents]]\n") == 2
    assert tomllib.loads(text) == scenarios.to_dict(scenario)


def test_a_new_scenario_takes_an_incident_at_its_end() -> None:
    """The explanation of the blocks is a comment, so that a block can follow it."""
    text = scenarios.dump(Scenario())
    assert "# [[incidents]]" in text
    assert len(scenarios.parse(text + INCIDENTS).incidents) == 2


def test_set_value_counts_blocks_from_one() -> None:
    before = scenarios.parse(INCIDENTS)
    after = scenarios.set_value(before, "incidents.2.battery_min=0.5")
    assert [incident.battery_min for incident in after.incidents] == [None, 0.5]
    assert after.incidents[0] == before.incidents[0]
    assert scenarios.set_value(before, "incidents=[]") == Scenario()
    one = scenarios.set_value(Scenario(), 'incidents=[{kind="power-cut", at="10:00", duration_s=5, site="x"}]')
    assert [incident.site for incident in one.incidents] == ["x"]
    assert scenarios.set_value(before, "run.minutes=1").incidents == before.incidents


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("incidents.2.at=25:00", r"\[\[incidents\]\] 2: at is '25:00', allowed is a time HH:MM or HH:MM:SS"),
        ("incidents.2.at=7", r"\[\[incidents\]\] 2: at is 7, allowed is a time HH:MM or HH:MM:SS"),
        ("incidents.2.kind=power", r"\[\[incidents\]\] 2: kind is 'power', allowed is .*; did you mean 'power-cut'"),
        ("incidents.1.duration_s=0", r"\[\[incidents\]\] 1: duration_s is 0, allowed is a whole number above 0"),
        ("incidents.1.radius_m=inf", r"\[\[incidents\]\] 1: radius_m is inf, .*; give a finite number"),
        ("incidents.1.share=true", r"\[\[incidents\]\] 1: share is true, allowed is a number above 0"),
        ("incidents.1.area=3", r"\[\[incidents\]\] 1: the place is area and circle, .*; keep one of them"),
        ("incidents.1.x_m=3", r"\[\[incidents\]\] 1: the centre is latitude_deg and longitude_deg and x_m, allowed"),
        ("incidents.1.service=films", r"\[\[incidents\]\] 1: service is 'films', allowed is download"),
        ("incidents.2.share=0.5", r"\[\[incidents\]\] 2: share is given for a power-cut, allowed is only for special-"),
        ("incidents.2.cell=a", r"\[\[incidents\]\] 2: cell is given for a power-cut, allowed is only for cell-failure"),
        ("incidents.2.radius_m=9", r"\[\[incidents\]\] 2: the place is site and circle, .*; keep one"),
        ("incidents.2.sight=a", r"\[\[incidents\]\] 2: key in \[\[incidents\]\] is 'sight', .*; did you mean 'site'"),
        ("incidents.2.kind=demand-surge", r"2: site is given for a demand-surge, allowed is only for cell-failure and"),
        ("incidents.3.at=10:00", "block is 3, allowed is a number from 1 to 2; count the blocks"),
        ("incidents.2=3", "allowed is a key of a table"),
        ("incidents=3", "incidents is 3, allowed is any number of tables"),
        ("incidents=[3]", r"\[\[incidents\]\] 1: the block is 3, allowed is a table"),
        ('incidents=[{at="10:00", duration_s=5}]', r"\[\[incidents\]\] 1: kind is missing, allowed is cell-failure"),
        (
            'incidents=[{kind="power-cut", at="10:00", duration_s=5}]',
            "1: the place is missing, allowed is site or a ci",
        ),
        ('incidents=[{kind="demand-surge", at="10:00", duration_s=5, area=1}]', "1: magnitude is missing"),
        ('incidents=[{kind="power-cut", at="10:00", duration_s=5, x_m=1, y_m=1}]', "1: radius_m is missing"),
        ('incidents=[{kind="power-cut", at="10:00", duration_s=5, radius_m=1}]', "1: the centre is missing"),
        ("energy.sleep_share=2", "energy.sleep_share is 2, allowed is a number from 0 to 1"),
        ("energy.macro.idle=2", r"key in \[energy.macro\] is 'idle', .*; did you mean 'idle_w'"),
        ("energy.pico.idle_w=1", "energy.pico.baseband_w is 3.7, allowed is at most 1, which"),
    ],
)
def test_one_sentence_about_incidents_and_energy(assignment: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        scenarios.set_value(scenarios.parse(INCIDENTS), assignment)
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).startswith("--set")


def test_one_bracket_too_few_is_explained() -> None:
    with pytest.raises(InputError, match=r"incidents is one table, .*; write its header \[\[incidents\]\]"):
        scenarios.parse('[incidents]\nkind = "power-cut"\n')


def test_a_class_can_be_changed_in_part() -> None:
    energy = scenarios.parse("[energy.macro]\nidle_w = 200\n").energy
    assert (energy.macro.idle_w, energy.macro.slope, energy.rrh.idle_w) == (200, 4.7, 84)


def test_keys_keep_the_meaning_that_their_base_table_gave_them() -> None:
    assert keys_of(MacroPower)["slope"].meaning.startswith("Delta_p")
    assert all(key.meaning for key in keys_of(MacroPower).values())
    assert all(key.meaning for key in keys_of(Incident).values())


def test_a_gap_to_shannon_with_a_law_that_has_its_own_is_refused() -> None:
    raw = {"network": {"rate_law": "truncated", "snr_gap_db": 3.0}}
    with pytest.raises(InputError, match=r"network\.snr_gap_db is 3, allowed is 0 dB with network\.rate_law truncated"):
        scenarios.check(raw)
    for law in ("shannon", "64qam", "256qam"):
        scenarios.check({"network": {"rate_law": law, "snr_gap_db": 3.0}})
    scenarios.check({"network": {"rate_law": "truncated"}})


def test_out_of_synchronisation_lies_below_in_synchronisation() -> None:
    with pytest.raises(InputError, match=r"handover\.qout_db is -5, allowed is at most handover\.qin_db, which is -6"):
        scenarios.check({"handover": {"qout_db": -5.0}})
    scenarios.check({"handover": {"qout_db": -6.0}})
    scenarios.check({"handover": {"qout_db": 2.0, "qin_db": 2.0}})
