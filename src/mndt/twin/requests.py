"""Requests to a network: sent until it is known what became of them, each in the audit before it is sent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from mndt.errors import MndtError
from mndt.plants import Change, Configuration, PhysicalNetwork, Turn, UnreachableError
from mndt.twin.audit import Audit
from mndt.twin.confirmation import Watch
from mndt.twin.plan import turn_to_json

TRIES: Final = 3
"""How often a request is sent that nobody answers."""


class FailureError(MndtError):
    """Why a job must fall back."""


@dataclass(frozen=True)
class Job:
    """A job as it runs."""

    plan: str  # hash
    name: str
    fallback: tuple[Turn, ...]
    unsure: bool = False  # a request may still be under way


class Asked:
    """What became of the requests of a job."""

    def __init__(self) -> None:
        self.accepted: tuple[Turn, ...] = ()
        self.unsure = False  # a request may still be under way


class Requests:
    """What one person asks of one network.

    Args:
        audit: where it is written down.
        plant: the network.
        by: who asks.
        watch: the network's observations.
    """

    def __init__(self, audit: Audit, plant: PhysicalNetwork, by: str, watch: Watch) -> None:
        self._audit, self._plant, self._by, self._watch = audit, plant, by, watch

    def ask(self, job: Job, change: Change, asked: Asked) -> int | None:
        """Send a request until it is known what became of it.

        Returns:
            The revision of the configuration since; None where it was refused.
        """
        for attempt in range(TRIES):
            step: dict[str, Any] = {"plan": job.plan, "job": job.name, "request": change.request, "attempt": attempt}
            turns = [turn_to_json(turn) for turn in change.turns]
            self.append("step", **step, phase="intended", turns=turns, revision=change.revision)
            asked.unsure = True
            answer = None
            with suppress(UnreachableError):
                answer = self._plant.apply(change)
            if answer is not None and answer.request != change.request:
                self.append("step", **step, phase="stray answer", answered=answer.request)
                answer = None
            if answer is not None and answer.accepted:
                self._watch.know(answer.revision)
                self.append("step", **step, phase="acknowledged", revision=answer.revision, repeated=answer.repeated)
                asked.unsure = False
                return answer.revision
            configuration = self.configuration()
            if configuration is not None and _in_force(change.turns, configuration):
                self.append("step", **step, phase="found in force", revision=configuration.revision)
                return configuration.revision
            if answer is not None:
                self.append("step", **step, phase="refused", reason=answer.reason)
                asked.unsure = attempt > 0
                return None
            self.append("step", **step, phase="unanswered")
        raise FailureError(f"the network did not answer {TRIES} times")

    def lead_back(self, job: Job) -> bool:
        """Lead back. Comes before the log: it is done even where nothing can be written any more.

        Where a request may still be under way something is sent in any case: with the revision it makes,
        the late one does not fit any more.
        """
        for attempt in range(TRIES):
            configuration = self.configuration()
            missing = job.fallback
            if configuration is not None:
                missing = tuple(turn for turn in job.fallback if not configuration.has(turn))
                if not missing and not (job.unsure and attempt == 0):
                    return True
            request = f"{job.name}/back-{os.urandom(4).hex()}"
            self.try_append(
                "step", plan=job.plan, job=job.name, request=request, phase="leading back", attempt=attempt,
                turns=[turn_to_json(turn) for turn in missing or job.fallback],
            )  # fmt: skip
            with suppress(MndtError):
                answer = self._plant.apply(Change(request, missing or job.fallback))
                if answer.accepted and answer.request == request:
                    self._watch.know(answer.revision)
        configuration = self.configuration()
        return configuration is not None and _in_force(job.fallback, configuration)

    def configuration(self) -> Configuration | None:
        """What the network says it is set to, in its next observation; None where it says nothing."""
        latest = self._watch.next()
        return None if latest is None else latest.configuration

    def append(self, kind: str, **content: Any) -> None:
        """Write a record."""
        self._audit.append(kind, self._by, **content)

    def try_append(self, kind: str, **content: Any) -> None:
        """Write a record where that is possible: what leads back must not wait for a full disk."""
        with suppress(MndtError, OSError):
            self.append(kind, **content)


def _in_force(turns: Sequence[Turn], configuration: Configuration) -> bool:
    return all(configuration.has(turn) for turn in turns)
