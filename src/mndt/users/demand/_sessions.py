"""One second of everybody's sessions, in one pass over the users.

A user who is idle only waits for his moment, which was drawn when the last session ended; so most
users cost one comparison, and only those in a session cost a draw. Draws are hashes of (key, user, purpose).
"""

from __future__ import annotations

from math import cos, exp, log, pi, sqrt
from typing import Any

import numpy as np
from numba import njit

from mndt.radio._simd import FAST

_inner: dict[str, Any] = {**FAST, "inline": "always"}
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@njit(**_inner)
def _uniform(key: Any, user: Any, purpose: Any) -> Any:
    """A number in (0, 1) by splitmix64 (Steele, Lea and Flood, doi:10.1145/2660193.2660195)."""
    h = np.uint64(key) * _GOLDEN + np.uint64(user) * np.uint64(8) + np.uint64(purpose)
    h = (h + _GOLDEN) * _MIX_1
    h = (h ^ (h >> np.uint64(30))) * _MIX_1
    h = (h ^ (h >> np.uint64(27))) * _MIX_2
    h = h ^ (h >> np.uint64(31))
    return (np.float64(h >> np.uint64(12)) + 0.5) * 2.0**-52


@njit(**_inner)
def _normal(key: Any, user: Any, purpose: Any) -> Any:
    """A standard normal number by Box and Muller; takes two purposes."""
    radius = sqrt(-2.0 * log(_uniform(key, user, purpose)))
    return radius * cos(2.0 * pi * _uniform(key, user, purpose + 1))


@njit(**FAST)
def advance(
    key: Any,
    hazard: Any,  # f64[clusters] summed rate of starting up to the end of this second
    cumulative: Any,  # f64[clusters, services] shares of sessions started, summed
    mean_s: Any,  # f64[services]
    session_sigma: Any,
    max_session_s: Any,
    rate_bps: Any,  # f32[services]
    sigma: Any,  # f32[services] of the logarithm of the rate
    memory: Any,  # f32[services]
    cluster: Any,
    present: Any,
    was_service: Any,
    was_left_s: Any,
    was_noise: Any,
    was_due: Any,
    service: Any,  # from here on: written
    left_s: Any,
    noise: Any,
    due: Any,
    bits: Any,
) -> None:
    """End and begin sessions, move the noise, give this second's bits."""
    last = len(mean_s) - 1
    for u in range(len(cluster)):
        c = cluster[u]
        now, left, z, wait = was_service[u], was_left_s[u], was_noise[u], was_due[u]
        if not present[u]:
            if left > 0.0 or wait < hazard[c]:  # the law of waiting has no memory: a fresh draw changes nothing
                wait = hazard[c] - log(_uniform(key, u, 0))
            service[u], left_s[u], noise[u], due[u], bits[u] = -1, 0.0, z, wait, 0.0
            continue
        if left > 0.0:
            a = memory[now]
            z = a * z + sqrt(max(np.float32(0.0), np.float32(1.0) - a * a)) * np.float32(_normal(key, u, 1))
        elif hazard[c] > wait:
            draw, now = _uniform(key, u, 3), 0
            while now < last and draw >= cumulative[c, now]:
                now += 1
            shift = -0.5 * session_sigma * session_sigma
            length = mean_s[now] * exp(session_sigma * _normal(key, u, 4) + shift)
            left = np.float32(min(max(np.rint(length), 1.0), max_session_s))
            z = np.float32(_normal(key, u, 6))
        else:
            service[u], left_s[u], noise[u], due[u], bits[u] = -1, 0.0, z, wait, 0.0
            continue
        left = max(np.float32(0.0), np.float32(left - np.float32(1.0)))
        if left <= 0.0:
            wait = hazard[c] - log(_uniform(key, u, 0))
        s = sigma[now]
        bits[u] = rate_bps[now] * np.float32(exp(s * z - np.float32(0.5) * s * s))
        service[u], left_s[u], noise[u], due[u] = now, left, z, wait
