"""The world a simulation reads and never writes, and the state it begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mndt.city.mending import mend
from mndt.city.model import City
from mndt.errors import InputError
from mndt.network.energy import EnergyModel
from mndt.network.energy import start as start_power
from mndt.network.energy_parameters import EnergyParameters
from mndt.network.handover import start as start_measurements
from mndt.network.handover_parameters import HandoverParameters, check_handover
from mndt.network.incident_parameters import Incident
from mndt.network.incidents import Prepared, prepare
from mndt.network.parameters import NetworkParameters, check_network
from mndt.radio.channel import Channel
from mndt.radio.maps import RadioParameters
from mndt.radio.validity import check_validity
from mndt.state import Allocation, CellSettings, Episode, NetworkState, Status
from mndt.streams import Streams
from mndt.users.demand import DemandParameters, DemandSource, OwnDemand
from mndt.users.mobility import MobilitySource, OwnMobility, UserParameters
from mndt.users.population import CLUSTERS
from mndt.users.schedule import make_population


@dataclass(frozen=True)
class World:
    """All that `step` reads and never writes: the city, the radio channel, the sources of users
    and demand, and the network's parameters.

    Another source of users, here walkers on straight lines::

        world = mndt.build_world(city)
        world = dataclasses.replace(world, mobility=mndt.users.mobility.StraightLines(1000, city.frame, 20, 1.0))
    """

    city: City
    channel: Channel
    mobility: MobilitySource
    demand: DemandSource
    network: NetworkParameters
    handover: HandoverParameters
    energy: EnergyModel
    incidents: Prepared
    seed: int


def build_world(
    city: City,
    *,
    radio: RadioParameters | None = None,
    users: UserParameters | None = None,
    demand: DemandParameters | None = None,
    network: NetworkParameters | None = None,
    handover: HandoverParameters | None = None,
    energy: EnergyParameters | None = None,
    incidents: Sequence[Incident] = (),
    days: int = 1,
    mobility: MobilitySource | None = None,
    seed: int = 0,
    cache_dir: Path | None = None,
    n_jobs: int | None = None,
) -> World:
    """Everything a simulation of this city needs: population, gain maps (built once, cached), laws.

    Args:
        city: with at least one cell; what is drawn badly is put right first, see `mndt.city.mending`.
        radio, users, demand, network, handover, energy: parameters; None = defaults.
        incidents: what happens at set times: failures, power cuts, surges, events.
        days: midnights people have plans for, the first day's included; later they stay where they are.
        mobility: another source of positions than the twin's own people; its users have the demand of passers.
        seed: fixes population, shadowing and every later draw.
        cache_dir: where gain maps are kept; None = the user's cache folder.
        n_jobs: processes that build maps side by side; None = all cores.

    Raises:
        InputError: the city has no cells or is wrong in a way that cannot be put right, a carrier is outside
            the propagation model's range, or a parameter does not fit the city.

    A quiet small town::

        city = mndt.synthetic_city(size_m=500, lanes=100, areas=60, outdoor_sites=3, indoor_sites=4)
        world = mndt.build_world(city, demand=DemandParameters(scale=0.2))
    """
    if len(city.cells) == 0:
        raise InputError("cells", 0, allowed="at least 1", fix="give an inventory or let sites be placed")
    radio, city = radio or RadioParameters(), mend(city)
    check_validity(city, radio)
    network, handover = network or NetworkParameters(), handover or HandoverParameters()
    check_network(network)
    check_handover(handover)
    streams = Streams(seed)
    users, demand = users or UserParameters(), demand or DemandParameters()
    channel = Channel.build(city, radio, as_built(city), seed=seed, cache_dir=cache_dir, n_jobs=n_jobs)
    if mobility is None:
        population = make_population(city, users.n_users(city.frame.area_km2), users, streams, days=days)
        mobility, cluster = OwnMobility(city, population, users, streams), population.cluster
    else:
        cluster = np.full(mobility.n_users, CLUSTERS.index("passer"), np.int8)
    return World(
        city=city,
        channel=channel,
        mobility=mobility,
        demand=OwnDemand(cluster, demand),
        network=network,
        handover=handover,
        energy=EnergyModel.build(city.cells, len(city.sites), energy),
        incidents=prepare(incidents, city, demand_scale=demand.scale),
        seed=seed,
    )


def as_built(city: City) -> CellSettings:
    """Settings of a network nobody has turned yet: full power, as installed, every cell on."""
    cells = city.cells
    return CellSettings(
        power_w=cells.max_power_w.astype(np.float32),
        azimuth_deg=cells.azimuth_deg.astype(np.float32),
        mechanical_tilt_deg=cells.mechanical_tilt_deg.astype(np.float32),
        electrical_tilt_deg=cells.electrical_tilt_deg.astype(np.float32),
        handover_offset_db=np.zeros(len(cells), np.float32),
        status=np.full(len(cells), Status.ON, np.int8),
    )


def start(world: World, *, time_s: int = 8 * 3600, seed: int | None = None) -> NetworkState:
    """The state before the first second: people at their places or under way, nobody connected.

    Begin at half past seven::

        state = mndt.start(world, time_s=int(7.5 * 3600))
    """
    streams = Streams(world.seed if seed is None else seed)
    mobility, users = world.mobility.start(time_s, streams)
    n_users, cells = len(users), world.city.cells
    shape = (len(cells), int(cells.blocks.max(initial=0)))
    return NetworkState(
        time_s=time_s,
        users=users,
        mobility=mobility,
        demand=world.demand.start(users, time_s, streams),
        service=np.full(n_users, -1, np.int8),
        buffer_bits=np.zeros(n_users, np.float32),
        mean_rate_bps=np.zeros(n_users, np.float32),
        serving=np.full(n_users, -1, np.int32),
        connected=np.zeros(n_users, np.bool_),
        settings=as_built(world.city),
        power=start_power(len(cells)),
        measurements=start_measurements(n_users),
        allocation=Allocation(np.full(shape, -1, np.int32), np.zeros(shape, np.float32)),
        episode=Episode(np.zeros(n_users), np.zeros(n_users)),
    )
