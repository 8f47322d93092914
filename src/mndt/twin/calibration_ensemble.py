"""Ensemble Kalman inversion for what has no derivative: the whole simulator, demand and noise included.

ES-MDA (Emerick and Reynolds 2013, doi:10.1016/j.cageo.2012.03.011): the same data are taken in several times, each time
with their variance inflated by alpha, where the sum of 1/alpha is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mndt.errors import InputError

Array = np.ndarray

Forward = Callable[[Float64[Array, "parameters"]], Float64[Array, "data"]]
"""What the twin predicts with some parameters. Members should share their seeds."""


@dataclass(frozen=True)
class Ensemble:
    """Members after the inversion."""

    members: Float64[Array, "members parameters"]
    predicted: Float64[Array, "members data"]  # by the members before the last update

    @property
    def mean(self) -> Float64[Array, "parameters"]:
        """Mean of the members."""
        return np.asarray(self.members.mean(axis=0))

    @property
    def sd(self) -> Float64[Array, "parameters"]:
        """Spread of the members."""
        return np.asarray(self.members.std(axis=0, ddof=1))


def invert(
    forward: Forward,
    data: Float64[Array, "data"],
    variance: Float64[Array, "data"],
    mean: Float64[Array, "parameters"],
    sd: Float64[Array, "parameters"],
    *,
    members: int = 32,
    rounds: int = 4,
    seed: int = 0,
) -> Ensemble:
    """Draw members from a Gaussian prior and move them towards the data.

    Args:
        forward: parameters -> data.
        data: what was measured.
        variance: of each datum: measurement and seeds together.
        mean: of the prior; bounded parameters go in as logarithms.
        sd: of the prior.
        members: more than parameters, else chance correlations move them.
        rounds: alpha of each is this number.
        seed: of the members and of what perturbs the data.

    Raises:
        InputError: a datum without variance, or too few members.
    """
    if not np.all(variance > 0):
        raise InputError("variance", float(np.min(variance)), allowed="above 0", fix="give each datum its variance")
    if members <= len(mean):
        raise InputError("members", members, allowed=f"more than {len(mean)}, the parameters", fix="take more")
    rng = np.random.default_rng(seed)
    theta = mean + sd * rng.standard_normal((members, len(mean)))
    scale = np.sqrt(variance)
    predicted = np.empty((members, len(data)))
    for _ in range(rounds):
        predicted = np.stack([forward(member) for member in theta])
        white = predicted / scale
        error = (data - predicted) / scale + np.sqrt(rounds) * rng.standard_normal(predicted.shape)
        of_theta, of_data = theta - theta.mean(axis=0), white - white.mean(axis=0)
        cross = of_theta.T @ of_data / (members - 1)
        among = of_data.T @ of_data / (members - 1) + rounds * np.eye(len(data))
        theta = theta + error @ np.linalg.solve(among, cross.T)
    return Ensemble(theta, predicted)
