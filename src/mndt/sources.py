"""The source of positions a scenario names, opened: what it found in files is told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mndt.errors import InputError
from mndt.formats.tracks import clock

if TYPE_CHECKING:
    from mndt.city.model import City, Frame
    from mndt.scenario import Scenario
    from mndt.users.mobility import MobilitySource
    from mndt.users.mobility_parameters import MobilityParameters
    from mndt.users.tracks import RecordedTracks

_log = logging.getLogger(__name__)
Say = Callable[[str], None]


def open_mobility(scenario: Scenario, city: City, say: Say | None = None) -> MobilitySource | None:
    """The source of positions of a scenario; None for the twin's own people.

    Args:
        scenario: its table `mobility` says which.
        city: where everyone is.
        say: gets what was found in a recording, line by line; the log, when left out.

    Raises:
        InputError: the file does not fit, or has nobody on the map while the run lasts.
    """
    wanted = scenario.mobility
    if wanted.source == "own":
        return None
    assert wanted.file is not None  # `scenario.check` saw to it
    if wanted.source == "sumo":
        from mndt.users.sumo_live import SumoMobility

        n_users = scenario.users.n_users(city.frame.area_km2)
        return SumoMobility(wanted.file, city.frame, n_users, wanted.offset_m)
    tracks = read_tracks(wanted, city.frame)
    for note in tracks.notes:
        (say or _log.info)(note)
    _refuse_empty(tracks, scenario)
    return tracks


def read_tracks(wanted: MobilityParameters, frame: Frame) -> RecordedTracks:
    """Recorded tracks of a file, put in order by the rules of `mndt.users.tracks`.

    Raises:
        InputError: the file does not fit.
    """
    from mndt.formats import tracks as format_
    from mndt.formats.geo import Box, NetPlace, net_place
    from mndt.users.tracks import RecordedTracks

    assert wanted.file is not None
    net = net_place(wanted.net, wanted.offset_m) if wanted.net is not None else None
    if net is None and wanted.offset_m is not None:
        net = NetPlace(offset_m=wanted.offset_m)
    box = Box(frame.epsg, frame.origin_easting_m, frame.origin_northing_m)
    table = format_.read_tracks(Path(wanted.file), box, net=net, begin_s=wanted.begin_s)
    tracks = RecordedTracks.from_arrays(
        table.time_s, table.user, table.x_m, table.y_m, table.mode, names=table.names, frame=frame, gap_s=wanted.gap_s
    )
    if not tracks.n_users:
        raise InputError(
            "mobility.file", f"{len(table):,} records, none on the map", allowed="records in the city's box",
            fix="give the city of the recording", where=wanted.file,
        )  # fmt: skip
    return RecordedTracks(**{**vars(tracks), "notes": (*table.notes, *tracks.notes)})


def _refuse_empty(tracks: RecordedTracks, scenario: Scenario) -> None:
    """A run in which nobody is ever there helps no one."""
    begin, end = tracks.time_s.min(), tracks.time_s.max()
    first, last = scenario.run.start_s, scenario.run.start_s + scenario.run.steps
    if begin > last or end < first:
        raise InputError(
            "mobility.file", f"records from {clock(begin)} to {clock(end)}",
            allowed=f"some within the run, {clock(first)} to {clock(last)}",
            fix="set run.start, or mobility.begin, the clock time of the first record",
            where=scenario.mobility.file or "",
        )  # fmt: skip
