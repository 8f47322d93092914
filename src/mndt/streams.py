"""Randomness as an explicit argument: one named stream per subsystem and second.

A stream is a pure function of (seed, name, second). It has no memory, so adding a draw to one
subsystem never moves another, and a resumed run needs nothing but the seed and the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np


@dataclass(frozen=True)
class Streams:
    """All random streams of a run.

    Args:
        seed: the run's seed, any non-negative integer.

    >>> a, b = Streams(7).generator("fading", 3), Streams(7).generator("fading", 3)
    >>> bool(a.random() == b.random())
    True
    """

    seed: int

    def generator(self, name: str, second: int = 0) -> np.random.Generator:
        """A NumPy generator for one subsystem in one second."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(crc32(name.encode()), second))
        return np.random.Generator(np.random.Philox(sequence))

    def key(self, name: str, second: int = 0) -> np.uint32:
        """A 32-bit key for kernels that draw by hashing (key, row, column, ...) themselves."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(crc32(name.encode()), second))
        return np.uint32(sequence.generate_state(1)[0])
