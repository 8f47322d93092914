from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.city.schema import SERVICES
from mndt.errors import InputError
from mndt.network.kpi import (
    KPI_FIELDS,
    Period,
    area_columns,
    cell_columns,
    document,
    measure,
    minimum_rates_bps,
    of_blocks,
    summarise,
    total_row,
    user_columns,
)
from mndt.state import Kpis, Mobility, MobilityLog, Status


def five_users(**changes):
    """Two cells; users 0 and 1 in cell 0, user 2 in cell 1, user 3 refused, user 4 idle in cell 1."""
    second = {
        "time_s": 28800,
        "active": np.array([True, True, True, True, False]),
        "serving": np.int32([0, 0, 1, -1, 1]),
        "previous_serving": np.int32([0, 1, -1, 0, -1]),  # users 2 and 4 were idle
        "user_of_block": np.int32([[0, 0, 1, -1], [-1, 2, -1, -1]]),
        "power_w": np.float32([[0.25, 0.25, 0.5, 0], [0, 2, 0, 0]]),
        "blocks": np.int32([4, 2]),
        "user_rate_bps": np.float32([300e3, 50e3, 700e3, 0, 0]),
        "user_sinr": np.float32([2, 10, 100, 0, 0]),
        "user_rsrp_dbm": np.float32([-90, -100, -60, -np.inf, -70]),
        "min_rate_bps": np.float32([200e3, 100e3, 700e3, 24e3, 0]),
        "backlog_bits": np.float32([100e3, 0, 0, 500e3, 0]),
        "offered_bits": np.float32([100e3, 80e3, 600e3, 20e3, 0]),
        "delivered_bits": np.float32([200e3, 50e3, 600e3, 0, 0]),
    }
    return measure(**second | changes)


def test_one_second_by_hand():
    row = total_row(five_users(consumed_w=np.float32([800, 300])))
    assert row == pytest.approx(
        {
            "DRB.MeanActiveUeDl": 4,
            "RRC.ConnMean": 3,
            "RRC.ConnMax": 3,
            "X.OfferedDl": 800e3,
            "X.BacklogDl": 600e3,
            "X.ThroughputDl": 850e3,
            "X.SatisfiedShare": 850 / 1400,
            "X.OutageRatio": 2 / 4,  # user 1 is too slow, user 3 refused; exactly the minimum is enough
            "X.RefusedRatio": 1 / 4,
            "X.Refused": 1,
            "X.UserRateMean": (300e3 + 50e3 + 700e3 + 0) / 4,  # the refused counts as 0, the idle not at all
            "X.UserRateP5": 0.15 * 50e3,  # between 0 and 50 kbit/s, at 0.05 x 3 of the way
            "DRB.UEThpDl": 850 / 4,
            "X.SumRate": 1050e3,
            "X.TransmitPower": 3.0,
            "PEE.AvgPower": 1100.0,
            "PEE.Energy": 1100 / 3.6e6,
            "X.CellsOn": 2,
            "RRU.PrbUsedDl": 4,
            "RRU.PrbAvailDl": 6,
            "RRU.PrbTotDl": 100 * 4 / 6,
            "X.SinrMedian": 10.0,  # median of 2, 10 and 100
            "X.Handovers": 1,  # user 1; user 2 was idle before, user 3 lost its place
            "X.HandoverFailures": 0,
            "X.HandoversRefused": 0,
            "X.RadioLinkFailures": 0,
            "X.PingPongs": 0,
        },
        rel=1e-5,
    )


def test_columns_of_cells_by_hand():
    kpis = five_users(wanted=np.int32([0, 1, 1, 1, 0]), status=np.int8([0, 1]), consumed_w=np.float32([800, 300]))
    got = {name: values.tolist() for name, values in cell_columns(kpis).items()}
    assert got["X.OfferedDl"] == [180e3, 620e3]  # user 3, refused, wanted cell 1
    assert got["X.WaitingDl"] == [280e3, 1120e3]
    assert got["X.Overload"] == pytest.approx([1 - 250 / 280, 1 - 600 / 1120])
    assert got["DRB.UEThpDl"] == pytest.approx([125, 300])
    assert got["X.Users"] == [2, 2]  # user 4 camps on cell 1
    assert got["DRB.MeanActiveUeDl"] == [2, 2]
    assert got["RRC.ConnMax"] == got["RRC.ConnMean"]
    assert got["X.Satisfied"] == [1, 1]
    assert got["X.Refused"] == [0, 1]
    assert got["X.Outage"] == [1, 1]
    assert got["X.Status"] == [0, 1]
    assert got["PEE.AvgPower"] == [800, 300]
    assert got["PEE.Energy"] == pytest.approx([800 / 3.6e6, 300 / 3.6e6])
    assert got["X.SumRate"] == [350e3, 700e3]
    assert got["DRB.PdcpSduVolumeDL"] == pytest.approx([0.25, 0.6])
    assert got["X.TransmitPower"] == [1.0, 2.0]
    assert got["RRC.ConnMean"] == [2, 1]
    assert got["X.BelowMinimum"] == [1, 0]
    assert got["RRU.PrbUsedDl"] == [3, 1]
    assert got["RRU.PrbAvailDl"] == [4, 2]
    assert got["RRU.PrbTotDl"] == [75.0, 50.0]


def test_columns_of_users_by_hand():
    got = user_columns(five_users())
    assert got["X.Outage"].tolist() == [False, True, False, True, False]
    assert got["X.Rsrp"].tolist() == [-90, -100, -60, -np.inf, -70]
    assert got["X.Delivered"].tolist() == [200e3, 50e3, 600e3, 0, 0]
    assert got["X.Satisfied"].tolist() == [True, False, True, False, False]
    assert got["X.Blocks"].tolist() == [2, 1, 1, 0, 0]
    np.testing.assert_allclose(got["X.Sinr"], [3.0103, 10, 20, -np.inf, -np.inf], atol=1e-4)


def test_nobody_there():
    kinds = {"active": bool, "serving": np.int32, "previous_serving": np.int32} | dict.fromkeys(
        ("user_rate_bps", "user_sinr", "user_rsrp_dbm", "min_rate_bps", "backlog_bits", "offered_bits"), np.float32
    )
    nothing = {name: np.empty(0, kind) for name, kind in kinds.items()} | {"delivered_bits": np.empty(0, np.float32)}
    free = {"user_of_block": np.full((2, 4), -1, np.int32), "power_w": np.zeros((2, 4), np.float32)}
    asleep = {"blocks": np.zeros(2, np.int32)}
    row = total_row(five_users(**nothing, **free, **asleep))
    assert row["X.OutageRatio"] == row["X.RefusedRatio"] == row["X.UserRateP5"] == row["RRU.PrbTotDl"] == 0
    assert row["X.SatisfiedShare"] == 1
    assert np.isnan(row["X.SinrMedian"])
    assert np.isnan(summarise([row])["X.SinrMedian"])


def test_columns_of_areas_by_hand():
    """Users 0 and 1 in area 0, users 2 and 4 in area 2, user 3 on the way; nobody in area 1."""
    area = np.int32([0, 0, 2, -1, 2])
    got = {name: values.tolist() for name, values in area_columns(five_users(area=area, n_areas=3)).items()}
    assert got["X.Users"] == [2, 0, 2, 1]
    assert got["DRB.MeanActiveUeDl"] == [2, 0, 1, 1]
    assert got["RRC.ConnMean"] == [2, 0, 1, 0]
    assert got["X.OfferedDl"] == [180e3, 0, 600e3, 20e3]
    assert got["X.ThroughputDl"] == [250e3, 0, 600e3, 0]
    assert got["X.OutageRatio"] == [0.5, 0, 0, 1]


def test_the_absent_are_nowhere():
    present = np.array([True, True, True, True, False])
    kpis = five_users(present=present)
    assert kpis.area_users.tolist() == [4]
    assert kpis.cell_users.tolist() == [2, 1]


def test_handovers_count_at_the_cell_that_is_left():
    """Cells 0 and 1 stand on site 0, cell 2 on site 1."""
    kinds = [Mobility.HANDOVER, Mobility.HANDOVER, Mobility.HANDOVER_FAILURE, Mobility.HANDOVER_FAILURE]
    kinds += [Mobility.HANDOVER, Mobility.REFUSED, Mobility.RADIO_LINK_FAILURE, Mobility.RADIO_LINK_FAILURE]
    log = MobilityLog(
        offset_ms=np.arange(8, dtype=np.int32),
        user=np.int32([0, 1, 2, 0, 0, 1, 2, 3]),
        kind=np.array(kinds, np.int8),
        from_cell=np.int32([0, 0, 0, 2, 2, 1, 0, -1]),
        to_cell=np.int32([1, 2, 2, -1, 0, 2, -1, -1]),
        ping_pong=np.array([False, True, False, False, True, False, False, False]),
    )
    three = {"blocks": np.int32([4, 2, 2]), "site": np.array([0, 0, 1]), "mobility": log}
    free = {"user_of_block": np.full((3, 4), -1, np.int32), "power_w": np.zeros((3, 4), np.float32)}
    kpis = five_users(**three, **free)
    got = {name: values.tolist() for name, values in cell_columns(kpis).items()}
    assert got["MM.HoExeInterReq"] == [2, 0, 2]
    assert got["MM.HoExeInterSucc"] == [1, 0, 1]
    assert got["MM.HoExeInterFail"] == [1, 0, 1]
    assert got["MM.HoExeIntraReq"] == got["MM.HoExeIntraSucc"] == [1, 0, 0]
    assert got["X.HandoversRefused"] == [0, 1, 0]
    assert got["X.RadioLinkFailures"] == [1, 0, 0]
    assert got["X.PingPongs"] == [1, 0, 1]
    row = total_row(kpis)
    assert [row[f"X.{name}"] for name in ("Handovers", "HandoverFailures", "HandoversRefused", "PingPongs")] == [
        3,
        2,
        1,
        2,
    ]
    assert row["X.RadioLinkFailures"] == 2  # one of them from no known cell


def test_what_is_not_simulated_is_unknown():
    row = total_row(five_users())
    assert np.isnan(row["PEE.AvgPower"])
    assert np.isnan(summarise([row, row])["PEE.Energy"])
    assert five_users(blocks=np.int32([4, 0])).cell_status.tolist() == [Status.ON, Status.OFF]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"serving": np.int32([0, 0, 1, -1, 2])}, "serving cell is 2, allowed is -1 to 1"),
        ({"wanted": np.int32([0, 0, 1, 7, 1])}, "wanted cell is 7"),
        ({"area": np.int32([0, 0, 0, 0, 0])}, "area is 0, allowed is -1, for there are none"),
        ({"user_of_block": np.int32([[0, 5, 1, -1], [-1, 2, -1, -1]])}, "user of a block is 5"),
    ],
)
def test_rows_that_do_not_exist_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        five_users(**wrong)


def plain_of_blocks(user_of_block, rate_bps, sinr, power_w, n_users):
    """`of_blocks`, one block after another."""
    rate, quality, held = np.zeros(n_users), np.zeros(n_users), np.zeros(n_users, int)
    power, used = np.zeros(len(user_of_block)), np.zeros(len(user_of_block), int)
    for c, k in np.ndindex(*user_of_block.shape):
        power[c] += power_w[c, k]
        user = user_of_block[c, k]
        if user >= 0:
            rate[user] += rate_bps[c, k]
            quality[user] += sinr[c, k]
            held[user] += 1
            used[c] += 1
    return rate, quality / np.maximum(held, 1), held, power, used


def random_second(seed, n_users=60, n_cells=7, n_blocks=5, n_areas=4):
    """A second that the engine could have measured, drawn at random, with everything in it."""
    rng = np.random.default_rng(seed)
    present = rng.random(n_users) < 0.9
    active = present & (rng.random(n_users) < 0.7)
    serving = np.where(present, rng.integers(-1, n_cells, n_users), -1).astype(np.int32)
    admitted = np.flatnonzero(active & (serving >= 0))
    user_of_block = np.full((n_cells, n_blocks), -1, np.int32)
    for user in rng.permutation(np.repeat(admitted, 2)):
        free = np.flatnonzero(user_of_block[serving[user]] < 0)
        if len(free):
            user_of_block[serving[user], free[0]] = user
    power_w, sinr = rng.random((2, n_cells, n_blocks)).astype(np.float32) * (user_of_block >= 0)
    held = of_blocks(user_of_block, sinr * np.float32(1e6), sinr, power_w, n_users)
    backlog, offered = (np.where(active, rng.random((2, n_users)) * 1e6, 0)).astype(np.float32)
    previous = np.where(rng.random(n_users) < 0.8, serving, rng.integers(-1, n_cells, n_users)).astype(np.int32)
    return {
        "time_s": 28800,
        "serving": serving,
        "previous_serving": previous,
        "active": active,
        "user_of_block": user_of_block,
        "power_w": power_w,
        "blocks": rng.integers(n_blocks, n_blocks + 2, n_cells).astype(np.int32),
        "user_rate_bps": held.user_rate_bps,
        "user_sinr": held.user_sinr,
        "user_rsrp_dbm": np.where(serving >= 0, -90, -np.inf).astype(np.float32),
        "min_rate_bps": (rng.random(n_users) * 1e6).astype(np.float32),
        "backlog_bits": backlog,
        "offered_bits": offered,
        "delivered_bits": np.minimum(backlog + offered, held.user_rate_bps),
        "held": held,
        "consumed_w": rng.uniform(1, 900, n_cells).astype(np.float32),
        "status": rng.integers(0, 3, n_cells).astype(np.int8),
        "wanted": rng.integers(0, n_cells, n_users).astype(np.int32),
        "present": present,
        "area": rng.integers(-1, n_areas, n_users).astype(np.int32),
        "n_areas": n_areas,
        "site": np.arange(n_cells) // 2,
    }


@pytest.mark.parametrize("seed", range(3))
def test_sums_over_blocks_equal_the_plain_ones(seed):
    rng = np.random.default_rng(seed)
    user_of_block = rng.integers(-1, 20, (6, 9)).astype(np.int32)
    given = [
        rng.random((6, 9)).astype(np.float32) * scale for scale in (np.float32(1e6), np.float32(50), np.float32(1))
    ]
    found, plain = of_blocks(user_of_block, *given, 25), plain_of_blocks(user_of_block, *given, 25)
    for ours, theirs in zip(found, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        assert ours.dtype in (np.float32, np.int32)


LEAST_AND_MOST = {"ratio": (0, 1), "%": (0, 100), "dBm": (-np.inf, 60), "dB": (-np.inf, 100)}


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_users=st.integers(0, 80), n_cells=st.integers(1, 9))
def test_every_kpi_stays_in_its_range(seed, n_users, n_cells):
    kpis = measure(**random_second(seed, n_users, n_cells))
    for level, columns in (
        ("total", {name: np.array([value]) for name, value in total_row(kpis).items()}),
        ("cell", cell_columns(kpis)),
        ("user", user_columns(kpis)),
        ("area", area_columns(kpis)),
    ):
        for field in (f for f in KPI_FIELDS if f.level == level):
            least, most = LEAST_AND_MOST.get(field.unit, (0, np.inf))
            values = columns[field.column]
            known = values[~np.isnan(values)] if field.column == "X.SinrMedian" else values
            assert ((known >= least) & (known <= most)).all(), field.column


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_users=st.integers(0, 80))
def test_cells_and_areas_add_up_to_the_totals(seed, n_users):
    kpis = measure(**random_second(seed, n_users))
    row, cells, areas = total_row(kpis), cell_columns(kpis), area_columns(kpis)
    for name in ("DRB.MeanActiveUeDl", "RRC.ConnMean", "X.Refused", "X.OfferedDl", "X.SumRate", "PEE.Energy"):
        assert cells[name].sum(dtype=np.float64) == pytest.approx(row[name], rel=1e-6)
    for name in ("DRB.MeanActiveUeDl", "RRC.ConnMean", "X.OfferedDl", "X.ThroughputDl"):
        assert areas[name].sum(dtype=np.float64) == pytest.approx(row[name], rel=1e-6)
    assert cells["X.Outage"].sum() == kpis.user_outage.sum() == kpis.area_outage.sum()
    assert cells["X.WaitingDl"].sum(dtype=np.float64) == pytest.approx(
        (kpis.user_backlog_bits + kpis.user_offered_bits).sum(dtype=np.float64), rel=1e-6
    )
    assert (cells["MM.HoExeInterReq"] + cells["MM.HoExeIntraReq"]).sum() == row["X.Handovers"]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shuffle=st.integers(0, 2**32 - 1))
def test_the_order_of_users_changes_nothing_but_the_order(seed, shuffle):
    second = random_second(seed)
    order = np.random.default_rng(shuffle).permutation(len(second["serving"]))
    place = np.argsort(order).astype(np.int32)
    other = {
        name: values[order] if isinstance(values, np.ndarray) and values.shape == order.shape else values
        for name, values in second.items()
    }
    blocks = second["user_of_block"]
    other["user_of_block"] = np.where(blocks >= 0, place[blocks], -1)
    other["held"] = None
    one, two = measure(**second), measure(**other)
    assert total_row(two) == pytest.approx(total_row(one), rel=1e-6, nan_ok=True)
    for (name, values), again in zip(cell_columns(one).items(), cell_columns(two).values(), strict=True):
        np.testing.assert_allclose(again, values, rtol=1e-6, err_msg=name)
    for (name, values), again in zip(user_columns(one).items(), user_columns(two).values(), strict=True):
        np.testing.assert_array_equal(again, values[order], err_msg=name)


def test_totals_agree_with_the_parts():
    kpis = five_users()
    row = total_row(kpis)
    assert row["X.SumRate"] == pytest.approx(kpis.cell_rate_bps.sum()) == pytest.approx(kpis.user_rate_bps.sum())
    assert row["X.ThroughputDl"] == pytest.approx(kpis.cell_delivered_bits.sum())
    assert row["X.OutageRatio"] * row["DRB.MeanActiveUeDl"] == kpis.user_outage.sum()


def test_a_period_is_weighted_by_its_denominators():
    rows = [
        {"DRB.MeanActiveUeDl": 10, "X.OutageRatio": 1.0, "X.Handovers": 2, "RRU.PrbTotDl": 50, "RRU.PrbAvailDl": 10},
        {"DRB.MeanActiveUeDl": 30, "X.OutageRatio": 0.0, "X.Handovers": 3, "RRU.PrbTotDl": 0, "RRU.PrbAvailDl": 90},
    ]
    period = summarise(rows)
    assert period["X.OutageRatio"] == 0.25  # not 0.5
    assert period["RRU.PrbTotDl"] == 5
    assert period["X.Handovers"] == 5
    assert period["DRB.MeanActiveUeDl"] == 20
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    assert summarise(columns) == period


def test_a_period_of_cells_takes_most_last_and_mean():
    """Two cells over three seconds, taken in at once and in two goes."""
    columns = {
        "RRC.ConnMax": np.array([[1, 5], [4, 2], [3, 3]]),
        "X.Status": np.array([[0, 0], [1, 2], [0, 1]]),
        "MM.HoExeInterReq": np.array([[1, 0], [2, 0], [3, 0]]),
        "PEE.AvgPower": np.array([[100, np.nan], [200, np.nan], [300, np.nan]]),
        "RRU.PrbTotDl": np.array([[50, 0], [0, 0], [100, 0]]),
        "RRU.PrbAvailDl": np.array([[10, 0], [80, 0], [10, 0]]),
        "nothing we know": np.zeros((3, 2)),
    }
    whole, parts = Period("cell"), Period("cell")
    whole.add(columns)
    for rows in (slice(0, 1), slice(1, 3), slice(3, 3)):
        parts.add({name: values[rows] for name, values in columns.items()})
    assert whole.seconds == parts.seconds == 3
    for period in (whole.values(), parts.values()):
        assert period["RRC.ConnMax"].tolist() == [4, 5]
        assert period["X.Status"].tolist() == [0, 1]
        assert period["MM.HoExeInterReq"].tolist() == [6, 0]
        np.testing.assert_array_equal(period["PEE.AvgPower"], [200, np.nan])
        assert period["RRU.PrbTotDl"].tolist() == [15, 0]
        assert "nothing we know" not in period


def test_a_waiting_bit_is_counted_once_over_a_period():
    # 100 bits arrive at once and are delivered in ten seconds: all of them in the end.
    rows = [
        {"X.OfferedDl": 100.0 * (t == 0), "X.BacklogDl": 100.0 - 10 * t if t else 0.0, "X.ThroughputDl": 10.0}
        for t in range(10)
    ]
    assert summarise(rows)["X.SatisfiedShare"] == 1.0
    assert summarise(rows[:4])["X.SatisfiedShare"] == pytest.approx(0.4)
    assert summarise(rows[4:])["X.SatisfiedShare"] == 1.0  # 60 bits of backlog at its start


def test_the_summary_of_nothing_is_empty():
    assert summarise([]) == {}


def test_every_kpi_has_a_row_and_every_row_names_real_fields():
    named = {name for row in KPI_FIELDS for name in row.field.split(", ")}
    assert named == {f.name for f in fields(Kpis)} - {"time_s"}
    names = [(row.level, row.column) for row in KPI_FIELDS]
    assert len(names) == len(set(names))


def test_the_docs_are_made_from_the_table():
    page = Path(__file__).parents[2] / "docs" / "kpis.md"
    assert page.read_text(encoding="utf-8") == document()


def test_minimum_rates_are_those_of_the_services():
    assert minimum_rates_bps(np.int8([2, -1, 0])).tolist() == [SERVICES[2].min_rate_bps, 0, SERVICES[0].min_rate_bps]


def test_a_user_whose_last_bits_all_went_out_is_served():
    """User 1 runs at 50 of its 100 kbit/s, but only 40 kbit waited."""
    enough = five_users(offered_bits=np.float32([100e3, 40e3, 600e3, 20e3, 0]))
    assert enough.user_outage.tolist() == [False, False, False, True, False]
    assert enough.cell_below_minimum.tolist() == [0, 0]
    assert five_users().user_outage.tolist() == [False, True, False, True, False]
