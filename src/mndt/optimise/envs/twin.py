"""`mndt/TwinAssociation-v0`: users of a whole city choose cells, and the twin's engine lives the second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from jaxtyping import Bool, Float32, Float64, Int32, Int64

import mndt
from mndt.errors import InputError, unknown_name
from mndt.optimise.envs.studies import plain_action, refusal
from mndt.state import Action, Kpis, Mode, NetworkState
from mndt.streams import Streams

Array = np.ndarray


def _helsinki() -> mndt.World:
    from mndt.city.osm import helsinki

    return mndt.build_world(helsinki())


def _table1() -> mndt.World:
    from mndt.city.synthetic import synthetic_city
    from mndt.users.population import UserParameters

    return mndt.build_world(synthetic_city(), users=UserParameters(count=13_000))


WORLDS: Final[dict[str, Callable[[], mndt.World]]] = {"helsinki": _helsinki, "table1": _table1}
"""Cities that come with the package, with everything at its default, as in the presets of these names."""


class TwinAssociationEnv(gymnasium.Env[Array, Array]):
    """Which users connect to which cells, in a city with streets, buildings, demand and resource blocks.

    The same question as `mndt/Association-v0`, answered by `mndt.step`: people follow their day, sessions
    come and go, gains come from maps, every cell disturbs every other block by block, and blocks and power
    are given by the network's own schedulers. Speed is the engine's.

    Actions: MultiDiscrete, one number a user: 0 keeps the serving cell (a user without one gets its
    strongest), a is the a-th strongest cell where the user stands now (all cells in the inventory's order
    with ``candidates=None``).

    Observation: float32 in [-1, 1], user after user: for each candidate whether it serves the user (0 or 1),
    then the SNR of each over that of the best, then the user's utility. The absent show zeros and -1, those
    who ask for nothing the utility -1.

    Reward: mean utility of the active, or `reward` of the second's KPIs. Utility is lg(rate in Mbit/s) / 2
    between -1 and 1. An episode is truncated after `episode_steps` seconds. `info`: throughput, satisfied
    share of the demand, outage ratio, handovers, and who is active.

    Args:
        world: a `World`, a function that makes one, or the name of a city that comes with the package
            ("helsinki", "table1").
        candidates: cells a user can choose among; None = all.
        blocks, power: the network's functions for the rest, see `Action`.
        start_s: seconds since midnight at which an episode begins.
        episode_steps: seconds of an episode.
        reward: what to reward; None = mean utility.

    Raises:
        InputError: a value that does not fit, also of an action.
        gymnasium.error.ResetNeeded: a step before the first reset or after the end.

    Reward what the network delivers of what is asked for::

        env = gymnasium.make("mndt/TwinAssociation-v0", world=world, reward=lambda kpis: kpis.satisfied_share)
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 as Gymnasium declares it

    def __init__(
        self,
        world: mndt.World | Callable[[], mndt.World] | str = "helsinki",
        *,
        candidates: int | None = 4,
        blocks: str = "proportional-fair",
        power: str = "equal",
        start_s: int = 8 * 3600,
        episode_steps: int = 600,
        reward: Callable[[Kpis], float] | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.world = _made(world)
        n_cells = len(self.world.city.cells)
        if candidates is not None and not 1 <= candidates <= n_cells:
            allowed = f"1 to {n_cells}, the cells there are, or None"
            raise InputError("candidates", candidates, allowed=allowed, fix="choose fewer", where=_WHERE)
        if reward is not None and not callable(reward):
            allowed, fix = "a function of the second's KPIs, or None", "write lambda kpis: kpis.throughput_bps"
            raise InputError("reward", repr(reward), allowed=allowed, fix=fix, where=_WHERE)
        if episode_steps < 1:
            raise InputError("episode_steps", episode_steps, allowed="1 or more", fix="make it longer", where=_WHERE)
        self.render_mode = render_mode
        self._all, self._n_choices = candidates is None, n_cells if candidates is None else int(candidates)
        self._blocks, self._power, self._reward = blocks, power, reward or _mean_utility
        self._start_s, self._episode_steps = start_s, episode_steps
        self._state: NetworkState | None = None
        n_users = len(mndt.start(self.world, time_s=start_s).users)
        self.action_space = gymnasium.spaces.MultiDiscrete(np.full(n_users, self._n_choices + 1, np.int64))
        shape = (n_users * (2 * self._n_choices + 1),)
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, shape, np.float32)

    @property
    def state(self) -> NetworkState:
        """The network now: for policies of the twin, and for looking closer."""
        if self._state is None:
            raise ResetNeeded("no episode has begun: call reset() first")
        return self._state

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32[Array, "observed"], dict[str, Any]]:
        """Begin an episode at `start_s`: movement, demand and fading follow from the seed. Options are ignored."""
        super().reset(seed=seed)
        own = int(self.np_random.integers(2**31))
        self._streams, self._seconds = Streams(own), 0
        self._state = mndt.start(self.world, time_s=self._start_s, seed=own)
        n_users = len(self._state.users)
        observation = self._look(np.full(n_users, -1.0, np.float32))
        nothing = {"throughput_bps": 0.0, "satisfied_share": 1.0, "outage_ratio": 0.0, "handovers": 0}
        return observation, nothing | {"active": np.zeros(n_users, np.bool_)}

    def step(
        self, action: Int64[Array, "users"]
    ) -> tuple[Float32[Array, "observed"], float, bool, bool, dict[str, Any]]:
        """One second of the twin with the users where they chose to be."""
        state = self.state
        if self._seconds >= self._episode_steps:
            raise ResetNeeded("the episode is over: call reset() before step()")
        action = plain_action(action, (len(state.users),))
        if ((action < 0) | (action > self._n_choices)).any():
            raise refusal(action, self._n_choices)
        decision = Action(association=self._serving(state, action), blocks=self._blocks, power=self._power)
        self._state, kpis = mndt.step(self.world, state, decision, self._streams)
        self._seconds += 1
        observation, reward = self._look(utilities(kpis)), float(self._reward(kpis))
        info = {
            "throughput_bps": float(kpis.throughput_bps),
            "satisfied_share": float(kpis.satisfied_share),
            "outage_ratio": float(kpis.outage_ratio),
            "handovers": int(kpis.handovers),
            "active": kpis.user_active.copy(),
        }
        return observation, reward, False, self._seconds >= self._episode_steps, info

    def _serving(self, state: NetworkState, action: Int64[Array, "users"]) -> Int32[Array, "users"]:
        """Serving cell of each user as chosen."""
        chosen = np.take_along_axis(self._choices, np.maximum(action - 1, 0)[:, None], axis=1)[:, 0]
        kept = np.where(state.serving >= 0, state.serving, self._strongest)
        return np.where(action > 0, chosen, kept).astype(np.int32)

    def _look(self, utility: Float32[Array, "users"]) -> Float32[Array, "observed"]:
        """Remember who can choose what, and show it."""
        state = self.state
        snr = self._snr(state)
        self._strongest = np.where(snr.max(axis=1) > 0, snr.argmax(axis=1), -1)
        everything = np.broadcast_to(np.arange(snr.shape[1], dtype=np.int32), snr.shape)
        cells = everything if self._all else _best_columns(snr, self._n_choices)
        heard = np.take_along_axis(snr, cells, axis=1)
        self._choices = np.where(heard > 0, cells, -1)  # a cell out of reach is no cell
        best = np.maximum(heard.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        serves = (cells == state.serving[:, None]) & (state.serving >= 0)[:, None]
        seen = np.concatenate([serves, heard / best, utility[:, None]], axis=1, dtype=np.float32)
        absent = state.users.mode == Mode.ABSENT
        seen[absent] = 0.0
        seen[absent, -1] = -1.0
        return seen.reshape(-1)

    def _snr(self, state: NetworkState) -> Float32[Array, "users cells"]:
        """Mean SNR of one block when every cell spreads its power evenly; 0 out of reach."""
        key = self._streams.key("fading", state.time_s)
        links = self.world.channel.links(state.users, state.settings, key)
        return np.asarray(links.gain * (links.even_power_w() / links.noise_w), np.float32)


def _best_columns(snr: Float32[Array, "users cells"], count: int) -> Int32[Array, "users candidates"]:
    """The strongest cells of each user, strongest first, the first among equals."""
    if count > 16:
        return np.argsort(-snr, axis=1, kind="stable")[:, :count].astype(np.int32)
    left, rows, best = snr.copy(), np.arange(len(snr)), np.empty((len(snr), count), np.int32)
    for place in range(count):  # for a few, faster than to sort or to part them
        best[:, place] = left.argmax(axis=1)
        left[rows, best[:, place]] = -1.0
    return best


_WHERE: Final = "mndt/TwinAssociation-v0"


def utilities(kpis: Kpis) -> Float32[Array, "users"]:
    """lg(rate in Mbit/s) / 2 between -1 and 1; -1 of users who ask for nothing."""
    rate_mbps: Float64[Array, "users"] = np.maximum(kpis.user_rate_bps.astype(np.float64) * 1e-6, 1e-2)
    utility = np.minimum(0.5 * np.log10(rate_mbps), 1.0)
    return np.where(kpis.user_active, utility, -1.0).astype(np.float32)


def _mean_utility(kpis: Kpis) -> float:
    active: Bool[Array, "users"] = kpis.user_active
    return float(utilities(kpis)[active].mean(dtype=np.float64)) if active.any() else 0.0


def _made(world: mndt.World | Callable[[], mndt.World] | str) -> mndt.World:
    if isinstance(world, str):
        if world not in WORLDS:
            raise unknown_name("world", world, WORLDS, where=_WHERE)
        return WORLDS[world]()
    if isinstance(world, mndt.World):
        return world
    made = world() if callable(world) else world
    if not isinstance(made, mndt.World):
        allowed = f"a mndt.World, a function that makes one, or {' or '.join(WORLDS)}"
        fix = "make one: mndt.build_world(city)"
        raise InputError("world", f"of type {type(made).__name__}", allowed=allowed, fix=fix, where=_WHERE)
    return made
