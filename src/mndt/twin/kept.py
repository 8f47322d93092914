"""An emulated network that outlives its process: everything it knows lies in one file.

The file is the network. A process that dies in the middle of a change leaves the network as the file has it: changed
or not, never half.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mndt import checkpoint
from mndt.plants import Acknowledgement, Change, Observation
from mndt.plants.emulated import EmulatedPlant

Answer = TypeVar("Answer")


class KeptPlant:
    """An emulated network kept in a file, by any number of processes one after the other.

    Args:
        plant: how the network works; where the file exists, what it knows is replaced.
        path: the file, made at the first period or change.

    Raises:
        InputError: the file is not the memory of such a network.

    A network that is changed today and watched tomorrow::

        KeptPlant(EmulatedPlant(world), Path("network.npz")).apply(change)
    """

    def __init__(self, plant: EmulatedPlant, path: str | Path) -> None:
        self._plant, self._path = plant, Path(path)
        self._template = plant.memory
        self._seen: tuple[int, int] | None = None
        with self._alone():
            self._take_in()

    @property
    def cell(self) -> tuple[str, ...]:
        """Names of its cells."""
        return self._plant.cell

    def observe(self) -> Observation:
        """Let one period pass and say what was measured in it."""
        return self._keeping(self._plant.observe)

    def apply(self, change: Change) -> Acknowledgement:
        """Carry a change out; it is in the file before it is acknowledged."""
        return self._keeping(lambda: self._plant.apply(change))

    # Inside ------------------------------------------------------------------------------------

    def _keeping(self, do: Callable[[], Answer]) -> Answer:
        with self._alone():
            self._take_in()
            answer = do()
            checkpoint.save(self._path, self._plant.memory)
            self._seen = self._version()
            return answer

    def _take_in(self) -> None:
        """What another process left, where it left anything new."""
        version = self._version()
        if version is not None and version != self._seen:
            self._plant.memory, _ = checkpoint.load(self._path, self._template)
            self._seen = version

    def _version(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._path.with_name(f".{self._path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise checkpoint.unwritable(self._path, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
