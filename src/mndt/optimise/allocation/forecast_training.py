"""Training of the forecast: play with it, see who ended short, learn from that, play again.

Who will end short depends on who is favoured, so the network learns on policy. At the point where playing
and learning agree, ``1 + lambda P(short)`` is the marginal worth of each user's rate.
"""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float32

from mndt.errors import InputError
from mndt.files import whole_file
from mndt.learn.forecaster import RATE, Weights, fit, start_weights
from mndt.optimise.allocation import forecast
from mndt.optimise.allocation.forecast import mean_rate
from mndt.optimise.allocation.methods import favour, last_rates
from mndt.optimise.allocation.outlook import Outlook
from mndt.optimise.allocation.problem import Choice, Episode, Moment, Outcome, play
from mndt.parallel import bar

Array = np.ndarray

FIRST_SEED: Final = 1000
"""Of training; nothing below is ever trained on."""
KEPT_ROUNDS: Final = 32
HALVED: Final = 25
"""Rounds after which steps of learning are half as large: later rounds refine."""
SAMPLES: Final = 40_000
"""Kept of an episode."""
BY_RULE: Final = 2
"""Episodes played by the rule, until there is something to learn from."""
LAMBDAS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
BLIND: Final = 7
"""Every so many rounds nobody's position is known, so that the network can do without."""
LOADS: Final = (0.7, 1.4)
"""Range of the factor on everyone's demand, so that the network knows more than one load."""


@dataclass
class Course:
    """What training has come to: enough to go on from."""

    weights: Weights
    rounds: int = 0
    seen: list[Float32[Array, "samples features"]] = field(default_factory=list)
    short: list[Bool[Array, "samples"]] = field(default_factory=list)
    lack: list[Float32[Array, "samples"]] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)  # of every round


def start(seed: int = 0) -> Course:
    """Nothing learned yet."""
    return Course(start_weights(forecast.FEATURES, seed))


def train_round(course: Course, episode: Episode, *, seed: int) -> None:
    """Play one episode and learn from it and the last ones; changes `course`.

    The first episodes are played by the rule, until there is something to learn from.
    """
    rng = np.random.default_rng([seed, course.rounds])
    lambda_ = float(rng.choice(LAMBDAS))
    episode = replace(episode, demand=episode.demand * rng.uniform(*LOADS))
    if course.rounds % BLIND == BLIND - 1:
        episode = replace(episode, position_at=None)
    seen, units, outcome = _watched(episode, course, lambda_)
    lack = (np.maximum(outcome.demand - outcome.received, 0.0) / units[:, None]).astype(np.float32).reshape(-1)
    short = lack > 0.0
    some = rng.permutation(len(short))[:SAMPLES]
    course.seen = [*course.seen, seen[some]][-KEPT_ROUNDS:]
    course.short = [*course.short, short[some]][-KEPT_ROUNDS:]
    course.lack = [*course.lack, lack[some]][-KEPT_ROUNDS:]
    samples = (np.concatenate(kept) for kept in (course.seen, course.short, course.lack))
    rate = RATE * 0.5 ** (course.rounds / HALVED)
    course.weights, loss = fit(course.weights, *samples, epochs=2, rate=rate, seed=course.rounds)
    course.rounds += 1
    course.curve.append(
        {
            "round": course.rounds, "lambda": lambda_, "throughput": outcome.throughput,
            "satisfaction": outcome.satisfaction, "loss": loss, "short": float(short.mean()),
        }
    )  # fmt: skip


def _watched(episode: Episode, course: Course, lambda_: float) -> tuple[Array, Array, Outcome]:
    """Features of all users in all steps, the unit of a lack in each, and what the episode brought."""
    seen: list[Array] = []
    units: list[float] = []
    outlook = Outlook()

    def decide(moment: Moment) -> Choice:
        rate = last_rates(moment)
        seen.append(forecast.features(moment, rate, outlook(moment), lambda_))
        units.append(forecast.unit(moment, rate))
        if course.rounds < BY_RULE:
            return favour(moment, forecast.by_mean(moment, mean_rate(moment) or float(rate.mean())), lambda_)
        return favour(moment, forecast.foretell(course.weights, seen[-1]).short, lambda_)

    outcome = play(episode, decide)
    return np.concatenate(seen), np.array(units), outcome


def train(
    scenario: Callable[[int], Episode], *, minutes: float = 20.0, rounds: int | None = None, seed: int = 0,
    course: Course | None = None, after: Callable[[Course], bool | None] | None = None,
) -> Course:  # fmt: skip
    """Train on episodes of new seeds from `FIRST_SEED` on.

    Args:
        scenario: seed -> episode.
        minutes: budget.
        rounds: or an exact number of rounds in all, for equal bytes whatever the machine.
        seed: of weights, lambdas and loads.
        course: to go on from.
        after: called after every round, e.g. to keep a checkpoint; what is true ends the training.
    """
    began, course = time.monotonic(), start(seed) if course is None else course
    with bar("training of the forecast", rounds) as advance:
        while course.rounds < rounds if rounds else time.monotonic() - began < 60.0 * minutes:
            train_round(course, scenario(FIRST_SEED + course.rounds), seed=seed)
            advance()
            if after is not None and after(course):
                break
    return course


def save(course: Course, path: Path) -> None:
    """Everything to go on from, in one file."""
    kept: dict[str, Any] = {f"weights_{name}": array for name, array in course.weights.items()}
    for name in ("seen", "short", "lack"):
        kept |= {f"{name}_{i}": array for i, array in enumerate(getattr(course, name))}
    kept["curve"] = np.array(json.dumps(course.curve))
    with whole_file(path) as part, part.open("wb") as file:
        np.savez(file, **kept)


def load(path: Path) -> Course:
    """What `save` wrote; raises InputError where it is something else."""
    try:
        with np.load(path) as file:
            held = {name: file[name] for name in file.files}
        curve = json.loads(str(held.pop("curve")))
        weights = {name.removeprefix("weights_"): held[name] for name in held if name.startswith("weights_")}
        lists = {
            kind: [held[f"{kind}_{i}"] for i in range(sum(name.startswith(f"{kind}_") for name in held))]
            for kind in ("seen", "short", "lack")
        }
        if not weights.keys() == start_weights(forecast.FEATURES).keys():
            raise KeyError("weights")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError("checkpoint", path, allowed="one written by training", fix="train anew") from error
    return Course(weights, len(curve), **lists, curve=curve)
