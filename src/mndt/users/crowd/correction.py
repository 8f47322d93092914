"""The learned correction of the social force: what goes in, what comes out, and its weights.

A walker's desired velocity is that of the social force, ``v0 e`` (e towards his goal), plus a change that a small
network gives: slower or faster along e, and sideways. The network sums over neighbours (one layer of rectified
units, weighted by ``(1 - d^2 / CUTOFF_M^2)^2``) and joins that with the walker's own state (two layers); from the
same layer each neighbour's repulsion gets a factor between 0 and 2, for people yield to strangers and not to
companions. Every input is clipped and every output bounded, so a walker always has a part of his desired speed
left towards the goal, in any surroundings. The design follows physics-infused learning of crowds (Zhang et al.,
"Physics-infused machine learning for crowd simulation", KDD 2022, doi:10.1145/3534678.3539440).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32

from mndt.errors import InputError

Array = np.ndarray

CUTOFF_M: Final = 4.0
EDGE_FEATURES: Final = 8
EDGE_HIDDEN: Final = 16
SELF_FEATURES: Final = 8
SELF_HIDDEN: Final = 24

ARRIVED_M: Final = 0.3
LEAST_SHARE: Final = 0.15
"""Of the desired speed, left towards the goal however strongly the network slows a walker down."""
MOST_FASTER_MPS: Final = 1.0
MOST_SIDEWAYS_MPS: Final = 0.7
MOST_PUSH_MPS2: Final = 10.0
FASTEST_FACTOR: Final = 1.3
FASTEST_SPARE_MPS: Final = 0.8
"""Nobody walks faster than 1.3 times his desired speed plus this."""
SHIPPED: Final = "crowd_correction.npz"


@dataclass(frozen=True)
class Correction:
    """Parameters of the social force and weights of the network, fitted together.

    The repulsion by a neighbour at distance d is ``exp(log_push + (0.6 - d) / exp(log_range))`` m/s2, times
    ``s + (1 - s) (1 + cos) / 2`` with s the logistic function of `ahead` and cos the cosine between him and e.
    """

    log_tau: Float32[Array, ""]
    log_push: Float32[Array, ""]
    log_range: Float32[Array, ""]
    ahead: Float32[Array, ""]
    edge_w: Float32[Array, "8 16"]
    edge_b: Float32[Array, "16"]
    gate_w: Float32[Array, "16"]
    gate_b: Float32[Array, ""]
    hidden_w: Float32[Array, "24 24"]
    hidden_b: Float32[Array, "24"]
    second_w: Float32[Array, "24 24"]
    second_b: Float32[Array, "24"]
    out_w: Float32[Array, "24 2"]
    out_b: Float32[Array, "2"]

    @classmethod
    def of(cls, weights: Mapping[str, Array]) -> Correction:
        """From a mapping of arrays."""
        return cls(**{f.name: np.asarray(weights[f.name], np.float32, order="C") for f in fields(cls)})

    def table(self) -> Float32[Array, "numbers"]:
        """All numbers in the order of the fields: what the kernel takes."""
        return np.concatenate([getattr(self, f.name).ravel() for f in fields(self)]).astype(np.float32)

    def without_network(self) -> Correction:
        """The same social force with a network that corrects nothing."""
        keep = ("log_tau", "log_push", "log_range", "ahead")
        return Correction(**{
            f.name: getattr(self, f.name) if f.name in keep else np.zeros_like(getattr(self, f.name))
            for f in fields(self)
        })  # fmt: skip


_SHAPES: Final = {
    "log_tau": (), "log_push": (), "log_range": (), "ahead": (), "edge_w": (EDGE_FEATURES, EDGE_HIDDEN),
    "edge_b": (EDGE_HIDDEN,), "gate_w": (EDGE_HIDDEN,), "gate_b": (),
    "hidden_w": (EDGE_HIDDEN + SELF_FEATURES, SELF_HIDDEN), "hidden_b": (SELF_HIDDEN,),
    "second_w": (SELF_HIDDEN, SELF_HIDDEN), "second_b": (SELF_HIDDEN,), "out_w": (SELF_HIDDEN, 2), "out_b": (2,),
}  # fmt: skip


def read_correction(path: str | Path) -> Correction:
    """Read weights that `mndt train crowd` wrote.

    Raises:
        InputError: a file that is none of these.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            weights = {name: stored[name] for name in _SHAPES}
        wrong = [name for name, shape in _SHAPES.items() if weights[name].shape != shape]
        if wrong or not all(np.isfinite(value).all() for value in weights.values()):
            raise ValueError(f"{', '.join(wrong) or 'a number'} does not fit")
    except (OSError, KeyError, ValueError) as problem:
        raise InputError(
            "weights", path, allowed="a file written by 'mndt train crowd'", fix=f"train anew ({problem})"
        ) from problem
    return Correction.of(weights)


@lru_cache(maxsize=1)
def shipped_correction() -> Correction:
    """The weights that come with the package; `mndt/data/crowd_correction.md` says what they were fitted to."""
    with as_file(files("mndt.data").joinpath(SHIPPED)) as path:
        return read_correction(path)
