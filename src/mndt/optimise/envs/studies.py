"""What single and batched studies share: their memory, their spaces, and what counts as an action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import gymnasium
import numpy as np
from jaxtyping import Float32, Float64, Int64

from mndt.errors import InputError
from mndt.optimise.envs.setting import Setting

Array = np.ndarray

ACTION: Final = np.dtype(np.int64)
OBSERVED: Final = np.dtype(np.float32)


@dataclass(frozen=True)
class Studies:
    """The memory of one study or many alike, all that `_kernels.advance` reads and writes."""

    rule: Array  # setting.RULE, one record
    cells: Float32[Array, "rows cells"]
    users: Array  # _kernels.USER, studies * users
    studies: Array  # _kernels.STUDY
    linked: Float32[Array, "links"]  # 1 where connected; links = studies * users * cells
    snr: Float32[Array, "links"]
    rate: Float64[Array, "users cells"]  # scratch

    @classmethod
    def of(cls, setting: Setting, count: int) -> Studies:
        """Memory for `count` studies, none of them begun."""
        from mndt.optimise.envs import _kernels

        n_users, n_cells = setting.counts
        cells = np.zeros((_kernels.CELL_ROWS, n_cells), np.float32)
        cells[:2] = setting.places_m()
        links = count * n_users * n_cells
        return cls(
            rule=setting.rule(),
            cells=cells,
            users=np.zeros(count * n_users, _kernels.USER),
            studies=np.zeros(count, _kernels.STUDY),
            linked=np.zeros(links, np.float32),
            snr=np.ones(links, np.float32),
            rate=np.zeros((n_users, n_cells)),
        )

    @property
    def arrays(self) -> tuple[Array, ...]:
        """In the kernel's order."""
        return self.rule, self.cells, self.users, self.studies, self.linked, self.snr, self.rate

    def seed(self, e: int, generator: np.random.Generator) -> None:
        """Let a study draw from a generator's next number; its next episode is its first."""
        self.studies["seed"][e] = generator.integers(2**31)
        self.studies["episode"][e] = 0


def plain_action(action: Any, shape: tuple[int, ...]) -> Int64[Array, "..."]:
    """Whatever was given as an action, as the kernel takes it.

    Raises:
        InputError: another shape, or numbers that are not whole.
    """
    given = np.asarray(action)
    if given.shape != shape:
        allowed = f"shape {shape}"
        raise InputError("action", f"of shape {given.shape}", allowed=allowed, fix="give one whole number a user")
    if given.dtype.kind not in "iu":
        raise InputError("action", f"of {given.dtype}", allowed="whole numbers", fix="convert it, e.g. astype(int)")
    out = np.ascontiguousarray(given, ACTION)
    return out if out.flags.writeable else out.copy()


def refusal(action: Array, n_cells: int) -> InputError:
    """The error for an action that no cell answers to."""
    wrong = (action < 0) | (action > n_cells)
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return InputError(
        "action",
        int(action[at]),
        allowed=f"0 (change nothing) to {n_cells} (the last cell)",
        fix="sample from env.action_space",
        where=f"user {at[-1]}" + (f" of study {at[0]}" if len(at) > 1 else ""),
    )


def spaces_of(setting: Setting) -> tuple[gymnasium.spaces.MultiDiscrete, gymnasium.spaces.Box]:
    """Of one study."""
    n_users, n_cells = setting.counts
    return (
        gymnasium.spaces.MultiDiscrete(np.full(n_users, n_cells + 1, np.int64)),
        gymnasium.spaces.Box(-1.0, 1.0, (n_users * setting.observed,), np.float32),
    )
