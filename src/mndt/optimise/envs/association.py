"""`mndt/Association-v0`: users on a square choose cells. One study, or many in one kernel call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Float32, Float64, Int64

from mndt.errors import InputError
from mndt.optimise.envs.setting import Setting, make_setting
from mndt.optimise.envs.studies import ACTION, OBSERVED, Studies, plain_action, refusal, spaces_of

Array = np.ndarray


class AssociationEnv(gymnasium.Env[Array, Array]):
    """Which users connect to which cells, each second, so that everyone is content.

    Users walk over a rectangle by random waypoint. A cell's time is shared among those connected to it;
    a link's rate is Shannon's over the cell's band, with path loss and noise by the chosen physics
    (TR 38.901 UMi street canyon with line of sight, or mobile-env's) and no fading.

    Actions: MultiDiscrete, one number a user: 0 changes nothing, a is about cell a - 1: it toggles that
    connection (mode "multi") or makes it the serving cell (mode "single"). Cells out of reach stay unconnected.

    Observation: float32 in [-1, 1], user after user: which cells it is connected to (0 or 1), the SINR of
    every cell over that of its best one, and its utility; with `broadcast`, of each cell in reach, also the
    mean utility of its users and its share of the connected users heard of. Links and utility are those of
    the second that ended, SINRs those where the users stand now. A user who is absent shows zeros and -1.

    Reward: mean utility of those present. Utility is lg(rate) / 2 between -1 (10 kbit/s and less) and 1
    (100 Mbit/s and more); with mobile-env's physics, rate in units of 1 bit/s instead of 1 Mbit/s.

    An episode is truncated after `episode_steps`. `info`: links in use, users connected, mean rate.
    Cells disturb each other while they serve somebody; `interference=False` leaves SNRs.

    Args:
        setting: as a whole; or
        changes: its fields as keywords, see `Setting`.

    Raises:
        InputError: a value that does not fit, also of an action.
        gymnasium.error.ResetNeeded: a step before the first reset or after the end.

    Nobody moves a finger::

        import gymnasium
        import mndt.optimise.envs

        env = gymnasium.make("mndt/Association-v0", size="small")
        observation, info = env.reset(seed=1)
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 as Gymnasium declares it

    def __init__(self, setting: Setting | None = None, *, render_mode: str | None = None, **changes: Any) -> None:
        from mndt.optimise.envs import _kernels

        self.setting = make_setting(setting, changes)
        self.render_mode = render_mode
        self.action_space, self.observation_space = spaces_of(self.setting)
        self.studies = Studies.of(self.setting, 1)
        self._shape, self._n_observed = self.action_space.shape, self.observation_space.shape[0]
        self._found = np.zeros((_kernels.FOUND, 1))
        self._flat_found = self._found.reshape(-1)
        self._none = np.zeros(self._shape, ACTION)
        self._rate_unit_bps = self.setting.rate_unit_bps
        self._advance, self._arrays = _kernels.advance, self.studies.arrays
        self._seeded_by: np.random.Generator | None = None
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32[Array, "observed"], dict[str, Any]]:
        """Begin an episode: users anywhere, nobody connected. Options are ignored.

        With a seed, this and all later episodes follow from it; without one, the next episode of the last
        seed begins.
        """
        super().reset(seed=seed)
        if seed is not None or self._seeded_by is not self.np_random:
            self._seeded_by = self.np_random
            self.studies.seed(0, self.np_random)
        observation = np.empty(self._n_observed, OBSERVED)
        self._advance(*self._arrays, self._none, True, observation, self._found)
        self._over = False
        return observation, {"links": 0, "connected": 0, "mean_rate_bps": 0.0}

    def step(
        self, action: Int64[Array, "users"]
    ) -> tuple[Float32[Array, "observed"], float, bool, bool, dict[str, Any]]:
        """One second: connect, share, judge, move, look."""
        if (
            action.__class__ is not np.ndarray
            or action.dtype is not ACTION
            or action.shape != self._shape
            or not action.flags.carray
        ):
            action = plain_action(action, self._shape)
        if self._over:
            raise ResetNeeded("the episode has not begun or is over: call reset() before step()")
        observation = np.empty(self._n_observed, OBSERVED)
        if self._advance(*self._arrays, action, False, observation, self._found):
            raise refusal(action, self.studies.cells.shape[1])
        reward, over, links, connected, rate = self._flat_found.tolist()
        self._over = truncated = over > 0.0
        info = {
            "links": int(links),
            "connected": int(connected),
            "mean_rate_bps": rate * self._rate_unit_bps,
        }
        return observation, reward, False, truncated, info


class AssociationVectorEnv(VectorEnv[Array, Array, Array]):
    """Many studies of one setting, advanced together in one kernel call.

    Study i of ``reset(seed=s)`` lives through exactly what `AssociationEnv` does after ``reset(seed=s + i)``.
    A study whose episode is over begins the next one in the following step, whatever its action, with
    reward 0 (Gymnasium's autoreset mode NEXT_STEP).

    Args:
        num_envs: how many.
        setting, changes: as of `AssociationEnv`.
        max_episode_steps: Gymnasium's word for `episode_steps`, where given.

    A batch of 256::

        import gymnasium
        import mndt.optimise.envs

        envs = gymnasium.make_vec("mndt/Association-v0", num_envs=256, size="large")
        observations, infos = envs.reset(seed=1)
        observations, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 as Gymnasium declares it
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        setting: Setting | None = None,
        *,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        **changes: Any,
    ) -> None:
        from mndt.optimise.envs import _kernels

        if num_envs < 1:
            raise InputError("num_envs", num_envs, allowed="1 or more", fix="ask for at least one study")
        if max_episode_steps is not None:
            changes["episode_steps"] = max_episode_steps
        self.setting = make_setting(setting, changes)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.single_action_space, self.single_observation_space = spaces_of(self.setting)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.studies = Studies.of(self.setting, num_envs)
        self._n_observed = self.single_observation_space.shape[0]
        self._shape = (num_envs, *self.single_action_space.shape)
        self._none = np.zeros(self._shape, ACTION)
        self._found_rows, self._advance = _kernels.FOUND, _kernels.advance
        self._begun = False

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32[Array, "studies observed"], dict[str, Any]]:
        """Begin an episode in every study. A seed s gives study i the seed s + i; a list gives each its own."""
        seeds = _seeds(seed, self.num_envs)
        super().reset(seed=seed if isinstance(seed, int) else None)
        for e, own in enumerate(seeds):
            if own is not None:
                self.studies.seed(e, seeding.np_random(own)[0])
            elif not self._begun:
                self.studies.seed(e, self.np_random)
        self._begun = True
        observations, found = self._run(self._none, begin=True)
        return observations, self._told(found)

    def step(
        self, actions: Int64[Array, "studies users"]
    ) -> tuple[
        Float32[Array, "studies observed"], Float64[Array, "studies"], Array, Array, dict[str, Any]
    ]:  # fmt: skip
        """One second in every study; the first of a new episode where the last one is over."""
        actions = plain_action(actions, self._shape)
        if not self._begun:
            raise ResetNeeded("no episode has begun: call reset() before step()")
        observations, found = self._run(actions, begin=False)
        over = found[1] > 0.0
        return observations, found[0], np.zeros(self.num_envs, np.bool_), over, self._told(found)

    def _run(self, actions: Array, *, begin: bool) -> tuple[Array, Array]:
        observations = np.empty((self.num_envs, self._n_observed), OBSERVED)
        found = np.empty((self._found_rows, self.num_envs))
        if self._advance(*self.studies.arrays, actions.reshape(-1), begin, observations.reshape(-1), found):
            raise refusal(actions, self.studies.cells.shape[1])
        return observations, found

    def _told(self, found: Array) -> dict[str, Any]:
        """Info in Gymnasium's form: values, and under the name with an underscore whose they are."""
        told: dict[str, Any] = {
            "links": found[2].astype(np.int64),
            "connected": found[3].astype(np.int64),
            "mean_rate_bps": found[4] * self.setting.rate_unit_bps,
        }
        return told | {f"_{name}": np.ones(self.num_envs, np.bool_) for name in told}


def _seeds(seed: int | Sequence[int | None] | None, count: int) -> list[int | None]:
    """One seed for each study."""
    if seed is None:
        return [None] * count
    if isinstance(seed, int | np.integer):
        return [int(seed) + e for e in range(count)]
    if len(seed) != count:
        raise InputError("seed", f"{len(seed)} seeds", allowed=f"one number or {count}", fix="give one a study")
    return list(seed)
