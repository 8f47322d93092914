"""What does the failure of one cell cost, and whom? Same seed with and without it."""

import dataclasses

import numpy as np

import mndt
from mndt.state import Action, Status
from mndt.world import as_built

world = mndt.build_world(mndt.helsinki())
outdoor = np.flatnonzero(~world.city.sites.indoor[world.city.cells.site])
whole = as_built(world.city)
status = whole.status.copy()
status[outdoor[0]] = Status.OFF
broken = dataclasses.replace(whole, status=status)

for name, settings in {"whole": whole, "one cell down": broken}.items():
    action = Action(settings=settings, association="strongest", blocks="proportional-fair", power="equal")
    state, outage, active = mndt.start(world), 0, 0
    for _ in range(30):
        state, kpis = mndt.step(world, state, action)
        outage, active = outage + int(kpis.user_outage.sum()), active + int(kpis.user_active.sum())
    print(f"{name:14} {outage / active:.2%} of active user-seconds in outage")
