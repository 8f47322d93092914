from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.network.scheduling import BLOCKS, CHANNEL_BLIND, USERS_PER_BLOCK, assign_blocks
from mndt.parallel import set_threads
from mndt.radio import mcs
from mndt.radio.link import blocks_for_rate

BLOCK_HZ = 100e3


def draw_queues(seed, n_users, n_cells, *, fading=True, width=9, blocks_per_group=1, law="shannon"):
    rng = np.random.default_rng(seed)
    return {
        "serving": rng.integers(-1, n_cells, n_users).astype(np.int32),
        "active": rng.random(n_users) < 0.8,
        "need_bits": rng.lognormal(12.5, 1.5, n_users).astype(np.float32),
        "mean_rate_bps": (rng.lognormal(11, 1, n_users) * (rng.random(n_users) > 0.2)).astype(np.float32),
        "sinr": rng.lognormal(0.5, 1.5, n_users).astype(np.float32),
        "blocks": rng.integers(0, width + 1, n_cells).astype(np.int32),
        "block_hz": np.full(n_cells, BLOCK_HZ, np.float32),
        "width": width,
        "fade": rng.exponential(1.0, (n_users, -(-width // blocks_per_group))).astype(np.float32) if fading else None,
        "blocks_per_group": blocks_per_group,
        "law": law,
        "key": np.uint32(rng.integers(0, 2**32)),
        "turn": int(rng.integers(0, 10**5)),
    }


queues = st.builds(
    draw_queues, st.integers(0, 2**31), st.integers(0, 25), st.integers(1, 4), fading=st.booleans(),
    blocks_per_group=st.integers(1, 10), law=st.sampled_from(mcs.LAWS),
)  # fmt: skip


def rate_bps(p, u, k):
    """Expected rate of user u on block k, in double precision."""
    fade = np.float32(1.0) if p["fade"] is None else p["fade"][u, k // p["blocks_per_group"]]
    return float(mcs.rate_bps(p["law"], np.asarray(p["sinr"][u] * fade, np.float64), BLOCK_HZ))


@settings(max_examples=200, deadline=None)
@given(queues, st.sampled_from(sorted(BLOCKS)))
def test_blocks_go_to_active_users_of_the_cell_only(p, name):
    got = assign_blocks(name, **p)
    assert got.shape == (len(p["blocks"]), p["width"])
    assert got.dtype == np.int32
    for c, row in enumerate(got):
        assert (row[p["blocks"][c] :] == -1).all()
        holders = row[row >= 0]
        assert p["active"][holders].all()
        assert (p["serving"][holders] == c).all()
        waiting = np.flatnonzero(p["active"] & (p["serving"] == c))
        if name == "random":
            assert len(holders) == len(set(holders.tolist())) == min(len(waiting), p["blocks"][c])
        else:  # a block stays free only when everyone is covered
            free = [k for k in range(p["blocks"][c]) if row[k] < 0]
            assert all(covered(p, u, row) or not any(rate_bps(p, u, k) > 2 for k in free) for u in waiting)


def covered(p, u, row, without=None):
    carried = sum(rate_bps(p, u, k) for k in np.flatnonzero(row == u) if k != without)
    return carried >= p["need_bits"][u] * (1 - 1e-4)


def replay(p, c, row, metric, first_block):
    """Whether `row` is what giving block after block to the largest metric leads to, up to rounding."""
    n = int(p["blocks"][c])
    granted = {int(u): 0.0 for u in np.flatnonzero(p["active"] & (p["serving"] == c))}
    for j in range(n):
        k = (first_block + j) % n
        open_users = [u for u in granted if granted[u] < p["need_bits"][u] * (1 - 1e-4)]
        best = max((metric(u, k, granted[u]) for u in open_users), default=0.0)
        u = int(row[k])
        if u < 0:
            if best > 1e-3:
                return False
            continue
        if granted[u] > p["need_bits"][u] * (1 + 1e-4) or metric(u, k, granted[u]) < best * (1 - 1e-4):
            return False
        granted[u] += rate_bps(p, u, k)
    return True


@settings(max_examples=100, deadline=None)
@given(queues, st.sampled_from([2.0, 10.0]))
def test_each_block_goes_to_the_largest_metric(p, window_s):
    def fair(u, k, granted):
        return rate_bps(p, u, k) / max((window_s - 1) * float(p["mean_rate_bps"][u]) + granted, 1.0)

    def greedy(u, k, granted):
        return rate_bps(p, u, k)

    for name, metric in (("proportional-fair", fair), ("max-rate", greedy)):
        got = assign_blocks(name, window_s=window_s, **p)
        for c, row in enumerate(got):
            assert any(replay(p, c, row, metric, first) for first in range(max(1, p["blocks"][c])))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["proportional-fair", "max-rate", "rate-need"]), st.integers(1, 4))
def test_order_of_rows_does_not_matter(seed, name, blocks_per_group):
    p = draw_queues(seed, 20, 3, blocks_per_group=blocks_per_group)
    # of users who never had anything, two that hold as many blocks of one group tie exactly
    p["mean_rate_bps"] = p["mean_rate_bps"] + np.float32(1e3)
    perm = np.random.default_rng(seed).permutation(20)
    per_user = ("serving", "active", "need_bits", "mean_rate_bps", "sinr", "fade")
    shuffled = {k: v[perm] if k in per_user else v for k, v in p.items()}
    got, other = assign_blocks(name, **p), assign_blocks(name, **shuffled)
    np.testing.assert_array_equal(got, np.where(other >= 0, perm[np.maximum(other, 0)], -1))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["round-robin", "proportional-fair", "max-rate"]), st.integers(2, 12))
def test_groups_are_short_for_blocks_that_fade_alike(seed, name, blocks_per_group):
    p = draw_queues(seed, 20, 3, blocks_per_group=blocks_per_group, width=23)
    block_by_block = p | {"fade": np.repeat(p["fade"], blocks_per_group, axis=1)[:, :23], "blocks_per_group": 1}
    np.testing.assert_array_equal(assign_blocks(name, **p), assign_blocks(name, **block_by_block))


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_threads_change_nothing(name):
    p = draw_queues(3, 2000, 150, width=40, blocks_per_group=4)
    results = []
    for n in (1, 2, 3):
        set_threads(n)
        results.append(assign_blocks(name, **p).tobytes())
    set_threads(1)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_cells_do_not_disturb_each_other(name):
    p = draw_queues(5, 40, 4)
    alone = p | {"active": p["active"] & (p["serving"] == 2)}
    np.testing.assert_array_equal(assign_blocks(name, **p)[2], assign_blocks(name, **alone)[2])


@pytest.mark.parametrize("name", sorted(BLOCKS))
@pytest.mark.parametrize(("n_users", "n_cells"), [(0, 3), (7, 1)])
def test_nobody_and_nothing_on(name, n_users, n_cells):
    p = draw_queues(1, n_users, n_cells)
    p["blocks"] = np.zeros(n_cells, np.int32)
    assert (assign_blocks(name, **p) == -1).all()


def crowd(n_users, n_blocks, **changes):
    """Everyone in cell 0, never satisfied."""
    return {
        "serving": np.zeros(n_users, np.int32),
        "active": np.ones(n_users, bool),
        "need_bits": np.full(n_users, 1e9, np.float32),
        "mean_rate_bps": np.zeros(n_users, np.float32),
        "sinr": np.ones(n_users, np.float32),
        "blocks": np.int32([n_blocks]),
        "block_hz": np.float32([BLOCK_HZ]),
        "width": n_blocks,
    } | changes


def test_random_blocks_and_users_are_equally_likely():
    n_users, n_blocks, draws = 6, 4, 4000
    hits = np.zeros((n_blocks, n_users))
    for key in range(draws):
        row = assign_blocks("random", key=key, **crowd(n_users, n_blocks))[0]
        hits[np.arange(n_blocks), row] += 1
    expected = draws / n_users
    chi_square = ((hits - expected) ** 2 / expected).sum()  # rows sum to `draws`: 4 x 5 degrees of freedom
    assert chi_square < 52.4  # 99.99 % quantile of 20 degrees; fixed keys, so no flicker


def test_random_blocks_of_two_cells_are_independent():
    p = crowd(2, 8, serving=np.int32([0, 1]), blocks=np.int32([8, 8]), block_hz=np.full(2, BLOCK_HZ, np.float32))
    same = 0
    for key in range(4000):
        got = assign_blocks("random", key=key, **p)
        same += int(np.argmax(got[0] == 0) == np.argmax(got[1] == 1))
    assert abs(same - 500) < 4 * np.sqrt(4000 / 8 * 7 / 8)


def test_round_robin_gives_every_user_the_same_over_a_full_rotation():
    n_users, n_blocks = 7, 3
    shares = np.zeros(n_users, int)
    for second in range(100, 100 + n_users):
        row = assign_blocks("round-robin", turn=second, **crowd(n_users, n_blocks))[0]
        shares += np.bincount(row, minlength=n_users)
    assert shares.tolist() == [n_blocks] * n_users


def rotate(p, c, first_block):
    """Round robin of one cell in plain words, and how near it came to a need being just met."""
    n, row, edge = int(p["blocks"][c]), np.full(p["width"], -1), 1.0
    queue = np.flatnonzero(p["active"] & (p["serving"] == c)).tolist()
    queue = queue[(p["turn"] * n) % max(len(queue), 1) :] + queue[: (p["turn"] * n) % max(len(queue), 1)]
    granted = dict.fromkeys(queue, 0.0)
    for j in range(n if queue else 0):
        if not queue:
            break
        u, k = queue.pop(0), (first_block + j) % n
        row[k] = u
        granted[u] += rate_bps(p, u, k)
        edge = min(edge, abs(granted[u] / p["need_bits"][u] - 1))
        if granted[u] < p["need_bits"][u]:
            queue.append(u)
    return row, edge


@settings(max_examples=100, deadline=None)
@given(queues)
def test_round_robin_is_the_plain_rotation(p):
    got = assign_blocks("round-robin", **p)
    for c, row in enumerate(got):
        plain = [rotate(p, c, first) for first in range(max(1, p["blocks"][c]))]
        assert any(edge < 1e-4 or (row == expected).all() for expected, edge in plain)


def test_round_robin_covers_small_buffers_and_passes_on_the_rest():
    need = np.float32([100e3, 1e9, 250e3])  # at SINR 1 a block carries 100 kbit
    row = assign_blocks("round-robin", **crowd(3, 8, need_bits=need))[0]
    assert np.bincount(row).tolist() == [1, 4, 3]


def test_proportional_fair_shares_equally_among_equals_and_favours_the_starved():
    row = assign_blocks("proportional-fair", **crowd(3, 6))[0]
    assert np.bincount(row).tolist() == [2, 2, 2]
    past = np.float32([500e3, 0.0, 500e3])
    row = assign_blocks("proportional-fair", **crowd(3, 4, mean_rate_bps=past))[0]
    assert np.bincount(row, minlength=3).tolist() == [0, 4, 0]


def test_max_rate_gives_all_to_the_best_until_it_is_covered():
    p = crowd(2, 4, sinr=np.float32([3, 1]), need_bits=np.float32([400e3, 1e9]))
    assert np.bincount(assign_blocks("max-rate", **p)[0]).tolist() == [2, 2]


@pytest.mark.parametrize("name", ["round-robin", "proportional-fair", "max-rate", "rate-need"])
def test_no_user_is_expected_to_pass_the_ceiling_of_the_law(name):
    """At any SINR a block of 256QAM carries 7.41 bit/s/Hz: 2 Mbit/s take three blocks of 100 kHz."""
    p = crowd(1, 9, sinr=np.float32([1e9]), need_bits=np.float32([2e6]))
    assert (assign_blocks(name, law="256qam", **p) == 0).sum() == 3
    assert (assign_blocks(name, **p) == 0).sum() == 1


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(0, 40), st.floats(10.0, 14.0))
def test_rate_need_gives_each_user_the_blocks_of_inverted_shannon(seed, n_users, n_blocks, log_need):
    rng = np.random.default_rng(seed)
    need = rng.lognormal(log_need, 1.0, n_users).astype(np.float32)
    p = crowd(n_users, n_blocks, need_bits=need, sinr=rng.lognormal(1, 1, n_users).astype(np.float32))
    held = np.bincount(assign_blocks("rate-need", key=seed, **p)[0] + 1, minlength=n_users + 1)[1:]
    fewest = blocks_for_rate(need.astype(float) * (1 - 1e-5), p["sinr"].astype(float), BLOCK_HZ).astype(int)
    assert held.sum() == min(fewest.sum(), n_blocks)
    served = held >= fewest
    assert (held <= fewest + 1).all()  # one more where float32 rounds a need just above a whole block
    assert served.sum() == (np.cumsum(np.sort(fewest)) <= n_blocks).sum()  # no choice satisfies more users
    assert (held[~served] > 0).sum() <= 1  # what is left over goes to one


def test_rate_need_takes_the_blocks_with_the_best_fading():
    fade = np.float32([[0.1, 3.0, 1.0], [0.2, 3.0, 1.0]])
    p = crowd(2, 6, need_bits=np.float32([300e3, 500e3]), fade=fade, blocks_per_group=2)
    row = assign_blocks("rate-need", **p)[0]  # SINR 1: 200 kbit on blocks 2 and 3, 100 kbit on 4 and 5
    assert sorted(row[2:4].tolist()) == [0, 0]
    assert row[4:].tolist() == [1, 1]
    assert sorted(row[:2].tolist()) == [1, 1]  # 26 kbit each: still short of its need
    p["need_bits"] = np.float32([300e3, 200e3])
    row = assign_blocks("rate-need", **p)[0]
    assert (row[2:4] == 1).sum() == 1  # it comes first, the other gets what is best of the rest
    assert np.bincount(row + 1).tolist() == [3, 2, 1]


def test_rate_need_leaves_the_rest_free_and_wakes_nobody_for_nothing():
    p = crowd(3, 10, need_bits=np.float32([100e3, 0, 100e3]), sinr=np.float32([1, 1, 0]))
    assert np.bincount(assign_blocks("rate-need", **p)[0] + 1, minlength=4).tolist() == [9, 1, 0, 0]


def test_half_empty_cells_start_at_blocks_of_their_own():
    n_cells = 60
    p = crowd(
        n_cells, 20, serving=np.arange(n_cells, dtype=np.int32), need_bits=np.ones(n_cells, np.float32),
        blocks=np.full(n_cells, 20, np.int32), block_hz=np.full(n_cells, BLOCK_HZ, np.float32),
    )  # fmt: skip
    for name in ("round-robin", "proportional-fair", "max-rate", "rate-need"):
        used = np.argmax(assign_blocks(name, key=3, **p) >= 0, axis=1)
        assert len(set(used.tolist())) > 12


def test_registry_is_complete():
    assert BLOCKS.keys() == USERS_PER_BLOCK.keys() >= CHANNEL_BLIND
    with pytest.raises(InputError, match="did you mean 'max-rate'"):
        assign_blocks("maxrate", **crowd(1, 1))


@pytest.mark.parametrize("name", sorted(CHANNEL_BLIND))
def test_blind_schedulers_do_not_look_at_the_channel(name):
    p = draw_queues(11, 25, 3)
    blind = p | {"sinr": np.zeros(25, np.float32), "fade": None}
    np.testing.assert_array_equal(assign_blocks(name, **p), assign_blocks(name, **blind))


def test_more_blocks_than_columns_or_fades_are_an_error():
    with pytest.raises(ValueError, match="5 blocks"):
        assign_blocks("random", **crowd(1, 5) | {"width": 4})
    with pytest.raises(ValueError, match="2 groups of 2 blocks do not cover 5"):
        assign_blocks("max-rate", fade=np.ones((1, 2), np.float32), blocks_per_group=2, **crowd(1, 5))
