"""A policy of one's own is a function from state to action: here, cells that nobody uses fall asleep."""

import dataclasses

import numpy as np

import mndt
from mndt.state import Action, Status


def sleepy(state: mndt.NetworkState) -> Action:
    """Put every cell to sleep that served nobody in the last second, and wake all others."""
    served = np.bincount(state.serving[state.connected], minlength=len(state.settings.status))
    asleep = (served == 0) & bool(state.connected.any())
    status = np.where(asleep, Status.SLEEP, Status.ON).astype(np.int8)
    settings = dataclasses.replace(state.settings, status=status)
    return Action(settings=settings, association="strongest", blocks="proportional-fair", power="equal")


world = mndt.build_world(mndt.helsinki())
for name, policy in {"always on": mndt.make_policy("proportional-fair", world), "sleepy": sleepy}.items():
    state, delivered_bits = mndt.start(world), 0.0
    for _ in range(30):
        state, kpis = mndt.step(world, state, policy(state))
        delivered_bits += float(kpis.user_delivered_bits.sum())
    asleep = int((state.settings.status == Status.SLEEP).sum())
    print(f"{name:10} {delivered_bits / 30e6:6.0f} Mbit/s, {asleep} cells asleep at the end")
