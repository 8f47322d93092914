"""The audit: what happened to every plan, in one file that only grows and that shows every edit.

Record n holds the hash of record n-1, and its own is SHA-256 over that and its content, so nothing in the middle can
be changed, left out or moved. A second file tells how far the log had come, so a missing end shows as well. Each record
is on the disk (fsync) before anything it announces is done. The log is the only memory of plans: whoever
reads it knows all there is to know.

Somebody who may write both files can write another history altogether; only a hash noted elsewhere shows that
(`Audit.find`).
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mndt.errors import InputError, MndtError
from mndt.twin.plan import canonical

LOG: Final = "audit.jsonl"
HEAD: Final = "audit.head"
START: Final = "0" * 64
"""What the first record follows."""

_OWN: Final = ("n", "at", "by", "account", "kind", "follows", "hash")


class BrokenAuditError(MndtError):
    """The log is not as it was written."""


@dataclass(frozen=True)
class Record:
    """One entry of the log."""

    n: int  # from 0
    at: str  # wall clock, ISO 8601, UTC; nothing is decided by it
    by: str  # who, as told
    account: str  # who, as the operating system says
    kind: str
    content: Mapping[str, Any]
    follows: str  # hash of the record before
    hash: str

    def __getitem__(self, name: str) -> Any:
        return self.content[name]


class Audit:
    """The log of one folder.

    Args:
        folder: is made where it does not exist.
        wall: the time for people to read; nothing is decided by it.

    Raises:
        BrokenAuditError: the log was edited.

    >>> import tempfile
    >>> audit = Audit(tempfile.mkdtemp())
    >>> audit.append("note", "anna", text="hello").n, len(audit.records())
    (0, 1)
    """

    def __init__(self, folder: str | Path, *, wall: Callable[[], datetime] | None = None) -> None:
        self.folder = Path(folder)
        self._wall = wall or (lambda: datetime.now(UTC))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None
        self._records: list[Record] = []
        self._end = 0  # of the last whole record, in bytes
        self.records()

    @property
    def head(self) -> str:
        """Hash of the last record: worth noting elsewhere."""
        return self._records[-1].hash if self._records else START

    def records(self) -> list[Record]:
        """All there are, those of other processes included."""
        with self._locked() as log:
            self._read(log)
        return list(self._records)

    def find(self, digest: str) -> Record | None:
        """The record of this hash; None shows that the log it was noted from is not this one."""
        return next((record for record in self.records() if record.hash == digest), None)

    def append(self, kind: str, by: str, **content: Any) -> Record:
        """Write a record; when this returns it is on the disk.

        Raises:
            BrokenAuditError: the log was edited meanwhile.
        """
        with self._locked() as log:
            torn = self._read(log)
            if torn:  # a writer was killed before its record was whole, so nothing followed from it
                os.ftruncate(log, self._end)
                self._write(log, "torn-record", by, {"bytes": torn})
            return self._write(log, kind, by, content)

    # Inside ------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            log = os.open(self.folder / LOG, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            fcntl.flock(log, fcntl.LOCK_EX)
            yield log
        finally:
            os.close(log)

    def _unwritable(self, error: OSError) -> InputError:
        reason = (error.strerror or str(error)).lower()
        allowed = "a folder that can be written"
        return InputError("plans", f"{self.folder} ({reason})", allowed=allowed, fix="choose another one with --plans")

    def _read(self, log: int) -> int:
        """Take in what was added; returns the length of a torn record at the end."""
        size = os.fstat(log).st_size
        if size < self._end:
            raise self._broken("is shorter than it was")
        new = os.pread(log, size - self._end, self._end)
        whole, _, torn = new.rpartition(b"\n")
        for line in whole.split(b"\n") if whole else ():
            self._records.append(self._parse(line))
            self._end += len(line) + 1
        if not whole and new.startswith(b"\n"):
            raise self._broken(f"record {len(self._records)} is empty")
        self._compare_head()
        return len(torn)

    def _parse(self, line: bytes) -> Record:
        n, follows = len(self._records), self.head
        try:
            raw = json.loads(line)
            whole = isinstance(raw, dict) and canonical(raw).encode() == line
            content = {name: value for name, value in raw.items() if name not in _OWN}
            record = Record(
                raw["n"], raw["at"], raw["by"], raw["account"], raw["kind"], content, raw["follows"], raw["hash"]
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            whole = False
        if not whole or record.n != n or record.follows != follows or record.hash != _hash(raw):
            raise self._broken(f"record {n} is not as it was written")
        return record

    def _compare_head(self) -> None:
        path = self.folder / HEAD
        try:
            n, _, digest = path.read_text(encoding="ascii").strip().partition(" ")
            known = int(n)
        except FileNotFoundError:
            if len(self._records) > 1:
                raise self._broken(f"{HEAD} is missing") from None
            return
        except (OSError, ValueError):
            raise self._broken(f"{HEAD} cannot be read") from None
        # a writer may have been killed between the record and the head, so the log may be one ahead
        if not known <= len(self._records) <= known + 1:
            raise self._broken(f"{known} records were written and {len(self._records)} are there")
        if digest != (self._records[known - 1].hash if known else START):
            raise self._broken(f"record {known - 1} is not the one that was written")

    def _broken(self, what: str) -> BrokenAuditError:
        return BrokenAuditError(
            f"{self.folder / LOG}: {what}; somebody or something edited it, so nothing is activated"
        )

    def _write(self, log: int, kind: str, by: str, content: Mapping[str, Any]) -> Record:
        raw: dict[str, Any] = {
            **content,
            "n": len(self._records),
            "at": self._wall().isoformat(timespec="milliseconds"),
            "by": by,
            "account": account(),
            "kind": kind,
            "follows": self.head,
        }
        raw["hash"] = _hash(raw)
        line = canonical(raw).encode() + b"\n"
        try:
            written = os.write(log, line)
            os.fsync(log)
        except OSError as error:
            raise self._unwritable(error) from None
        if written != len(line):
            raise InputError("plans", f"{self.folder} (disk full)", allowed="a disk with room", fix="make room")
        self._records.append(self._parse(line[:-1]))
        self._end += len(line)
        self._write_head()
        return self._records[-1]

    def _write_head(self) -> None:
        part = self.folder / f".{HEAD}.part"  # only one writer at a time has the lock
        with part.open("w", encoding="ascii") as file:
            file.write(f"{len(self._records)} {self.head}\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / HEAD)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _hash(raw: Mapping[str, Any]) -> str:
    content = canonical({name: value for name, value in raw.items() if name != "hash"})
    return hashlib.sha256((str(raw["follows"]) + content).encode()).hexdigest()


def account() -> str:
    """Who runs this process, as the operating system says."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
