from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from mndt.city.schema import SERVICES
from mndt.network.kpi import (
    KPI_FIELDS,
    cell_columns,
    document,
    measure,
    minimum_rates_bps,
    summarise,
    total_row,
    user_columns,
)
from mndt.state import Kpis


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
    row = total_row(five_users())
    assert row == pytest.approx(
        {
            "DRB.MeanActiveUeDl": 4,
            "RRC.ConnMean": 3,
            "X.OfferedDl": 800e3,
            "X.BacklogDl": 600e3,
            "X.ThroughputDl": 850e3,
            "X.SatisfiedShare": 850 / 1400,
            "X.OutageRatio": 2 / 4,  # user 1 is too slow, user 3 refused; exactly the minimum is enough
            "X.RefusedRatio": 1 / 4,
            "X.UserRateMean": (300e3 + 50e3 + 700e3 + 0) / 4,  # the refused counts as 0, the idle not at all
            "X.UserRateP5": 0.15 * 50e3,  # between 0 and 50 kbit/s, at 0.05 x 3 of the way
            "DRB.UEThpDl": 850 / 4,
            "X.SumRate": 1050e3,
            "X.TransmitPower": 3.0,
            "RRU.PrbUsedDl": 4,
            "RRU.PrbAvailDl": 6,
            "RRU.PrbTotDl": 100 * 4 / 6,
            "X.SinrMedian": 10.0,  # median of 2, 10 and 100
            "X.Handovers": 1,  # user 1; user 2 was idle before, user 3 lost its place
        },
        rel=1e-5,
    )


def test_columns_of_cells_by_hand():
    got = {name: values.tolist() for name, values in cell_columns(five_users()).items()}
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
