from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.users.demand.series import Gridded, gridded

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def rows(places: int = 4, days: int = 3, slot_s: int = 1800, begin_s: int = 0) -> Rows:
    """Traffic that says where and when it was: 1,000 per place and one per slot of the day."""
    time = begin_s + np.arange(0, days * 86_400, slot_s)
    place = np.repeat(np.arange(places), len(time))
    times = np.tile(time, places)
    return place.astype(str), times.astype(float), 1000.0 * (place + 1) + times % 86_400 // slot_s


def same(a: Gridded, b: Gridded) -> bool:
    return bool(np.array_equal(a.observed.traffic, b.observed.traffic) and np.array_equal(a.place, b.place))


@pytest.mark.parametrize("slot_s", [300, 900, 1800, 3600, 7200])
def test_slot_length_comes_from_the_data(slot_s: int) -> None:
    held = gridded(*rows(slot_s=slot_s))
    assert held.observed.slot_s == slot_s
    assert held.observed.traffic.shape == (4, 3 * 86_400 // slot_s)
    assert held.observed.traffic[2, 5] == 3005.0
    assert not held.repairs


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_order_of_rows_does_not_matter(seed: int) -> None:
    place, time, traffic = rows()
    order = np.random.default_rng(seed).permutation(len(place))
    assert same(gridded(place, time, traffic), gridded(place[order], time[order], traffic[order]))


def test_gaps_are_filled_from_other_days_and_said() -> None:
    place, time, traffic = rows()
    keep = ~((place == "1") & (time == 86_400 + 9 * 3600))
    held = gridded(place[keep], time[keep], traffic[keep])
    assert held.observed.traffic[1, 48 + 18] == pytest.approx(2018.0, rel=1e-3)
    assert held.repairs == ("1 missing slots (0.2%) filled from the same slot of other days",)


def test_repeated_rows_count_once() -> None:
    place, time, traffic = rows()
    twice = (np.concatenate([a, a[:10]]) for a in (place, time, traffic))
    held = gridded(*twice)
    assert same(held, gridded(place, time, traffic))
    assert "10 rows repeat a place and slot: the last counts" in held.repairs


def test_silent_and_sparse_places_are_left_out() -> None:
    place, time, traffic = rows(places=6)
    traffic = np.where(place == "2", 0.0, traffic)
    keep = (place != "4") | (time < 86_400)
    held = gridded(place[keep], time[keep], traffic[keep])
    assert held.place.tolist() == ["0", "1", "3", "5"]
    assert any("without any traffic" in line for line in held.repairs)
    assert any("lack more than 20%" in line for line in held.repairs)


def test_series_begin_at_the_first_midnight() -> None:
    held = gridded(*rows(begin_s=18 * 3600))
    assert held.observed.traffic[0, 0] == 1000.0
    assert held.observed.traffic.shape[1] == 2 * 48 + 36
    assert any("before the first midnight" in line for line in held.repairs)


def test_users_and_groups_come_along() -> None:
    place, time, traffic = rows()
    users = np.where(time == 0, np.nan, traffic / 10)
    held = gridded(place, time, traffic, users, np.char.add("g", np.char.mod("%d", place.astype(int) // 2)))
    assert held.observed.group.tolist() == [0, 0, 1, 1]
    assert held.observed.users is not None
    np.testing.assert_allclose(held.observed.users, held.observed.traffic / 10, rtol=1e-2)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (rows(days=1), "time is 24 h"),
        (rows(places=2), "places is 2"),
        (rows(slot_s=5000), "length of a slot is 83"),
        (tuple(a[:1] for a in rows()), "time is 1 different"),
    ],
)
def test_too_little_is_one_sentence(held: Rows, words: str) -> None:
    with pytest.raises(InputError) as caught:
        gridded(*held)
    assert words in str(caught.value)
