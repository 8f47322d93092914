"""Learned reward and cost of every edge between users and cells, and between users and blocks.

For each edge a small network, the same for all edges, foretells what the user will get if it is chosen
(reward: the rate) and how much of it meets his single-step demand (cost: ``min(rate, demand)``). The edge
weighs ``reward + lambda * cost``, and an exact assignment takes the edges of largest sum
(paper IV-A). The networks are regressed on what came of the edges that were chosen; the assignment is not
differentiated. What the user cannot see, the simultaneous choices of the others, is there as load and
interference of the step before.

Inference is NumPy; only `fit_edges` loads JAX.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float, Float32, Int32

from mndt.errors import InputError

Array = np.ndarray
Weights = dict[str, Array]

EDGES: Final = 8
"""Cells a user may choose among freely: his strongest. The others only where places are short."""
CELL_FEATURES: Final = 12
BLOCK_FEATURES: Final = 9
HIDDEN: Final = {"cell": (32, 32), "block": (16,)}
"""Widths of the layers within. There are 20 times more edges to blocks."""
WIDTHS: Final = {"cell": CELL_FEATURES, "block": BLOCK_FEATURES}
_FAR: Final = np.float32(3.0)
"""bit/s/Hz by which an edge that is not listed is worse than the worst that is, and a bit for every 3 dB."""
_TINY: Final = np.float32(1e-36)


@dataclass(frozen=True)
class CellEdges:
    """The strongest cells of every user, strongest first."""

    cell: Int32[Array, "users edges"]
    features: Float32[Array, "users edges features"]  # the first: rate foretold by physics, bit/s/Hz


def cell_edges(
    gain: Float32[Array, "users cells"], limit_w: Float32[Array, "cells"], noise_w: float, n_blocks: int,
    demand: Float32[Array, "users"], load: Float[Array, "cells"], used_w: Float[Array, "cells"],
    present: Int32[Array, "users"] | None = None, share: Float32[Array, "users"] | None = None,
    rate: Float32[Array, "users"] | None = None,
) -> CellEdges:  # fmt: skip
    """Features of the edges between users and their strongest cells.

    Args:
        gain: linear.
        limit_w: power of each cell.
        noise_w: in one block.
        n_blocks: of each cell.
        demand: of the step, bit/s/Hz.
        load: users of each cell, as last seen.
        used_w: power of each cell in all its blocks together, as last seen.
        present: cell of each user in the step before.
        share: what power he had in it, in parts of an equal share.
        rate: what he got, bit/s/Hz.
    """
    n_users, n_cells = gain.shape
    n = min(EDGES, n_cells)
    strength = gain * limit_w
    cell = np.argpartition(strength, n_cells - n, axis=1)[:, n_cells - n :].astype(np.int32)
    level = np.take_along_axis(strength, cell, axis=1)
    order = np.argsort(-level, axis=1, kind="stable")
    cell, level = np.take_along_axis(cell, order, axis=1), np.take_along_axis(level, order, axis=1)
    near = np.take_along_axis(gain, cell, axis=1)
    # the mean over blocks: every other cell is heard with its power spread over all of them
    spent = used_w.astype(np.float32)
    heard: Array = (gain @ spent)[:, None] - near * spent[cell]
    heard = np.maximum(heard, 0.0) / np.float32(n_blocks) + np.float32(noise_w)
    sharing = np.maximum(load[cell] + (1.0 if present is None else (cell != present[:, None])), 1.0)
    signal = level / sharing.astype(np.float32)
    features = np.empty((n_users, n, CELL_FEATURES), np.float32)
    features[..., 0] = np.log2(1.0 + signal / heard)
    features[..., 1] = np.log2(level / level[:, :1]) / 8.0
    features[..., 2] = np.arange(n) / 8.0
    features[..., 3] = np.log2(sharing * n_cells / n_users) / 2.0
    features[..., 4] = np.log2(limit_w / limit_w.mean())[cell]
    features[..., 5] = demand[:, None] / 4.0
    features[..., 6] = np.log2(level / np.float32(noise_w)) / 32.0
    features[..., 7] = np.log2(heard / np.float32(noise_w)) / 16.0
    here = np.zeros(cell.shape, bool) if present is None else cell == present[:, None]
    features[..., 8] = here
    features[..., 9] = used_w[cell] / limit_w[cell]
    features[..., 10] = 0.0 if share is None else here * (np.log2(share + np.float32(1e-3)) / 8.0)[:, None]
    features[..., 11] = 0.0 if rate is None else here * rate[:, None] / 4.0
    return CellEdges(cell, features)


def forward(xp: Any, weights: Any, prefix: str, features: Any) -> tuple[Any, Any]:
    """Reward and cost in bit/s/Hz of edges; `xp` is numpy or jax.numpy.

    With weights of zero these are the physics' rate alone, so that the network has to learn only what
    physics without the others' choices cannot know.
    """
    h, last = features.reshape(-1, features.shape[-1]), len(HIDDEN[prefix])  # one product, not one for each user
    for layer in range(last):
        h = xp.maximum(h @ weights[f"{prefix}_w{layer}"] + weights[f"{prefix}_b{layer}"], 0.0)
    out = (h @ weights[f"{prefix}_w{last}"] + weights[f"{prefix}_b{last}"]).reshape(*features.shape[:-1], 2)
    rate, demand = features[..., 0], features[..., 5] * 4.0
    return rate + out[..., 0], xp.minimum(rate, demand) + out[..., 1]


def start_weights(prefix: str, seed: int = 0) -> Weights:
    """Weights to begin with: the last layer is zero."""
    rng, widths, out = np.random.default_rng(seed), (WIDTHS[prefix], *HIDDEN[prefix], 2), {}
    for layer, (rows, columns) in enumerate(pairwise(widths)):
        scale = np.sqrt(2.0 / rows) if layer < len(HIDDEN[prefix]) else 0.0
        out[f"{prefix}_w{layer}"] = (rng.standard_normal((rows, columns)) * scale).astype(np.float32)
        out[f"{prefix}_b{layer}"] = np.zeros(columns, np.float32)
    return out


def choose_cells(
    value: Float32[Array, "users edges"], edges: CellEdges, strength: Float32[Array, "users cells"], places: int
) -> Int32[Array, "users"]:
    """The exact assignment of largest total value under the cells' places; of equal edges the strongest.

    Args:
        value: of each listed edge.
        edges: which they are.
        strength: received power at full power; orders the cells that are not listed.
        places: users a cell can have.
    """
    from mndt.network.assignment import assign

    n_users, n_cells = strength.shape
    value = value - np.float32(1e-4) * np.arange(value.shape[1], dtype=np.float32)
    best: Array = edges.cell[np.arange(n_users), value.argmax(axis=1)]
    if np.bincount(best, minlength=n_cells).max() <= places:
        return best
    if value.shape[1] < n_cells:
        weakest = np.take_along_axis(strength, edges.cell[:, -1:], axis=1)
        weaker = np.log2(np.maximum(weakest, _TINY) / np.maximum(strength, _TINY))
        cost = (_FAR - value.min(axis=1, keepdims=True)) + weaker
    else:
        cost = np.empty((n_users, n_cells), np.float32)
    np.put_along_axis(cost, edges.cell, -value, axis=1)
    return assign(cost, np.full(n_cells, places)).cell


def block_features(
    rate: Float32[Array, "users blocks"], heard: Float32[Array, "users blocks"], harm: Float32[Array, "blocks"],
    power_w: Float32[Array, "users"], demand: Float32[Array, "users"], number: Float[Array, "blocks"],
) -> Float32[Array, "users blocks features"]:  # fmt: skip
    """Features of the edges between the users of one cell and its blocks.

    Args:
        rate: of each edge at the user's power, bit/s/Hz.
        heard: interference and noise over noise.
        harm: what the others on a block lose per watt, bit/s/Hz/W.
        power_w: of each user.
        demand: of the step, bit/s/Hz.
        number: other users on each block.
    """
    features = np.empty((*rate.shape, BLOCK_FEATURES), np.float32)
    features[..., 0] = rate
    features[..., 1] = np.log2(heard) / 16.0
    features[..., 2] = (rate - rate.mean(axis=1, keepdims=True)) / 4.0
    features[..., 3] = cost = power_w[:, None] * harm
    features[..., 4] = np.log1p(10.0 * cost)
    features[..., 5] = (demand / 4.0)[:, None]
    features[..., 6] = np.minimum(rate, demand[:, None]) / 4.0
    features[..., 7] = number / max(float(number.mean()), 1.0) - 1.0
    features[..., 8] = (np.log2(power_w / power_w.mean()) / 8.0)[:, None]
    return features


def read_edges(path: str | Path) -> Weights:
    """Weights of both networks, as written by training; raises InputError where they are not such."""
    try:
        with np.load(path) as file:
            weights = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise InputError("weights", str(path), allowed="an npz of edge networks", fix="train them anew") from error
    for prefix in WIDTHS:
        for name, value in start_weights(prefix).items():
            if name not in weights or weights[name].shape != value.shape:
                found = f"without a fitting '{name}'"
                raise InputError(
                    "weights", found, allowed=f"shape {value.shape}", fix="train them anew", where=str(path)
                )
    return weights


def fit_edges(
    prefix: str, weights: Weights, features: Float32[Array, "edges features"], target: Float32[Array, "edges 2"],
    *, updates: int = 300, batch: int = 4096, rate: float = 2e-3, seed: int = 0,
) -> tuple[Weights, float]:  # fmt: skip
    """Regress reward and cost on what was realised; returns the weights and the mean absolute error at the end.

    Args:
        prefix: "cell" or "block".
        weights: to begin with; those of the other network are kept.
        features: of chosen edges.
        target: realised rate and satisfied part, bit/s/Hz.
        updates: steps of Adam.
        batch: edges in each.
        rate: of learning, decays to a twentieth.
        seed: of the order.
    """
    names = sorted(name for name in weights if name.startswith(prefix))
    p = {name: weights[name] for name in names}
    update, init = _compiled(prefix, updates, rate)
    state, rng, errors = init(p), np.random.default_rng(seed), []
    for _ in range(updates):
        rows = rng.integers(0, len(features), min(batch, len(features)))
        p, state, error = update(p, state, features[rows], target[rows])
        errors.append(error)
    last = np.mean([float(e) for e in errors[-max(1, updates // 10) :]])
    return weights | {name: np.asarray(value) for name, value in p.items()}, float(last)


@lru_cache(maxsize=8)
def _compiled(prefix: str, updates: int, rate: float) -> tuple[Any, Any]:
    """Update and start of the optimiser, compiled once for all fits of a process."""
    import jax
    import jax.numpy as jnp
    import optax

    rule = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(optax.cosine_decay_schedule(rate, updates, 0.05), weight_decay=1e-4),
    )

    def loss(p: Any, x: Any, y: Any) -> Any:
        found = jnp.stack(forward(jnp, p, prefix, x), axis=-1)
        return optax.huber_loss(found, y, delta=4.0).mean(), jnp.abs(found - y).mean()

    @jax.jit
    def update(p: Any, state: Any, x: Any, y: Any) -> Any:
        (_, error), slope = jax.value_and_grad(loss, has_aux=True)(p, x, y)
        change, state = rule.update(slope, state, p)
        return optax.apply_updates(p, change), state, error

    return update, rule.init
