"""A small network that foretells whether and by how much: two layers of tanh, fitted by Adam on JAX.

Its first output is the logit of yes, the second the logarithm of ``exp(amount) - 1`` (so that the amount is
never negative). Amounts are fitted by least squares, since sums of them over many shall be right.
"""

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
AMOUNT_WEIGHT: Final = 10.0
"""Of squared errors of amounts, beside the mean of -ln(likelihood) of yes and no."""


def start_weights(n_features: int, seed: int = 0) -> Weights:
    """Weights to begin with: yes is as likely as no, the same small amount for everyone."""
    rng, sizes = np.random.default_rng(seed), (n_features, HIDDEN, HIDDEN, 2)
    out: Weights = {}
    for i, (rows, columns) in enumerate(pairwise(sizes), start=1):
        scale = 0.0 if columns == 2 else rows**-0.5
        out[f"w{i}"] = (rng.standard_normal((rows, columns)) * scale).astype(np.float32)
        out[f"b{i}"] = np.zeros(columns, np.float32)
    out["b3"][1] = -3.0  # amounts are small
    return out


def fit(
    weights: Mapping[str, Array], seen: Float32[Array, "samples features"], yes: Bool[Array, "samples"],
    amount: Float32[Array, "samples"], *, epochs: int = 3, rate: float = RATE, seed: int = 0,
) -> tuple[Weights, float]:  # fmt: skip
    """Weights that make what was seen likelier, and the mean loss in the last epoch.

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
            now, memory, loss = step(now, memory, seen[rows], yes[rows].astype(np.float32), amount[rows], slower)
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

    def loss_of(weights: Any, seen: Any, yes: Any, amount: Any) -> Any:
        hidden = jnp.tanh(seen @ weights["w1"] + weights["b1"])
        hidden = jnp.tanh(hidden @ weights["w2"] + weights["b2"])
        out = hidden @ weights["w3"] + weights["b3"]
        error = jax.nn.softplus(out[:, 1]) - amount
        return optax.sigmoid_binary_cross_entropy(out[:, 0], yes).mean() + AMOUNT_WEIGHT * (error**2).mean()

    @jax.jit
    def step(weights: Any, memory: Any, seen: Any, yes: Any, amount: Any, rate: Any) -> Any:
        loss, slopes = jax.value_and_grad(loss_of)(weights, seen, yes, amount)
        moves, memory = adam.update(slopes, memory)
        return optax.apply_updates(weights, jax.tree.map(lambda move: -rate * move, moves)), memory, loss

    return adam.init, step
