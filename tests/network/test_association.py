from __future__ import annotations

import copy
from types import SimpleNamespace

import admission_by_hand as reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.network.association import associate
from mndt.radio.channel import Links

BY_PREFERENCE = ("nearest", "strongest")


class Points(SimpleNamespace):
    """Positions of users or sites."""

    def __len__(self):
        return len(self.x_m)


def points(x_m, y_m):
    return Points(x_m=np.float32(x_m), y_m=np.float32(y_m))


def ask(name, *, gain, budget_w, blocks, noise_w, **options):
    """`associate` on links made of gains."""
    links = Links.of_gain(gain, budget_w=budget_w, blocks=blocks, noise_w=noise_w)
    return associate(name, links=links, **options)


def draw_network(seed, n_users, n_cells, *, max_blocks=3):
    """A random small network in the arguments of `associate`: some cells off, some links out of reach."""
    rng = np.random.default_rng(seed)
    n_sites = max(1, n_cells - int(rng.integers(0, 2)))
    blocks = rng.integers(0, max_blocks + 1, n_cells).astype(np.int32)
    return {
        "gain": (rng.lognormal(-20, 2, (n_users, n_cells)) * (rng.random((n_users, n_cells)) > 0.1)).astype(np.float32),
        "budget_w": np.where(blocks > 0, rng.uniform(0.2, 2.0, n_cells), 0).astype(np.float32),
        "blocks": blocks,
        "noise_w": np.full(n_cells, 7e-16, np.float32),
        "active": rng.random(n_users) < 0.8,
        "site_of_cell": np.sort(rng.integers(0, n_sites, n_cells)).astype(np.int32),
        # on a coarse grid: equal distances happen
        "users": points(*rng.integers(0, 5, (2, n_users)) * 100),
        "sites": points(*rng.integers(0, 5, (2, n_sites)) * 100),
        "serving": rng.integers(-1, n_cells, n_users).astype(np.int32),
    }


networks = st.builds(draw_network, st.integers(0, 2**31), st.integers(0, 12), st.integers(1, 5))


def radio_of(p):
    users, sites = p["users"], p["sites"]
    squared_m2 = (users.x_m[:, None] - sites.x_m) ** 2 + (users.y_m[:, None] - sites.y_m) ** 2
    return {k: p[k] for k in ("gain", "budget_w", "blocks", "site_of_cell")} | {"squared_m2": squared_m2}


@settings(max_examples=300, deadline=None)
@given(networks, st.sampled_from(BY_PREFERENCE), st.integers(1, 3), st.integers(1, 8), st.booleans(), st.booleans())
def test_equals_the_papers_procedure_in_plain_python(p, name, users_per_block, n_candidates, held, power):
    rng = np.random.default_rng(len(p["gain"]))
    if not held:
        p = p | {"serving": None}
    min_snr = np.where(power, rng.lognormal(14, 2, len(p["gain"])), 0).astype(np.float32)
    min_power_w = 0.3 if power else 0.0
    got = ask(
        name, users_per_block=users_per_block, n_candidates=n_candidates, min_snr=min_snr, min_power_w=min_power_w, **p
    )
    want = reference.admission(
        name == "nearest",
        noise_w=p["noise_w"],
        active=p["active"],
        serving=p["serving"] if held else np.full(len(got), -1),
        places=p["blocks"] * users_per_block,
        min_power_w=min_power_w,
        min_snr=min_snr,
        n_candidates=n_candidates,
        **radio_of(p),
    )
    assert got.tolist() == want


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 3), st.sampled_from(BY_PREFERENCE))
def test_is_the_best_of_all_assignments_in_order_of_the_queue(seed, n_users, n_cells, name):
    p = draw_network(seed, n_users, n_cells) | {"serving": None, "active": np.ones(n_users, bool)}
    radio, nearest = radio_of(p), name == "nearest"
    liked = {u: reference.wishes(u, nearest=nearest, **radio) for u in range(n_users)}
    queue = sorted(
        (u for u in liked if liked[u]), key=lambda u: (reference.score(u, liked[u], nearest=nearest, **radio), u)
    )
    want = reference.best_assignment(queue, liked, p["blocks"])
    got = ask(name, **p)
    assert {u: int(got[u]) for u in queue} == want
    assert all(got[u] == -1 for u in range(n_users) if not liked[u])


@settings(max_examples=100, deadline=None)
@given(networks, st.sampled_from(BY_PREFERENCE), st.integers(1, 2))
def test_places_are_kept_and_nobody_is_refused_beside_a_free_place(p, name, users_per_block):
    got = ask(name, users_per_block=users_per_block, n_candidates=len(p["blocks"]), **p)
    admitted = p["active"] & (got >= 0)
    load = np.bincount(got[admitted], minlength=len(p["blocks"]))
    assert (load <= p["blocks"] * users_per_block).all()
    assert (p["gain"][admitted, got[admitted]] > 0).all()
    room = (load < p["blocks"] * users_per_block) & (p["budget_w"] > 0)
    refused = p["active"] & (got < 0)
    assert not (room & (p["gain"][refused] > 0)).any()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(BY_PREFERENCE))
def test_order_of_rows_does_not_matter(seed, name):
    rng = np.random.default_rng(seed)
    p = draw_network(seed, 12, 4)
    p["users"] = points(*rng.uniform(0, 900, (2, 12)))  # no ties in distance, none in level
    p["gain"] = 10.0 ** (-(6400 + rng.permutation(48 * 7)[:48].reshape(12, 4)) / 640.0)
    p["budget_w"] = np.where(p["blocks"] > 0, p["blocks"], 0).astype(np.float32)
    perm = rng.permutation(12)
    shuffled = {k: v[perm] if k in ("gain", "active", "serving") else v for k, v in p.items()}
    shuffled["users"] = points(p["users"].x_m[perm], p["users"].y_m[perm])
    np.testing.assert_array_equal(ask(name, **p)[perm], ask(name, **shuffled))


def three_users(**changes):
    """Cell 0 near and weak, cell 1 far and strong; one site each."""
    p = {
        "gain": np.float32([[1e-8, 3e-8], [1e-8, 3e-8], [1e-8, 3e-8]]),
        "budget_w": np.float32([1, 1]),
        "blocks": np.int32([2, 2]),
        "noise_w": np.float32([1e-15, 1e-15]),
        "active": np.array([True, True, True]),
        "site_of_cell": np.int32([0, 1]),
        "users": points([30, 10, 20], [0, 0, 0]),
        "sites": points([0, 120], [0, 0]),
    }
    return p | changes


def test_nearest_goes_by_distance_and_fills_up_in_order_of_distance():
    assert ask("nearest", **three_users()).tolist() == [1, 0, 0]


def test_strongest_goes_by_power_and_fills_up_in_order_of_rows_on_ties():
    assert ask("strongest", **three_users()).tolist() == [1, 1, 0]


def test_strongest_weighs_power_per_block():
    # Cell 1 has three times the gain, but spreads a tenth of the power over as many blocks.
    assert ask("strongest", **three_users(budget_w=np.float32([1, 0.1]))).tolist() == [0, 0, 1]


def test_idle_users_camp_without_a_place():
    active = np.array([False, False, True])
    assert ask("nearest", **three_users(active=active, blocks=np.int32([1, 1]))).tolist() == [0, 0, 0]


def test_a_held_place_is_not_taken_by_a_nearer_newcomer():
    p = three_users(blocks=np.int32([1, 2]), serving=np.int32([0, -1, -1]))
    assert ask("nearest", **p).tolist() == [0, 1, 1]


def test_a_place_left_in_one_round_is_taken_in_the_next():
    # User 0 holds cell 1 and moves home to cell 0; user 2 is refused by cell 1 until then.
    p = three_users(
        blocks=np.int32([1, 1]),
        users=points([10, 50, 100], [0, 0, 0]),
        active=np.array([True, False, True]),
        serving=np.int32([1, -1, -1]),
    )
    assert ask("nearest", **p).tolist() == [0, 0, 1]


def test_cells_asleep_serve_nobody():
    p = three_users(budget_w=np.float32([0, 1]), blocks=np.int32([0, 2]))
    assert ask("nearest", **p).tolist() == [1, -1, 1]  # user 1 is the farthest
    p = three_users(budget_w=np.float32([0, 0]), blocks=np.int32([0, 0]))
    assert ask("nearest", **p).tolist() == [-1, -1, -1]


def test_within_the_nearest_station_the_strongest_sector():
    p = three_users(site_of_cell=np.int32([0, 0]), sites=points([0], [0]))
    assert ask("nearest", **p).tolist() == [0, 1, 1]


def test_power_can_bind_before_blocks():
    # 1 W at 0.4 W a user: two users in cell 1, although it has room for eight.
    p = three_users(blocks=np.int32([8, 8]), min_power_w=0.4)
    assert ask("strongest", **p).tolist() == [1, 1, 0]
    # SNR 10^7 over 1e-15 W at a gain of 3e-8 takes 1/3 W (three just fit); at 1e-8 it takes 1 W.
    p = three_users(blocks=np.int32([8, 8]), min_snr=np.full(3, 0.99e7, np.float32))
    assert ask("strongest", **p).tolist() == [1, 1, 1]
    p = three_users(blocks=np.int32([8, 8]), min_snr=np.full(3, 1.2e7, np.float32))
    assert ask("strongest", **p).tolist() == [1, 1, -1]


def test_a_user_tries_only_its_candidates():
    assert ask("nearest", **three_users(blocks=np.int32([1, 2]), n_candidates=1)).tolist() == [-1, 0, -1]


def test_max_users_replaces_users_per_block():
    assert ask("nearest", **three_users(max_users=np.int32([3, 0]))).tolist() == [0, 0, 0]


def test_no_users():
    p = draw_network(1, 0, 3)
    assert ask("strongest", **p).shape == (0,)


def test_arguments_are_left_alone():
    p = draw_network(3, 12, 4)
    before = copy.deepcopy(p)
    ask("nearest", **p)
    for name, value in before.items():
        np.testing.assert_equal(
            vars(p[name]) if name in ("users", "sites") else p[name],
            vars(value) if name in ("users", "sites") else value,
        )


def test_unknown_name_and_missing_distance_say_so():
    with pytest.raises(InputError, match="did you mean 'nearest'"):
        ask("neares", **three_users())
    with pytest.raises(InputError, match="users is missing"):
        ask("nearest", **three_users(users=None))


def test_by_a3_a_user_leaves_its_place_for_the_wanted_cell_only():
    p = three_users(serving=np.int32([0, 0, -1]), wanted=np.int32([0, 1, -1]))
    assert ask("a3", **p).tolist() == [0, 1, 1]  # user 0 stays though cell 1 is stronger; user 2 is new
    full = three_users(serving=np.int32([0, 0, 1]), wanted=np.int32([0, 1, 1]), blocks=np.int32([2, 1]))
    assert ask("a3", **full).tolist() == [0, 0, 1]  # the target has no place: user 1 keeps its own


def test_a_gain_that_is_no_number_is_named():
    gain = three_users()["gain"].copy()
    gain[2, 1] = np.nan
    with pytest.raises(InputError, match="user 2, cell 1"):
        ask("strongest", **three_users(gain=gain))
