"""`mndt train crowd`: what the training found, as figures."""

from __future__ import annotations

from pathlib import Path

from mndt.checks.output import Result
from mndt.errors import InputError


def train(data: Path, out: Path, *, seed: int = 0, updates: int | None = None, force: bool = False) -> Result:
    """Fit the correction of indoor crowds, write its weights and their card.

    Args:
        data: recorded tracks.
        out: path of the weights, ``.npz``; the card lies beside it.
        seed: of the start and the order.
        updates: steps of gradient descent; default the number that was validated.
        force: replace files that exist.

    Raises:
        InputError: data that cannot be used, or a path that cannot be written.
    """
    if out.suffix != ".npz" or not out.parent.is_dir():
        raise InputError("--out", out, allowed="a file .npz in a folder that exists", fix="change the name")
    for path in (out, out.with_suffix(".md")):
        if path.exists() and not force:
            raise InputError("--out", path, allowed="a new file", fix="choose another name, or replace it with --force")
    from mndt.learn.crowd_card import train_crowd

    fitted = train_crowd(data, out, seed=seed, updates=updates)
    figures = {
        "loss_m": fitted.loss_m,
        "stranger_contacts": fitted.contacts,
        "stranger_contacts_real": fitted.contacts_real,
        "train_s": fitted.seconds,
    }
    return Result("train crowd", figures, seeds=[seed], note=f"weights: {out}, card: {out.with_suffix('.md')}")
