"""Recorded tracks: where users are between, before and after records, and what is done about odd ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mndt.city.model import Frame
from mndt.errors import InputError
from mndt.state import Mode
from mndt.streams import Streams
from mndt.users.tracks import RecordedTracks

FRAME = Frame(32635, 0.0, 0.0, 100.0, 100.0)


def tracks(rows: list[tuple[float, str, float, float]], **more: object) -> RecordedTracks:
    time_s, user, x, y = zip(*rows, strict=True)
    return RecordedTracks.from_arrays(np.array(time_s), np.array(user), np.array(x), np.array(y), **more)


def test_linear_between_records_and_absent_outside() -> None:
    mode = np.array([Mode.WALK, Mode.WALK, Mode.CAR, Mode.INSIDE, Mode.INSIDE])
    rows = [(0, "b", 0, 0), (10, "b", 20, 0), (20, "b", 20, 40), (5, "a", 7, 7), (6, "a", 7, 8)]
    found = tracks(rows, mode=mode, gap_s=10.0)
    assert found.name == ("a", "b")
    memory, users = found.start(5, Streams(0))
    assert users.x_m.tolist() == [7.0, 10.0]
    assert users.speed_mps.tolist() == [1.0, 2.0]
    assert users.mode.tolist() == [Mode.INSIDE, Mode.WALK]
    _, users = found.step(memory, 14, Streams(0))
    assert (users.x_m[1], users.y_m[1]) == (20.0, 20.0)
    assert users.mode.tolist() == [Mode.ABSENT, Mode.WALK]
    assert found.at(20).mode[1] == Mode.CAR
    assert found.at(21).mode[1] == Mode.ABSENT


@settings(max_examples=100, deadline=None)
@example(seed=159870, n=5, at=82, gap_s=0.0)  # a record at the very moment, and another within its second
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(1, 6),
    at=st.integers(-5, 120),
    gap_s=st.sampled_from([0.0, 3.0, 10.0, 1e9]),
)
def test_agrees_with_a_plain_reading_of_the_rules(seed: int, n: int, at: int, gap_s: float) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        (t, str(u), rng.random(), rng.random())
        for u in range(n)
        for t in np.sort(rng.choice(1000, rng.integers(1, 30), replace=False)) / 8.0
    ]
    order = rng.permutation(len(rows))
    users = tracks([rows[k] for k in order], gap_s=gap_s).at(at)
    for u in range(n):
        mine = [row for row in rows if row[1] == str(u)]
        here = None
        for a, b in pairwise(mine):
            if a[0] <= at <= b[0] and b[0] - a[0] <= gap_s:
                share = (at - a[0]) / (b[0] - a[0])
                here = (a[2] + share * (b[2] - a[2]), a[3] + share * (b[3] - a[3]))
        before = [row for row in mine if row[0] <= at]
        after = [row for row in mine if row[0] > at]
        if here is None and before and before[-1][0] == at:
            here = before[-1][2:]
        if here is None and after and np.floor(after[0][0]) <= at:  # its second has begun
            here = after[0][2:]
        assert (users.mode[u] != Mode.ABSENT) == (here is not None)
        if here is not None:
            assert (users.x_m[u], users.y_m[u]) == (pytest.approx(here[0], abs=1e-5), pytest.approx(here[1], abs=1e-5))


def test_gaps_disorder_doubles_and_the_map_s_edge_are_told() -> None:
    rows = [
        (0, "a", 10, 10), (4, "a", 14, 10), (2, "a", 12, 10),  # out of order
        (4, "a", 99, 99),  # again, elsewhere
        (20, "a", 30, 10),  # after a gap
        (0, "b", 50, 50), (5, "b", 120, 50), (8, "b", 60, 50),  # leaves the map for less than a gap
        (0, "c", 500, 50),  # never on it
    ]  # fmt: skip
    found = tracks(rows, frame=FRAME, gap_s=10.0)
    assert found.name == ("a", "b")
    assert found.at(3).x_m[0] == 13.0
    assert found.at(12).mode.tolist() == [Mode.ABSENT, Mode.ABSENT]
    assert found.at(20).mode.tolist() == [Mode.WALK, Mode.ABSENT]
    assert found.at(4).x_m[1] == 55.0
    told = " | ".join(found.notes)
    assert "2 of 9 records off the map" in told
    assert "1 records earlier than the one before" in told
    assert "1 records of a user and time recorded before (1 elsewhere)" in told
    assert "1 gaps of more than 10 s" in told
    assert "2 users, at most 2 at once" in told


@pytest.mark.parametrize(("speed", "mode"), [(1.4, Mode.WALK), (4.5, Mode.BICYCLE), (9.0, Mode.CAR)])
def test_speed_tells_the_mode_where_none_is_recorded(speed: float, mode: Mode) -> None:
    # it stands half of the time, and jumps far over a gap, which is no movement
    x = np.concatenate([np.arange(5) * 2.0 * speed, np.full(5, 8.0 * speed), [5000.0]])
    t = np.append(np.arange(10.0), 1000.0)
    assert tracks([(a, "a", b, 0.0) for a, b in zip(t, x, strict=True)], gap_s=10.0).mode.tolist() == [mode] * 11


def test_a_run_goes_on_only_with_the_recording_it_began_with() -> None:
    one = tracks([(0, "a", 1, 1), (9, "a", 2, 1)])
    other = tracks([(0, "a", 1, 1), (9, "a", 3, 1)])
    memory, _ = one.start(0, Streams(0))
    one.step(memory, 0, Streams(0))
    with pytest.raises(InputError, match="bring the file back"):
        other.step(memory, 0, Streams(0))


def test_no_tracks_and_values_that_are_none() -> None:
    none = np.zeros(0)
    assert len(RecordedTracks.from_arrays(none, none, none, none).start(0, Streams(0))[1]) == 0
    with pytest.raises(InputError, match="record 2: y_m is inf"):
        tracks([(0, "a", 1, 1), (1, "a", 1, np.inf)])


def test_one_search_among_many_records_is_short() -> None:
    """A second of 5,000 users with an hour of records each second may not look at all 18 million."""
    from time import process_time

    n, seconds = 500, 3600
    t = np.tile(np.arange(seconds, dtype=float), n)
    user = np.repeat(np.arange(n), seconds)
    found = RecordedTracks.from_arrays(t, user, t, t, np.zeros(len(t), np.int8), names=tuple(map(str, range(n))))
    found.at(10.0)
    times = []
    for k in range(20):
        begin = process_time()
        found.at(100.0 * k)
        times.append(process_time() - begin)
    assert min(times) < 2e-3
