"""OSC and MQTT: what arrives at a receiver and at a broker; one line where there is none."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from tests.errors import raises
from tests.live.test_events import frame

from saiseld.live.outputs import EventFeed, mqtt_output, osc_output
from saiseld.runtime.errors import DeviceError, RecipeError


def test_osc_messages_arrive() -> None:
    from pythonosc.osc_message import OscMessage

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        place = f"127.0.0.1:{receiver.getsockname()[1]}"
        with osc_output(place) as osc, EventFeed([osc]) as feed:
            feed.add(frame(7, (3, 40)))
        begin, end = (OscMessage(receiver.recv(2000)) for _ in range(2))
    assert (begin.address, end.address) == ("/saiseld/begin", "/saiseld/end")
    number, name, *rest = begin.params
    assert (number, name) == (3, "Male speech")
    assert rest == pytest.approx([40, 0, 1.5, 0.9, 0.7, False])


class Broker(threading.Thread):
    """A broker of MQTT 3.1.1 for one client: takes what it publishes, and answers."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.published: list[tuple[str, bytes]] = []

    def run(self) -> None:
        with self._socket, self._socket.accept()[0] as client, client.makefile("rb") as came:
            while head := came.read(1):
                size, shift = 0, 0
                while True:
                    byte = came.read(1)[0]
                    size |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                body, kind = came.read(size), head[0] >> 4
                if kind == 1:  # CONNECT
                    client.sendall(b"\x20\x02\x00\x00")
                elif kind == 3:  # PUBLISH, quality of service 1
                    end = 2 + int.from_bytes(body[:2])
                    self.published.append((body[2:end].decode(), body[end + 2 :]))
                    client.sendall(b"\x40\x02" + body[end : end + 2])
                elif kind == 14:  # DISCONNECT
                    return


def test_mqtt_messages_are_published_and_confirmed() -> None:
    broker = Broker()
    broker.start()
    with mqtt_output(broker.place) as mqtt, EventFeed([mqtt]) as feed:
        feed.add(frame(7, (3, 40)))
    broker.join(60)
    topics = [topic for topic, _ in broker.published]
    assert [topic for topic in topics if topic != "saiseld/status"] == [
        "saiseld/begin",
        "saiseld/end",
    ]
    assert ("saiseld/status", b"online") in broker.published
    assert broker.published[-1] == ("saiseld/status", b"offline")
    payload = json.loads(dict(broker.published)["saiseld/begin"])
    assert (payload["event"], payload["azimuth"]) == (3, 40.0)


@pytest.mark.parametrize("output", [osc_output, mqtt_output])
@pytest.mark.parametrize("place", ["host:many", ":9000", "host:0"])
def test_what_is_no_place_is_told(output, place) -> None:
    with raises(RecipeError, found=place), output(place):
        pass


def test_no_broker_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with raises(DeviceError, f"mqtt://127.0.0.1:{port}"), mqtt_output(f"127.0.0.1:{port}"):
        pass
