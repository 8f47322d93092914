"""The command `mndt` itself: errors in one sentence, hints, results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mndt.checks.output import Result

REPORT_A_FAULT = "this is a fault in mndt; run again with -v and report what it prints as an issue"


class Verbs(click.Group):
    """The command group: turns the twin's errors into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb. Exit codes: 2 the user's input, 130 stopped by the user, 1 a fault of ours."""
        from mndt.errors import MndtError

        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except MndtError as error:
            click.echo(f"mndt: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt as stopped:
            click.echo(f"mndt: {str(stopped) or 'stopped; nothing was left half-written'}", err=True)
            ctx.exit(130)
        except Exception as error:
            if ctx.params.get("verbose"):
                raise
            text = " ".join(str(error).split()) or "no message"
            click.echo(f"mndt: {type(error).__name__}: {text}; {REPORT_A_FAULT}", err=True)
            ctx.exit(1)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb; an unknown one is answered with the nearest."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            from mndt.errors import unknown_name

            ctx.fail(str(unknown_name("command", args[0], self.list_commands(ctx))))
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mndt", message="mndt %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of a fault.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bars and no hints.")
def main(verbose: bool, quiet: bool) -> None:
    """An open digital twin of a city's mobile network.

    Start with `mndt demo`. Your own city: `mndt import osm`, then `mndt run`.
    """
    import logging

    from mndt import parallel

    parallel.quiet(quiet)
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=logging.ERROR, format="mndt: %(message)s")
    logging.getLogger("mndt").setLevel(level)


def say(text: str) -> None:
    """A hint: on standard error, so that results can be piped; none with -q."""
    if not click.get_current_context().find_root().params.get("quiet"):
        click.echo(text, err=True)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")


def show(measure: Callable[[], Result], as_json: bool) -> Result:
    """Measure and print: for people, and with --json for programs."""
    from mndt.checks.output import timed

    result = timed(measure)
    click.echo(result.text())
    if as_json:
        click.echo(result.json())
    return result
