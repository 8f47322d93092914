"""Training of the point process of schedules by maximum likelihood, on JAX.

The likelihood of an event is that of its departure (density of the mixture, cut off at the horizon; the
probability of none for the last one), of its place (known, by slot; or new, times the density of the
displacement in the plane) and of its travel time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from mndt.formats.diary import Diary
from mndt.learn.schedule_events import Candidates, Chunks, follow
from mndt.parallel import bar
from mndt.streams import Streams
from mndt.users import _point_net as net
from mndt.users.point_process import PointProcess
from mndt.users.schedule_events import TRAITS, is_shared, observed_days, templates_of

Array = np.ndarray

BATCH: Final = 24
LEARNING_RATE: Final = 4e-3
MOST_CHUNKS: Final = 6000
MOST_PEOPLE: Final = 4000
"""People whose courses are learned from; the traits and days of all of them are kept."""
BANDWIDTH: Final = 0.15
HELD_BACK: Final = 0.15
"""Share of the people on whom it is judged when to stop."""


@dataclass(frozen=True)
class TrainingInfo:
    """How the training went; losses are nats an event."""

    people: int
    trips: int
    steps: int
    seconds: float  # of the processor
    loss: float
    held_back_loss: float


def train(
    diary: Diary, streams: Streams, *, seconds: float = 240.0, steps: int | None = None
) -> tuple[PointProcess, TrainingInfo]:
    """Fit the point process to a diary.

    Args:
        diary: of at least a few dozen people.
        streams: draws the start, the order and who is held back.
        seconds: processor time after which training ends in any case; a result that was cut short so differs
            from machine to machine.
        steps: batches; None: about forty passes over the diary, within bounds.
    """
    began = time.process_time()
    templates = templates_of(diary)
    mean, deviation = templates.traits.mean(axis=0), templates.traits.std(axis=0) + 1e-3
    step = np.hypot(
        diary.place_x_m[diary.to_place] - diary.place_x_m[diary.from_place],
        diary.place_y_m[diary.to_place] - diary.place_y_m[diary.from_place],
    )
    scale = max(float(np.median(step)), 1.0)
    rng = streams.generator("train-schedule")
    shared, visitors = _shared_places(diary)
    learned = diary
    if diary.n_persons > MOST_PEOPLE:
        learned = diary.take(np.sort(rng.permutation(diary.n_persons)[:MOST_PEOPLE]))
    chunks = follow(learned, mean, deviation, scale, shared, rng)
    weights, info = _fit(chunks, learned, rng, began + seconds, steps, started=began)
    process = PointProcess(
        weights, templates, mean, deviation, scale, BANDWIDTH, shared.x_m, shared.y_m, visitors, _day_shares(diary)
    )
    return process, info


def _shared_places(diary: Diary) -> tuple[Candidates, Array]:
    """The places people share, if they do: as candidates, and their visitors."""
    n = len(diary.place_x_m)
    pairs = np.unique(np.column_stack([diary.person, diary.to_place]), axis=0)
    visitors = np.bincount(pairs[:, 1], minlength=n).astype(float)
    some = np.flatnonzero(visitors > 0) if is_shared(diary) else np.zeros(0, int)
    x, y, visitors = diary.place_x_m[some], diary.place_y_m[some], visitors[some]
    return Candidates(some, x, y, np.cumsum(visitors)), visitors


def _day_shares(diary: Diary) -> Array:
    """Share of the people out on each day of the week; 1 where the diary cannot tell."""
    seen = np.bincount(observed_days(diary)[:, 1] % 7, minlength=7)
    day = np.floor(diary.departure_s / 86_400.0).astype(np.int64)
    out = np.unique(np.column_stack([diary.person, day]), axis=0)[:, 1] % 7
    return np.where(seen > 0, np.bincount(out, minlength=7) / np.maximum(seen, 1), 1.0)


def start_weights(rng: np.random.Generator, chunks: Chunks) -> dict[str, Array]:
    """Small random weights; biases that spread the mixtures over what occurs."""
    weights = {}
    for name, shape in net.shapes(len(TRAITS)).items():
        limit = np.sqrt(1.0 / shape[0]) if len(shape) == 2 else 0.0
        weights[name] = (rng.uniform(-1, 1, shape) * limit).astype(np.float32)
    for name in ("wait_w2", "pick_w2", "place_w2", "travel_w2"):
        weights[name] *= 0.2
    k = net.WAITS + net.CLOCKS
    bias = weights["wait_b2"]
    bias[k] = -4.0  # the uniform part is a last resort
    bias[k + 1 : k + 1 + net.WAITS] = np.log([0.1, 0.3, 0.8, 2.0, 5.0, 10.0])
    hours = np.array([7, 8.5, 11, 13, 15.5, 17.5, 20, 22.5, 31, 33, 37, 42])
    bias[k + 1 + net.WAITS : 2 * k + 1] = hours / 12.0
    used = chunks.valid & ~chunks.ends
    distance = chunks.jump[..., 0, 0][used]
    at = np.quantile(distance, np.linspace(0.04, 0.96, net.JUMPS)) if len(distance) else np.zeros(net.JUMPS)
    for f in range(2):
        b = 2 + net.CONTEXT + f * (3 * net.JUMPS + 1)
        weights["pick_b2"][b + net.JUMPS : b + 2 * net.JUMPS] = at
        weights["pick_b2"][b + 2 * net.JUMPS : b + 3 * net.JUMPS] = np.log(0.5)
    minutes = chunks.minutes[used]
    if len(minutes):
        weights["travel_b2"][net.TRAVELS : 2 * net.TRAVELS] = np.quantile(minutes, [0.2, 0.5, 0.8])
        weights["travel_b2"][2 * net.TRAVELS :] = np.log(0.5)
    return weights


def log_likelihood(p: Any, batch: Any) -> tuple[Any, Any]:
    """Sum of the logarithms of the events' likelihoods, and the number of events."""
    import jax
    import jax.numpy as jnp

    def step(h: Any, x: Any) -> tuple[Any, Any]:
        h = net.recur(jnp, p, h, x)
        return h, h

    x = batch["x"]
    start = jnp.zeros((x.shape[0], net.HIDDEN), jnp.float32)
    h = jax.lax.scan(step, start, jnp.swapaxes(x, 0, 1))[1]
    h = jnp.swapaxes(h, 0, 1)
    valid, moves = batch["valid"], batch["valid"] & ~batch["ends"]
    when = _departure(jnp, net.waiting(jnp, p, h, x), batch)
    log_choice, log_gate, frames = net.choosing(jnp, p, h, x, batch["choice"], batch["places"], batch["open"])
    chosen = jnp.take_along_axis(log_choice, jnp.maximum(batch["target"], 0)[..., None], axis=-1)[..., 0]
    new = batch["target"] == 0
    where = jnp.where(batch["target"] < 0, 0.0, chosen) + jnp.where(new, _jump(jnp, log_gate, frames, batch), 0.0)
    log_weight, mean, width = net.travelling(jnp, p, batch["travel"])
    z = (batch["minutes"][..., None] - mean) / width
    lasts = _logsumexp(jnp, log_weight - 0.5 * z * z - jnp.log(width) - 0.9189385)
    total = jnp.where(valid, when, 0.0) + jnp.where(moves, where + lasts, 0.0)
    return total.sum(), valid.sum()


def _departure(jnp: Any, mixture: tuple[Any, ...], batch: Any) -> Any:
    """Log density of the departure, cut off at the horizon; of an end, log probability of none today."""
    from jax.scipy.special import ndtr

    log_weight, wait_mean, wait_width, clock_mean, clock_width = mixture
    now, limit, leave = (batch[name][..., None] for name in ("now_h", "limit_h", "leave_h"))
    weight, k = jnp.exp(log_weight), net.WAITS
    room = jnp.log(jnp.maximum(limit - now, 1e-3))
    waited = jnp.log(jnp.maximum(leave - now, 1.0 / 120.0))
    z, c = (waited - wait_mean) / wait_width, (leave - clock_mean) / clock_width
    all_wait, all_clock = ndtr((room - wait_mean) / wait_width), ndtr((limit - clock_mean) / clock_width)
    mass = jnp.concatenate([all_wait, all_clock - ndtr((now - clock_mean) / clock_width)], axis=-1)
    whole = (weight[..., :-1] * mass).sum(-1) + weight[..., -1]
    log_density = jnp.concatenate(
        [
            log_weight[..., :k] - 0.5 * z * z - jnp.log(wait_width) - waited - 0.9189385,
            log_weight[..., k:-1] - 0.5 * c * c - jnp.log(clock_width) - 0.9189385,
            log_weight[..., -1:] - jnp.log(jnp.maximum(limit - now, 1e-3)),
        ],
        axis=-1,
    )
    rest = jnp.concatenate([jnp.maximum(all_wait - ndtr(z), 0.0), jnp.maximum(all_clock - ndtr(c), 0.0)], axis=-1)
    share = (limit - leave)[..., 0] / jnp.maximum(limit - now, 1e-3)[..., 0]
    none = (weight[..., :-1] * rest).sum(-1) + weight[..., -1] * share
    return jnp.where(batch["ends"], jnp.log(none + 1e-9), _logsumexp(jnp, log_density)) - jnp.log(whole + 1e-9)


def _jump(jnp: Any, log_gate: Any, frames: tuple[Any, ...], batch: Any) -> Any:
    """Log density of a new place in the plane, in units of the scale; among shared places log probability.

    Distance, here or from home, and direction make the density; among given places they weigh their popularity,
    by which the others were drawn, so that it is not seen here.
    """
    from jax.scipy.special import i0e

    candidates = batch["jump"]
    parts, away, plane = [], candidates[..., 4] > 0.5, candidates.shape[-2] == 1
    for f in range(2):
        log_weight, mean, width = (v[..., None, :] for v in frames[4 * f : 4 * f + 3])
        kappa = frames[4 * f + 3][..., None]
        log_d, cosine = candidates[..., 2 * f], candidates[..., 2 * f + 1]
        z = (log_d[..., None] - mean) / width
        radial = _logsumexp(jnp, log_weight - 0.5 * z * z - jnp.log(width) - 0.9189385)
        radial = jnp.logaddexp(radial - (2.0 * log_d + 1.837877 if plane else 0.0), -25.0)
        turned = kappa * cosine - jnp.abs(kappa) - jnp.log(i0e(kappa))
        parts.append(radial + jnp.where(away, turned, 0.0))
    gate = log_gate[..., None, :]
    both = jnp.where(away, jnp.logaddexp(gate[..., 0] + parts[0], gate[..., 1] + parts[1]), parts[0])
    if plane:
        return both[..., 0]
    possible = jnp.where(candidates[..., 5] > 0.5, both, -1e9)
    return both[..., 0] - _logsumexp(jnp, possible)


def _logsumexp(jnp: Any, x: Any) -> Any:
    top = jnp.max(x, axis=-1, keepdims=True)
    return jnp.log(jnp.sum(jnp.exp(x - top), axis=-1)) + top[..., 0]


_NAMES: Final = tuple(name for name in Chunks.__dataclass_fields__ if name != "person")


def batch_of(chunks: Chunks, rows: Array) -> dict[str, Array]:
    """Some of the chunks, as the likelihood takes them."""
    out = {name: getattr(chunks, name)[rows] for name in _NAMES}
    out["places"] = out["places"].astype(np.float32)
    return out


@cache
def _compiled(steps: int) -> tuple[Any, Any, Any]:
    """Optimiser, step and likelihood, compiled once for each shape of batches."""
    import jax
    import jax.numpy as jnp
    import optax

    schedule = optax.cosine_decay_schedule(LEARNING_RATE, steps, 0.03)
    optimiser = optax.chain(optax.clip_by_global_norm(5.0), optax.adamw(schedule, weight_decay=1e-3))

    def loss(p: Any, batch: Any) -> Any:
        total, n = log_likelihood(p, batch)
        return -total / jnp.maximum(n, 1)

    @jax.jit
    def update(p: Any, s: Any, mean: Any, kept: Any, batch: Any) -> tuple[Any, Any, Any, Any]:
        value, gradient = jax.value_and_grad(loss)(p, batch)
        change, s = optimiser.update(gradient, s, p)
        p = optax.apply_updates(p, change)
        mean = jax.tree.map(lambda m, v: kept * m + (1.0 - kept) * v, mean, p)
        return p, s, mean, value

    return optimiser, update, jax.jit(log_likelihood)


def _fit(
    chunks: Chunks, diary: Diary, rng: np.random.Generator, until: float, steps: int | None, *, started: float
) -> tuple[dict[str, Array], TrainingInfo]:
    import jax.numpy as jnp

    back = rng.random(diary.n_persons) < HELD_BACK
    if back.all() or not back.any():
        back = np.arange(diary.n_persons) % 7 == 3
    held, used = np.flatnonzero(back[chunks.person]), np.flatnonzero(~back[chunks.person])
    used = rng.permutation(used)[:MOST_CHUNKS]
    held = rng.permutation(held)[:160]
    most = steps or _steps_for(len(used))
    optimiser, update, judge = _compiled(most)
    params = {name: jnp.asarray(values) for name, values in start_weights(rng, chunks).items()}
    state, average = optimiser.init(params), params

    def held_back(p: Any) -> float:
        totals = [judge(p, batch_of(chunks, rows)) for rows in _batches(held, BATCH)]
        return -float(sum(t for t, _ in totals)) / max(float(sum(n for _, n in totals)), 1.0)

    best, best_loss, recent, done = params, np.inf, 0.0, 0
    with bar("training", most) as advance:
        order: list[int] = []
        while done < most and (time.process_time() < until):
            if len(order) < BATCH:
                order += rng.permutation(used).tolist()
            rows, order = np.array(order[:BATCH]), order[BATCH:]
            rows = np.resize(rows, BATCH)
            batch = batch_of(chunks, rows)
            # the average forgets the start quickly, and then looks back over a hundred steps
            kept = np.float32(min(0.99, (1 + done) / (10 + done)))
            params, state, average, value = update(params, state, average, kept, batch)
            done += 1
            advance()
            if done % 50 == 0 or done == most:
                recent, judged = float(value), held_back(average)
                if judged < best_loss:
                    best, best_loss = average, judged
    if not np.isfinite(best_loss):
        best = average
    weights = {name: np.asarray(values, np.float32) for name, values in best.items()}
    info = TrainingInfo(
        diary.n_persons, len(diary), done, time.process_time() - started, recent, float(best_loss)
    )  # fmt: skip
    return weights, info


def _steps_for(n_chunks: int) -> int:
    """About forty passes, within bounds."""
    return int(np.clip(40 * n_chunks / BATCH, 1000, 2400))


def _batches(rows: Array, size: int) -> list[Array]:
    """Rows in groups of one size; the last is filled with the first rows, which counts them twice."""
    return [np.resize(rows[k : k + size], size) for k in range(0, len(rows), size)]
