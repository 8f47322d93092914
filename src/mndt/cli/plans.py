"""Verbs about plans: what shall be changed in a network, on its way from a file to the network and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mndt.cli.app import main, say

if TYPE_CHECKING:
    from mndt.twin.activation import Activator


@main.group()
def plan() -> None:
    """Change a network safely: hand in, validate, approve, activate, fall back.

    Whoever approves is not who planned, nothing is asked of the network without --allow-activate, and the folder
    of plans remembers everything that was done.
    """


folder_option = click.option(
    "--plans", "folder", type=click.Path(path_type=Path), default=Path("plans"), show_default=True, metavar="DIR",
    help="Folder of one network's plans.",
)  # fmt: skip
person_option = click.option("--as", "person", required=True, metavar="NAME", help="Who you are.")
leave_option = click.option("--allow-activate", is_flag=True, help="Without it nothing is asked of the network.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
reason_option = click.option("--reason", default="", help="Why; it is written down.")


@plan.command("network")
@click.argument("scenario")
@folder_option
@click.option("--replay", "recording", default="", metavar="DIR", help="Recorded measurements: validate only.")
@click.option("--laws", default="own", show_default=True, help="Of an emulated network: own or foreign.")
@click.option("--seed", default=1, show_default=True, help="Draws what the emulated network hides, and its people.")
@click.option("--strength", default=1.0, show_default=True, help="Of what it hides; 0 for nothing.")
@click.option("--period", "period_s", default=10, show_default=True, help="Seconds of one observation.")
def plan_network(scenario: str, folder: Path, recording: str, **choices: Any) -> None:
    """Say which network a folder of plans is about: by default one emulated after SCENARIO, the twin's."""
    from mndt.scenario import load
    from mndt.twin.connection import Connection, write_connection

    load(scenario)
    scenario = str(Path(scenario).resolve()) if Path(scenario).is_file() else scenario
    kind, recording = ("replay", str(Path(recording).resolve())) if recording else ("emulated", "")
    click.echo(str(write_connection(folder, Connection(scenario, kind, recording, **choices))))


@plan.command("new")
@click.argument("file", type=click.Path(path_type=Path))
@person_option
def plan_new(file: Path, person: str) -> None:
    """Write a plan in which every key is explained."""
    from mndt.errors import InputError
    from mndt.runfolder import write_text
    from mndt.twin.plan_file import template

    if file.exists():
        raise InputError("FILE", file, allowed="a new file", fix="choose another name")
    write_text(file, template(file.stem, person))
    click.echo(f"{file}: edit it, then mndt plan validate {file} --as {person}")


@plan.command("validate")
@click.argument("plan", metavar="PLAN.toml|HASH")
@folder_option
@person_option
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(1), help="How far the twin looks.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Futures with and without it.")
def plan_validate(plan: str, folder: Path, person: str, seconds: int, seeds: int) -> None:
    """Hand a plan in and try it in the twin. Exit code 2 where it is not valid."""
    from mndt.twin.connection import Network
    from mndt.twin.desk import Desk, RefusedError
    from mndt.twin.listing import prediction_lines
    from mndt.twin.plan_file import read_plan

    read = read_plan(plan, planner=person) if Path(plan).is_file() or plan.endswith(".toml") else None
    network, desk = Network(folder), Desk(folder)
    digest = desk.submit(read, person) if read is not None else desk.find(plan)
    click.echo(f"plan {digest}")
    latest = network.latest()
    found = desk.validate(digest, person, latest, network.predict_at(latest.end_s, seconds, seeds))
    for line in prediction_lines(desk.standing(digest)):
        click.echo(line)
    for sentence in found:
        click.echo(f"not valid: {sentence}")
    if found:
        raise RefusedError(f"plan {digest[:12]} is not valid")
    click.echo("valid")
    say(f"next, somebody else: mndt plan approve {digest[:12]} --as NAME --plans {folder}")


@plan.command("approve")
@click.argument("digest", metavar="HASH")
@folder_option
@person_option
def plan_approve(digest: str, folder: Path, person: str) -> None:
    """Approve a valid plan that somebody else made."""
    from mndt.twin.desk import Desk

    desk = Desk(folder)
    desk.approve(desk.find(digest), person)
    click.echo(f"plan {desk.find(digest)}: approved by {person}")
    say(f"next: mndt plan activate {digest} --as NAME --allow-activate --plans {folder}")


@plan.command("reject")
@click.argument("digest", metavar="HASH")
@folder_option
@person_option
@reason_option
def plan_reject(digest: str, folder: Path, person: str, reason: str) -> None:
    """Close a plan that was not activated yet."""
    from mndt.twin.desk import Desk

    desk = Desk(folder)
    desk.reject(desk.find(digest), person, reason)
    click.echo(f"plan {desk.find(digest)}: rejected by {person}")


@plan.command("activate")
@click.argument("digest", metavar="HASH")
@folder_option
@person_option
@leave_option
def plan_activate(digest: str, folder: Path, person: str, allow_activate: bool) -> None:
    """Turn the network, and back where its KPIs do not confirm it. Exit code 2 unless it was activated."""
    from mndt.twin.desk import Desk, RefusedError
    from mndt.twin.listing import confirmation_lines
    from mndt.twin.plan import ActivationResult

    desk = Desk(folder)
    digest = desk.find(digest)
    result = _activator(desk, folder, person, allow_activate).activate(digest)
    for line in confirmation_lines(desk.audit.records(), digest):
        click.echo(line)
    click.echo(str(result))
    if result not in (ActivationResult.ACTIVATED, ActivationResult.PARTIALLY_ACTIVATED):
        raise RefusedError(f"plan {digest[:12]}: {desk.standing(digest).ends[-1]['reason']}")


@plan.command("fallback")
@click.argument("digest", metavar="HASH")
@folder_option
@person_option
@leave_option
@click.option("--force", is_flag=True, help="Also where somebody has changed these settings since.")
def plan_fallback(digest: str, folder: Path, person: str, allow_activate: bool, force: bool) -> None:
    """Lead back from a plan that was activated."""
    from mndt.twin.desk import Desk, RefusedError
    from mndt.twin.plan import JobState

    desk = Desk(folder)
    state = _activator(desk, folder, person, allow_activate).fall_back(desk.find(digest), force=force)
    click.echo(str(state))
    if state is not JobState.COMPLETED:
        raise RefusedError("the network is not what it was before the plan: look at it, then try again")


@plan.command("recover")
@folder_option
@person_option
@leave_option
def plan_recover(folder: Path, person: str, allow_activate: bool) -> None:
    """End what a stopped process left unfinished, by leading back from it."""
    from mndt.twin.desk import Desk

    desk = Desk(folder)
    found = _activator(desk, folder, person, allow_activate).recover()
    for digest in found:
        click.echo(f"plan {digest}: {desk.standing(digest).word}")
    if not found:
        click.echo("nothing was left unfinished")


@plan.command("status")
@click.argument("digest", metavar="[HASH]", required=False)
@folder_option
@json_option
def plan_status(digest: str | None, folder: Path, as_json: bool) -> None:
    """Where plans stand, or all about one of them."""
    from mndt.twin import listing

    desk = listing.existing_desk(folder)
    click.echo(listing.one(desk, digest, as_json) if digest else listing.all_plans(desk, as_json))


@plan.command("log")
@click.argument("digest", metavar="[HASH]", required=False)
@folder_option
@json_option
def plan_log(digest: str | None, folder: Path, as_json: bool) -> None:
    """Check the audit's chain of hashes and print what was done, of all plans or of one."""
    from mndt.twin import listing

    desk = listing.existing_desk(folder)
    for line in listing.log(desk, digest, as_json):
        click.echo(line)
    say(f"{len(desk.audit.records())} records, each follows from the one before; the last is {desk.audit.head}")


@plan.command("stop")
@folder_option
@person_option
@reason_option
def plan_stop(folder: Path, person: str, reason: str) -> None:
    """Throw the kill switch: nothing is activated, what is being activated falls back."""
    from mndt.twin.listing import existing_desk

    existing_desk(folder).stop(person, reason)
    click.echo("stopped")


@plan.command("release")
@folder_option
@person_option
@reason_option
def plan_release(folder: Path, person: str, reason: str) -> None:
    """Take the kill switch back."""
    from mndt.twin.listing import existing_desk

    existing_desk(folder).release(person, reason)
    click.echo("released")


def _activator(desk: Any, folder: Path, person: str, allowed: bool) -> Activator:
    from mndt.twin.activation import Activator
    from mndt.twin.connection import Network
    from mndt.twin.desk import RefusedError

    network = Network(folder)
    if not allowed:
        raise RefusedError("read-only: nothing is asked of a network without --allow-activate")
    if network.is_recorded:
        raise RefusedError("recorded measurements cannot be turned: validate plans on them, activate elsewhere")
    return Activator(desk, network.plant, person, allow_activate=allowed)
