"""Powers from a network that learns through the explicit value of its action (paper IV-A).

The value of powers is known in closed form, the worth ``R(p) = sum of weight r + bonus min(r, need)`` of
the rates they give, so that no critic is learned: ``dR/d theta = dR/dp dp/d theta``. The policy is
deterministic: logits become powers by a softmax over the users of each cell, times the cell's limit, times a
sigmoid of how much of it to spend; no limit can be exceeded.

The network does not mind in which order users come. In each of a few rounds a user sees his rate and
its derivative at the powers so far, what he hears from the others on his block and what he does to them
(sums over them of learned messages, by their share of the interference), and the mean over his cell; he then
moves his logit. Weights are shared by all users and differ between rounds: an unfolded gradient search with
learned steps.

Inference is NumPy; only `fit_power` loads JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float32

from mndt.errors import InputError
from mndt.learn.block_graph import BlockGraph
from mndt.parallel import bar

Array = np.ndarray
Weights = dict[str, Array]

ROUNDS: Final = 3
HIDDEN: Final = 24
MESSAGE: Final = 8
STATIC: Final = 8
DYNAMIC: Final = 7
INPUTS: Final = HIDDEN + DYNAMIC + 2 * MESSAGE + HIDDEN
EARLY: Final = 0.1
"""Weight of the worth after each round but the last."""
_SPEND: Final = np.float32(4.0)
"""Logit of the share of the power that is spent at first."""
_LEAST: Final = np.float32(1e-12)


class Scene(NamedTuple):
    """What the policy is told, slots as in `BlockGraph`."""

    heard: Any
    own: Any
    real: Any  # 1 or 0
    cell: Any
    limit_w: Any
    count: Any
    weight: Any
    bonus: Any
    need: Any


def scene_of(
    graph: BlockGraph, weight: Float32[Array, "users"], bonus: Float32[Array, "users"], need: Float32[Array, "users"]
) -> Scene:
    """A choice of cells and blocks with the worth of rates in it."""
    spread = (graph.spread(values.astype(np.float32)) for values in (weight, bonus, need))
    return Scene(graph.heard, graph.own, graph.real.astype(np.float32), graph.cell, graph.limit_w, graph.count, *spread)


def worth(xp: Any, scene: Scene, power_w: Any) -> Any:
    """The explicit action value: sum over users of ``weight r + bonus min(r, need)``, r in bit/s/Hz."""
    disturbed = 1.0 + _times(scene.heard, power_w)
    rate = xp.log2(1.0 + scene.own * power_w / disturbed)
    return (scene.weight * rate + scene.bonus * xp.minimum(rate, scene.need)).sum()


def _times(matrix: Any, vector: Any) -> Any:
    """Matrices of blocks times vectors of blocks."""
    return (matrix @ vector[..., None])[..., 0]


def start_weights(seed: int = 0) -> Weights:
    """Weights to begin with: nobody moves his logit, powers are equal shares."""
    rng = np.random.default_rng(seed)

    def normal(rows: int, columns: int, gain: float = 2.0) -> Array:
        drawn: Array = rng.standard_normal((rows, columns)) * np.sqrt(gain / rows)
        return drawn.astype(np.float32)

    out = {"in_w": normal(STATIC, HIDDEN), "in_b": np.zeros(HIDDEN, np.float32)}
    for r in range(ROUNDS):
        out |= {f"say{r}_w": normal(HIDDEN, MESSAGE), f"tell{r}_w": normal(HIDDEN, MESSAGE)}
        out |= {f"think{r}_w": normal(INPUTS, HIDDEN), f"think{r}_b": np.zeros(HIDDEN, np.float32)}
        out |= {f"move{r}_w": np.zeros((HIDDEN + DYNAMIC, 2), np.float32), f"move{r}_b": np.zeros(2, np.float32)}
    return out


def policy(xp: Any, sum_by_cell: Callable[[Any], Any], weights: Any, scene: Scene) -> list[Any]:
    """Powers in W after each round, by slot; the last are the action.

    Args:
        xp: numpy or jax.numpy.
        sum_by_cell: of rows of slots, ``[blocks * slots, columns] -> [cells, columns]``.
        weights: of `start_weights`' shapes.
        scene: what there is.
    """
    cell, shape = scene.cell, scene.own.shape
    limit, count = scene.limit_w[cell], scene.count[cell]
    fair = scene.real * limit / count

    def by_cell(values: Any) -> Any:
        return sum_by_cell(values.reshape(-1, values.shape[-1]))

    h = xp.maximum(_static(xp, scene, fair) @ weights["in_w"] + weights["in_b"], 0.0)
    logit, spend, powers = xp.zeros(shape, np.float32), xp.zeros(scene.limit_w.shape, np.float32) + _SPEND, []
    power = _powers(xp, by_cell, scene, logit, spend)
    for r in range(ROUNDS):
        now, hears, does = _dynamic(xp, by_cell, scene, power, fair)
        said = hears @ (h @ weights[f"say{r}_w"])
        told = xp.swapaxes(does, 1, 2) @ (h @ weights[f"tell{r}_w"])
        mean = (by_cell(h * scene.real[..., None]) / scene.count[:, None])[cell]
        x = xp.concatenate([h, now, said, told, mean], axis=-1)
        h = xp.maximum(x @ weights[f"think{r}_w"] + weights[f"think{r}_b"], 0.0)
        move = xp.concatenate([h, now], axis=-1) @ weights[f"move{r}_w"] + weights[f"move{r}_b"]
        logit = logit + move[..., 0]
        spend = spend + by_cell(move[..., 1:] * scene.real[..., None])[:, 0] / scene.count
        power = _powers(xp, by_cell, scene, logit, spend)
        powers.append(power)
    return powers


def _powers(xp: Any, by_cell: Any, scene: Scene, logit: Any, spend: Any) -> Any:
    """Softmax over each cell, times the limit, times the share that is spent."""
    e = xp.exp(xp.clip(logit, -20.0, 20.0)) * scene.real
    total = by_cell(e[..., None])[:, 0]
    return e * (scene.limit_w / (xp.maximum(total, _LEAST) * (1.0 + xp.exp(-xp.clip(spend, -10.0, 20.0)))))[scene.cell]


def _static(xp: Any, scene: Scene, fair: Any) -> Any:
    """Of users: channel, company and what they want."""
    disturbed = 1.0 + _times(scene.heard, fair)
    signal = scene.own * fair
    columns = (
        xp.log2(1.0 + signal) / 16.0, xp.log2(disturbed) / 16.0, xp.log2(1.0 + signal / disturbed) / 4.0,
        scene.need / 4.0, scene.weight, xp.log1p(scene.bonus), xp.log2(scene.count[scene.cell]) / 4.0 - 1.0,
        scene.real,
    )  # fmt: skip
    return xp.stack(columns, axis=-1)


def _dynamic(xp: Any, by_cell: Any, scene: Scene, power: Any, fair: Any) -> tuple[Any, Any, Any]:
    """At some powers: rates and derivatives of users; whom each hears; whom each hurts."""
    felt = scene.heard * power[:, None, :]
    disturbed = 1.0 + felt.sum(axis=2)
    signal = scene.own * power
    rate = xp.log2(1.0 + signal / disturbed)
    slope = scene.weight + scene.bonus * (rate < scene.need)
    gain = slope * signal / (disturbed + signal)
    hurt = felt * (gain / disturbed)[:, :, None]  # what j takes from i
    harm = hurt.sum(axis=1)
    net = gain - harm  # the derivative times the power, nats
    price = (by_cell(net[..., None])[:, 0])[scene.cell] * power / scene.limit_w[scene.cell]
    columns = (
        rate / 4.0, slope * scene.real - 1.0, xp.log2((power + _LEAST) / (fair + _LEAST)) / 4.0, gain, harm,
        net - price, (scene.need - rate) / 4.0,
    )  # fmt: skip
    return xp.stack(columns, axis=-1), felt / disturbed[:, :, None], hurt / (harm + 1e-3)[:, None, :]


def learned_power(weights: Weights, scene: Scene) -> Float32[Array, "blocks slots"]:
    """The action, in NumPy."""
    index, n_cells = scene.cell.ravel(), len(scene.limit_w)

    def sum_by_cell(rows: Array) -> Array:
        columns = [np.bincount(index, column, n_cells) for column in rows.T]
        return np.stack(columns, axis=1).astype(np.float32)

    out: Array = policy(np, sum_by_cell, weights, scene)[-1]
    return out


def read_power(path: str | Path) -> Weights:
    """Weights as written by training; raises InputError where they are not such."""
    try:
        with np.load(path) as file:
            weights = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise InputError("weights", str(path), allowed="an npz of a power policy", fix="train it anew") from error
    for name, value in start_weights().items():
        if name not in weights or weights[name].shape != value.shape:
            found, allowed = f"without a fitting '{name}'", f"the shape {value.shape}"
            raise InputError("weights", found, allowed=allowed, fix="train it anew", where=str(path))
    return weights


@dataclass(frozen=True)
class PowerFit:
    """A trained policy and its course."""

    weights: Weights
    curve: Float32[Array, "updates"]  # worth per user of the scene of each update
    updates: int


def fit_power(
    scenes: Sequence[Scene], *, updates: int = 1000, rate: float = 3e-3, seed: int = 0, weights: Weights | None = None,
    spent: Callable[[], float] | None = None,
) -> PowerFit:  # fmt: skip
    """Ascend the explicit action value over scenes drawn in random order.

    Args:
        scenes: to learn from; few different shapes, each is compiled for.
        updates: steps of Adam, one scene each.
        rate: of learning; rises over the first twentieth and then falls to a fiftieth.
        seed: of weights and order.
        weights: to go on from.
        spent: share of a budget of time that is used up; the rate of learning heeds it, and 1 ends early.
    """
    p: Any = start_weights(seed) if weights is None else weights
    update, init = _compiled()
    state, rng, curve, share = init(p), np.random.default_rng(seed), [], 0.0
    with bar("training of powers", updates) as advance:
        for n in range(updates):
            share = max(n / updates, 0.0 if spent is None else spent())
            if n and share >= 1.0:
                break
            now = rate * min(1.0, 0.1 + 18.0 * share) * (0.51 + 0.49 * np.cos(np.pi * min(share, 1.0)))
            scene = scenes[int(rng.integers(len(scenes)))]
            p, state, value = update(p, state, scene, np.float32(now))
            curve.append(float(value))
            advance()
    return PowerFit({name: np.asarray(value) for name, value in p.items()}, np.array(curve, np.float32), len(curve))


def value(weights: Any, scene: Scene) -> tuple[Any, Any]:
    """Worth per user in JAX, early rounds counting a little; and that of the action alone."""
    import jax
    import jax.numpy as jnp

    def sum_by_cell(rows: Any) -> Any:
        return jax.ops.segment_sum(rows, scene.cell.ravel(), scene.limit_w.shape[0])

    worths = [worth(jnp, scene, power) / scene.real.sum() for power in policy(jnp, sum_by_cell, weights, scene)]
    return worths[-1] + EARLY * sum(worths[:-1]), worths[-1]


@cache
def _compiled() -> tuple[Any, Any]:
    """Update and start of the optimiser, compiled once for all fits of a process."""
    import jax
    import optax

    rule = optax.apply_if_finite(optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam()), 100)

    def loss(p: Any, scene: Scene) -> Any:
        total, last = value(p, scene)
        return -total, last

    @jax.jit
    def update(p: Any, state: Any, scene: Scene, rate: Any) -> Any:
        (_, last), slope = jax.value_and_grad(loss, has_aux=True)(p, scene)
        change, state = rule.update(slope, state, p)
        return jax.tree.map(lambda a, b: a - rate * b, p, change), state, last

    return update, rule.init
