"""The desk: where plans are handed in, validated, approved, and looked up. Nothing here touches a network.

All that is known of a plan is read from the audit (`standing`); there is no second memory that could
contradict it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mndt.errors import InputError, MndtError
from mndt.plants import Configuration, Observation, Turn
from mndt.twin import guard
from mndt.twin.audit import Audit, Record, account
from mndt.twin.guard import Prediction, Rails
from mndt.twin.plan import ActivationResult, JobState, PlanDescriptor, from_json, to_json, turn_of_json

Predict = Callable[[PlanDescriptor, Configuration], Prediction]
"""The validation in the twin: what a plan would come to, from this configuration."""

ENDED: Final = (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)

LEAST_HASH: Final = 12
"""Characters of a hash that an approval must name."""


class RefusedError(MndtError):
    """A plan may not do what was asked for it; the sentence says why."""


@dataclass(frozen=True)
class Standing:
    """All that the audit says about one plan."""

    plan: PlanDescriptor
    submitted: Record
    validation: Record | None  # the latest
    approval: Record | None  # after that: whoever approves has seen it
    rejection: Record | None
    jobs: tuple[Record, ...]  # beginnings of activation jobs
    ends: tuple[Record, ...]  # their ends
    fallbacks: tuple[Record, ...]  # fallback jobs that ended

    @property
    def valid(self) -> bool:
        """Whether its latest validation found nothing."""
        return self.validation is not None and bool(self.validation["valid"])

    @property
    def result(self) -> ActivationResult | None:
        """What its activation came to."""
        return ActivationResult(self.ends[-1]["result"]) if self.ends else None

    @property
    def fallback(self) -> tuple[Turn, ...]:
        """What leads back from it; empty before its activation."""
        return tuple(turn_of_json(turn) for turn in self.jobs[-1]["fallback"]) if self.jobs else ()

    @property
    def word(self) -> str:
        """Where it stands, in a word or two."""
        if self.fallbacks:
            return "fallen back" if self.fallbacks[-1]["state"] == JobState.COMPLETED else "fallback FAILED"
        if self.ends:
            return str(self.ends[-1]["result"])
        if self.jobs:
            return "activation RUNNING or interrupted"
        if self.rejection:
            return "rejected"
        if self.validation is None:
            return "not validated"
        if not self.valid:
            return "invalid"
        return "approved" if self.approval else "valid, not approved"


class Desk:
    """Plans of one network, in one folder.

    Args:
        folder: of the audit, of `rails.toml` and of the kill switch.

    Raises:
        InputError: the rails do not fit.
        BrokenAuditError: the audit was edited.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.audit = Audit(self.folder)

    @property
    def rails(self) -> Rails:
        """The limits in force."""
        return guard.read_rails(self.folder)

    def submit(self, plan: PlanDescriptor, by: str) -> str:
        """Hand a plan in; the same one again changes nothing.

        Returns:
            Its hash.
        """
        _check_name(by)
        if not any(r.kind == "plan" and r["plan"] == plan.hash for r in self.audit.records()):
            self.audit.append("plan", by, plan=plan.hash, descriptor=to_json(plan))
        return plan.hash

    def validate(self, digest: str, by: str, observation: Observation, predict: Predict) -> list[str]:
        """Run the validation job: rails on what the plan says and on what the twin predicts.

        Returns:
            What is wrong, in sentences; nothing where the plan is valid.
        """
        standing, rails = self.standing(digest), self.rails
        _refuse_closed(standing)
        configuration = observation.configuration
        if configuration is None:
            raise RefusedError("the network does not report its configuration, so no plan can be validated against it")
        plan, prediction = standing.plan, None
        job = self._job(digest)
        self.audit.append("validation-job", by, plan=digest, job=job, state=str(JobState.RUNNING))
        found = guard.of_plan(plan, configuration, rails)
        if plan.revision is not None and plan.revision != configuration.revision:
            found.append(f"revision: made for {plan.revision}, and the network has {configuration.revision}")
        if not found:
            prediction, failure = _predicted(predict, plan, configuration)
            found = guard.of_prediction(prediction, rails) if prediction else [failure]
        self.audit.append(
            "validation", by, plan=digest, job=job,
            state=str(JobState.COMPLETED), valid=not found, findings=found,
            prediction=prediction.to_json() if prediction else None,
            revision=configuration.revision, network_s=float(observation.arrival_s),
        )  # fmt: skip
        return found

    def approve(self, digest: str, by: str) -> None:
        """Approve a valid plan.

        Raises:
            RefusedError: it is not valid, or who approves made it or handed it in.
        """
        _check_name(by)
        standing = self.standing(digest)
        _refuse_closed(standing)
        if not standing.valid:
            raise RefusedError(f"plan {digest[:LEAST_HASH]} is {standing.word}: only a valid plan can be approved")
        for who in (standing.plan.planner, standing.submitted.by):
            if same_person(who, by):
                raise RefusedError(f"{who} made or handed in plan {digest[:LEAST_HASH]}: another person approves it")
        if self.rails.separate_accounts and standing.submitted.account == account():
            raise RefusedError("separate_accounts: the plan was handed in from this very account: use another one")
        if standing.approval is None:
            self.audit.append("approval", by, plan=digest)

    def reject(self, digest: str, by: str, reason: str) -> None:
        """Close a plan that was not activated yet."""
        _check_name(by)
        standing = self.standing(digest)
        _refuse_closed(standing)
        self.audit.append("rejection", by, plan=digest, reason=reason)

    def stop(self, by: str, reason: str) -> None:
        """Throw the kill switch."""
        path = self.folder / guard.STOP_FILE
        path.write_text(f"{by}: {reason}\n", encoding="utf-8")
        self.audit.append("stop", by, reason=reason)

    def release(self, by: str, reason: str) -> None:
        """Take the kill switch back."""
        (self.folder / guard.STOP_FILE).unlink(missing_ok=True)
        self.audit.append("release", by, reason=reason)

    # Looking up --------------------------------------------------------------------------------

    def find(self, digest: str) -> str:
        """The whole hash of a plan that is named by its first characters.

        Raises:
            InputError: too few of them, or no such plan.
        """
        known = [r["plan"] for r in self.audit.records() if r.kind == "plan"]
        if len(digest) < LEAST_HASH:
            allowed = f"at least {LEAST_HASH} characters of a plan's hash"
            raise InputError("HASH", repr(digest), allowed=allowed, fix="copy it from mndt plan log")
        found = [one for one in known if one.startswith(digest.lower())]
        if len(found) != 1:
            fix = "see mndt plan log"
            raise InputError("HASH", digest, allowed="the hash of a plan that was handed in", fix=fix)
        return str(found[0])

    def standing(self, digest: str) -> Standing:
        """Where a plan stands.

        Raises:
            InputError: no such plan.
        """
        return standing(self.audit.records(), self.find(digest))

    def all(self) -> list[Standing]:
        """Every plan, in the order they were handed in."""
        records = self.audit.records()
        return [standing(records, r["plan"]) for r in records if r.kind == "plan"]

    def is_falling_back(self, digest: str) -> bool:
        """Whether a fallback job of this plan has begun and not ended."""
        own = [r for r in self.audit.records() if r.kind == "fallback-job" and r["plan"] == digest]
        return bool(own) and own[-1]["state"] == JobState.RUNNING

    def _job(self, digest: str) -> str:
        return f"{digest[:LEAST_HASH]}-{len(self.audit.records())}"


def standing(records: Sequence[Record], digest: str) -> Standing:
    """What records say about the plan of this hash."""
    own = [record for record in records if record.content.get("plan") == digest]
    submitted = next(record for record in own if record.kind == "plan")
    plan = from_json(submitted["descriptor"])
    if plan.hash != digest:
        raise RefusedError(
            f"the descriptor of plan {digest[:LEAST_HASH]} has another hash, so another version wrote it"
        )

    def last(kind: str) -> Record | None:
        return next((record for record in reversed(own) if record.kind == kind), None)

    jobs = [record for record in own if record.kind == "activation-job"]
    validation, approval = last("validation"), last("approval")
    if approval is not None and (validation is None or approval.n < validation.n):
        approval = None
    return Standing(
        plan=plan,
        submitted=submitted,
        validation=validation,
        approval=approval,
        rejection=last("rejection"),
        jobs=tuple(record for record in jobs if record["state"] == JobState.RUNNING),
        ends=tuple(record for record in jobs if record["state"] in ENDED),
        fallbacks=tuple(r for r in own if r.kind == "fallback-job" and r["state"] in ENDED),
    )


def same_person(a: str, b: str) -> bool:
    """Whether two names are one, however they are spelled.

    >>> same_person("Anna  Berg", "anna berg "), same_person("anna", "bo")
    (True, False)
    """
    return _plain(a) == _plain(b)


# Inside -----------------------------------------------------------------------------------------


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _check_name(by: str) -> None:
    if not _plain(by):
        raise InputError("--as", repr(by), allowed="a person's name", fix="say who you are")


def _refuse_closed(standing: Standing) -> None:
    if standing.rejection is not None or standing.jobs:
        name = standing.plan.hash[:LEAST_HASH]
        raise RefusedError(f"plan {name} is closed ({standing.word}): hand in a new one")


def _predicted(predict: Predict, plan: PlanDescriptor, configuration: Configuration) -> Any:
    """The prediction, or what kept the twin from making one."""
    try:
        return predict(plan, configuration), ""
    except MndtError as error:
        return None, f"prediction: the twin could not make one ({error})"
