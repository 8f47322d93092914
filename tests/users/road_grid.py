"""A small made-up road network for tests: a grid with jitter, one-way streets, signals, an island."""

import numpy as np

from mndt.city.model import Ways


def grid_ways(
    side: int,
    *,
    jitter_m: float = 0.0,
    seed: int = 0,
    spacing_m: float = 95.0,
    one_way_share: float = 0.0,
    island: bool = False,
    signal_every: int = 0,
    lanes: tuple[int, ...] = (1, 2),
) -> Ways:
    """Roads of a `side` x `side` grid; every `signal_every`-th junction of every such row has a light."""
    rng = np.random.default_rng(seed)
    node = np.arange(side * side)
    column, row = node % side, node // side
    x = column * spacing_m + rng.uniform(-jitter_m, jitter_m, node.size)
    y = row * spacing_m + rng.uniform(-jitter_m, jitter_m, node.size)
    right, up = node[column < side - 1], node[row < side - 1]
    tail, head = np.concatenate([right, up]), np.concatenate([right + 1, up + side])
    one_way = rng.random(tail.size) < one_way_share
    main = np.concatenate([row[right] % 4 == 0, column[up] % 4 == 0])
    tail, head, main = (
        np.concatenate([tail, head[~one_way]]),
        np.concatenate([head, tail[~one_way]]),
        np.concatenate([main, main[~one_way]]),
    )
    if island:  # two nodes joined to each other only
        x, y = np.append(x, [-500.0, -400.0]), np.append(y, [0.0, 0.0])
        tail, head = np.append(tail, [node.size, node.size + 1]), np.append(head, [node.size + 1, node.size])
        main = np.append(main, [False, False])
    signal = np.zeros(x.size, bool)
    if signal_every:
        signal[: node.size] = (column % signal_every == 0) & (row % signal_every == 0)
    shape = np.column_stack([tail, head]).ravel()
    return Ways(
        node_x_m=x,
        node_y_m=y,
        node_signal=signal,
        edge_from=tail.astype(np.int32),
        edge_to=head.astype(np.int32),
        edge_length_m=np.hypot(x[tail] - x[head], y[tail] - y[head]),
        edge_speed_mps=np.where(main, 50 / 3.6, 30 / 3.6),
        edge_lanes=np.where(main, lanes[-1], lanes[0]).astype(np.int32),
        edge_rank=np.where(main, 1, 3).astype(np.int32),
        shape_start=np.arange(0, 2 * tail.size + 1, 2, dtype=np.int32),
        shape_x_m=x[shape],
        shape_y_m=y[shape],
    )
