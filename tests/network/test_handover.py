from __future__ import annotations

from dataclasses import replace

import handover_by_hand as by_hand
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.network import handover
from mndt.network.handover import SLOTS, hand_over, refused, smoothing, start, stayed
from mndt.network.handover_parameters import HandoverParameters
from mndt.parallel import set_threads
from mndt.radio.channel import Received
from mndt.state import Mobility, MobilityLog
from mndt.units import dbm_to_w

NAMES = {Mobility.HANDOVER: "handover", Mobility.HANDOVER_FAILURE: "failure",
         Mobility.RADIO_LINK_FAILURE: "radio-link-failure"}  # fmt: skip
QUIET = HandoverParameters(filter_k=0, offset_db=3, hysteresis_db=1, time_to_trigger_ms=160, qout_db=-30, qin_db=-29)
NOISE_DBM = -140.0


class Phone:
    """A few users fed second by second with the RSRP of every cell."""

    def __init__(self, p, n_users, n_cells, *, offset_db=None, noise_dbm=NOISE_DBM, slots=SLOTS, load=None):
        self.p, self.memory, self.serving = p, start(n_users), np.zeros(n_users, np.int32)
        self.offset_db = np.zeros(n_cells, np.float32) if offset_db is None else np.float32(offset_db)
        self.noise_dbm, self.slots = np.full(n_cells, noise_dbm, np.float32), slots
        self.load = np.ones(n_cells, np.float32) if load is None else np.float32(load)

    def second(self, time_s, rsrp_dbm):
        """Every user reports its serving cell and the strongest others; returns the log."""
        rsrp_dbm = np.atleast_2d(np.float32(rsrp_dbm))
        cell, level = np.full((len(rsrp_dbm), SLOTS), -1, np.int32), np.zeros((len(rsrp_dbm), SLOTS), np.float32)
        for u, own in enumerate(self.serving):
            order = [own, *(c for c in np.argsort(-rsrp_dbm[u], kind="stable") if c != own)][: self.slots]
            cell[u, : len(order)], level[u, : len(order)] = order, rsrp_dbm[u, order]
        watt, rows = dbm_to_w(rsrp_dbm), np.arange(len(rsrp_dbm))
        others_w = (watt * self.load).sum(axis=1) - (watt * self.load)[rows, self.serving]
        self.memory, self.serving, log = hand_over(
            self.p, self.memory, time_s=time_s, cell=cell, rsrp_dbm=level,
            received=Received(self.serving, np.float32(watt[rows, self.serving]), np.float32(others_w)),
            noise_w=np.float32(dbm_to_w(self.noise_dbm)), offset_db=self.offset_db, load=self.load,
        )  # fmt: skip
        self.report = [
            dict(zip(c[c >= 0].tolist(), v[c >= 0].tolist(), strict=True)) for c, v in zip(cell, level, strict=True)
        ]
        return log


def times_ms(phone, seconds):
    """(time, from, to) of all handovers of user 0, in ms since the first second's start."""
    found = []
    for t, rsrp_dbm in enumerate(seconds):
        log = phone.second(t, rsrp_dbm)
        found += [
            (1000 * t + int(ms), int(a), int(b))
            for ms, a, b in zip(log.offset_ms, log.from_cell, log.to_cell, strict=True)
        ]
    return found


def ramp(*levels):
    """Serving cell at -90 dBm, a neighbour through these levels relative to it, at the ends of seconds."""
    return [[-90.0, -90.0 + level] for level in levels]


def test_a_ramp_crosses_when_its_closed_form_says():
    # From -10 to +10 dB in the second after the first: +4 dB (offset + hysteresis) is passed at 0.70 s, at 0.72 s
    # it is first seen above (5.2 - 0.8 i < 4 until i = 17), and 160 ms later the handover comes.
    assert times_ms(Phone(QUIET, 1, 2), ramp(-10, 10)) == [(1720 + 160, 0, 1)]


@pytest.mark.parametrize(
    ("ttt_ms", "expected_ms"), [(0, 1720), (40, 1760), (64, 1800), (128, 1880), (320, 2040), (5120, 6840)]
)
def test_time_to_trigger_is_rounded_up_to_the_measurement(ttt_ms, expected_ms):
    p = replace(QUIET, time_to_trigger_ms=ttt_ms)
    assert times_ms(Phone(p, 1, 2), ramp(-10, 10, *[10] * 6)) == [(expected_ms, 0, 1)]


def test_between_entering_and_leaving_the_timer_runs_on():
    p = replace(QUIET, time_to_trigger_ms=1280)
    # +5 dB enters (above 4), +2.5 dB does not leave (above 2): due 1,280 ms after it was seen first
    assert times_ms(Phone(p, 1, 2), ramp(5, 2.5, 2.5)) == [(40 + 1280, 0, 1)]
    # towards -20 dB it leaves after 160 ms of the second second (5 - i < 2 from i = 4 on), before the time is up
    assert times_ms(Phone(p, 1, 2), ramp(5, -20, -20, -20)) == []


def test_cell_individual_offsets_shift_the_crossing():
    p = replace(QUIET, time_to_trigger_ms=0)
    assert times_ms(Phone(p, 1, 2, offset_db=[0, 0]), ramp(-10, 10)) == [(1720, 0, 1)]
    assert times_ms(Phone(p, 1, 2, offset_db=[0, 5]), ramp(-10, 10)) == [(1480, 0, 1)]  # +4 - 5 = -1 dB, after 11.25
    assert times_ms(Phone(p, 1, 2, offset_db=[5, 0]), ramp(-10, 10)) == [(1960, 0, 1)]  # +9 dB, after 23.75


def test_the_filter_delays_as_its_closed_form_says():
    """Response to a ramp of s a sub-step: F_i = m_i - s (1 - b^i) (1 - a) / a."""
    p = replace(QUIET, filter_k=2, time_to_trigger_ms=0)
    a, slope = smoothing(2), 20 / 25
    i = np.arange(1, 26)
    filtered = -10 + slope * (i - (1 - (1 - a) ** i) * (1 - a) / a)
    expected = int(i[np.argmax(filtered > 4)]) * 40
    assert 720 < expected < 1000
    assert times_ms(Phone(p, 1, 2), ramp(-10, 10)) == [(1000 + expected, 0, 1)]


def test_quiet_seconds_filter_as_sub_steps_do():
    """The closed form over a quiet second against twenty-five sub-steps."""
    p = replace(QUIET, filter_k=6)
    phone, user = Phone(p, 1, 2), by_hand.User(p)
    for t, level in enumerate([-20.0, -12.0, -18.0, -9.0]):
        phone.second(t, [-90.0, -90.0 + level])
        user.second(t, phone.report[0], -80.0, phone.noise_dbm, phone.offset_db)
    assert phone.memory.filtered_dbm[0, :2] == pytest.approx([user.filtered[0], user.filtered[1]], abs=1e-3)


def test_back_within_the_window_is_a_ping_pong():
    p = replace(QUIET, time_to_trigger_ms=0, ping_pong_s=2.0)
    phone = Phone(p, 1, 2)
    logs = [phone.second(t, [-90.0, -90.0 + level]) for t, level in enumerate([-6, 6, -6, 6, 6, 6, 6, -6])]
    assert [log.ping_pong.tolist() for log in logs] == [[], [False], [True], [True], [], [], [], [False]]


@pytest.mark.parametrize(("window_s", "ping_pong"), [(2.0, False), (2.04, True)])
def test_the_ping_pong_window_ends_before_its_last_moment(window_s, ping_pong):
    """Away at 40 ms, back exactly two seconds later, when the cell is measured again."""
    phone = Phone(replace(QUIET, time_to_trigger_ms=0, ping_pong_s=window_s), 1, 3, slots=2)
    logs = [phone.second(t, level) for t, level in enumerate([[-90, -80, -99], [-120, -80, -99], [-70, -80, -99]])]
    assert [log.offset_ms.tolist() for log in logs] == [[40], [], [40]]
    assert logs[2].ping_pong.tolist() == [ping_pong]


def test_under_another_serving_cell_timers_begin_anew():
    phone = Phone(replace(QUIET, time_to_trigger_ms=1280), 1, 3)
    assert len(phone.second(0, [-90.0, -90.0, -84.0])) == 0
    phone.serving = np.int32([1])  # a policy's decision
    log = phone.second(1, [-90.0, -90.0, -84.0])
    later = phone.second(2, [-90.0, -90.0, -84.0])
    assert (log.offset_ms.tolist(), later.offset_ms.tolist()) == ([], [40 + 1280 - 1000])


def test_a_link_fails_once_it_has_been_out_for_t310():
    # SINR -10 dB under an interferer nobody may go to is out at the first measurement; 1,000 ms later it has failed.
    p = HandoverParameters(offset_db=15, hysteresis_db=15)
    phone = Phone(p, 1, 2)
    log = phone.second(0, [-90.0, -80.0])
    assert len(log) == 0
    log = phone.second(1, [-90.0, -80.0])
    assert (log.offset_ms.tolist(), log.kind.tolist(), log.to_cell.tolist()) == (
        [40],
        [Mobility.RADIO_LINK_FAILURE],
        [1],
    )
    assert phone.serving.tolist() == [1]


def test_back_in_synchronisation_the_timer_stops():
    p = HandoverParameters(offset_db=15, hysteresis_db=15, t310_ms=2000)  # a second and a half at a time is bearable
    phone = Phone(p, 1, 2)
    assert all(len(phone.second(t, [-90.0, -90.0 + x])) == 0 for t, x in enumerate([10, 0, 10, 0, 10, 0]))


def test_a_handover_into_noise_fails():
    p = replace(QUIET, time_to_trigger_ms=0, qout_db=-8.0)
    phone = Phone(p, 1, 3, noise_dbm=-70.0)  # 15 dB above the best
    log = phone.second(0, [-90.0, -85.0, -95.0])
    assert (log.kind.tolist(), log.to_cell.tolist()) == ([Mobility.HANDOVER_FAILURE], [1])


def test_several_neighbours_due_at_once_the_best_is_taken():
    p = replace(QUIET, time_to_trigger_ms=0)
    log = Phone(p, 1, 3).second(0, [-90.0, -84.0, -83.0])
    assert log.to_cell.tolist() == [2]


def test_a_refused_user_stays_and_asks_again():
    p = replace(QUIET, time_to_trigger_ms=160)
    phone = Phone(p, 1, 2)
    first = phone.second(0, [-90.0, -80.0])
    kept = refused(first, phone.serving, np.int32([0]))
    assert kept.kind.tolist() == [Mobility.REFUSED]
    phone.serving = np.int32([0])
    again = phone.second(1, [-90.0, -80.0])
    assert again.offset_ms.tolist() == [40 + 160]


@pytest.mark.parametrize("filter_k", [0, 1, 4, 11, 19])
def test_a_neighbour_exactly_at_the_threshold_never_enters(filter_k):
    """The condition is a strict inequality, and a level that stays the same filters to itself."""
    p = replace(QUIET, filter_k=filter_k, time_to_trigger_ms=0)
    for own_dbm in (-90.0, -85.25, -101.5):
        assert times_ms(Phone(p, 1, 2), [[own_dbm, own_dbm + 4.0]] * 4) == []
        assert times_ms(Phone(p, 1, 2), [[own_dbm, own_dbm + 4.0 + 1 / 64]]) == [(40, 0, 1)]


def test_a_link_fails_when_the_closed_form_says():
    """SINR falls from +10 to -30 dB within a second: below -8 dB after 0.45 s, first seen at 480 ms."""
    p = HandoverParameters(offset_db=15, hysteresis_db=15, t310_ms=400)
    phone = Phone(p, 1, 2)
    phone.second(0, [-80.0, -90.0])
    log = phone.second(1, [-120.0, -90.0])
    assert (log.offset_ms.tolist(), log.kind.tolist()) == ([480 + 400], [Mobility.RADIO_LINK_FAILURE])


def test_two_handovers_in_one_second():
    """Cell 1 is +5 dB all the time; cell 2 runs from -10 to +30 dB and is 4 dB above it from +9 dB on."""
    p = replace(QUIET, time_to_trigger_ms=0)
    phone = Phone(p, 1, 3)
    phone.second(0, [-90.0, -87.0, -100.0])
    log = phone.second(1, [-90.0, -85.0, -60.0])
    # cell 1: 3 + 0.08 i > 4 at i = 13; cell 2: -10 + 1.6 i > 4 already at i = 9: it is first, and then best
    assert (log.offset_ms.tolist(), log.to_cell.tolist()) == ([360], [2])
    phone = Phone(p, 1, 3)
    phone.second(0, [-90.0, -87.0, -110.0])
    log = phone.second(1, [-90.0, -79.0, -70.0])
    # cell 1: 3 + 0.32 i > 4 at i = 4; cell 2 over cell 1: -23 + 1.28 i > 4 at i = 22
    assert (log.offset_ms.tolist(), log.from_cell.tolist(), log.to_cell.tolist()) == ([160, 880], [0, 1], [1, 2])


def test_a_cell_that_leaves_the_report_is_forgotten():
    p = replace(QUIET, time_to_trigger_ms=1280)
    phone = Phone(p, 1, 3, slots=2)
    neighbours = [[-90.0, -84.0, -99.0], [-90.0, -84.0, -80.0], [-90.0, -84.0, -99.0], [-90.0, -84.0, -99.0]]
    assert times_ms(phone, neighbours) == [(2040 + 1280, 0, 1)]  # not at 1,320 ms


def test_the_slot_of_a_cell_does_not_matter():
    p = replace(QUIET, time_to_trigger_ms=1280, filter_k=4)
    phone = Phone(p, 1, 4)
    log = times_ms(phone, [[-90.0, -84.0, -95.0, -96.0], [-90.0, -84.0, -83.0, -82.5], [-90.0, -84.0, -95.0, -80.0]])
    assert log[0] == (40 + 1280, 0, 1)  # it was first, then last of the neighbours


def test_a_target_counts_in_the_total_with_its_load():
    """Between silent cells a target 10 dB above the noise takes the user; a cell 15 dB above it makes that fail."""
    p = replace(QUIET, time_to_trigger_ms=0, qout_db=-8.0)
    level_dbm = [-105.0, -100.0, -85.0]
    for load, kind in (([0.0, 0.01, 0.0], Mobility.HANDOVER), ([0.0, 0.01, 1.0], Mobility.HANDOVER_FAILURE)):
        phone = Phone(p, 1, 3, noise_dbm=-110.0, load=load, offset_db=[0.0, 0.0, -24.0])
        log = phone.second(0, level_dbm)
        assert (log.kind[0], log.to_cell[0]) == (kind, 1)


def entries(*rows):
    """A log from (time, user, kind, from, to)."""
    ms, user, kind, begin, end = np.int32(rows).T
    return MobilityLog(ms, user, kind.astype(np.int8), begin, end, np.zeros(len(rows), bool))


def test_what_did_not_happen_is_marked_as_refused():
    go, fail, lost, no = (
        Mobility.HANDOVER, Mobility.HANDOVER_FAILURE, Mobility.RADIO_LINK_FAILURE, Mobility.REFUSED
    )  # fmt: skip
    log = entries(
        (40, 0, go, 5, 6), (40, 3, go, 5, 6), (80, 1, go, 5, 6), (80, 2, fail, 5, 6), (120, 1, go, 6, 5),
        (160, 3, go, 6, 7), (200, 1, go, 5, 7), (240, 4, fail, 5, 6), (240, 5, go, 5, 6), (280, 5, lost, 6, 7),
    )  # fmt: skip
    wanted, got = np.int32([6, 7, 6, 7, 8, 7]), np.int32([6, 5, 5, 5, 5, -1])
    # 0 got it; 1 came back to 5 and was refused at 7; 2 was refused where it would have failed; 3 never left;
    # 4 failed at 6 and then had no place at 8; 5 was at 6 when it lost the link
    assert refused(log, wanted, got).kind.tolist() == [go, no, go, no, go, no, no, fail, go, lost]


def test_a_refused_user_has_left_no_cell():
    p = replace(QUIET, time_to_trigger_ms=0, ping_pong_s=3.0)
    phone = Phone(p, 1, 3, slots=2)
    phone.second(0, [-90.0, -80.0, -99.0])  # goes from 0 to 1
    before = phone.memory
    phone.second(1, [-90.0, -80.0, -70.0])  # wants 2, and is refused
    phone.memory = stayed(before, phone.memory, phone.serving, np.int32([1]))
    phone.serving = np.int32([1])
    log = phone.second(2, [-70.0, -80.0, -99.0])
    assert (log.to_cell.tolist(), log.ping_pong.tolist()) == ([0], [True])


def test_rows_are_independent_users():
    rng = np.random.default_rng(8)
    order, p, levels = rng.permutation(200), HandoverParameters(), rng.uniform(-100, -80, (5, 200, 4))
    phone, shuffled = Phone(p, 200, 4), Phone(p, 200, 4)
    for t, level in enumerate(levels):
        log, other = phone.second(t, level), shuffled.second(t, level[order])
        mine = {(ms, u, k, c) for ms, u, k, c in zip(log.offset_ms, log.user, log.kind, log.to_cell, strict=True)}
        theirs = zip(other.offset_ms, order[other.user], other.kind, other.to_cell, strict=True)
        assert mine == set(theirs)
        np.testing.assert_array_equal(phone.memory.filtered_dbm[order], shuffled.memory.filtered_dbm)


def test_idle_users_measure_nothing():
    memory = start(2)
    none = np.full((2, SLOTS), -1, np.int32)
    nothing = np.zeros(2, np.float32)
    received = Received(none[:, 0], nothing, nothing)
    new, wanted, log = hand_over(
        QUIET, memory, time_s=5, cell=none, rsrp_dbm=np.zeros((2, SLOTS), np.float32), received=received,
        noise_w=np.float32([1e-15]), offset_db=np.float32([0]),
    )  # fmt: skip
    assert (wanted.tolist(), len(log), new.serving.tolist()) == ([-1, -1], 0, [-1, -1])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31), st.sampled_from([0, 40, 160, 512, 1280]), st.sampled_from([0, 4, 11]),
    st.sampled_from([0, 1, 6]), st.sampled_from([200, 1000]),
)  # fmt: skip
def test_the_log_equals_the_plain_reference_on_random_walks(seed, ttt_ms, filter_k, hysteresis_db, t310_ms):
    rng = np.random.default_rng(seed)
    p = HandoverParameters(
        offset_db=2, hysteresis_db=hysteresis_db, time_to_trigger_ms=ttt_ms, filter_k=filter_k, t310_ms=t310_ms
    )
    n_users, n_cells = 6, 5
    offset_db = rng.integers(-3, 4, n_cells)
    phone = Phone(p, n_users, n_cells, offset_db=offset_db, slots=4, load=rng.uniform(0.1, 1.0, n_cells))
    users = [by_hand.User(p) for _ in range(n_users)]
    rsrp_dbm = rng.uniform(-100, -80, (n_users, n_cells))
    for t in range(20):
        rsrp_dbm = rsrp_dbm + rng.normal(0, 3, rsrp_dbm.shape)
        total_dbm = 10 * np.log10((dbm_to_w(np.float32(rsrp_dbm)) * phone.load).sum(axis=1)) + 30
        log = phone.second(t, rsrp_dbm)
        expected = []
        for u, user in enumerate(users):
            serving, entries = user.second(t, phone.report[u], total_dbm[u], phone.noise_dbm, offset_db, phone.load)
            assert phone.serving[u] == serving
            expected += [(ms, u, *rest) for ms, *rest in entries]
        columns = (log.offset_ms, log.user, log.kind, log.from_cell, log.to_cell, log.ping_pong)
        got = [
            (ms, u, NAMES[kind], a, b, back)
            for ms, u, kind, a, b, back in zip(*(c.tolist() for c in columns), strict=True)
        ]
        assert got == sorted(expected)


def test_threads_change_nothing():
    rng = np.random.default_rng(3)
    results = []
    for n in (1, 2):
        set_threads(n)
        rng = np.random.default_rng(3)
        phone, level = Phone(HandoverParameters(), 3000, 4), rng.uniform(-100, -80, (3000, 4))
        logs = []
        for t in range(4):
            level = level + rng.normal(0, 3, level.shape)
            logs.append(phone.second(t, level))
        results.append((phone.memory, logs))
    set_threads(1)
    np.testing.assert_equal([vars(x) for x in results[0][1]], [vars(x) for x in results[1][1]])
    np.testing.assert_equal(vars(results[0][0]), vars(results[1][0]))
    assert sum(len(log) for log in results[0][1]) > 100


def test_the_log_is_in_order_of_time_then_user():
    entry = np.int32([[80, 0, 1, 2], [0, 0, 0, 0], [40, 8, 0, 1], [80, 3, 1, 2]])
    log = handover._log(np.int32([1, 0, 2]), np.int32([0, 1, 2]), entry)
    assert isinstance(log, MobilityLog)
    assert (log.offset_ms.tolist(), log.user.tolist()) == ([40, 80, 80], [2, 0, 2])
    assert (log.kind.tolist(), log.ping_pong.tolist()) == ([0, 0, 3], [True, False, False])
