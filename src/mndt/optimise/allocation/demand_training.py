"""Training of the paper's first stage: single-step demands by P3O, or PPO with a Lagrange multiplier.

Every round plays one episode of a new seed, the rest of the step left to the solver. The reward is total throughput,
of which one user's action changes too little to be seen among thousands. But the solver trades rates at their worths:
where a user is held at what he asks for, a bit/s/Hz of his costs the others 1 + lambda, and where he gets more than
he asks for, as much as it brings. So a user's reward is minus lambda times a rate that he would not have without
asking. His cost is what he lacks of the satisfied demand that the floor asks for.
"""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Float32, Float64

from mndt.errors import InputError
from mndt.files import whole_file
from mndt.learn import demand_policy, p3o
from mndt.optimise.allocation.learned_stages import demand_seen
from mndt.optimise.allocation.problem import FLOOR, Choice, Episode, Method, Moment, play, rates
from mndt.optimise.allocation.solver import NORMAL, Effort, Worth, solve
from mndt.parallel import bar

Array = np.ndarray
Algorithm = Literal["p3o", "ppo-lagrangian"]

FIRST_SEED: Final = 1000
"""Of training; nothing below is ever trained on."""
LAMBDA: Final = 4.0
"""Worth of a bit/s/Hz asked for, on top of 1 for every bit/s/Hz."""
PAID: Final = 1.02
"""Times what was asked for: up to here a rate was given because it was asked for."""
KAPPA: Final = 4.0
"""Factor of P3O's penalty, above the multiplier that the Lagrangian sibling settles at."""
SETTINGS: Final = p3o.Settings(rate=1e-2, passes=10, minibatch=8192, target_kl=0.02)
TRACE: Final = 0.97


@dataclass
class Course:
    """What training has come to: enough to go on from."""

    params: demand_policy.Params
    algorithm: Algorithm = "p3o"
    multiplier: p3o.Multiplier = field(default_factory=lambda: p3o.Multiplier(proportion=2.0, integral=0.5, rise=1.0))
    curve: list[dict[str, float]] = field(default_factory=list)  # of every round

    @property
    def rounds(self) -> int:
        """Played so far."""
        return len(self.curve)


def by_solver(demand: Callable[[Moment], Array], lambda_: float, *, seed: int = 0, effort: Effort = NORMAL) -> Method:
    """Demands of a first stage; cells, blocks and power all at once by the solver."""

    def decide(moment: Moment) -> Choice:
        ones = np.ones(len(moment.demand))
        worth = Worth.of(ones, lambda_ * ones, demand(moment))
        return solve(moment.gain, moment.limits, worth, warm=moment.previous, effort=effort, seed=seed + moment.step)

    return decide


@dataclass
class Watched:
    """One episode as it was played: a row of `users` in each list for every step."""

    seen: list[Float32[Array, "users features"]] = field(default_factory=list)
    action: list[Float32[Array, "users"]] = field(default_factory=list)
    reward: list[Float64[Array, "users"]] = field(default_factory=list)
    met: list[Float64[Array, "users"]] = field(default_factory=list)  # of the demand


def watch(episode: Episode, course: Course, *, seed: int, effort: Effort) -> tuple[Watched, Any]:
    """Play an episode, trying actions around the policy's."""
    noted, rng = Watched(), np.random.default_rng([seed, course.rounds])

    def decide(moment: Moment) -> Choice:
        seen = demand_seen(moment)
        action = p3o.sample("gaussian", course.params, seen, rng.uniform(1e-6, 1.0 - 1e-6, len(seen)))
        demand = demand_policy.asked(moment.unmet, moment.steps_left, action)
        choice = by_solver(lambda _: demand, LAMBDA, seed=seed, effort=effort)(moment)
        rate = rates(moment.gain, choice, moment.limits).astype(np.float64)
        noted.seen.append(seen)
        noted.action.append(action)
        noted.reward.append(-LAMBDA * rate * (rate < PAID * demand))
        noted.met.append(np.minimum(rate, moment.unmet))
        return choice

    return noted, play(episode, decide)


def train_round(course: Course, episode: Episode, *, seed: int, floor: float, effort: Effort = NORMAL) -> None:
    """Play one episode and learn from it; changes `course`."""
    noted, brought = watch(episode, course, seed=seed, effort=effort)
    reward, met = np.array(noted.reward), np.array(noted.met)
    cost = floor * episode.demand[None] / episode.n_steps - met
    seen = np.concatenate(noted.seen)
    action = np.concatenate(noted.action)
    batch = p3o.Batch(
        seen, action, p3o.log_prob("gaussian", course.params, seen, action).astype(np.float32),
        _advantage(reward, noted.seen), _advantage(cost, noted.seen),
    )  # fmt: skip
    violation = float(cost.sum(axis=0).mean()) / episode.n_steps
    batch, scaled = p3o.normalised(batch, violation)
    kappa = KAPPA
    if course.algorithm == "ppo-lagrangian":
        course.multiplier = course.multiplier.after(scaled)
        batch, kappa = course.multiplier.mixed(batch), 0.0
    rng = np.random.default_rng([seed, course.rounds, 1])
    state = p3o.first_state("gaussian", course.params, SETTINGS)
    course.params, _, done = p3o.improve(
        "gaussian", course.params, state, batch, rng, kappa=kappa, violation=scaled, settings=SETTINGS
    )
    course.curve.append(
        {
            "round": course.rounds + 1, "throughput": brought.throughput, "satisfaction": brought.satisfaction,
            "violation": violation, "multiplier": course.multiplier.value, "kl": done.kl,
            "action": float(action.mean()), "spread": float(np.exp(course.params["log_std"])),
        }
    )  # fmt: skip


def _advantage(gain: Float64[Array, "steps users"], seen: list[Array]) -> Float32[Array, "samples"]:
    """Against a value fitted, step by step, to what came after: linear in what was seen and its squares."""
    after = np.cumsum(gain[::-1], axis=0)[::-1]
    value = np.empty_like(gain)
    for step, rows in enumerate(seen):
        basis = np.column_stack([np.ones(len(rows)), rows, rows**2]).astype(np.float64)
        normal = basis.T @ basis + 1e-3 * len(rows) * np.eye(basis.shape[1])
        value[step] = basis @ np.linalg.solve(normal, basis.T @ after[step])
    return p3o.advantages(gain, value, trace=TRACE).reshape(-1).astype(np.float32)


def train(
    scenario: Callable[[int], Episode], *, minutes: float = 10.0, rounds: int | None = None, seed: int = 0,
    algorithm: Algorithm = "p3o", floor: float = FLOOR, course: Course | None = None, effort: Effort = NORMAL,
    after: Callable[[Course], bool | None] | None = None,
) -> Course:  # fmt: skip
    """Train on episodes of new seeds from `FIRST_SEED` on.

    Args:
        scenario: seed -> episode.
        minutes: budget.
        rounds: or an exact number of rounds in all, for equal bytes whatever the machine.
        seed: of weights and tries.
        algorithm: P3O, or PPO with a Lagrange multiplier.
        floor: share of the total demand to be satisfied.
        course: to go on from.
        effort: of the solver.
        after: called after every round, e.g. to keep a checkpoint; what is true ends the training.
    """
    began = time.monotonic()
    course = Course(demand_policy.first(seed), algorithm) if course is None else course
    with bar("training of single-step demands", rounds) as advance:
        while course.rounds < rounds if rounds else time.monotonic() - began < 60.0 * minutes:
            train_round(course, scenario(FIRST_SEED + course.rounds), seed=seed, floor=floor, effort=effort)
            advance()
            if after is not None and after(course):
                break
    return course


def save(course: Course, path: Path) -> None:
    """Everything to go on from, in one file."""
    rest = {
        "algorithm": course.algorithm,
        "curve": course.curve,
        "multiplier": [course.multiplier.total, course.multiplier.before, course.multiplier.value],
    }
    kept: dict[str, Any] = {**course.params, "rest": np.array(json.dumps(rest))}
    with whole_file(path) as part, part.open("wb") as file:
        np.savez(file, **kept)


def load(path: Path) -> Course:
    """What `save` wrote; raises InputError where it is something else."""
    from dataclasses import replace

    params = demand_policy.read(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            rest = json.loads(str(file["rest"]))
        total, before, value = rest["multiplier"]
        fresh = Course(params, rest["algorithm"], curve=rest["curve"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError("checkpoint", path, allowed="one written by training", fix="train anew") from error
    fresh.multiplier = replace(fresh.multiplier, total=total, before=before, value=value)
    return fresh
