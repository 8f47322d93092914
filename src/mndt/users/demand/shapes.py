"""Days of many places as a few common shapes: factor analysis in which every slot may be counted with its own error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

Array = np.ndarray


@dataclass(frozen=True)
class Shapes:
    """Days of logarithms as ``mean + basis z`` with z standard normal over all places."""

    mean: Float64[Array, "slots"]
    basis: Float64[Array, "slots shapes"]

    def days(self, z: Float64[Array, "series shapes"]) -> Float64[Array, "series slots"]:
        """The days that belong to scores."""
        return np.asarray(self.mean + z @ self.basis.T)

    def scores(
        self, day: Float64[Array, "series slots"], error: Float64[Array, "series slots"]
    ) -> tuple[Float64[Array, "series shapes"], Float64[Array, "series shapes shapes"]]:
        """Mean and covariance of the scores of each place, given its mean day and the error variance of each slot.

        With the standard normal prior: ``C = (1 + B' E^-1 B)^-1``, ``m = C B' E^-1 (day - mean)``.
        """
        weighted = self.basis[None] / error[:, :, None]
        covariance = np.linalg.inv(np.eye(self.basis.shape[1]) + np.einsum("csk,sl->ckl", weighted, self.basis))
        mean = np.einsum("ckl,csl,cs->ck", covariance, weighted, day - self.mean)
        return mean, covariance


def fit_shapes(
    day: Float64[Array, "series slots"], error: Float64[Array, "series slots"], n_shapes: int, rounds: int = 40
) -> Shapes:
    """Find common shapes by expectation and maximisation (Rubin and Thayer, doi:10.1007/BF02293851).

    Args:
        day: mean day of each place.
        error: variance of its error, by place and slot.
        n_shapes: how many; fewer are taken where there are fewer places.
        rounds: of expectation and maximisation.
    """
    n_shapes = min(n_shapes, max(1, len(day) - 1), day.shape[1])
    mean = day.mean(axis=0)
    _, size, direction = np.linalg.svd(day - mean, full_matrices=False)
    found = Shapes(mean, direction[:n_shapes].T * (size[:n_shapes] / np.sqrt(len(day))))
    for _ in range(rounds):
        z, covariance = found.scores(day, error)
        second = covariance + z[:, :, None] * z[:, None, :]
        left = np.einsum("cs,ckl->skl", 1 / error, second) + 1e-6 * np.eye(n_shapes)
        right = np.einsum("cs,ck->sk", (day - found.mean) / error, z)
        basis = np.linalg.solve(left, right[:, :, None])[:, :, 0]
        rest = (day - z @ basis.T) / error
        found = Shapes(rest.sum(axis=0) / (1 / error).sum(axis=0), basis)
    return found


def mean_day(y: Float64[Array, "series slots"], slots_per_day: int) -> Float64[Array, "series slots_per_day"]:
    """Mean of each slot of the day."""
    return np.stack([y[:, k::slots_per_day].mean(axis=1) for k in range(slots_per_day)], axis=1)


def around_the_day(values: Float64[Array, "*series slots"], half_window: int) -> Float64[Array, "*series slots"]:
    """Moving mean over the slots of a day, whose end meets its beginning.

    >>> around_the_day(np.array([3.0, 0.0, 0.0, 0.0]), 1).tolist()
    [1.0, 1.0, 0.0, 1.0]
    """
    turns = range(-half_window, half_window + 1)
    total: Float64[Array, "*series slots"] = np.sum([np.roll(values, k, axis=-1) for k in turns], axis=0)
    return total / len(turns)
