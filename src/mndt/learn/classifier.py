"""A small network that tells yes from no: two layers of tanh, logistic output, fitted by Adam on JAX."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float32

Array = np.ndarray
Weights = dict[str, Array]

HIDDEN: Final = 32
BATCH: Final = 4096
RATE: Final = 3e-3


def start_weights(n_features: int, seed: int = 0) -> Weights:
    """Weights to begin with: every answer is one half."""
    rng, sizes = np.random.default_rng(seed), (n_features, HIDDEN, HIDDEN, 1)
    out: Weights = {}
    for i, (rows, columns) in enumerate(pairwise(sizes), start=1):
        scale = 0.0 if columns == 1 else rows**-0.5
        out[f"w{i}"] = (rng.standard_normal((rows, columns)) * scale).astype(np.float32)
        out[f"b{i}"] = np.zeros(columns, np.float32)
    return out


def fit(
    weights: Mapping[str, Array], seen: Float32[Array, "samples features"], yes: Bool[Array, "samples"], *,
    epochs: int = 3, rate: float = RATE, seed: int = 0,
) -> tuple[Weights, float]:  # fmt: skip
    """Weights that make what was seen likelier, and the mean of -ln(likelihood) in the last epoch.

    Batches are drawn by `seed`; same seed, same weights. The last incomplete batch of an epoch falls away.
    """
    import jax.numpy as jnp

    start, step = _steps()
    now = {name: jnp.asarray(value) for name, value in weights.items()}
    memory, rng, losses = start(now), np.random.default_rng(seed), []
    size = min(BATCH, len(yes))
    per_epoch = len(yes) // size
    for epoch in range(epochs):
        order = rng.permutation(len(yes))
        for i in range(per_epoch):
            rows = order[i * size : (i + 1) * size]
            slower = rate * (1.0 - (epoch * per_epoch + i) / (epochs * per_epoch))
            now, memory, loss = step(now, memory, seen[rows], yes[rows].astype(np.float32), slower)
            if epoch == epochs - 1:
                losses.append(float(loss))
    return {name: np.asarray(value) for name, value in now.items()}, float(np.mean(losses))


@lru_cache(maxsize=1)
def _steps() -> tuple[Any, Any]:
    """Adam's beginning and its compiled step."""
    import jax
    import jax.numpy as jnp
    import optax

    adam = optax.scale_by_adam()

    def loss_of(weights: Any, seen: Any, yes: Any) -> Any:
        hidden = jnp.tanh(seen @ weights["w1"] + weights["b1"])
        hidden = jnp.tanh(hidden @ weights["w2"] + weights["b2"])
        logit = (hidden @ weights["w3"] + weights["b3"])[:, 0]
        return optax.sigmoid_binary_cross_entropy(logit, yes).mean()

    @jax.jit
    def step(weights: Any, memory: Any, seen: Any, yes: Any, rate: Any) -> Any:
        loss, slopes = jax.value_and_grad(loss_of)(weights, seen, yes)
        moves, memory = adam.update(slopes, memory)
        return optax.apply_updates(weights, jax.tree.map(lambda move: -rate * move, moves)), memory, loss

    return adam.init, step
