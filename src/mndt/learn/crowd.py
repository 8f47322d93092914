"""Fitting of crowd models to recorded walks, on JAX: the learned correction and physics alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np

from mndt.learn.crowd_model import COLUMNS, PHYSICS, Packed, alike, desired_speed, first_weights, pack, roll_out
from mndt.learn.crowd_scores import contacts, positions, real_contacts
from mndt.learn.crowd_tracks import EVERY, Scene
from mndt.parallel import bar

Array = np.ndarray

UPDATES: Final = {"ours": 40, "social_force": 80, "closed_form": 80}
BATCH: Final = 4
WINDOW: Final = 61
"""Rows of a training roll-out: 12 s, half of all walks are shorter."""
LONE_WINDOW: Final = 101
RATE: Final = 4e-3
PHYSICS_RATE: Final = 6.0
"""Times the rate: for the few parameters of the physics."""
DECAY: Final = 0.1
ALONE_UPDATES: Final = 300
ALONE_BATCH: Final = 256
ALONE_RATE: Final = 1e-2
CONTACT_WEIGHT: Final = 0.03
CLOSE: Final = 0.06
"""Contacts this near (ratio, logarithm) to the recorded ones are near enough."""
FEW_CONTACTS: Final = 5
"""Fewer recorded contacts say nothing about the strength of the repulsion."""


@dataclass(frozen=True)
class CrowdFit:
    """A fitted model."""

    kind: str
    weights: dict[str, Array]
    speed: tuple[float, float]  # offset and slope of the desired speed
    seconds: float
    loss_m: float  # mean of the last tenth of the updates
    contacts: float  # between strangers in the training scenes, after matching
    contacts_real: float


def fit(
    kind: str,
    scenes: Sequence[Scene],
    allowed: Sequence[Array] | None = None,
    *,
    seed: int = 0,
    updates: int | None = None,
    alone: int = ALONE_UPDATES,
    match: bool = True,
) -> CrowdFit:
    """Fit one model: gradient descent through free roll-outs, then the strength of the repulsion by contacts.

    Args:
        kind: of `mndt.learn.crowd_model.KINDS`.
        scenes: to learn from.
        allowed: who counts, by scene.
        seed: of the start and the order.
        updates: steps of gradient descent with everybody; default `UPDATES`.
        alone: steps before that, only for the correction, in which nobody minds the others.
        match: bring contacts between strangers to their number in the training scenes.
    """
    began = time.monotonic()
    speed = desired_speed(scenes, allowed)
    packed = pack(scenes, speed, allowed)
    weights, loss = first_weights(kind, seed), float("nan")
    if kind != "straight":
        rng = np.random.default_rng(seed)
        if kind == "ours":
            lone = _lone_walkers(packed)
            weights, _ = _descend("alone", weights, lone, rng, alone)
        weights, loss = _descend(kind, weights, packed, rng, updates or UPDATES[kind])
    found = real = float("nan")
    if kind != "straight" and match:
        weights, found, real = match_contacts(kind, weights, packed)
    return CrowdFit(kind, weights, speed, time.monotonic() - began, loss, found, real)


def _lone_walkers(packed: Packed) -> Packed:
    """Every scored walk by itself, as if side by side in one scene that all begin at the same moment."""
    rows, real, scored = [], [], []
    for s in range(len(packed.rows)):
        for i in range(int(packed.person[s].max(initial=-1)) + 1):
            t, k = np.nonzero(packed.person[s] == i)
            if not packed.scored[s, t, k].any():
                continue
            keep = (packed.rows[s, t, k, 12] > 0).argmax() - 1  # the last row in which he is given
            t, k = t[keep : keep + LONE_WINDOW], k[keep : keep + LONE_WINDOW]
            a, b, c = (
                np.zeros((LONE_WINDOW, COLUMNS), np.float32),
                np.zeros((LONE_WINDOW, 2), np.float32),
                np.zeros(LONE_WINDOW, bool),
            )
            a[: len(t)], b[: len(t)] = packed.rows[s, t, k], packed.real[s, t, k]
            c[EVERY : len(t) : EVERY] = True
            rows.append(a)
            real.append(b)
            scored.append(c)
    shape = (1, LONE_WINDOW, len(rows))
    return Packed(
        np.stack(rows, 1)[None], np.stack(real, 1)[None], np.zeros(shape, np.int32), np.stack(scored, 1)[None],
        np.zeros((1, 1, 1, 1), bool),
    )  # fmt: skip


def _descend(
    kind: str, weights: dict[str, Array], packed: Packed, rng: np.random.Generator, updates: int
) -> tuple[dict[str, Array], float]:
    import jax

    window = min(WINDOW, packed.rows.shape[1])
    names = tuple(sorted(weights))
    state = _rule(kind, names, updates).init(weights)
    update = _compiled_update(kind, names, updates)
    losses = []
    with bar(f"fitting {kind.replace('_', ' ')}", updates) as advance:
        for _ in range(updates):
            batch = draw_lone(packed, rng) if kind == "alone" else draw(packed, window, rng)
            weights, state, loss = update(weights, state, *batch)
            losses.append(loss)
            advance()
    tail = np.asarray(jax.device_get(losses[-max(1, updates // 10) :]))
    return {name: np.asarray(value) for name, value in weights.items()}, float(tail.mean())


def draw_lone(packed: Packed, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """A batch of lone walkers, half of them mirrored."""
    n = packed.rows.shape[2]
    who = rng.choice(n, ALONE_BATCH, replace=n < ALONE_BATCH)
    a, b = packed.rows[:, :, who].copy(), packed.real[:, :, who].copy()
    flip = rng.random(len(who)) < 0.5
    for column in (0, 2, 4, 7):
        a[:, :, flip, column] *= -1
    b[:, :, flip, 0] *= -1
    return a, b, packed.scored[:, :, who], packed.strangers


def _rule(kind: str, names: tuple[str, ...], updates: int) -> Any:
    import optax

    schedule = optax.cosine_decay_schedule(ALONE_RATE if kind == "alone" else RATE, updates, 0.02)
    mask = {name: name.endswith("_w") for name in names}
    return optax.chain(
        optax.clip_by_global_norm(1.0), optax.scale_by_adam(), optax.add_decayed_weights(DECAY, mask),
        optax.scale_by_learning_rate(schedule),
        optax.masked(optax.scale(PHYSICS_RATE), {name: name in PHYSICS for name in names}),
    )  # fmt: skip


@lru_cache(maxsize=16)
def _compiled_update(kind: str, names: tuple[str, ...], updates: int) -> Any:
    """Compiled once for all fits of a process."""
    import jax
    import optax

    rule = _rule(kind, names, updates)

    @jax.jit
    def update(weights: Any, state: Any, rows: Any, real: Any, scored: Any, strangers: Any) -> Any:
        loss, slope = jax.value_and_grad(partial(batch_loss, kind))(weights, rows, real, scored, strangers)
        change, state = rule.update(slope, state, weights)
        return optax.apply_updates(weights, change), state, loss

    return update


def batch_loss(kind: str, weights: Any, rows: Any, real: Any, scored: Any, strangers: Any) -> Any:
    """Mean distance to the truth in m, and a penalty on the ratio of soft contact counts."""
    import jax
    import jax.numpy as jnp

    x, done = jax.vmap(lambda r: roll_out(kind, weights, r, 1))(rows)
    error = jnp.sqrt(((x - real) ** 2).sum(-1) + 1e-3)
    mean = (error * scored).sum() / jnp.maximum(scored.sum(), 1)
    if kind == "alone":
        return mean
    p, q, gone = x[:, ::EVERY], real[:, ::EVERY], done[:, ::EVERY]
    pair = strangers & ~gone[:, :, :, None] & ~gone[:, :, None, :]

    def soft(a: Any) -> Any:
        d = jnp.sqrt(((a[:, :, :, None] - a[:, :, None]) ** 2).sum(-1) + 1e-4)
        return (jax.nn.sigmoid((0.4 - d) / 0.05) * pair).sum()

    return mean + CONTACT_WEIGHT * jnp.log((soft(p) + 3.0) / (soft(q) + 3.0)) ** 2


def draw(packed: Packed, window: int, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """A batch of windows of scenes about as crowded as each other, half of them mirrored."""
    rows, real, scored, pairs = [], [], [], []
    length = packed.rows.shape[1]
    parts = alike(packed)
    width, some = parts[rng.choice(len(parts), p=[len(s) / len(packed.rows) for _, s in parts])]
    for s in rng.permutation(np.resize(some, max(BATCH, len(some))))[:BATCH]:
        t = EVERY * int(rng.integers((length - window) // EVERY + 1))
        a, b = packed.rows[s, t : t + window, :width].copy(), packed.real[s, t : t + window, :width].copy()
        if rng.random() < 0.5:
            a[..., [0, 2, 4, 7]] *= -1
            b[..., 0] *= -1
        c = packed.scored[s, t : t + window, :width].copy()
        c[0] = False
        rows.append(a)
        real.append(b)
        scored.append(c)
        pairs.append(packed.strangers[s, t // EVERY : t // EVERY + (window - 1) // EVERY + 1, :width, :width])
    return np.stack(rows), np.stack(real), np.stack(scored), np.stack(pairs)


def match_contacts(
    kind: str, weights: dict[str, Array], packed: Packed, tries: int = 6
) -> tuple[dict[str, Array], float, float]:
    """Set the strength of the repulsion so that strangers touch as often as in the recording.

    Returns the weights, the contacts they give and those recorded.
    """
    real = float(real_contacts(packed).sum())
    best, least, found = weights, np.inf, float("nan")
    at = float(weights["log_push"])
    low, high = at - 4.0, at + 3.0
    for _ in range(tries):
        trial = weights | {"log_push": np.asarray(at, np.float32)}
        count = float(contacts(packed, *positions(kind, trial, packed)).sum())
        gap = np.log((count + 1) / (real + 1))
        if abs(gap) < least:
            best, least, found = trial, abs(gap), count
        if least < CLOSE or real < FEW_CONTACTS:
            break
        low, high = (at, high) if count > real else (low, at)
        # contacts fall roughly as a power of the strength: a guess inside the bracket, not its middle
        at = min(max(at + 0.8 * float(gap), low + 0.1 * (high - low)), high - 0.1 * (high - low))
    return best, found, real
