"""Every scenario that passes its check runs, and every second of it keeps the rules of the network.

Keys are drawn from their own ranges, or left out; the city is small.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
import rules
from annotated_types import Ge, Gt, Interval, Le, Lt
from hypothesis import given, settings
from hypothesis import strategies as st
from little_town import Second

from mndt import engine, runs, scenario
from mndt.network.handover_parameters import HandoverParameters
from mndt.network.incident_parameters import KINDS
from mndt.optimise.policy import POLICIES, make_policy
from mndt.scenario_fields import is_table, keys_of
from mndt.state import Demand
from mndt.streams import Streams

SECONDS = 4
UNBOUNDED = 1e5
"""The largest value drawn where a range has no end."""

CITY = {"source": "synthetic", "size_m": 200.0, "lanes": 24, "areas": 6}


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Anything a key allows."""
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if annotation is bool:
        return st.booleans()
    if get_origin(annotation) is Annotated:
        kind, *limits = get_args(annotation)
        low, high = _range(limits)
        open_below, open_above = (any(isinstance(limit, side) for limit in limits) for side in (Gt, Lt))
        if kind is int:
            return st.integers(int(low) + open_below, int(high) - open_above)
        return st.floats(low, high, exclude_min=open_below, exclude_max=open_above, allow_subnormal=False)
    return st.one_of(*(values(part) for part in get_args(annotation) if part is not type(None)))


def _range(limits: list[Any]) -> tuple[float, float]:
    low, high = 0.0, UNBOUNDED
    for limit in limits:
        if isinstance(limit, Interval):
            low, high = float(limit.ge), float(limit.le)
        elif isinstance(limit, Ge | Gt):
            low = float(limit.ge if isinstance(limit, Ge) else limit.gt)
        elif isinstance(limit, Le | Lt):
            high = float(limit.le if isinstance(limit, Le) else limit.lt)
    return low, high


def table(name: str, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some keys of a table of the scenario."""
    keys = keys_of(keys_of(scenario.Scenario)[name].annotation)
    some = {key: values(of.annotation) for key, of in keys.items() if not is_table(of.annotation)}
    return st.fixed_dictionaries(fixed, optional={key: drawn for key, drawn in some.items() if key not in fixed})


INCIDENTS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "at": st.sampled_from(["08:00:57", "08:00:58", "08:01:00"]),
        "duration_s": st.integers(1, 5),
        "x_m": st.just(100.0),
        "y_m": st.just(100.0),
        "radius_m": st.just(150.0),
    }
).map(lambda block: _fitting(block))


def _fitting(block: dict[str, Any]) -> dict[str, Any]:
    """With the keys that its kind needs."""
    if block["kind"] == "cell-failure":
        kept = {key: block[key] for key in ("kind", "at", "duration_s")}
        return kept | {"cell": "O001-1"}
    return block | ({"magnitude": 7.0} if block["kind"] == "demand-surge" else {})


SCENARIOS = st.fixed_dictionaries(
    {
        "city": st.fixed_dictionaries(
            {key: st.just(value) for key, value in CITY.items()},
            optional={"outdoor_sites": st.integers(1, 3), "indoor_sites": st.integers(0, 3), "seed": st.integers(0, 3)},
        ).map(lambda city: {"outdoor_sites": 1, "indoor_sites": 1} | city),
        "users": table("users", count=st.integers(0, 50)),
        "run": st.fixed_dictionaries(
            {"start": st.sampled_from(["08:00", "00:00", "23:59"]), "policy": st.sampled_from(sorted(POLICIES))},
            optional={"seed": st.integers(0, 2**63)},
        ),
        "incidents": st.lists(INCIDENTS, max_size=3),
    },
    optional={
        "radio": table("radio", engine=st.sampled_from(["tr38901", "sweep"])),  # rays need an extra
        **{name: table(name) for name in ("demand", "network", "handover", "energy")},
    },
).map(lambda raw: _without_contradictions(raw))


def _without_contradictions(raw: dict[str, Any]) -> dict[str, Any]:
    """Keys that are refused together, made to fit."""
    usual = HandoverParameters()
    levels = ("qout_db", "qin_db")
    if "handover" in raw:
        drawn = [raw["handover"].get(name, getattr(usual, name)) for name in levels]
        raw["handover"] |= dict(zip(levels, sorted(drawn), strict=True))
    if raw.get("network", {}).get("rate_law") == "truncated":
        raw["network"]["snr_gap_db"] = 0.0
    return raw


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps")


@settings(max_examples=6, deadline=None)
@given(raw=SCENARIOS)
def test_every_scenario_that_passes_its_check_runs(cache: Path, raw: dict[str, Any]) -> None:
    check_scenario(cache, raw)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(raw=SCENARIOS)
def test_hundreds_of_scenarios_run(cache: Path, raw: dict[str, Any]) -> None:
    check_scenario(cache, raw)


def check_scenario(cache: Path, raw: dict[str, Any]) -> None:
    checked = scenario.check(raw)
    assert scenario.check(scenario.to_dict(checked)) == checked
    world = runs.build(checked, cache_dir=cache, n_jobs=1)
    policy, streams = make_policy(checked.run.policy, world), Streams(checked.run.seed)
    state = engine.start(world, time_s=checked.run.start_s + 58, seed=checked.run.seed)
    for _ in range(SECONDS):
        action = policy(state)
        after, kpis = engine.step(world, state, action, streams)
        asked = Demand(after.service, kpis.user_offered_bits)
        rules.check_all(Second(world, state, after.users, asked, action), after, kpis)
        assert after.time_s == state.time_s + 1 == kpis.time_s + 1
        state = after
