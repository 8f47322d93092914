"""A connection to a broker that comes back by itself, and waits for what it has sent."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from mndt.errors import InputError
from mndt.plants import UnreachableError
from mndt.plants.mqtt_messages import QOS, decode, encode, require_client

Hear = Callable[[str, dict[str, Any]], None]

USER, PASSWORD = "MNDT_MQTT_USER", "MNDT_MQTT_PASSWORD"
"""Variables of the environment that hold who we are to the broker."""

SLOWEST_RETURN_S: Final = 2
"""Longest pause between two tries to connect again."""


class Link:
    """One end of the wire.

    Args:
        broker: host and port.
        listen: topics, listened to anew after each interruption.
        hear: called with every message that is JSON, in the client's own thread: it must not block.
        timeout_s: for connecting and sending.

    Raises:
        UnreachableError: no broker answers.
        InputError: the client library is not installed.
    """

    def __init__(self, broker: tuple[str, int], listen: Sequence[str], hear: Hear, *, timeout_s: float = 5.0) -> None:
        client = require_client()
        self._timeout_s, self._listen, self._hear = timeout_s, list(listen), hear
        self._ready = threading.Event()
        self.connections = 0  # so far
        self._properties = client.Properties
        self._packet = client.PacketTypes
        self._client: Any = client.Client(client.CallbackAPIVersion.VERSION2, protocol=client.MQTTv5)
        self._client.on_connect, self._client.on_message = self._on_connect, self._on_message
        self._client.on_subscribe, self._client.on_disconnect = self._on_subscribe, self._on_disconnect
        self._client.reconnect_delay_set(min_delay=1, max_delay=SLOWEST_RETURN_S)
        self._client.connect_timeout = timeout_s
        if USER in os.environ:
            self._client.username_pw_set(os.environ[USER], os.environ.get(PASSWORD))
        try:
            self._client.connect(*broker, keepalive=10)
        except (OSError, ValueError) as error:
            raise UnreachableError(f"no MQTT broker at {broker[0]}:{broker[1]} ({error})") from None
        self._client.loop_start()
        if not self._ready.wait(timeout_s):
            self.close()
            raise UnreachableError(f"the MQTT broker at {broker[0]}:{broker[1]} does not let us in")

    @property
    def is_up(self) -> bool:
        """Whether it is connected and listens."""
        return self._ready.is_set()

    def send(
        self,
        topic: str,
        content: dict[str, Any],
        *,
        kept: bool = False,
        expires_s: int | None = None,
        wait: bool = True,
    ) -> None:
        """Publish, at least once.

        Args:
            topic: where.
            content: what.
            kept: retained by the broker for those who come later.
            expires_s: after which the broker forgets it.
            wait: until the broker has it.

        Raises:
            UnreachableError: the broker did not take it in time; it may get it yet.
        """
        if not self._ready.wait(self._timeout_s if wait else 0.0):
            raise UnreachableError("the MQTT broker is gone")
        properties = None
        if expires_s is not None:
            properties = self._properties(self._packet.PUBLISH)
            properties.MessageExpiryInterval = expires_s
        sent = self._client.publish(topic, encode(content), qos=QOS, retain=kept, properties=properties)
        if not wait:
            return
        try:
            sent.wait_for_publish(self._timeout_s)
        except (RuntimeError, ValueError) as error:
            raise UnreachableError(f"the MQTT broker is gone ({error})") from None
        if not sent.is_published():
            raise UnreachableError("the MQTT broker did not answer")

    def close(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    # In the client's thread --------------------------------------------------------------------

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if not reason.is_failure:
            self.connections += 1
            if self._listen:
                client.subscribe([(name, QOS) for name in self._listen])
            else:
                self._ready.set()

    def _on_subscribe(self, *_: Any) -> None:
        self._ready.set()

    def _on_disconnect(self, *_: Any) -> None:
        self._ready.clear()

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        content = decode(message.payload)
        if content is not None:
            self._hear(message.topic, content)


def parse_broker(text: str) -> tuple[str, int]:
    """Host and port of ``HOST[:PORT]``.

    Raises:
        InputError: it is not that.

    >>> parse_broker("localhost"), parse_broker("10.0.0.7:1884")
    (('localhost', 1883), ('10.0.0.7', 1884))
    """
    host, _, port = text.partition(":")
    if not host or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536)):
        raise InputError("broker", repr(text), allowed="HOST or HOST:PORT", fix="try localhost:1883")
    return host, int(port or 1883)
