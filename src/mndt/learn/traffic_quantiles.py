"""A small network that foretells how traffic will be distributed some slots ahead, fitted by Adam on JAX.

Two layers of tanh; the outputs are values in ascending order, each the one before plus something positive, and of known
probability. Fitted by the pinball loss, whose minimum is the quantile (Koenker and Bassett 1978, doi:10.2307/1913643).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float32

Array = np.ndarray
Weights = dict[str, Array]

HIDDEN: Final = 48
EDGES: Final = np.concatenate([np.linspace(0.0, 0.9, 25), 1.0 - 0.1 * 0.72 ** np.arange(1, 16), [1.0]])
"""Between which shares of all cases each foretold value stands: finer where demand is high and rarely higher."""
MASS: Final = np.diff(EDGES)
"""Probability of each foretold value."""
LEVELS: Final = len(MASS)
MIDDLES: Final = (EDGES[1:] + EDGES[:-1]) / 2.0
"""Rank of each foretold value."""
LOGS: Final = 0.3
"""Weight of errors of logarithms beside errors of amounts."""
BATCH: Final = 1024
RATE: Final = 3e-3


class Samples(NamedTuple):
    """What was seen, and what came."""

    seen: Float32[Array, "samples features"]
    came: Float32[Array, "samples"]  # change of a logarithm
    scale: Float32[Array, "samples"]  # times the exponential of the change: an amount

    def take(self, rows: Array) -> Samples:
        """Some of them, a mask or numbers."""
        return Samples(*(part[rows] for part in self))


def start_weights(n_features: int, seed: int = 0) -> Weights:
    """Weights to begin with: a narrow distribution around nothing."""
    rng, sizes = np.random.default_rng(seed), (n_features, HIDDEN, HIDDEN, LEVELS)
    out: Weights = {}
    for i, (rows, columns) in enumerate(pairwise(sizes), start=1):
        scale = 0.1 if columns == LEVELS else 1.0
        out[f"w{i}"] = (rng.standard_normal((rows, columns)) * scale * rows**-0.5).astype(np.float32)
        out[f"b{i}"] = np.zeros(columns, np.float32)
    out["b3"][1:] = -3.0
    out["b3"][0] = -1.0
    return out


def fit(
    weights: Mapping[str, Array], learned: Samples, held: Samples, *, epochs: int = 40, rate: float = RATE,
    seed: int = 0,
) -> tuple[Weights, float]:  # fmt: skip
    """Weights whose quantiles fit what came, and their loss on the samples held out.

    Of all epochs that with the least loss on `held` counts. Batches are drawn by `seed`; same seed, same weights.
    The last incomplete batch of an epoch falls away.
    """
    import jax.numpy as jnp

    start, step, judged = _steps()
    now = {name: jnp.asarray(value) for name, value in weights.items()}
    memory, rng = start(now), np.random.default_rng(seed)
    size = min(BATCH, len(learned.came))
    per_epoch = len(learned.came) // size
    best, least = now, float(judged(now, *held))
    for epoch in range(epochs):
        order = rng.permutation(len(learned.came))
        for i in range(per_epoch):
            rows = order[i * size : (i + 1) * size]
            slower = rate * (1.0 - (epoch * per_epoch + i) / (epochs * per_epoch))
            now, memory = step(now, memory, *(part[rows] for part in learned), slower)
        found = float(judged(now, *held))
        if found < least:
            best, least = now, found
    return {name: np.asarray(value) for name, value in best.items()}, least


def quantiles(weights: Mapping[str, Array], seen: Float32[Array, "rows features"]) -> Float32[Array, "rows levels"]:
    """Values of each row, ascending; their probabilities are `MASS`."""
    return np.asarray(_foretold(weights, seen, np))


def _foretold(weights: Mapping[str, Any], seen: Any, np_like: Any) -> Any:
    hidden = np_like.tanh(seen @ weights["w1"] + weights["b1"])
    hidden = np_like.tanh(hidden @ weights["w2"] + weights["b2"])
    out = hidden @ weights["w3"] + weights["b3"]
    steps = np_like.logaddexp(out[:, 1:], np.float32(0.0))
    return out[:, :1] + np_like.concatenate([np_like.zeros_like(out[:, :1]), np_like.cumsum(steps, axis=1)], axis=1)


@lru_cache
def _steps() -> tuple[Any, Any, Any]:
    """Start of the optimiser's memory, one step of it, and the loss, compiled once."""
    import jax
    import jax.numpy as jnp
    import optax

    optimiser = optax.inject_hyperparams(optax.adam)(learning_rate=RATE)
    level = jnp.asarray(MIDDLES)

    def pinball(miss: Any) -> Any:
        return jnp.mean(jnp.sum(jnp.maximum(level * miss, (level - 1.0) * miss), axis=1))

    def loss(weights: Any, seen: Any, came: Any, scale: Any) -> Any:
        foretold = _foretold(weights, seen, jnp)
        grown = scale[:, None] * (jnp.exp(came)[:, None] - jnp.exp(jnp.minimum(foretold, 6.0)))
        return LOGS * pinball(came[:, None] - foretold) + pinball(grown)

    @jax.jit
    def step(weights: Any, memory: Any, seen: Any, came: Any, scale: Any, rate: Any) -> Any:
        slope = jax.grad(loss)(weights, seen, came, scale)
        memory.hyperparams["learning_rate"] = rate
        change, memory = optimiser.update(slope, memory, weights)
        return optax.apply_updates(weights, change), memory

    return optimiser.init, step, jax.jit(loss)
