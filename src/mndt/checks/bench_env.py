"""`mndt bench env`: steps per second of `mndt/Association-v0`, beside mobile-env in the same run.

One environment, not a batch, made by `gymnasium.make`, with sampled actions, resets included; the
processor time of the process counts. Both sides are timed by the same lines, `rates`, at mobile-env's
three sizes, one after the other, so that a machine that slows down slows both.
"""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.util import find_spec
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from mndt.checks.output import Result

if TYPE_CHECKING:
    import gymnasium

SIZES: Final = ("small", "medium", "large")

N_ACTIONS: Final = 97
"""Actions are sampled beforehand; a prime, so that episodes of 100 steps differ."""

BATCH: Final = 256


def run(*, quick: bool = False) -> Result:
    """Time both environments at each size.

    Args:
        quick: shorter windows of time.

    Returns:
        `ratio_*_to_mobile_env`: the environment as registered, interference included, to mobile-env;
        `ratio_*_same_physics`: with mobile-env's own constants and without interference, so that both
        compute the same numbers; steps per second of each, and of a batch of 256.
    """
    windows, seconds = (3, 0.3) if quick else (5, 1.0)
    figures: dict[str, float] = {}
    peer_figures: dict[str, float] = {}
    peer_version = ""
    for size in SIZES:
        theirs = _mobile_env(size, windows, seconds)
        ours = _ours(size, windows, seconds / 4)
        figures |= ours
        if theirs is not None:
            peer_version, peer = theirs["version"], median(theirs["steps_per_s"])
            peer_figures[f"{size}_steps_per_s"] = peer
            figures[f"ratio_{size}_to_mobile_env"] = ours[f"{size}_steps_per_s"] / peer
            figures[f"ratio_{size}_same_physics"] = ours[f"{size}_same_physics_steps_per_s"] / peer
    figures = dict(sorted(figures.items(), key=lambda item: not item[0].startswith("ratio")))
    if not peer_figures:
        note = "mobile-env is not installed, so there is no ratio: pip install 'mndt[peers]'"
        return Result("env", figures, seeds=[0], note=note)
    peers = [{"name": "mobile-env", "version": peer_version, "figures": peer_figures}]
    note = "one unbatched environment through gymnasium.make; what agrees and what differs: docs/from-mobile-env.md"
    return Result("env", figures, peers=peers, seeds=[0], note=note)


def rates(env: gymnasium.Env[Any, Any], windows: int, seconds: float) -> list[float]:
    """Steps per second of processor time in each window, after an episode to warm up (the first step compiles)."""
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(N_ACTIONS)]
    found, played = [], 0
    for window in range(windows + 1):
        steps, begin = 0, time.process_time()
        while (took := time.process_time() - begin) < (seconds if window else 0.1):
            for _ in range(10):
                *_, terminated, truncated, _info = env.step(actions[played % N_ACTIONS])
                played += 1
                if terminated or truncated:
                    env.reset()
            steps += 10
        found.append(steps / took)
    return found[1:]


def _ours(size: str, windows: int, seconds: float) -> dict[str, float]:
    """Our own figures at one size."""
    import gymnasium

    from mndt.optimise.envs import ASSOCIATION

    single = gymnasium.make(ASSOCIATION, size=size)
    same = gymnasium.make(ASSOCIATION, size=size, physics="mobile-env")
    return {
        f"{size}_steps_per_s": median(rates(single, windows, seconds)),
        f"{size}_same_physics_steps_per_s": median(rates(same, windows, seconds)),
        f"{size}_batched_steps_per_s": _batched(size, seconds),
    }


def _batched(size: str, seconds: float) -> float:
    """Steps per second summed over a batch."""
    import gymnasium

    from mndt.optimise.envs import ASSOCIATION

    envs = gymnasium.make_vec(ASSOCIATION, num_envs=BATCH, size=size)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(N_ACTIONS)]
    steps, begin = 0, time.process_time()
    while (took := time.process_time() - begin) < seconds:
        envs.step(actions[steps % N_ACTIONS])
        steps += 1
    return steps * BATCH / took


def _mobile_env(size: str, windows: int, seconds: float) -> dict[str, Any] | None:
    """mobile-env's figures from its own process, or None where it is not installed."""
    import json

    if find_spec("mobile_env") is None:
        return None
    command = [sys.executable, "-W", "ignore", "-m", "mndt.checks.peer_mobile_env", size, str(windows), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
