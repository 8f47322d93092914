"""Constrained policy optimisation: P3O with its exact penalty, PPO, and PPO with a Lagrange multiplier.

P3O (Zhang et al. 2022, "Penalized Proximal Policy Optimization for Safe Reinforcement Learning",
arXiv:2205.11814) minimises

    E[-min(r A_R, clip(r) A_R)] + kappa max(0, E[max(r A_C, clip(r) A_C)] + violation)

with r the ratio of the new policy's probability to the old one's: pessimistic about reward and about cost.
The penalty is exact: from the constraint's multiplier upward every kappa has the constrained optimum as its
minimum. PPO is kappa = 0. The Lagrangian sibling leaves kappa at 0 and mixes the advantages instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64

Array = np.ndarray
Kind = Literal["gaussian", "categorical"]
Params = dict[str, Any]

LOG_TWO_PI: Final = 1.8378770664093453


@dataclass(frozen=True)
class Settings:
    """How one batch is learned from."""

    clip: float = 0.2
    rate: float = 3e-4
    passes: int = 10
    minibatch: int = 8192
    target_kl: float = 0.02  # nats; passes end once the policy has moved half as far again
    gradient_norm: float = 40.0


class Batch(NamedTuple):
    """What one policy did, and how much better that was than expected."""

    observation: Float32[Array, "n features"]
    action: Float[Array, "n"]  # real, or the index of a category
    log_prob: Float32[Array, "n"]  # at the time
    reward_advantage: Float32[Array, "n"]
    cost_advantage: Float32[Array, "n"]


class Step(NamedTuple):
    """How an improvement went."""

    passes: int
    kl: float
    loss: float


def first_params(
    kind: Kind, n_features: int, width: int, rng: np.random.Generator, *, n_actions: int = 1, log_std: float = -1.0
) -> Params:
    """A network of two hidden layers of tanh whose output is 0 everywhere: the baseline to start from.

    Args:
        kind: real actions, or categories.
        n_features: of an observation.
        width: of the hidden layers; 0 for a linear policy.
        rng: draws the hidden weights.
        n_actions: categories, or 1.
        log_std: of the Gaussian at the start.
    """
    out: Params = {}
    sizes = (n_features, width, width) if width else (n_features,)
    for k in range(len(sizes) - 1):
        drawn = rng.standard_normal((sizes[k], sizes[k + 1])) / np.sqrt(sizes[k])
        out[f"w{k}"], out[f"b{k}"] = drawn.astype(np.float32), np.zeros(sizes[k + 1], np.float32)
    out["w_out"], out["b_out"] = np.zeros((sizes[-1], n_actions), np.float32), np.zeros(n_actions, np.float32)
    if kind == "gaussian":
        out["log_std"] = np.float32(log_std)
    return out


def output(params: Params, observation: Any, xp: Any = np) -> Any:
    """Mean of the Gaussian or logits of the categories, `[n, actions]`; with NumPy, or JAX as `xp`."""
    x, k = observation, 0
    while f"w{k}" in params:
        x, k = xp.tanh(x @ params[f"w{k}"] + params[f"b{k}"]), k + 1
    return x @ params["w_out"] + params["b_out"]


def log_prob(kind: Kind, params: Params, observation: Any, action: Any, xp: Any = np) -> Any:
    """Logarithm of the probability (density) of every action, `[n]`."""
    out = output(params, observation, xp)
    if kind == "gaussian":
        z = (action - out[:, 0]) * xp.exp(-params["log_std"])
        return -0.5 * z * z - params["log_std"] - 0.5 * LOG_TWO_PI
    top = out.max(axis=1, keepdims=True)
    logs = out - top - xp.log(xp.exp(out - top).sum(axis=1, keepdims=True))
    chosen = xp.arange(out.shape[1])[None] == action[:, None]
    return xp.where(chosen, logs, 0.0).sum(axis=1)


def sample(
    kind: Kind, params: Params, observation: Float32[Array, "n features"], uniform: Float64[Array, "n"]
) -> Array:
    """Actions from uniform numbers in (0, 1), one each: the inverse of the distribution function."""
    out = output(params, observation)
    if kind == "gaussian":
        from scipy.special import ndtri

        drawn: Array = (out[:, 0] + np.exp(params["log_std"]) * ndtri(uniform)).astype(np.float32)
        return drawn
    share = np.exp(out - out.max(axis=1, keepdims=True)).cumsum(axis=1)
    below = share < uniform[:, None] * share[:, -1:]
    category: Array = below.sum(axis=1).astype(np.int32)
    return category


def advantages(
    gain: Float[Array, "steps n"], value: Float[Array, "steps n"], *, gamma: float = 1.0, trace: float = 0.95
) -> Float64[Array, "steps n"]:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv:1506.02438) up to a true end.

    >>> advantages(np.array([[1.0], [2.0]]), np.array([[0.5], [1.0]]), trace=1.0).ravel().tolist()
    [2.5, 1.0]
    """
    out, carried, ahead = np.zeros(np.shape(gain)), 0.0, 0.0
    for t in range(len(gain) - 1, -1, -1):
        carried = gain[t] + gamma * ahead - value[t] + gamma * trace * carried
        out[t], ahead = carried, value[t]
    return out


def normalised(batch: Batch, violation: float) -> tuple[Batch, float]:
    """Advantages centred and in units of their deviation; the violation in that of the cost.

    Args:
        batch: with raw advantages.
        violation: mean cost of an episode less its limit, by step.
    """
    reward, cost = batch.reward_advantage, batch.cost_advantage
    unit = float(cost.std()) + 1e-8
    scaled = batch._replace(
        reward_advantage=((reward - reward.mean()) / (reward.std() + 1e-8)).astype(np.float32),
        cost_advantage=((cost - cost.mean()) / unit).astype(np.float32),
    )
    return scaled, violation / unit


def surrogate(kind: Kind, params: Params, batch: Batch, violation: Any, kappa: Any, clip: float) -> Any:
    """The loss above; differentiable by JAX in the parameters."""
    import jax.numpy as jnp

    ratio = jnp.exp(log_prob(kind, params, batch.observation, batch.action, jnp) - batch.log_prob)
    near = jnp.clip(ratio, 1.0 - clip, 1.0 + clip)
    gained = jnp.minimum(ratio * batch.reward_advantage, near * batch.reward_advantage).mean()
    spent = jnp.maximum(ratio * batch.cost_advantage, near * batch.cost_advantage).mean()
    return -gained + kappa * jnp.maximum(0.0, spent + violation)


@lru_cache(maxsize=8)
def _compiled(kind: Kind, clip: float, gradient_norm: float) -> tuple[Any, Any, Any]:
    """Optimiser, update and divergence, compiled once for all batches of a shape."""
    import jax
    import jax.numpy as jnp
    import optax

    rule = optax.chain(optax.clip_by_global_norm(gradient_norm), optax.scale_by_adam())

    @jax.jit
    def update(params: Any, state: Any, batch: Any, violation: Any, kappa: Any, rate: Any) -> Any:
        def loss(p: Any) -> Any:
            return surrogate(kind, p, batch, violation, kappa, clip)

        value, slope = jax.value_and_grad(loss)(params)
        change, state = rule.update(slope, state, params)
        return jax.tree.map(lambda p, c: p - rate * c, params, change), state, value

    @jax.jit
    def divergence(params: Any, batch: Any) -> Any:
        log_ratio = log_prob(kind, params, batch.observation, batch.action, jnp) - batch.log_prob
        return (jnp.exp(log_ratio) - 1.0 - log_ratio).mean()

    return rule, update, divergence


def first_state(kind: Kind, params: Params, settings: Settings) -> Any:
    """The optimiser's, before the first batch."""
    return _compiled(kind, settings.clip, settings.gradient_norm)[0].init(params)


def improve(
    kind: Kind, params: Params, state: Any, batch: Batch, rng: np.random.Generator, *,
    kappa: float, violation: float = 0.0, settings: Settings,
) -> tuple[Params, Any, Step]:  # fmt: skip
    """Learn from one batch; passes end early when the policy has moved far enough.

    Args:
        kind: of the policy.
        params: of the policy that made the batch.
        state: of the optimiser.
        batch: with advantages as they shall count (see `normalised`).
        rng: draws the order.
        kappa: factor of the penalty; 0 is PPO.
        violation: in the units of the cost's advantage.
        settings: rate, clip and passes.
    """
    _, update, divergence = _compiled(kind, settings.clip, settings.gradient_norm)
    n, size = len(batch.log_prob), min(settings.minibatch, len(batch.log_prob))
    kl, losses = 0.0, [0.0]
    numbers = np.float32(violation), np.float32(kappa), np.float32(settings.rate)
    done = 0
    while done < settings.passes:
        done += 1
        order = rng.permutation(n)
        parts = [order[k : k + size] for k in range(0, n - size + 1, size)]
        losses = []
        for rows in parts:
            params, state, loss = update(params, state, Batch(*(column[rows] for column in batch)), *numbers)
            losses.append(loss)
        kl = float(divergence(params, batch))
        if kl > 1.5 * settings.target_kl:
            break
    return {k: np.asarray(v) for k, v in params.items()}, state, Step(done, kl, float(np.mean(losses)))


@dataclass(frozen=True)
class Multiplier:
    """A Lagrange multiplier steered by proportion, sum and rise of the violation.

    Stooke, Achiam and Abbeel 2020, "Responsive Safety in Reinforcement Learning by PID Lagrangian Methods",
    arXiv:2007.03964. The sum stays within 0 and `most`, so that long feasible or infeasible stretches are
    forgotten.
    """

    proportion: float = 0.1
    integral: float = 0.01
    rise: float = 0.01
    most: float = 100.0
    total: float = 0.0
    before: float | None = None
    value: float = 0.0

    def after(self, violation: float) -> Multiplier:
        """The multiplier after one more batch.

        >>> Multiplier(proportion=1.0, integral=0.5, rise=0.0).after(0.2).value
        0.30000000000000004
        """
        total = min(max(self.total + self.integral * violation, 0.0), self.most)
        rise = 0.0 if self.before is None else max(violation - self.before, 0.0)
        value = max(0.0, self.proportion * violation + total + self.rise * rise)
        return replace(self, total=total, before=violation, value=value)

    def mixed(self, batch: Batch) -> Batch:
        """One advantage out of two, for `improve` with kappa 0: (A_R - lambda A_C) / (1 + lambda)."""
        both = (batch.reward_advantage - self.value * batch.cost_advantage) / (1.0 + self.value)
        return batch._replace(reward_advantage=both.astype(np.float32))


@dataclass(frozen=True)
class Normaliser:
    """Mean and deviation of all observations so far; whoever evaluates simply stops calling `seen`."""

    mean: Float64[Array, "features"]
    square: Float64[Array, "features"]  # sum of squared distances to the mean
    count: float = 0.0

    @classmethod
    def fresh(cls, n_features: int) -> Normaliser:
        """Nothing seen."""
        return cls(np.zeros(n_features), np.zeros(n_features))

    def seen(self, observation: Float[Array, "n features"]) -> Normaliser:
        """With more observations, merged as by Chan, Golub and LeVeque."""
        n = len(observation)
        mean = observation.mean(axis=0, dtype=np.float64)
        gap, total = mean - self.mean, self.count + n
        square = self.square + ((observation - mean) ** 2).sum(axis=0) + gap**2 * self.count * n / total
        return Normaliser(self.mean + gap * n / total, square, total)

    def __call__(self, observation: Float[Array, "n features"]) -> Float32[Array, "n features"]:
        """In deviations from the mean, at most 8."""
        deviation = np.sqrt(self.square / max(self.count, 1.0)) + 1e-6
        out: Array = np.clip((observation - self.mean) / deviation, -8.0, 8.0).astype(np.float32)
        return out
