"""Where changes of events go beside the page: JSON lines, OSC, MQTT."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import IO, Any

import msgspec

from saiseld.live.events import EventChange, EventTracker
from saiseld.live.frames import LiveFrame
from saiseld.runtime.errors import DeviceError, RecipeError, message_of

TOPIC = "saiseld"
"""First part of OSC addresses and MQTT topics; the second is begin, move or end."""

_OSC_PORT, _MQTT_PORT = 9000, 1883
_CONNECT_S, _DELIVER_S = 5.0, 5.0
_MOST_QUEUED = 10_000
_log = logging.getLogger(__name__)

Output = Callable[[EventChange], object]


class EventFeed:
    """Gives the changes of events to outputs; a context at whose end every event ends.

    Parameters
    ----------
    outputs
        What takes each change, in order.
    """

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs, self._tracker = list(outputs), EventTracker()

    def add(self, frame: LiveFrame) -> None:
        """Take a frame."""
        self._give(self._tracker.changes(frame))

    def __enter__(self) -> EventFeed:
        return self

    def __exit__(self, *_: object) -> None:
        self._give(self._tracker.close())

    def _give(self, changes: Sequence[EventChange]) -> None:
        """Give changes to all outputs; one that fails gets no more, and its error is raised."""
        failed: Exception | None = None
        for change in changes:
            for output in tuple(self._outputs):
                try:
                    output(change)
                except Exception as error:
                    self._outputs.remove(output)
                    failed = failed or error
        if failed is not None:
            raise failed


def json_lines(file: IO[str]) -> Output:
    """Return an output that writes and flushes a line of JSON for each change."""

    def write(change: EventChange) -> None:
        file.write(msgspec.json.encode(change).decode() + "\n")
        file.flush()

    return write


@contextmanager
def osc_output(place: str) -> Iterator[Output]:
    """Send changes as OSC messages by UDP: ``/saiseld/begin``, ``/saiseld/move``, ``/saiseld/end``.

    Arguments of each: event (int), class (string), azimuth, elevation (floats, degrees), distance
    (float, metres, -1 if unknown), score (float), time (float, seconds), elevation assumed
    (boolean).

    Parameters
    ----------
    place
        ``HOST:PORT``.

    Raises
    ------
    RecipeError
        If it is no such place.
    DeviceError
        If the host is not known.
    ModuleNotFoundError
        If python-osc (extra ``robot``) is not installed.
    """
    host, port = _host_and_port(place, "--osc", _OSC_PORT)
    from pythonosc.udp_client import SimpleUDPClient

    try:
        client = SimpleUDPClient(host, port)
    except OSError as error:
        raise _not_reached(f"osc://{host}:{port}", error) from error

    def send(change: EventChange) -> None:
        distance = -1.0 if change.distance is None else change.distance
        values = [change.event, change.class_name, change.azimuth, change.elevation, distance]
        values += [change.score, change.time, change.elevation_assumed]
        try:
            client.send_message(f"/{TOPIC}/{change.type}", values)
        except OSError as error:  # the network may come back
            _log.warning("osc://%s:%d: %s", host, port, message_of(error))

    with client:
        yield send


@contextmanager
def mqtt_output(place: str) -> Iterator[Output]:
    """Publish changes by MQTT 3.1.1 to ``saiseld/begin``, ``saiseld/move`` and ``saiseld/end``.

    The payload is the line that `json_lines` writes, quality of service 1. ``saiseld/status`` holds
    ``online`` or ``offline``, retained. A connection that breaks is made again, and what was to be
    sent meanwhile is sent then.

    Parameters
    ----------
    place
        ``HOST:PORT``.

    Raises
    ------
    RecipeError
        If it is no such place.
    DeviceError
        If there is no broker.
    ModuleNotFoundError
        If paho-mqtt (extra ``robot``) is not installed.
    """
    host, port = _host_and_port(place, "--mqtt", _MQTT_PORT)
    name, status = f"mqtt://{host}:{port}", f"{TOPIC}/status"
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    client = Client(CallbackAPIVersion.VERSION2)
    client.connect_timeout = _CONNECT_S
    client.max_queued_messages_set(_MOST_QUEUED)
    client.will_set(status, "offline", qos=1, retain=True)
    answered = Event()
    client.on_connect = _on_connect(name, status, answered)
    try:
        client.connect(host, port)
    except (OSError, ValueError) as error:
        raise _not_reached(name, error) from error
    client.loop_start()
    # Else a short session's "offline" could overtake its "online", which the broker retains.
    if not answered.wait(_CONNECT_S):
        client.loop_stop()
        raise DeviceError(name, expected="an MQTT broker", found="no answer")
    last: list[Any] = []

    def send(change: EventChange) -> None:
        sent = client.publish(f"{TOPIC}/{change.type}", msgspec.json.encode(change), qos=1)
        last[:] = [sent]

    try:
        yield send
    finally:
        last.append(client.publish(status, "offline", qos=1, retain=True))
        try:
            for sent in last:
                sent.wait_for_publish(_DELIVER_S)
        except (RuntimeError, ValueError):
            _log.warning("%s: the last events could not be sent", name)
        if not all(sent.rc == 0 and sent.is_published() for sent in last):
            _log.warning("%s: the last events were not confirmed", name)
        client.disconnect()
        client.loop_stop()


def _on_connect(name: str, status: str, answered: Event) -> Callable[..., None]:
    def on_connect(client: Any, _: object, __: object, code: Any, ___: object) -> None:
        if code.is_failure:
            _log.warning("%s: the broker refuses: %s", name, code)
        else:
            client.publish(status, "online", qos=1, retain=True)
        answered.set()

    return on_connect


def _host_and_port(place: str, option: str, usual: int) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    if not colon:
        host, port = place, str(usual)
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise RecipeError(option, expected="HOST:PORT, like 127.0.0.1:9000", found=place)
    return host.strip("[]"), int(port)


def _not_reached(name: str, error: Exception) -> DeviceError:
    return DeviceError(name, expected="one who answers there", found=message_of(error))
