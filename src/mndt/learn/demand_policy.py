"""The single-step demand of the paper: one policy, shared by all users, scales an equal part of what is unmet.

A user asks for ``clip(unmet / steps left * exp(a), 0, unmet)``, so that a = 0 is the paper's baseline "equally
dividing". The policy is a Gaussian around the output of a small network (`mndt.learn.p3o`); it decides by its mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float32, Float64

from mndt.errors import InputError
from mndt.learn import p3o

Array = np.ndarray
Params = dict[str, Array]

FEATURES: Final = 8
WIDTH: Final = 32
LOG_STD: Final = -0.7
"""Of the action at the start of training."""
MOST: Final = 4.0
"""Bound of the action: e^4 of an equal part, or of nothing."""


def asked(
    unmet: Float64[Array, "users"], steps_left: int, action: Float32[Array, "users"] | float
) -> Float32[Array, "users"]:
    """What everyone asks for in this step, bit/s/Hz.

    >>> asked(np.array([12.0, 0.0]), 4, 0.0).tolist()
    [3.0, 0.0]
    >>> asked(np.array([12.0]), 4, 9.0).tolist()  # no more than is unmet
    [12.0]
    """
    part = np.minimum(unmet / steps_left * np.exp(np.clip(action, -MOST, MOST)), unmet)
    return np.asarray(part, np.float32)


def observe(
    unmet: Float64[Array, "users"], received: Float64[Array, "users"], rate: Float32[Array, "users"],
    heard: Float64[Array, "users"], step: int, n_steps: int, mean: float,
) -> Float32[Array, "users features"]:  # fmt: skip
    """What the policy sees of a user, in units that fit any load.

    Args:
        unmet: units of bandwidth.
        received: so far.
        rate: of the step before, bit/s/Hz; zeros in the first.
        heard: bit/s/Hz at full power of all cells.
        step, n_steps: time.
        mean: what the average user receives in a step, bit/s/Hz.
    """
    left = n_steps - step
    need = unmet / (left * mean)
    users = np.ones(len(unmet))
    columns = (
        np.minimum(need, 4.0) - 1.0, np.log(np.maximum(need, 0.02)) / 2.0, users * (2.0 * left / n_steps - 1.0),
        users / left, received / (max(step, 1) * mean) - 1.0, rate / mean - 1.0, heard / 3.0 - 1.0,
        users * (mean / 3.0 - 1.0),
    )  # fmt: skip
    return np.clip(np.column_stack(columns), -4.0, 4.0).astype(np.float32)


def first(seed: int = 0) -> Params:
    """A policy that divides equally."""
    return p3o.first_params("gaussian", FEATURES, WIDTH, np.random.default_rng(seed), log_std=LOG_STD)


def mean_action(params: Mapping[str, Array], seen: Float32[Array, "users features"]) -> Float32[Array, "users"]:
    """What the policy does when it no longer tries."""
    out: Array = p3o.output(dict(params), seen)[:, 0]
    return out


def read(path: Path | Any) -> Params:
    """Weights kept as npz; raises InputError where the file is something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise InputError("weights", path, allowed="a file written by training", fix="train anew") from error
    wanted = first()
    if any(name not in held or held[name].shape != np.shape(value) for name, value in wanted.items()):
        fix = "train it with mndt train allocation --stage demand"
        raise InputError("weights", path, allowed="a policy of single-step demands", fix=fix)
    return {name: held[name] for name in wanted}
