"""The mirror against a plain book of all records that ever arrived."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.plants import Change, Turn
from mndt.plants.emulated import EmulatedPlant
from mndt.twin.bench_mirror import run
from mndt.twin.mirror import Mirror
from mndt.twin.mirror_records import Lags, Record
from plants.small_world import small_world

CELLS, COUNTERS = ("a", "b", "c"), ("RRU.PrbTotDl", "DRB.UEThpDl")


def record(cell: str, end_s: float, value: float = 1.0, delay_s: float = 0.0) -> Record:
    return Record(cell, end_s, end_s + delay_s, {"RRU.PrbTotDl": value, "DRB.UEThpDl": 2 * value})


def mirror_of(folder: str | Path, window_s: float = 3.0, batch_s: float = 4.0) -> Mirror:
    return Mirror(folder, CELLS, COUNTERS, window_s=window_s, batch_s=batch_s)


def counted(mirror: Mirror) -> dict[str, int]:
    return {name: number for name, number in asdict(mirror.counts).items() if number}


# One rule after the other -------------------------------------------------------------------------


def test_a_quiet_stream_is_taken_as_it_is_and_nothing_is_missing(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    for second in range(100, 120):
        for cell in CELLS:
            mirror.take(record(cell, second, second - 100.0, 0.2))
    mirror.close()
    assert counted(mirror) == {"taken": 60}
    metrics = mirror.metrics()
    assert metrics["missing_share"] == 0.0
    assert metrics["lag_worst_s"] == pytest.approx(0.2)
    assert 0.2 <= metrics["lag_median_s"] + 1e-9 <= 0.26
    state = mirror.state(109.5)
    assert state.of("DRB.UEThpDl").tolist() == [18.0] * 3
    assert state.age_s.tolist() == [[0.5, 0.5]] * 3


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (record("b", 104.0, 4.0), "duplicate"),
        (record("b", 104.0, 5.0), "contradicting"),
        (record("b", 101.0, 1.0), "late"),
        (record("z", 105.0), "unknown_cell"),
        (record("b", 105.5), "impossible_time"),
        (record("b", -1.0), "impossible_time"),
        (record("b", 110.0, delay_s=-5.0), "impossible_time"),
        (record("b", float("nan")), "impossible_time"),
    ],
)
def test_what_does_not_fit_is_counted_and_leaves_the_state_alone(tmp_path: Path, extra: Record, named: str) -> None:
    mirror = mirror_of(tmp_path)
    for second in range(100, 106):
        for cell in CELLS:
            mirror.take(record(cell, second, second - 100.0))
    before = mirror.state(105.0)
    mirror.take(extra)
    mirror.close()
    assert counted(mirror) == {"taken": 18, named: 1}
    np.testing.assert_array_equal(mirror.state(105.0).value, before.value)
    assert len(list((tmp_path / "late").glob("*.parquet"))) == (named == "late")


def test_a_record_within_the_window_amends_its_time_and_not_the_present(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    for second in (100, 101, 102):
        mirror.take(record("a", second, second - 100.0))
    mirror.take(record("b", 102, 9.0))
    mirror.take(record("b", 101, 8.0, 1.5))
    assert mirror.counts.out_of_order == 1
    assert mirror.state(102).value[1, 0] == 9.0
    assert mirror.state(101).value[1, 0] == 8.0
    assert np.isnan(mirror.state(101, known_s=102.0).value[1, 0])  # nobody knew it then
    assert mirror.state(101, known_s=102.5).value[1, 0] == 8.0


def test_impossible_values_go_and_the_rest_of_the_record_stays(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    mirror.take(record("a", 100, 50.0))
    mirror.take(Record("a", 101.0, 101.0, {"RRU.PrbTotDl": 140.0, "DRB.UEThpDl": 7.0}))
    mirror.take(Record("a", 102.0, 102.0, {"DRB.UEThpDl": float("inf")}))
    assert (mirror.counts.impossible_value, mirror.counts.missing_value) == (2, 1)
    state = mirror.state(102)
    assert state.value[0].tolist() == [50.0, 7.0]
    assert state.age_s[0].tolist() == [2.0, 1.0]
    assert state.stale(0.5).tolist() == [True, True, True]
    assert state.stale(1.5).tolist() == [False, True, True]


def test_what_never_came_is_missing_and_never_a_zero(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    for second in (100, 101, 105, 106):
        mirror.take(record("a", second, 3.0))
    mirror.close()
    assert counted(mirror) == {"taken": 4, "missing": 3 * 7 - 4, "gaps": 3}
    state = mirror.state(103.0)
    assert state.value[0, 0] == 3.0
    assert state.age_s[0, 0] == 2.0
    assert np.isnan(state.value[1]).all()
    assert np.isinf(state.age_s[1]).all()


def test_a_leap_of_the_clock_costs_no_time(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    mirror.take(record("a", 100))
    mirror.take(record("a", 1e9))
    mirror.close()
    assert mirror.counts.gaps == 1e9 - 101
    assert np.isnan(mirror.state(1e9 - 5).value).all()  # what is that old is nobody's present


# All rules together -------------------------------------------------------------------------------

some = st.builds(
    record, st.sampled_from([*CELLS, "z"]), st.integers(100, 130).map(float), st.sampled_from([1.0, 2.0, 150.0]),
    st.sampled_from([0.0, 0.5, 2.0, -3.0]),
)  # fmt: skip


def book(records: Sequence[Record], window: int) -> dict[tuple[str, float], Record]:
    """The rule once more, slowly: what is in the tables after these records."""
    taken: dict[tuple[str, float], Record] = {}
    newest = None
    for one in records:
        if one.cell not in CELLS or one.end_s > one.arrival_s + 1.0:
            continue
        newest = one.end_s if newest is None else newest
        if one.end_s >= newest - window:
            taken.setdefault((one.cell, one.end_s), one)
            newest = max(newest, one.end_s)
    return taken


@settings(max_examples=60, deadline=None)
@given(st.lists(some, max_size=60), st.integers(0, 4), st.integers(1, 6))
def test_any_stream_ends_as_the_slow_book_says(records: list[Record], window: int, batch: int) -> None:
    with TemporaryDirectory() as folder:
        mirror = mirror_of(folder, window, batch)
        for one in records:
            mirror.take(one)
        taken = book(records, window)
        check(mirror, taken)
        mirror.close()
        check(mirror, taken)
        c = mirror.counts
        left_out = c.duplicate + c.contradicting + c.late + c.unknown_cell + c.impossible_time
        assert c.taken + left_out == len(records)
        if taken:
            ends = {end_s for _, end_s in taken}
            periods = max(ends) - min(ends) + 1
            assert c.missing == periods * len(CELLS) - len(taken)
            assert c.gaps == periods - len(ends)
        again = mirror_of(folder, window, batch)
        check(again, taken)
        assert not taken or again.counts == mirror.counts


def check(mirror: Mirror, taken: dict[tuple[str, float], Record]) -> None:
    rows = mirror.rows(0.0, 1000.0)
    assert {(CELLS[row], end_s) for row, end_s in zip(rows.row, rows.end_s, strict=True)} == set(taken)
    assert len(rows.row) == len(taken)
    for time_s in (99.0, 104.0, 117.5, 200.0):
        state = mirror.state(time_s)
        for row, cell in enumerate(CELLS):
            for column, counter in enumerate(COUNTERS):
                good = [
                    (end_s, r.values[counter])
                    for (name, end_s), r in taken.items()
                    if name == cell and end_s <= time_s and (counter != "RRU.PrbTotDl" or r.values[counter] <= 100.0)
                ]
                if good:
                    end_s, value = max(good)
                    assert (state.value[row, column], state.age_s[row, column]) == (value, time_s - end_s)
                else:
                    assert np.isnan(state.value[row, column])


# A network, restarts, other tools -----------------------------------------------------------------


def test_a_network_is_mirrored_with_its_users_and_what_it_was_set_to(tmp_path: Path) -> None:
    plant = EmulatedPlant(small_world(), period_s=2)
    mirror = Mirror(tmp_path, plant.cell, ["RRC.ConnMean", "X.SumRate"], period_s=2, window_s=2, batch_s=4)
    seen = []
    for step in range(6):
        seen.append(plant.observe())
        mirror.take_observation(seen[-1])
        if step == 2:
            plant.apply(Change("x", (Turn(plant.cell[0], "power_dbm", 20.0),)))
    mirror.close()
    again = Mirror(tmp_path, plant.cell, ["RRC.ConnMean", "X.SumRate"], period_s=2)
    for asked in (mirror, again):
        for observation in seen:
            state = asked.state(observation.end_s)
            np.testing.assert_array_equal(state.of("X.SumRate"), observation.kpis["X.SumRate"])
            assert state.configuration is not None
            assert observation.configuration is not None
            assert state.configuration.revision == observation.configuration.revision
        found = asked.users(seen[3].end_s + 1.0)
        assert found is not None
        assert found[0] == seen[3].end_s
        assert seen[3].users is not None
        np.testing.assert_array_equal(found[1].x_m, seen[3].users.x_m)
        assert asked.users(seen[0].begin_s) is None


def test_a_killed_mirror_goes_on_and_counts_what_it_lost(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    for second in range(100, 111):
        for cell in CELLS:
            mirror.take(record(cell, second))
    kept = mirror_of(tmp_path)  # the first one is never closed
    lost_from = int(kept.rows(0, 1000).end_s.max()) + 1
    assert 100 < lost_from <= 111
    for second in range(115, 118):
        for cell in CELLS:
            kept.take(record(cell, second))
    kept.close()
    assert kept.counts.gaps == 115 - lost_from
    assert kept.counts.missing == 3 * (115 - lost_from)


def test_any_tool_reads_the_parts(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    for second in range(100, 110):
        for cell in CELLS:
            mirror.take(record(cell, second, 10.0 * (cell == "b")))
    mirror.close()
    query = f"SELECT cell, avg(\"RRU.PrbTotDl\"), count(*) FROM '{tmp_path}/kpis/*.parquet' GROUP BY cell ORDER BY cell"
    assert duckdb.sql(query).fetchall() == [("a", 0.0, 10), ("b", 10.0, 10), ("c", 0.0, 10)]
    assert json.loads((tmp_path / "mirror.json").read_text())["counts"]["taken"] == 30


def test_the_folder_of_another_network_is_refused(tmp_path: Path) -> None:
    mirror_of(tmp_path)
    with pytest.raises(InputError, match="another network"):
        Mirror(tmp_path, ("x",), COUNTERS)
    (tmp_path / "mirror.json").write_text("{")
    with pytest.raises(InputError, match="own file"):
        mirror_of(tmp_path)
    with pytest.raises(InputError, match="batch_s"):
        Mirror(tmp_path, CELLS, COUNTERS, period_s=10.0, batch_s=5.0)


def test_percentiles_of_lags_are_those_of_a_sorted_list() -> None:
    lags, values = Lags(), np.random.default_rng(0).gamma(2.0, 0.1, 2000)
    for value in values:
        lags.add(float(value))
    for percent in (5, 50, 95, 99):
        exact = np.percentile(values, percent)
        assert exact * 0.99 <= lags.percentile_s(percent) <= exact * 1.27
    assert np.isnan(Lags().percentile_s(50))


def test_the_mirror_keeps_up_with_a_city() -> None:
    found = run(seconds=120).figures  # long enough for the first part of the table to be written
    assert found["accounted"] == 1
    assert found["lag_median_s"] < 0.1
    assert found["lag_p99_s"] < 0.5
    assert found["late"] > 0
    assert found["missing"] > 0


def test_out_of_order_is_not_late() -> None:
    with TemporaryDirectory() as folder:
        mirror = mirror_of(folder, window_s=3)
        for end_s in (105, 102, 101):
            mirror.take(replace(record("a", end_s), arrival_s=105.0))
        assert (mirror.counts.taken, mirror.counts.out_of_order, mirror.counts.late) == (2, 1, 1)
