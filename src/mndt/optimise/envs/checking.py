"""`check`: does an environment keep its promises? Stricter than Gymnasium's own checker, and for any environment."""

from __future__ import annotations

from typing import Any, Final

import gymnasium
import numpy as np

from mndt.errors import InputError, MndtError

Array = np.ndarray

_SEED: Final = 4711


class CheckError(MndtError):
    """A promise that an environment does not keep."""


def check(env: gymnasium.Env[Any, Any], *, seed: int = _SEED, steps: int = 250) -> None:
    """Play an environment and raise `CheckError` at the first promise it breaks.

    1. What it returns has Gymnasium's types; observations lie in their space, rewards are finite.
    2. The same seed gives the same trajectory byte for byte, over the ends of episodes; another seed another.
    3. A reset forgets everything: what was played before it does not matter.
    4. What it returned is the caller's: writing into it changes nothing.
    5. Actions that decide nothing (all zeros) are played; after a reset they, too, follow from the seed.
    6. An action outside the space is refused with `InputError` and leaves no trace.
    7. It refuses to step after the end of an episode.
    8. Where it has a batched twin, the rows of a batch are single environments with consecutive seeds.

    Args:
        env: made by `gymnasium.make`; it is reset.
        seed: of the trajectories.
        steps: length of each; take more than an episode has.

    Here on one of ours; it works on yours, too, if its actions are MultiDiscrete::

        import gymnasium
        from mndt.optimise import envs

        envs.check(gymnasium.make("mndt/Association-v0", size="medium"))
    """
    actions = _actions(env, seed, steps)
    first = play(env, seed, actions)
    _equal(first, play(env, seed, actions), f"seed {seed} played twice")
    _equal(first, play(env, seed, actions, scribble=True), "a caller who writes into observations and infos")
    _require(first != play(env, seed + 1, actions), "another seed gives the same trajectory")
    _interrupted(env, seed, actions, first)
    still = [np.zeros_like(action) for action in actions[: max(steps // 4, 1)]]
    _equal(play(env, seed, still), play(env, seed, still), f"seed {seed} played twice with actions of nobody")
    _wrong_actions(env, seed, actions, first)
    if env.spec is not None and env.spec.vector_entry_point is not None:
        _batched(env, seed, steps)


def play(
    env: gymnasium.Env[Any, Any], seed: int, actions: list[Array], *, scribble: bool = False
) -> list[tuple[bytes, float, bool, bool]]:
    """The trajectory of these actions; an episode that ends is followed by the next one of the same seed."""
    observation, info = _checked_reset(env, seed)
    trajectory = [(observation.tobytes(), 0.0, False, False)]
    for action in actions:
        played, wish = np.array(action), action.tobytes()
        outcome = env.step(played)
        _require(played.tobytes() == wish, "step() changes the action it is given")
        observation, reward, terminated, truncated, info = _checked_step(env, outcome)
        trajectory.append((observation.tobytes(), float(reward), terminated, truncated))
        if scribble:
            observation[...] = 7
            info.clear()
        if terminated or truncated:
            _refuses_to_go_on(env, action)
            observation, info = _checked_reset(env, None)
            trajectory.append((observation.tobytes(), 0.0, False, False))
    return trajectory


def _checked_reset(env: gymnasium.Env[Any, Any], seed: int | None) -> tuple[Array, dict[str, Any]]:
    outcome = env.reset(seed=seed)
    _require(isinstance(outcome, tuple) and len(outcome) == 2, "reset() does not return (observation, info)")
    _require(outcome[0] in env.observation_space, "reset() returns an observation outside its space")
    _require(isinstance(outcome[1], dict), "reset() returns an info that is no dictionary")
    return outcome


def _checked_step(env: gymnasium.Env[Any, Any], outcome: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
    _require(isinstance(outcome, tuple) and len(outcome) == 5, "step() does not return five things")
    observation, reward, terminated, truncated, info = outcome
    _require(observation in env.observation_space, "step() returns an observation outside its space")
    _require(bool(np.isfinite(observation).all()), "step() returns an observation that is not finite")
    _require(isinstance(reward, float) and np.isfinite(reward), f"step() returns the reward {reward!r}")
    _require(type(terminated) is bool and type(truncated) is bool, "terminated and truncated are not Python's bools")
    _require(isinstance(info, dict), "step() returns an info that is no dictionary")
    return observation, reward, terminated, truncated, info


def _actions(env: gymnasium.Env[Any, Any], seed: int, steps: int) -> list[Array]:
    env.action_space.seed(seed)
    return [np.asarray(env.action_space.sample()) for _ in range(steps)]


def _interrupted(env: gymnasium.Env[Any, Any], seed: int, actions: list[Array], whole: list[Any]) -> None:
    """Play some of another seed, then the trajectory: it must not notice."""
    play(env, seed + 2, actions[: max(len(actions) // 3, 1)])
    _equal(whole, play(env, seed, actions), "a reset in the middle of an episode")


def _wrong_actions(env: gymnasium.Env[Any, Any], seed: int, actions: list[Array], whole: list[Any]) -> None:
    """Refused, and the trajectory goes on as if nothing had been asked."""
    limit = int(np.asarray(getattr(env.action_space, "nvec", [1])).max())
    good = actions[0]
    high, low, short = good.copy(), good.copy(), good.reshape(-1)[:-1]
    high.flat[-1], low.flat[0] = limit, -1
    env.reset(seed=seed)
    for wrong in (high, low, short, good + 0.5):
        try:
            env.step(wrong)
        except InputError:
            continue
        raise CheckError(f"step() takes the action {wrong!r}, which is outside its space")
    observation, reward, *_ = env.step(actions[0])
    _require((observation.tobytes(), float(reward)) == whole[1][:2], "a refused action leaves a trace")


def _refuses_to_go_on(env: gymnasium.Env[Any, Any], action: Array) -> None:
    try:
        env.step(action)
    except gymnasium.error.ResetNeeded:
        return
    raise CheckError("step() after the end of an episode is not answered with gymnasium.error.ResetNeeded")


def _batched(env: gymnasium.Env[Any, Any], seed: int, steps: int, count: int = 3) -> None:
    """Rows of a batch against single environments, through the ends of episodes."""
    assert env.spec is not None
    envs = gymnasium.make_vec(env.spec.id, num_envs=count, **env.spec.kwargs)
    envs.action_space.seed(seed)
    actions = [envs.action_space.sample() for _ in range(steps)]
    observations, _ = envs.reset(seed=seed)
    _require(observations in envs.observation_space, "the batch's reset() is outside its space")
    batch = [(observations, np.zeros(count), np.zeros(count, bool))]
    for action in actions:
        observations, rewards, terminated, truncated, _ = envs.step(action)
        _require(observations in envs.observation_space, "the batch's step() is outside its space")
        batch.append((observations, rewards, terminated | truncated))
    for e in range(count):
        single, over = [(env.reset(seed=seed + e)[0], 0.0, False)], False
        for action in actions:
            if over:
                single.append((env.reset()[0], 0.0, False))
            else:
                observation, reward, terminated, truncated, _ = env.step(action[e])
                single.append((observation, float(reward), terminated or truncated))
            over = single[-1][2]
        for t, ((all_seen, rewards, ends), (seen, reward, end)) in enumerate(zip(batch, single, strict=True)):
            same = all_seen[e].tobytes() == seen.tobytes() and float(rewards[e]) == reward and bool(ends[e]) == end
            _require(same, f"row {e} of a batch is not the single environment with seed {seed + e} in step {t}")


def _equal(first: list[Any], second: list[Any], what: str) -> None:
    for t, (a, b) in enumerate(zip(first, second, strict=False)):
        _require(a == b, f"{what} does not repeat the trajectory: it differs in step {t}")
    _require(len(first) == len(second), f"{what} does not repeat the trajectory: its length differs")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise CheckError(f"check: {otherwise}.")
