"""A network behind a real broker: the same as without, whatever becomes of the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.plants import Change, EndedError, PhysicalNetwork, Turn, UnreachableError
from mndt.plants.emulated import EmulatedPlant
from mndt.plants.mqtt import MqttBridge, MqttPlant
from mndt.plants.mqtt_link import Link, parse_broker
from mndt.plants.mqtt_messages import (
    DESIRED,
    PERIOD,
    REPORTED,
    change_of_json,
    change_to_json,
    decode,
    report_of_json,
    topic,
)
from mndt.twin.activation import Activator
from mndt.twin.desk import Desk
from mndt.twin.guard import Prediction
from mndt.twin.plan import ActivationResult, Confirmation, KpiRule, PlanDescriptor
from plants.broker import MOSQUITTO, Broker
from plants.small_world import small_world


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    pytest.importorskip("paho.mqtt.client")
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    broker = Broker(tmp_path)
    yield broker
    broker.kill()


@contextmanager
def served(broker: Broker, plant: EmulatedPlant, pace_s: float = 0.05) -> Iterator[None]:
    """A network that goes on in a thread of its own."""
    stop, bridge = threading.Event(), MqttBridge(plant, "town", broker.address, configuration=plant.configuration)
    thread = threading.Thread(target=lambda: bridge.serve(pace_s=pace_s, stop=stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        bridge.close()


# On the wire --------------------------------------------------------------------------------------


def test_messages_that_are_none_are_nothing() -> None:
    change = Change("x", (Turn("a", "power_dbm", 2.0),), 3)
    assert change_of_json(change_to_json(change)) == change
    assert change_of_json({"request": "x", "revision": None, "turns": "no"}) is None
    assert report_of_json({"revision": 1, "time_s": 0, "cell": ["a"], "values": {"x": [1, 2]}, "answer": None}) is None
    for payload in (b"", b"[1]", b"\xff", b"{"):
        assert decode(payload) is None
    for text in ("", ":1", "host:x", "host:99999"):
        with pytest.raises(InputError, match="HOST"):
            parse_broker(text)


@pytest.mark.plant
def test_without_a_broker_a_sentence_says_so() -> None:
    with pytest.raises(UnreachableError, match="no MQTT broker"):
        MqttPlant("town", ("127.0.0.1", 1))


@pytest.mark.plant
def test_behind_a_broker_a_network_looks_as_it_does_in_front_of_it(broker: Broker) -> None:
    plant, twin = (EmulatedPlant(small_world(), period_s=2, seed=4) for _ in range(2))
    bridge = MqttBridge(plant, "town", broker.address, configuration=plant.configuration)
    with MqttPlant("town", broker.address, every=True) as far:
        assert isinstance(far, PhysicalNetwork)
        bridge.serve(3)
        for _ in range(3):
            seen, expected = far.observe(), twin.observe()
            assert (seen.begin_s, seen.end_s, seen.cell) == (expected.begin_s, expected.end_s, expected.cell)
            assert 0.0 <= seen.lag_s < 5.0
            assert seen.totals == expected.totals
            assert seen.kpis.keys() == expected.kpis.keys()
            for name, values in expected.kpis.items():
                np.testing.assert_array_equal(seen.kpis[name], values)
            assert seen.configuration is not None
            assert seen.configuration.value(seen.cell[0], "power_dbm") == pytest.approx(30.0, abs=1e-4)
        with pytest.raises(EndedError):
            far.observe()
    bridge.close()


@pytest.mark.plant
def test_a_request_that_comes_twice_is_carried_out_once(broker: Broker) -> None:
    plant = EmulatedPlant(small_world())
    change = Change("x", (Turn(plant.cell[0], "power_dbm", 20.0),), 0)
    with served(broker, plant), MqttPlant("town", broker.address) as far:
        first, again = far.apply(change), far.apply(change)
        assert first.accepted
        assert not first.repeated
        assert again.repeated
        assert plant.memory.revision == again.revision == 1
        assert not far.apply(Change("y", change.turns, 0)).accepted
        assert "maximum" in far.apply(Change("z", (Turn(plant.cell[0], "power_dbm", 50.0),))).reason
        seen = far.observe()
        assert seen.configuration is not None
        assert seen.configuration.has(change.turns[0])


@pytest.mark.plant
def test_what_anybody_else_writes_to_the_broker_does_no_harm(broker: Broker) -> None:
    plant = EmulatedPlant(small_world())
    with served(broker, plant), MqttPlant("town", broker.address) as far:
        noise = Link(broker.address, [], lambda *_: None)
        for name in (DESIRED, REPORTED, PERIOD):
            for content in ({}, {"turns": 3}, {"end_s": "late"}, {"cell": 1}):
                noise.send(topic("town", name), content)
        noise.close()
        assert far.observe().cell == plant.cell
        assert plant.memory.revision == 0


@pytest.mark.plant
def test_a_network_that_was_cut_off_does_not_find_an_old_wish(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mndt.plants.mqtt.EXPIRES_S", 1)
    plant = EmulatedPlant(small_world())
    MqttBridge(plant, "town", broker.address, configuration=plant.configuration).close()  # it reports, and goes
    with MqttPlant("town", broker.address, timeout_s=0.3) as far:
        with pytest.raises(UnreachableError, match="no answer"):
            far.apply(Change("x", (Turn(plant.cell[0], "power_dbm", 20.0),), 0))
        time.sleep(2.2)
        with served(broker, plant):
            far.observe()
            assert plant.memory.revision == 0


# Plans over the wire ------------------------------------------------------------------------------


def approved(folder: Path, far: MqttPlant) -> tuple[Desk, str]:
    folder.mkdir(exist_ok=True)
    (folder / "rails.toml").write_text("coverage_floor = 0\noutage_ceiling = 1\n")
    desk = Desk(folder)
    confirmation = Confirmation(6.0, 3.0, (KpiRule("X.OutageRatio", at_most_more=1.0),))
    turns = (Turn(far.cell[0], "power_dbm", 27.0), Turn(far.cell[1], "power_dbm", 26.0))
    digest = desk.submit(PlanDescriptor("p", "anna", turns, confirmation=confirmation), "anna")
    assert desk.validate(digest, "anna", far.observe(), lambda *_: Prediction(0.9, 0.9, 0.1, 0.1)) == []
    desk.approve(digest, "bo")
    return desk, digest


@pytest.mark.plant
def test_a_plan_is_activated_over_the_wire_and_led_back(broker: Broker, tmp_path: Path) -> None:
    plant = EmulatedPlant(small_world())
    with served(broker, plant), MqttPlant("town", broker.address) as far:
        desk, digest = approved(tmp_path / "plans", far)
        acting = Activator(desk, far, "carla", allow_activate=True)
        assert acting.activate(digest) is ActivationResult.ACTIVATED
        assert plant.configuration().value(plant.cell[0], "power_dbm") == pytest.approx(27.0, abs=1e-3)
        acting.fall_back(digest)
        assert plant.configuration().value(plant.cell[0], "power_dbm") == pytest.approx(30.0, abs=1e-3)


def _before(broker: Broker, apply: Callable[..., object], change: Change) -> object:
    broker.kill()
    return apply(change)


def _after(broker: Broker, apply: Callable[..., object], change: Change) -> object:
    answer = apply(change)
    broker.kill()
    return answer


@pytest.mark.plant
@pytest.mark.parametrize("when", [_before, _after])
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_broker_that_is_killed_in_mid_activation_ends_in_a_known_state(
    broker: Broker, tmp_path: Path, when: Callable[..., object], comes_back: bool
) -> None:
    plant = EmulatedPlant(small_world())
    with served(broker, plant), MqttPlant("town", broker.address, timeout_s=0.4) as far:
        desk, digest = approved(tmp_path / "plans", far)
        apply, calls = far.apply, []

        def interrupted(change: Change) -> object:
            calls.append(change.request)
            if len(calls) == 1:
                return when(broker, apply, change)
            if len(calls) == 2 and comes_back:
                broker.start()
                time.sleep(2.5)
            return apply(change)

        far.apply = interrupted  # type: ignore[method-assign, assignment]
        result = Activator(desk, far, "carla", allow_activate=True).activate(digest)
        powers = [plant.configuration().value(name, "power_dbm") for name in plant.cell[:2]]
        led_back = powers == pytest.approx([30.0, 30.0], abs=1e-3)
        activated = powers == pytest.approx([27.0, 26.0], abs=1e-3)
        assert plant.memory.revision <= 2  # once there, and once back
        if result is ActivationResult.ACTIVATED:
            assert activated
        elif result is ActivationResult.ACTIVATION_FAILED_ROLLED_BACK:
            assert led_back
        else:
            assert result is ActivationResult.ACTIVATION_FAILED_ROLLBACK_FAILED
            assert not comes_back
            broker.start()
            time.sleep(2.5)
            Activator(Desk(tmp_path / "plans"), far, "dora", allow_activate=True).fall_back(digest)
            powers = [plant.configuration().value(name, "power_dbm") for name in plant.cell[:2]]
            assert powers == pytest.approx([30.0, 30.0], abs=1e-3)
