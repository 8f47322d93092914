"""Activation: the only code that turns a network. It ends in a known state, whatever happens on the way.

Before anything is asked of the network the audit holds what leads back, and before each request that it will be asked.
So whoever finds a job without an end knows what may have been done, and undoes it (`Activator.recover`). What an
acknowledgement says is believed only when the network then reports the settings; what was asked carries the revision
of the configuration it was meant for, so a request that arrives late is refused.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from mndt.errors import MndtError
from mndt.plants import Change, Observation, PhysicalNetwork
from mndt.twin import guard
from mndt.twin.confirmation import Watch, confirm, means
from mndt.twin.desk import LEAST_HASH, Desk, RefusedError, Standing, same_person
from mndt.twin.plan import (
    ActivationMode,
    ActivationResult,
    JobState,
    PlanDescriptor,
    fallback_turns,
    turn_of_json,
    turn_to_json,
)
from mndt.twin.requests import Asked, FailureError, Job, Requests

LOCK: Final = "activation.lock"


class Activator:
    """What turns one network by the plans of one desk.

    Args:
        desk: where plans are approved.
        plant: the network.
        by: who does it.
        allow_activate: without it nothing is ever asked of the network.
        clock: now, by the network's clock; None: when its latest observation arrived.
    """

    def __init__(
        self,
        desk: Desk,
        plant: PhysicalNetwork,
        by: str,
        *,
        allow_activate: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.desk, self.plant, self.by = desk, plant, by
        self._allowed, self._clock = allow_activate, clock
        self._watch = Watch(plant)
        self._requests = Requests(desk.audit, plant, by, self._watch)

    def activate(self, digest: str) -> ActivationResult:
        """Run the activation job of an approved plan to its end.

        Returns:
            What it came to; anything but ACTIVATED or PARTIALLY_ACTIVATED left the network as it was, or says
            that even that failed.

        Raises:
            RefusedError: a rail, or no valid approval; the network was not touched.
        """
        with self._alone():
            self._recover()
            standing = self.desk.standing(digest)
            before = self._watch.window(standing.plan.confirmation.over_s)
            self._refuse_unfit(standing, before)
            job, baseline = self._begin(standing, before)
            return self._run(job, standing.plan, baseline, before[-1])

    def fall_back(self, digest: str, *, force: bool = False) -> JobState:
        """Lead back from a plan that was activated, or finish a fallback that failed.

        Args:
            digest: of the plan.
            force: also where somebody has changed these settings since.

        Raises:
            RefusedError: it was never activated, or somebody has changed these settings since.
        """
        with self._alone():
            interrupted = self._recover()
            standing = self.desk.standing(digest)
            if standing.plan.hash in interrupted:
                return JobState.COMPLETED if _led_back(standing) else JobState.FAILED
            self._refuse_fallback(standing, force)
            job = Job(standing.plan.hash, f"{standing.jobs[-1]['job']}/back", standing.fallback, unsure=True)
            self._append("fallback-job", plan=job.plan, job=job.name, state=str(JobState.RUNNING))
            state = JobState.COMPLETED if self._requests.lead_back(job) else JobState.FAILED
            self._append("fallback-job", plan=job.plan, job=job.name, state=str(state))
            return state

    def recover(self) -> list[str]:
        """End every job that a stopped process left without an end, by leading back from it.

        Returns:
            Hashes of their plans.
        """
        with self._alone():
            return self._recover()

    # Before ------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One activation at a time; the operating system takes the lock back when a process dies."""
        if not self._allowed:
            raise RefusedError("read-only: nothing is asked of a network without --allow-activate")
        lock = os.open(self.desk.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RefusedError("another activation is under way: wait for its end") from None
            yield
        finally:
            os.close(lock)

    def _refuse_unfit(self, standing: Standing, before: Sequence[Observation]) -> None:
        found = _unfit(standing)
        if not before:
            found.append("stale_s: the network gives no observations")
        else:
            found += self._of_now(standing, before[-1]) + _unmeasured(means(before, standing.plan.confirmation))
        if found:
            self._append("activation-refused", plan=standing.plan.hash, findings=found)
            more = f" (and {len(found) - 1} more, see mndt plan log)" if len(found) > 1 else ""
            raise RefusedError(f"plan {standing.plan.hash[:LEAST_HASH]} is not activated: {found[0]}{more}")

    def _of_now(self, standing: Standing, latest: Observation) -> list[str]:
        """What the rails say about this moment."""
        plan, rails, now_s = standing.plan, self.desk.rails, self._now_s(latest)
        found = guard.of_moment(plan, latest, now_s, self.desk.audit.records(), rails, self.desk.folder)
        configuration = latest.configuration
        if configuration is None:
            return [*found, "configuration: the network does not report it"]
        found += guard.of_plan(plan, configuration, rails)
        validation = standing.validation
        if validation is not None:
            if configuration.revision != validation["revision"]:
                have = f"validated against {validation['revision']}, and the network has {configuration.revision}"
                found.append(f"revision: {have}; validate again")
            age_s = now_s - float(validation["network_s"])
            if not 0 <= age_s <= rails.valid_s:
                found.append(f"valid_s: it was validated {age_s:.0f} s ago, allowed are {rails.valid_s:g} s")
            if standing.valid:  # the rails may have been drawn closer since
                found += guard.of_prediction(guard.Prediction.of_json(validation["prediction"]), rails)
        return found

    def _refuse_fallback(self, standing: Standing, force: bool) -> None:
        name = standing.plan.hash[:LEAST_HASH]
        if standing.result is None:
            raise RefusedError(f"plan {name} is {standing.word}: only from an activated plan does something lead back")
        configuration = self._requests.configuration()
        if configuration is None:
            raise RefusedError("the network does not answer, so nobody knows what it is set to")
        back = {(turn.cell, turn.setting): turn for turn in standing.fallback}
        for turn in standing.plan.turns:
            if force or configuration.has(turn) or configuration.has(back[turn.cell, turn.setting]):
                continue
            now = configuration.value(turn.cell, turn.setting)
            what = f"{turn.cell} {turn.setting} is {now:.5g} now, which plan {name} did not set"
            raise RefusedError(f"{what}: somebody has changed it since; add --force to overwrite that")

    def _begin(self, standing: Standing, before: Sequence[Observation]) -> tuple[Job, dict[str, float]]:
        plan, configuration = standing.plan, before[-1].configuration
        assert configuration is not None
        fallback = fallback_turns(plan, configuration)
        baseline = means(before, plan.confirmation)
        job = Job(plan.hash, f"{plan.hash[:LEAST_HASH]}-{len(self.desk.audit.records())}", fallback)
        self._append(
            "activation-job", plan=job.plan, job=job.name, state=str(JobState.RUNNING), mode=str(plan.mode),
            fallback=[turn_to_json(turn) for turn in fallback], baseline=_finite(baseline),
            revision=configuration.revision, network_s=self._now_s(before[-1]),
        )  # fmt: skip
        return job, baseline

    # The job -----------------------------------------------------------------------------------

    def _run(self, job: Job, plan: PlanDescriptor, baseline: dict[str, float], latest: Observation) -> ActivationResult:
        asked = Asked()
        try:
            assert latest.configuration is not None
            self._carry_out(job, plan, latest.configuration.revision, asked)
            self._confirm(job, plan, baseline, asked)
        except FailureError as failure:
            return self._fail(replace(job, unsure=asked.unsure), str(failure), JobState.FAILED)
        except BaseException as error:  # a stop by the user, a fault of a plant's or ours: first lead back
            stopped = isinstance(error, KeyboardInterrupt)
            why = "stopped by the user" if stopped else f"{type(error).__name__}: {error}"
            if stopped:
                self._requests.try_append("activation-job", plan=job.plan, job=job.name, state=str(JobState.CANCELLING))
            result = self._fail(replace(job, unsure=True), why, JobState.CANCELLED if stopped else JobState.FAILED)
            if isinstance(error, MndtError):
                return result
            raise
        partly = len(asked.accepted) < len(plan.turns)
        result = ActivationResult.PARTIALLY_ACTIVATED if partly else ActivationResult.ACTIVATED
        self._append(
            "activation-job", plan=job.plan, job=job.name, state=str(JobState.COMPLETED), result=str(result), reason=""
        )
        return result

    def _carry_out(self, job: Job, plan: PlanDescriptor, revision: int, asked: Asked) -> None:
        """Ask for every step, as the plan's mode says."""
        for number, turns in enumerate(plan.steps()):
            for sentence in guard.of_switch(self.desk.folder):
                raise FailureError(sentence)
            request = f"{job.name}/{number}"
            new = self._requests.ask(job, Change(request, turns, revision), asked)
            if new is not None:
                revision = new
                asked.accepted += turns
            elif plan.mode is not ActivationMode.BEST_EFFORT:
                break
        if not asked.accepted:
            raise FailureError("the network refused all of it")

    def _confirm(self, job: Job, plan: PlanDescriptor, baseline: dict[str, float], asked: Asked) -> None:
        """What was acknowledged is in force, and the KPIs agree."""
        verdict = confirm(
            self._watch, plan.confirmation, baseline, tuple(asked.accepted), lambda: guard.of_switch(self.desk.folder)
        )
        self._append(
            "confirmation", plan=job.plan, job=job.name, confirmed=verdict.confirmed, reason=verdict.reason,
            before=_finite(baseline), after=_finite(verdict.after), seconds=verdict.seconds,
        )  # fmt: skip
        if not verdict.confirmed:
            raise FailureError(verdict.reason)

    # Back --------------------------------------------------------------------------------------

    def _fail(self, job: Job, why: str, state: JobState) -> ActivationResult:
        led_back = self._requests.lead_back(job)
        failed = ActivationResult.ACTIVATION_FAILED_ROLLBACK_FAILED
        result = ActivationResult.ACTIVATION_FAILED_ROLLED_BACK if led_back else failed
        self._requests.try_append(
            "activation-job", plan=job.plan, job=job.name, state=str(state), result=str(result), reason=why
        )
        return result

    def _recover(self) -> list[str]:
        found = []
        for standing in self.desk.all():
            if len(standing.jobs) > len(standing.ends):
                self._end_interrupted(standing)
                found.append(standing.plan.hash)
            elif self.desk.is_falling_back(standing.plan.hash):
                job = Job(standing.plan.hash, f"{standing.jobs[-1]['job']}/back", standing.fallback, unsure=True)
                state = JobState.COMPLETED if self._requests.lead_back(job) else JobState.FAILED
                self._append("fallback-job", plan=job.plan, job=job.name, state=str(state))
                found.append(standing.plan.hash)
        return found

    def _end_interrupted(self, standing: Standing) -> None:
        begun = standing.jobs[-1]
        steps = [r for r in self.desk.audit.records() if r.kind == "step" and r["job"] == begun["job"]]
        fallback = tuple(turn_of_json(turn) for turn in begun["fallback"])
        job = Job(standing.plan.hash, begun["job"], fallback, unsure=bool(steps))
        self._fail(job, "interrupted" + ("" if steps else " before the first request"), JobState.FAILED)

    # Small things ------------------------------------------------------------------------------

    def _now_s(self, latest: Observation) -> float:
        return float(latest.arrival_s if self._clock is None else self._clock())

    def _append(self, kind: str, **content: Any) -> None:
        self._requests.append(kind, **content)


def _unfit(standing: Standing) -> list[str]:
    """What the plan itself lacks."""
    found = []
    if standing.jobs:
        found.append(f"it was activated before and came to {standing.result or 'no end'}; hand in a new plan")
    if standing.rejection is not None:
        found.append("it was rejected")
    if not standing.valid:
        found.append(
            "it has no validation" if standing.validation is None else "its latest validation found it invalid"
        )
    approval = standing.approval
    if approval is None:
        found.append("nobody has approved it since its latest validation")
    elif any(same_person(approval.by, who) for who in (standing.plan.planner, standing.submitted.by)):
        found.append("its approval is by who planned it")
    return found


def _unmeasured(baseline: dict[str, float]) -> list[str]:
    """Rules that no activation could meet, for nobody knows what they compare with."""
    return [f"confirm: the network does not give {name}" for name, value in baseline.items() if value != value]


def _led_back(standing: Standing) -> bool:
    return standing.result is not ActivationResult.ACTIVATION_FAILED_ROLLBACK_FAILED


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if abs(value) < float("inf") else None for name, value in values.items()}
