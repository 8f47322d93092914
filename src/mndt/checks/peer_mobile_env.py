"""Times mobile-env, a Gymnasium environment of users and base stations, in a process of its own; prints one JSON line.

mobile-env (MIT) is run through its public names, with the agent that decides for everybody ("central"),
whose observation `mndt/Association-v0` has, too: docs/from-mobile-env.md says what else agrees.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

from mndt.checks.bench_env import rates


def main(size: str, windows: int, seconds: float) -> dict[str, Any]:
    """Steps per second in each window of time, with sampled actions."""
    import gymnasium

    import_module("mobile_env")  # registers its environments
    env = gymnasium.make(f"mobile-{size}-central-v0", disable_env_checker=True)
    return {"version": version("mobile-env"), "steps_per_s": rates(env, windows, seconds)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
