"""A city of two buildings and four cells, and a run in it that was never simulated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mndt.city.model import AREA_USES, Areas, Buildings, Cells, City, Frame, Sites, Ways
from mndt.network.kpi import KPI_FIELDS
from mndt.scenario import Scenario, load, set_value

WIDTH_M, DEPTH_M = 200.0, 300.0
SECONDS, USERS = 180, 60


def small_city(name: str = "Smallville", attribution: str = "© Mapmakers") -> City:
    """A house with a courtyard, a tower, a park, one street both ways, a mast of three sectors, an indoor cell."""
    ring_x = [20, 80, 80, 20, 40, 60, 60, 40, 120, 160, 160, 120]
    ring_y = [20, 20, 80, 80, 40, 40, 60, 60, 200, 200, 260, 260]
    buildings = Buildings(
        height_m=np.array([12.0, 38.0]),
        height_known=np.array([True, False]),
        use=np.array([0, 1]),
        ring_start=np.array([0, 2, 3]),
        ring_is_hole=np.array([False, True, False]),
        point_start=np.array([0, 4, 8, 12]),
        point_x_m=np.array(ring_x, dtype=float),
        point_y_m=np.array(ring_y, dtype=float),
    )
    one, none = np.ones(1, int), np.zeros(1)
    areas = Areas(
        use=one * AREA_USES.index("park"),
        building=-one,
        x_m=none + 150,
        y_m=none + 50,
        size_m2=none + 900,
        foot_node=one * 0,
        road_node=one * 0,
        point_start=np.array([0, 3]),
        point_x_m=np.array([140.0, 180.0, 160.0]),
        point_y_m=np.array([20.0, 20.0, 60.0]),
    )
    sites = Sites(
        name=("mast", "lobby"),
        x_m=np.array([100.0, 140.0]),
        y_m=np.array([150.0, 230.0]),
        indoor=np.array([False, True]),
        building=np.array([-1, 1]),
    )
    cells = Cells(
        name=("mast-1", "mast-2", "mast-3", "lobby-1"),
        site=np.array([0, 0, 0, 1]),
        height_m=np.array([25.0, 25.0, 25.0, 3.0]),
        azimuth_deg=np.array([0.0, 120.0, 240.0, 0.0]),
        mechanical_tilt_deg=np.zeros(4),
        electrical_tilt_deg=np.full(4, 6.0),
        pattern=("sector", "sector", "sector", "omni"),
        carrier_hz=np.full(4, 3.5e9),
        blocks=np.full(4, 45),
        block_hz=np.full(4, 180e3),
        max_power_w=np.array([1.0, 1.0, 1.0, 0.25]),
        energy_class=("rrh", "rrh", "rrh", "pico"),
    )
    frame = Frame(32635, 0.0, 0.0, WIDTH_M, DEPTH_M)
    return City(name, frame, _street(), _street(), buildings, areas, sites, cells, attribution)


def _street() -> Ways:
    two = np.arange(2)
    return Ways(
        node_x_m=np.array([100.0, 100.0]),
        node_y_m=np.array([0.0, DEPTH_M]),
        node_signal=np.zeros(2, bool),
        edge_from=two,
        edge_to=two[::-1],
        edge_length_m=np.full(2, DEPTH_M),
        edge_speed_mps=np.full(2, 8.3),
        edge_lanes=np.array([2, 1]),
        edge_rank=np.array([1, 3]),
        shape_start=np.array([0, 2, 4]),
        shape_x_m=np.full(4, 100.0),
        shape_y_m=np.array([0.0, DEPTH_M, DEPTH_M, 0.0]),
    )


@dataclass(frozen=True)
class Columns:
    """A table as DuckDB gives it; where SQL is asked for, by DuckDB itself."""

    values: dict[str, np.ndarray]

    @property
    def columns(self) -> list[str]:
        return list(self.values)

    def fetchnumpy(self) -> dict[str, np.ndarray]:
        return dict(self.values)

    def filter(self, expression: str) -> Any:
        return self._relation().filter(expression)

    def project(self, expressions: str) -> Any:
        return self._relation().project(expressions)

    def aggregate(self, expressions: str, groups: str = "") -> Any:
        return self._relation().aggregate(expressions, groups)

    def _relation(self) -> Any:
        import duckdb
        import pyarrow as pa

        return duckdb.connect().from_arrow(pa.table({name: pa.array(v) for name, v in self.values.items()}))


@dataclass(frozen=True)
class PaperRun:
    """A run made up: `factor` times the throughput, the outage divided by it."""

    name: str
    folder: Path
    city: City
    info: dict[str, Any]
    scenario: Scenario
    kpis: Columns
    cells: Columns
    users: Columns
    areas: Columns
    events: Columns


def paper_run(name: str = "fundamentals", factor: float = 1.0, city: City | None = None, seed: int = 0) -> PaperRun:
    city = city or small_city()
    n_cells, rng = len(city.cells), np.random.default_rng(seed)
    time_s = np.arange(8 * 3600, 8 * 3600 + SECONDS, dtype=np.int32)
    totals = {f.column: np.full(SECONDS, 10.0) for f in KPI_FIELDS if f.level == "total"}
    totals["X.ThroughputDl"] = 4e6 * factor + rng.normal(0, 1e4, SECONDS)
    totals["X.OfferedDl"] = np.full(SECONDS, 1e7)
    totals["X.BacklogDl"] = np.zeros(SECONDS)
    totals["X.SatisfiedShare"] = np.full(SECONDS, 0.4 * factor)
    totals["X.OutageRatio"] = 0.3 / factor + rng.normal(0, 1e-3, SECONDS)
    totals["PEE.AvgPower"] = np.full(SECONDS, 1000.0)
    row = np.tile(np.arange(n_cells), SECONDS)
    cells = {
        "time_s": np.repeat(time_s, n_cells),
        "cell": row,
        "RRC.ConnMean": 10.0 + row,
        "X.BelowMinimum": 1.0 * row,
        "RRU.PrbUsedDl": 9 * (row + 1),
        "RRU.PrbAvailDl": np.full(len(row), 45),
        "DRB.PdcpSduVolumeDL": np.full(len(row), 2.0),
        "X.TransmitPower": np.full(len(row), 0.5),
        "PEE.AvgPower": np.full(len(row), 250.0),
        "X.Status": np.zeros(len(row), np.int8),
        "X.NodeStatus": np.zeros(len(row), np.int8),
    }
    users = {
        "time_s": np.repeat([8 * 3600 + 59, 8 * 3600 + 119], USERS),
        "user": np.tile(np.arange(USERS), 2),
        "x_m": rng.uniform(0, WIDTH_M, 2 * USERS),
        "y_m": rng.uniform(0, DEPTH_M, 2 * USERS),
        "mode": np.tile(np.r_[-1, np.zeros(USERS - 1, int)], 2),
        "serving": np.tile(np.r_[0, -1, np.arange(USERS - 2) % n_cells], 2),
        "connected": np.tile(np.r_[False, False, np.ones(USERS - 2, bool)], 2),
        "X.Active": np.tile(np.r_[False, np.ones(USERS - 1, bool)], 2),
        "X.UserRate": np.tile(np.r_[0.0, 0.0, np.full(USERS - 2, 2e6 * factor)], 2),
    }
    info = {
        "policy": name,
        "seed": seed,
        "versions": {"python": "3.11.0", "mndt": "0.1.0", "numpy": "2.0.0", "numba": "0.61.0"},
        "city": {
            "name": city.name,
            "users": USERS,
            "lanes": city.roads.n_lanes,
            "areas": len(city.areas),
            "outdoor_stations": 1,
            "indoor_stations": 1,
        },
    }
    scenario = set_value(load("helsinki"), f"run.policy={name}")
    return PaperRun(
        name,
        Path(f"runs/{name}"),
        city,
        info,
        scenario,
        Columns({"time_s": time_s} | totals),
        Columns(cells),
        Columns(users),
        paper_areas(factor),
        paper_events(),
    )


def paper_areas(factor: float) -> Columns:
    """Three minutes of the park, area 0, and of the way, area -1; 1 Mbit/s less than asked for in the park."""
    n = 6
    return Columns(
        {
            "time_s": np.repeat(8 * 3600 + np.array([0, 60, 120], np.int32), 2),
            "seconds": np.full(n, 60, np.int32),
            "area": np.tile(np.array([-1, 0], np.int32), 3),
            "DRB.MeanActiveUeDl": np.full(n, 4.0),
            "X.OfferedDl": np.tile([3e6, 5e6], 3),
            "X.ThroughputDl": np.tile([3e6, 5e6 - 1e6 / factor], 3),
            "X.OutageRatio": np.tile([0.1, 0.4 / factor], 3),
        }
    )


MOVES = (  # kind, user, from_cell, cell, ping_pong
    ("handover", 1, 0, 1, False),
    ("handover", 2, 0, 1, False),
    ("handover", 1, 1, 0, True),
    ("refused", 3, 2, 0, False),
    ("handover-failure", 4, 2, 0, False),
    ("radio-link-failure", 5, 3, 3, False),
    ("radio-link-failure", 5, 3, 3, False),
    ("radio-link-failure", 6, 3, 2, False),
)


def paper_events() -> Columns:
    """What happened to serving cells in the first second, and an outage, which is another matter."""
    rows = [*MOVES, ("outage", 7, 1, 1, False)]
    kind, user, from_cell, cell, ping_pong = (np.array(column) for column in zip(*rows, strict=True))
    return Columns(
        {
            "time_s": np.full(len(rows), 8 * 3600, np.int32),
            "offset_ms": np.where(kind == "outage", 0, 40).astype(np.int32),
            "kind": kind,
            "phase": np.full(len(rows), ""),
            "user": user.astype(np.int32),
            "cell": cell.astype(np.int32),
            "from_cell": from_cell.astype(np.int32),
            "ping_pong": ping_pong,
            "target": np.full(len(rows), ""),
        }
    )
