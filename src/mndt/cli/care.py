"""Verbs about the installation."""

from __future__ import annotations

import click

from mndt.cli.app import main


@main.group()
def cache() -> None:
    """The gain maps kept on disk."""


@cache.command("list")
def cache_list() -> None:
    """What is kept, newest first."""
    from mndt.radio.cache import cache_directory, list_cache

    entries = list_cache()
    for entry in entries:
        click.echo(f"{entry.created}  {entry.bytes / 1e6:8.1f} MB  {entry.what}")
    click.echo(f"{cache_directory()}: {len(entries)} maps, {sum(e.bytes for e in entries) / 1e6:.1f} MB")


@cache.command("clear")
def cache_clear() -> None:
    """Delete them all; they are built again when needed."""
    from mndt.radio.cache import clear_cache

    click.echo(f"{clear_cache() / 1e6:.1f} MB freed")


@main.command()
def doctor() -> None:
    """Is everything in place? Versions, memory, extras, cache, broker."""
    from mndt.doctor import look

    for line in look():
        click.echo(f"{line.what:<20} {line.found}" + (f"  -> {line.fix}" if line.fix else ""))
