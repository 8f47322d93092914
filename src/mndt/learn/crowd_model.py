"""Differentiable roll-outs of a crowd, on JAX: social force, a closed form, and social force with the correction.

The same equations as in `mndt.users.crowd` (tests hold them equal). Walkers of a scene share *slots*, so that the
arrays are as wide as the scene is crowded, not as long as its list of people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from mndt.learn.crowd_tracks import EVERY, STEP_S, Scene
from mndt.users.crowd.correction import (
    ARRIVED_M,
    CUTOFF_M,
    EDGE_FEATURES,
    EDGE_HIDDEN,
    FASTEST_FACTOR,
    FASTEST_SPARE_MPS,
    LEAST_SHARE,
    MOST_FASTER_MPS,
    MOST_PUSH_MPS2,
    MOST_SIDEWAYS_MPS,
    SELF_FEATURES,
    SELF_HIDDEN,
)  # fmt: skip

Array = np.ndarray
KINDS: Final = ("straight", "social_force", "closed_form", "ours")
PHYSICS: Final = ("log_tau", "log_push", "log_range", "ahead", "slope", "closing", "mixed", "turn")
"""Parameters that are not a network's."""
COLUMNS: Final = 13
"""Of `Packed.rows`: given x, y, vx, vy; goal x, y; desired speed; seen velocity x, y; first distance to the goal;
present, given, free."""


@dataclass(frozen=True)
class Packed:
    """Scenes laid out for roll-outs, padded to the same size."""

    rows: Array  # float32[scenes, times, slots, COLUMNS]
    real: Array  # float32[scenes, times, slots, 2]
    person: Array  # int32[scenes, times, slots], -1 where a slot is empty
    scored: Array  # bool[scenes, times, slots]
    strangers: Array  # bool[scenes, times / EVERY, slots, slots]: pairs of free strangers, each once


def desired_speed(scenes: Sequence[Scene], allowed: Sequence[Array] | None = None) -> tuple[float, float]:
    """Offset and slope of the mean speed to come as a linear function of the speed over the 0.8 s seen."""
    seen, mean = [], []
    for k, scene in enumerate(scenes):
        ok = scene.leaves & (allowed[k] if allowed is not None else True)
        at = scene.xy_m[scene.first, np.arange(scene.n)]
        way = np.hypot(*(scene.goal_m - at).T)
        seen.append(np.hypot(*scene.seen_mps[ok].T))
        mean.append((way / ((scene.last - scene.first) * STEP_S))[ok])
    x, y = np.concatenate(seen), np.minimum(np.concatenate(mean), 2.5)
    if len(x) < 3 or x.std() < 1e-6:
        return float(y.mean()) if len(y) else 1.3, 0.0
    slope = float(np.cov(x, y)[0, 1] / x.var(ddof=1))
    return float(y.mean() - slope * x.mean()), slope


def pack(
    scenes: Sequence[Scene], speed: tuple[float, float], allowed: Sequence[Array] | None = None, slots: int = 0
) -> Packed:
    """Lay scenes out; `allowed` says who counts in the loss."""
    places = [_slots(scene) for scene in scenes]
    width = _wide(max([slots, *(int(p.max(initial=0)) + 1 for p in places)]))
    length = max(len(scene.xy_m) for scene in scenes)
    length += (-(length - 1)) % EVERY
    shape = (len(scenes), length, width)
    rows, real = np.zeros((*shape, COLUMNS), np.float32), np.zeros((*shape, 2), np.float32)
    person, scored = np.full(shape, -1, np.int32), np.zeros(shape, bool)
    strangers = np.zeros((len(scenes), (length - 1) // EVERY + 1, width, width), bool)
    for s, scene in enumerate(scenes):
        may = np.ones(scene.n, bool) if allowed is None else allowed[s]
        xy = scene.xy_m
        begin = np.isfinite(xy[:, :, 0]).argmax(0)
        for i in range(scene.n):
            a, f, b, k = begin[i], scene.first[i], scene.last[i], places[s][i]
            line = xy[a : b + 1, i]
            back = np.maximum(np.arange(a, b + 1) - EVERY, a)
            span = (np.arange(a, b + 1) - back) * STEP_S
            velocity = np.where(
                (np.arange(a, b + 1) <= f)[:, None] | (span < 2 * STEP_S)[:, None], scene.seen_mps[i],
                (line - xy[back, i]) / np.maximum(span, STEP_S)[:, None],
            )  # fmt: skip
            out = rows[s, a : b + 1, k]
            out[:, 0:2], out[:, 2:4], out[:, 4:6] = line, velocity, scene.goal_m[i]
            out[:, 6] = np.clip(speed[0] + speed[1] * np.hypot(*scene.seen_mps[i]), 0.1, 2.5)
            out[:, 7:9] = scene.seen_mps[i]
            out[:, 9] = np.hypot(*(scene.goal_m[i] - xy[f, i]))
            out[:, 10] = 1.0
            out[: f - a + 1, 11] = 1.0
            out[f - a + 1 :, 12] = 1.0
            real[s, a : b + 1, k] = line
            person[s, a : b + 1, k] = i
            t = np.arange(f + 1, b + 1)
            scored[s, t[t % EVERY == 0], k] = scene.leaves[i] and may[i]
        together = np.zeros((scene.n + 1, scene.n + 1), bool)
        together[:-1, :-1] = scene.companions()
        who = person[s, ::EVERY]
        free = (rows[s, ::EVERY, :, 12] > 0) & (who >= 0)
        pair = free[:, :, None] & free[:, None, :] & ~together[who[:, :, None], who[:, None, :]]
        strangers[s] = pair & np.triu(np.ones((width, width), bool), 1)
    return Packed(rows, real, person, scored, strangers)


def _slots(scene: Scene) -> Array:
    """A slot for each walker such that nobody shares one at the same time."""
    begin = np.isfinite(scene.xy_m[:, :, 0]).argmax(0)
    free_from: list[int] = []
    out = np.zeros(scene.n, np.int64)
    for i in np.argsort(begin, kind="stable"):
        k = next((k for k, t in enumerate(free_from) if t < begin[i]), len(free_from))
        if k == len(free_from):
            free_from.append(0)
        out[i], free_from[k] = k, int(scene.last[i])
    return out


def alike(packed: Packed) -> list[tuple[int, Array]]:
    """Scenes in one or two groups, each with the slots it fills: narrow ones need not pay for wide ones."""
    filled = np.asarray((packed.person >= 0).any(1))
    width = filled.shape[1] - filled[:, ::-1].argmax(1)
    limit = _wide(int(np.quantile(width, 0.6)))
    if width.max() <= 1.3 * limit:
        return [(filled.shape[1], np.arange(len(width)))]
    return [(limit, np.flatnonzero(width <= limit)), (filled.shape[1], np.flatnonzero(width > limit))]


def _wide(slots: int) -> int:
    """The next multiple of eight: few shapes, few compilations."""
    return 8 * -(-slots // 8)


def first_weights(kind: str, seed: int) -> dict[str, Array]:
    """Where fitting starts: textbook values; a network that corrects nothing yet."""
    rng = np.random.default_rng(seed)
    start: dict[str, Any] = {"log_tau": np.log(0.5)}
    if kind in ("social_force", "ours"):
        start |= {"log_push": np.log(2.0), "log_range": np.log(0.25), "ahead": 0.0}
    if kind == "closed_form":
        start |= {"log_push": np.log(3.0), "slope": -2.5, "closing": 0.2, "mixed": -0.3, "turn": 0.6}
    if kind in ("ours", "alone"):
        for name, (n_in, n_out) in {
            "edge": (EDGE_FEATURES, EDGE_HIDDEN), "hidden": (EDGE_HIDDEN + SELF_FEATURES, SELF_HIDDEN),
            "second": (SELF_HIDDEN, SELF_HIDDEN), "out": (SELF_HIDDEN, 2),
        }.items():  # fmt: skip
            scale = 0.1 if name == "out" else 1.0
            start[f"{name}_w"] = scale * rng.normal(size=(n_in, n_out)) / np.sqrt(n_in)
            start[f"{name}_b"] = np.zeros(n_out)
        start["edge_b"] = 0.3 * rng.normal(size=EDGE_HIDDEN)
        start["hidden_w"][:EDGE_HIDDEN] = 0.0  # at first nobody minds the others but for the social force
        start |= {"gate_w": np.zeros(EDGE_HIDDEN), "gate_b": 0.0}
    return {name: np.asarray(value, np.float32) for name, value in start.items()}


def acceleration(kind: str, p: Any, state: Any, row: Any, moving: Any) -> Any:
    """Acceleration of all slots of a scene.

    Args:
        kind: of `KINDS`.
        p: parameters.
        state: [slots, 4], position and velocity.
        row: [slots, COLUMNS].
        moving: [slots] 1 for those who exert forces.
    """
    import jax.numpy as jnp

    x, v, goal, v0 = state[:, :2], state[:, 2:], row[:, 4:6], row[:, 6]
    way = goal - x
    d_goal = jnp.sqrt((way**2).sum(-1) + 1e-8)
    e = way / d_goal[:, None]
    n = jnp.stack([-e[:, 1], e[:, 0]], -1)
    tau = jnp.exp(p["log_tau"])
    if kind == "straight":
        return (v0[:, None] * e - v) / tau
    if kind == "alone":
        nobody = jnp.zeros((len(x), EDGE_HIDDEN))
        return (v0[:, None] * e + _change(p, row, e, n, d_goal, v, nobody) - v) / tau
    r = x[None] - x[:, None]  # from i to j
    d2 = (r**2).sum(-1) + 1e-6
    d = jnp.sqrt(d2)
    near = jnp.maximum(1.0 - d2 / CUTOFF_M**2, 0.0) ** 2 * moving[None] * (1.0 - jnp.eye(len(x)))
    if kind == "closed_form":
        return (v0[:, None] * e - v) / tau + _closed_form(p, r, d, v, e, near)
    cosine = (r * e[:, None]).sum(-1) / d
    ahead = 1.0 / (1.0 + jnp.exp(-p["ahead"]))  # weight of those behind
    push = jnp.exp(p["log_push"] + (0.6 - d) / jnp.exp(p["log_range"])) * (ahead + (1 - ahead) * (1 + cosine) / 2)
    want = v0[:, None] * e
    if kind == "ours":
        message, gate = _messages(p, e, n, r, d, v, near)
        want = want + _change(p, row, e, n, d_goal, v, message)
        push = push * gate
    force = -((push * (near > 0) / d)[..., None] * r).sum(1)
    size = jnp.sqrt((force**2).sum(-1, keepdims=True) + 1e-8)
    force = force * jnp.minimum(1.0, MOST_PUSH_MPS2 / size)
    return (want - v) / tau + force


def _closed_form(p: Any, r: Any, d: Any, v: Any, e: Any, near: Any) -> Any:
    """Repulsion of the symbolic law: exp of distance and closing angle, turned to a side, from those in front."""
    import jax.numpy as jnp

    w = v[None] - v[:, None]
    closing = (r * w).sum(-1) / (d * jnp.sqrt((w**2).sum(-1) + 1e-4))
    front = (r * v[:, None]).sum(-1) > 0
    power = jnp.clip(p["log_push"] + p["slope"] * d + p["closing"] * closing + p["mixed"] * d * closing, -20.0, 4.0)
    side = jnp.sign(e[:, None, 0] * r[..., 1] - e[:, None, 1] * r[..., 0])
    c, s = jnp.cos(p["turn"]), jnp.sin(p["turn"]) * side
    turned = jnp.stack([c * r[..., 0] - s * r[..., 1], s * r[..., 0] + c * r[..., 1]], -1)
    force = -((jnp.exp(power) * front * (near > 0) / d)[..., None] * turned).sum(1)
    size = jnp.sqrt((force**2).sum(-1, keepdims=True) + 1e-8)
    return force * jnp.minimum(1.0, MOST_PUSH_MPS2 / size)


def _messages(p: Any, e: Any, n: Any, r: Any, d: Any, v: Any, near: Any) -> tuple[Any, Any]:
    """What neighbours amount to, [slots, EDGE_HIDDEN], and how strongly each repels, [slots, slots] in (0, 2)."""
    import jax.numpy as jnp

    def along(a: Any) -> tuple[Any, Any]:
        return (a * e[:, None]).sum(-1), (a * n[:, None]).sum(-1)

    r1, r2 = along(r)
    u1, u2 = along(jnp.broadcast_to(v[None], r.shape))
    v1, v2 = (v * e).sum(-1), (v * n).sum(-1)
    f = jnp.stack(
        [r1 / CUTOFF_M, r2 / CUTOFF_M, (u1 - v1[:, None]) / 2, (u2 - v2[:, None]) / 2, d / CUTOFF_M,
         1.0 / (1.0 + 4.0 * d * d), u1 / 1.5, u2 / 1.5], -1
    )  # fmt: skip
    h = jnp.maximum(jnp.clip(f, -1.5, 1.5) @ p["edge_w"] + p["edge_b"], 0.0)
    gate = h @ p["gate_w"] + p["gate_b"]
    m = (h * near[..., None]).sum(1)
    return m / (2.0 + m), 1.0 + gate / (1.0 + jnp.abs(gate))


def _change(p: Any, row: Any, e: Any, n: Any, d_goal: Any, v: Any, message: Any) -> Any:
    """Change of the desired velocity, [slots, 2]: see `mndt.users.crowd.correction`."""
    import jax.numpy as jnp

    v1, v2 = (v * e).sum(-1), (v * n).sum(-1)
    v0, seen = row[:, 6], row[:, 7:9]
    own = jnp.stack(
        [v1 / 1.5, v2 / 1.5, v0 / 1.5, (seen * e).sum(-1) / 1.5, (seen * n).sum(-1) / 1.5,
         jnp.minimum(row[:, 9], 25.0) / 10 - 1, jnp.minimum(d_goal, 25.0) / 10 - 1, d_goal / (d_goal + 2.0)], -1
    )  # fmt: skip
    h = jnp.concatenate([message, jnp.clip(own, -1.5, 1.5)], -1) @ p["hidden_w"] + p["hidden_b"]
    h = h / (1.0 + jnp.abs(h))
    h = h @ p["second_w"] + p["second_b"]
    h = h / (1.0 + jnp.abs(h))
    o = h @ p["out_w"] + p["out_b"]
    o = o / (1.0 + jnp.abs(o))
    faster = o[:, 0] * jnp.where(o[:, 0] < 0, (1.0 - LEAST_SHARE) * v0, MOST_FASTER_MPS)
    sideways = o[:, 1] * MOST_SIDEWAYS_MPS * jnp.minimum(1.0, d_goal / 1.5)
    return faster[:, None] * e + sideways[:, None] * n


def roll_out(kind: str, p: Any, rows: Any, substeps: int) -> tuple[Any, Any]:
    """Free roll-out of one scene.

    Args:
        kind: of `KINDS`.
        p: parameters.
        rows: [times, slots, COLUMNS]; whoever is there in the first row starts from what is given.
        substeps: steps of the model in one of the grid.

    Returns:
        positions [times, slots, 2] and who has arrived [times, slots].
    """
    import jax
    import jax.numpy as jnp

    step_s = STEP_S / substeps

    def one(state: Any, row: Any) -> tuple[Any, Any]:
        given = row[:, 11:12] > 0
        now = jnp.where(given, row[:, :4], state[0])
        done = jnp.where(given[:, 0], False, state[1])
        out = (now[:, :2], done)
        for _ in range(substeps):
            moving = row[:, 10] * (1.0 - done)
            a = acceleration(kind, p, now, row, moving)
            v = now[:, 2:] + a * step_s
            speed = jnp.sqrt((v**2).sum(-1) + 1e-8)
            v = v * jnp.minimum(1.0, (FASTEST_FACTOR * row[:, 6] + FASTEST_SPARE_MPS) / speed)[:, None]
            x = now[:, :2] + v * step_s
            # a step that passes the goal ends there
            way, ahead = row[:, 4:6] - x, row[:, 4:6] - now[:, :2]
            there = ((way**2).sum(-1) < ARRIVED_M**2) | (((way * ahead).sum(-1) < 0) & ((ahead**2).sum(-1) < 0.25))
            done = done | there
            x = jnp.where(done[:, None], row[:, 4:6], x)
            now = jnp.concatenate([x, jnp.where(done[:, None], 0.0, v)], -1)
        return (now, done), out

    first = (jnp.zeros((rows.shape[1], 4), rows.dtype), jnp.zeros(rows.shape[1], bool))
    rows = jnp.asarray(rows)
    rows = rows.at[0, :, 11].set(rows[0, :, 10])
    x, done = jax.lax.scan(jax.checkpoint(one), first, rows)[1]
    return x, done


@lru_cache(maxsize=16)
def compiled_roll_out(kind: str, substeps: int) -> Callable[..., Any]:
    """`roll_out` of many scenes at once."""
    import jax

    return jax.jit(jax.vmap(lambda p, rows: roll_out(kind, p, rows, substeps), in_axes=(None, 0)))
