"""A small town on a grid, made by hand: 6 x 6 blocks of 100 m, one building with a courtyard per block."""

from __future__ import annotations

import numpy as np

from mndt.city.model import AREA_USES, BUILDING_USES, Areas, Buildings, Cells, City, Frame, Sites, Ways

BLOCKS, PITCH_M = 6, 100.0


def _ways(lane_speed_mps: float, signals: bool) -> Ways:
    side = BLOCKS + 1
    x, y = (v.ravel().astype(float) for v in np.meshgrid(np.arange(side) * PITCH_M, np.arange(side) * PITCH_M))
    node = np.arange(side * side).reshape(side, side)
    pairs = np.concatenate([
        np.stack([node[:, :-1].ravel(), node[:, 1:].ravel()], 1),
        np.stack([node[:-1].ravel(), node[1:].ravel()], 1),
    ])  # fmt: skip
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    n = len(pairs)
    middle_x, middle_y = x[pairs].mean(1), y[pairs].mean(1)
    return Ways(
        node_x_m=x, node_y_m=y, node_signal=np.full(len(x), signals),
        edge_from=pairs[:, 0].astype(np.int32), edge_to=pairs[:, 1].astype(np.int32),
        edge_length_m=np.full(n, PITCH_M), edge_speed_mps=np.full(n, lane_speed_mps),
        edge_lanes=np.ones(n, np.int32), edge_rank=np.zeros(n, np.int32),
        shape_start=(3 * np.arange(n + 1)).astype(np.int32),
        shape_x_m=np.stack([x[pairs[:, 0]], middle_x, x[pairs[:, 1]]], 1).ravel(),
        shape_y_m=np.stack([y[pairs[:, 0]], middle_y, y[pairs[:, 1]]], 1).ravel(),
    )  # fmt: skip


def grid_town(*, signals: bool = True, empty: bool = False, island: bool = False) -> City:
    """The town; `empty` leaves out all areas, `island` cuts its north-east corner off both networks."""
    size = BLOCKS * PITCH_M
    k = np.arange(0 if empty else BLOCKS * BLOCKS)
    cx, cy = (k % BLOCKS + 0.5) * PITCH_M, (k // BLOCKS + 0.5) * PITCH_M
    n = len(k)
    outer, hole = (
        np.array([[-30, -30], [30, -30], [30, 30], [-30, 30]]),
        np.array([[-15, -15], [15, -15], [15, 15], [-15, 15]]),
    )
    rings = np.stack([outer, hole])  # 2 rings of 4 points
    px = (cx[:, None, None] + rings[None, :, :, 0]).ravel()
    py = (cy[:, None, None] + rings[None, :, :, 1]).ravel()
    use = np.array(["home", "work", "home", "education", "shop", "leisure"])[k % 6]
    building_use = {
        "home": "residential",
        "work": "office",
        "education": "education",
        "shop": "retail",
        "leisure": "public",
    }
    buildings = Buildings(
        height_m=np.full(n, 15.0), height_known=np.ones(n, bool),
        use=np.array([BUILDING_USES.index(building_use[u]) for u in use], dtype=np.int32),
        ring_start=(2 * np.arange(n + 1)).astype(np.int32), ring_is_hole=np.tile([False, True], n),
        point_start=(4 * np.arange(2 * n + 1)).astype(np.int32), point_x_m=px, point_y_m=py,
    )  # fmt: skip
    corner = (k // BLOCKS * (BLOCKS + 1) + k % BLOCKS).astype(np.int32)
    areas = Areas(
        use=np.array([AREA_USES.index(u) for u in use], dtype=np.int32), building=k.astype(np.int32),
        x_m=cx - 22.0, y_m=cy - 22.0, size_m2=np.full(n, 2700.0 * 4), foot_node=corner, road_node=corner,
        point_start=(4 * np.arange(n + 1)).astype(np.int32),
        point_x_m=(cx[:, None] + outer[:, 0]).ravel(), point_y_m=(cy[:, None] + outer[:, 1]).ravel(),
    )  # fmt: skip
    none_f, none_i = np.zeros(0), np.zeros(0, np.int32)
    roads, footways = _ways(13.9, False), _ways(1.4, signals)
    if island:
        roads, footways = _cut(roads), _cut(footways)
    return City(
        name="grid town", frame=Frame(32635, 0.0, 0.0, size, size), roads=roads, footways=footways,
        buildings=buildings, areas=areas, sites=Sites((), none_f, none_f, none_f.astype(bool), none_i),
        cells=Cells((), none_i, none_f, none_f, none_f, none_f, (), none_f, none_i, none_f, none_f, ()),
    )  # fmt: skip


def _cut(ways: Ways) -> Ways:
    """Without the edges between the last 2 x 2 nodes' corner and the rest."""
    side = BLOCKS + 1
    far = (np.arange(side * side) % side >= side - 3) & (np.arange(side * side) // side >= side - 3)
    keep = far[ways.edge_from] == far[ways.edge_to]
    points = np.repeat(keep, 3)
    return Ways(
        ways.node_x_m, ways.node_y_m, ways.node_signal, ways.edge_from[keep], ways.edge_to[keep],
        ways.edge_length_m[keep], ways.edge_speed_mps[keep], ways.edge_lanes[keep], ways.edge_rank[keep],
        (3 * np.arange(keep.sum() + 1)).astype(np.int32), ways.shape_x_m[points], ways.shape_y_m[points],
    )  # fmt: skip
