"""Which network a folder of plans is about: `network.toml` beside the audit, made once.

Two kinds: an emulated network, whose memory lies in the folder too, and a recording, on which plans can be validated
but never activated.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mndt.errors import InputError, unknown_name
from mndt.files import whole_file

if TYPE_CHECKING:
    from mndt.optimise.policy import Policy
    from mndt.plants import Configuration, Observation, PhysicalNetwork
    from mndt.scenario import Scenario
    from mndt.twin.guard import Prediction
    from mndt.twin.plan import PlanDescriptor
    from mndt.world import World

NETWORK_FILE: Final = "network.toml"
MEMORY_FILE: Final = "network.npz"

KINDS: Final = ("emulated", "replay")
LAWS: Final = ("own", "foreign")


@dataclass(frozen=True)
class Connection:
    """How to reach a network, and the twin of it."""

    scenario: str  # of the twin: a file or a preset
    kind: str = "emulated"
    recording: str = ""  # of a replay
    laws: str = "own"  # of an emulated network: the twin's with other constants, or others altogether
    seed: int = 1  # draws what an emulated network hides, and its people
    strength: float = 1.0  # of what it hides; 0: nothing
    period_s: int = 10  # seconds of one observation

    def __post_init__(self) -> None:
        for name, known in (("kind", KINDS), ("laws", LAWS)):
            if getattr(self, name) not in known:
                raise unknown_name(name, getattr(self, name), known)
        for name, low, high in (("strength", 0, 10), ("period_s", 1, 3600), ("seed", 0, 2**31)):
            if not low <= getattr(self, name) <= high:
                fix = "choose another one"
                raise InputError(name, getattr(self, name), allowed=f"{low} to {high}", fix=fix)
        if self.kind == "replay" and not self.recording:
            raise InputError("recording", "missing", allowed="a folder or file of measurements", fix="name it")


def write_connection(folder: str | Path, connection: Connection) -> Path:
    """Say once which network a folder is about.

    Raises:
        InputError: it says so already, or the folder cannot be written.
    """
    path = Path(folder) / NETWORK_FILE
    if path.exists():
        raise InputError("plans", f"{folder}, which has a network", allowed="a new folder", fix="choose another one")
    lines = [f"{name} = {_toml(value)}" for name, value in asdict(connection).items() if value != ""]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        allowed = "a folder that can be written"
        raise InputError("plans", f"{folder} ({reason})", allowed=allowed, fix="choose another one") from None
    return path


def read_connection(folder: str | Path) -> Connection:
    """Which network a folder is about.

    Raises:
        InputError: it does not say, or not so that anybody understands it.
    """
    path = Path(folder) / NETWORK_FILE
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fix = "say so once with mndt plan network"
        raise InputError(
            "plans", f"{folder}", allowed="a folder that says which network it is about", fix=fix
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = str(error).splitlines()[0].lower()
        raise InputError("content", reason, allowed="TOML in UTF-8", fix="correct the file", where=str(path)) from None
    kinds = {field.name: field.type for field in fields(Connection)}
    for name, value in raw.items():
        if name not in kinds:
            raise unknown_name("key", name, kinds, where=str(path))
        fits = {"str": str, "int": int, "float": int | float}[str(kinds[name])]
        if not isinstance(value, fits) or isinstance(value, bool):
            raise InputError(name, repr(value), allowed=f"a {kinds[name]}", fix="correct it", where=str(path))
    if "scenario" not in raw:
        raise InputError("scenario", "missing", allowed="a file or a preset", fix="name it", where=str(path))
    return Connection(**raw)


class Network:
    """A network and its twin, built when they are first asked for.

    Args:
        folder: of the plans.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.connection = read_connection(folder)

    @cached_property
    def scenario(self) -> Scenario:
        """The twin's."""
        from mndt.scenario import load

        return load(self.connection.scenario)

    @cached_property
    def world(self) -> World:
        """The twin's."""
        from mndt.runs import build

        return build(self.scenario)

    @cached_property
    def policy(self) -> Policy:
        """Who gives blocks and power: in the network and in the twin the scenario's."""
        from mndt.optimise.policy import make_policy

        return make_policy(self.scenario.run.policy, self.world)

    @cached_property
    def plant(self) -> PhysicalNetwork:
        """The network itself."""
        if self.connection.kind == "replay":
            from mndt.plants.replay import ReplayPlant

            return ReplayPlant(self.connection.recording)
        return self._emulated()

    @property
    def is_recorded(self) -> bool:
        """Whether it can only be watched."""
        return self.connection.kind == "replay"

    def latest(self) -> Observation:
        """What it says now: the next period, of a recording the last one.

        Raises:
            InputError, UnreachableError: it says nothing.
        """
        from mndt.plants.replay import ReplayPlant

        observation = self.plant.observe()
        if isinstance(self.plant, ReplayPlant):
            for observation in self.plant.rest():  # noqa: B007 (the last one is what counts)
                pass
        return observation

    def predict_at(self, time_s: float, seconds: int, seeds: int) -> Callable[..., Prediction]:
        """The twin's prediction of plans at this time, as the validation job takes it."""
        from mndt.twin.prediction import predict

        def of(plan: PlanDescriptor, configuration: Configuration) -> Prediction:
            return predict(
                self.world, plan, configuration, time_s=time_s % 86_400, seconds=seconds,
                seeds=range(1, seeds + 1), decide=self.policy,
            )  # fmt: skip

        return of

    def _emulated(self) -> PhysicalNetwork:
        from mndt.optimise.policy import make_policy
        from mndt.plants.emulated import EmulatedPlant
        from mndt.plants.foreign import draw_laws, foreign
        from mndt.plants.hidden import Hidden, draw_hidden
        from mndt.twin.kept import KeptPlant

        c, world, hidden = self.connection, self.world, Hidden()
        if c.laws == "foreign":
            world = foreign(world, c.seed, draw_laws(c.seed, strength=c.strength))
        elif c.strength:
            hidden = draw_hidden(world, c.seed, strength=c.strength)
        plant = EmulatedPlant(
            world, hidden, period_s=c.period_s, decide=make_policy(self.scenario.run.policy, world), seed=c.seed,
            time_s=self.scenario.run.start_s,
        )  # fmt: skip
        return KeptPlant(plant, self.folder / MEMORY_FILE)


def _toml(value: Any) -> str:
    import json

    return json.dumps(value)
