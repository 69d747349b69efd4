"""The page's server: what browsers are sent, and that none of them can hold it up."""

import asyncio
import itertools
import json
import socket
import struct
import time
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import numpy as np
import pytest
from starlette.websockets import WebSocketDisconnect
from tests.live.synthetic import frame_at, heat_at, picture_at, tone_from
from tests.waiting import PATIENCE_S, wait_until
from websockets.sync.client import connect

from saiseld.conventions.timebase import SAMPLES_PER_FRAME
from saiseld.live import page as live_page
from saiseld.live.page import frame_message, picture_message, serve
from saiseld.runtime.errors import AudioError


@pytest.fixture
def page():
    with serve(port=0, patience_s=1.0) as page:
        yield page


def address(page, path):
    return page.url.replace("http", "ws") + path


def unpacked(message):
    kind, length = struct.unpack_from("<BxxxI", message)
    return kind, json.loads(message[8 : 8 + length]), message[8 + length :]


def test_a_frame_is_small_and_holds_heat_marks_and_spectrum():
    message = frame_message(frame_at(7, 30, 10))
    assert len(message) < 5000
    kind, header, content = unpacked(message)
    assert kind == 1 and header["frame"] == 7 and header["marks"][0]["azimuth"] == 30
    assert content[:4050] == heat_at(30, 10).tobytes()
    spectrum = np.frombuffer(content[4050:], np.uint8).reshape(4, 32)
    assert (
        spectrum[0, 0] == round(255 * (1 - 30 / 120))
        and (np.diff(spectrum[0].astype(int)) < 0).all()
    )


def test_a_browser_is_told_what_it_needs_then_frames_and_pictures(page):
    with connect(address(page, "look")) as socket:
        about = json.loads(socket.recv(PATIENCE_S))["about"]
        assert len(about["classes"]) == 13 and about["heat"] == [45, 90]
        wait_until(lambda: page.clients == 1)
        page.show(frame_at(0, 0, picture=picture_at(0, 0)))
        kinds = [unpacked(socket.recv(PATIENCE_S))[0] for _ in range(2)]
        assert kinds == [1, 2]
        before = time.monotonic()
        socket.send(json.dumps({"ping": 12.5}))
        pong = json.loads(socket.recv(PATIENCE_S))
        assert pong["ping"] == 12.5 and before <= pong["now"] <= time.monotonic()
    wait_until(lambda: page.clients == 0)


def test_pictures_keep_their_colours():
    from io import BytesIO

    from PIL import Image

    picture = picture_at(40, 10)
    _, _, jpeg = unpacked(picture_message(3, picture))
    opened = np.asarray(Image.open(BytesIO(jpeg)))
    assert np.abs(opened.astype(int) - picture).mean() < 3


@pytest.mark.slow
def test_a_client_that_never_reads_holds_no_memory_and_nobody_up(page):
    picture = np.random.default_rng(0).integers(0, 255, (480, 960, 3)).astype(np.uint8)
    with connect(address(page, "look")) as well, connect(address(page, "look"), max_queue=1):
        wait_until(lambda: page.clients == 2)
        json.loads(well.recv(PATIENCE_S))
        for number in range(4 * live_page.FRAMES_AHEAD):
            page.show(frame_at(number, 0, picture=picture))
            while unpacked(well.recv(PATIENCE_S))[:2][1].get("frame") != number:
                pass
            assert page.most_waiting <= live_page.FRAMES_AHEAD
        # It took nothing for a second: cut off, although its connection is open at its end.
        deadline = time.monotonic() + PATIENCE_S
        while page.clients == 2:
            page.show(frame_at(number := number + 1, 0, picture=picture))
            while unpacked(well.recv(PATIENCE_S))[1]["frame"] != number:
                pass
            assert time.monotonic() < deadline
        assert page.clients == 1


def test_the_oldest_are_lost_and_counted():
    client = live_page.Outbox(ahead=3)
    for number in range(5):
        client.offer(bytes([number]))
    client.offer_picture(b"old")
    client.offer_picture(b"new")

    async def take_all():
        return [await client.take() for _ in range(4)]

    assert asyncio.run(take_all()) == [b"\x02", b"\x03", b"\x04", b"new"]
    assert client.lost == 2


@pytest.mark.parametrize("turn", [0, 25])
def test_one_listens_where_one_says(turn):
    """A sound is shown turned by as much as the array stands turned."""
    with serve(port=0, turn=turn) as page:
        _listen(page, 60 + turn)


def _listen(page, shown):
    with connect(address(page, "listen")) as socket:
        numbers = itertools.count()

        def peak() -> float:
            """Show frames until a block of sound comes, and return its level."""
            while True:
                number = next(numbers)
                page.show(frame_at(number, shown, sound=tone_from(60, 0, 1000, number)))
                with suppress(TimeoutError):  # it does not listen yet
                    block = np.frombuffer(socket.recv(0.2), "<i2")
                    assert len(block) == SAMPLES_PER_FRAME
                    return np.abs(block).max() / 32767

        socket.send(json.dumps({"azimuth": shown, "elevation": 0}))
        wait_until(lambda: peak() == pytest.approx(0.1, rel=0.05))
        socket.send(json.dumps({"azimuth": shown - 180, "elevation": 0}))
        wait_until(lambda: peak() < 0.05)
    wait_until(lambda: page.clients == 0)


@pytest.mark.parametrize("said", ["no JSON", "[]", "{}", '{"azimuth": "x", "elevation": 0}', "1"])
def test_what_makes_no_sense_ends_that_connection_alone(page, said):
    from websockets.exceptions import ConnectionClosed

    with connect(address(page, "listen")) as socket:
        socket.send(said)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(PATIENCE_S)
    assert closed.value.rcvd.code == 1008
    with connect(address(page, "look")) as socket:
        assert socket.recv(PATIENCE_S)


def test_more_browsers_than_it_serves_are_told(page, monkeypatch):
    from websockets.exceptions import ConnectionClosed

    monkeypatch.setattr(live_page, "MAX_CLIENTS", 1)
    with connect(address(page, "look")) as first:
        first.recv(PATIENCE_S)
        with connect(address(page, "look")) as second, pytest.raises(ConnectionClosed) as closed:
            second.recv(PATIENCE_S)
    assert closed.value.rcvd.code == 1013


def test_nothing_is_loaded_from_elsewhere():
    for path in live_page.ASSETS.iterdir():
        assert "//" not in "".join(
            line for line in path.read_text().splitlines() if "http:" in line or "https:" in line
        ), path


def test_files_beside_the_page_alone_are_served(page):
    import http.client

    connection = http.client.HTTPConnection(
        "127.0.0.1", urlsplit(page.url).port, timeout=PATIENCE_S
    )
    for path, status in [("/main.js", 200), ("/../page.py", 404), ("/%2e%2e/page.py", 404)]:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status, path
    connection.close()


def test_programs_are_told_every_change_from_what_is_going_on_to_the_end():
    with serve(port=0) as page, connect(address(page, "look")) as look:  # the loop runs
        look.recv(PATIENCE_S)
        for number in range(3):
            page.show(frame_at(number, 10))
        with connect(address(page, "events")) as late:
            first = json.loads(late.recv(PATIENCE_S))
            assert (first["type"], first["event"], first["began"]) == ("begin", 1, 0.0)
            page.show(frame_at(3, 40))
            page.show(frame_at(4, 90, event=2))
            told = [json.loads(late.recv(PATIENCE_S)) for _ in range(2)]
            assert [(one["type"], one["event"]) for one in told] == [("move", 1), ("begin", 2)]
            page.end()
            told = [json.loads(late.recv(PATIENCE_S)) for _ in range(2)]
            assert [(one["type"], one["event"]) for one in told] == [("end", 1), ("end", 2)]


def test_a_browser_that_comes_late_is_sent_the_marks_so_far_and_told_the_end():
    error = AudioError("microphones", expected="sound", found="none")
    with ExitStack() as opened:
        with suppress(AudioError), serve(port=0, source="a room", threshold=0.4) as page:
            for number in range(3):
                page.show(frame_at(number, number))
            look = opened.enter_context(connect(address(page, "look")))
            about, past = (json.loads(look.recv(PATIENCE_S)) for _ in range(2))
            raise error
        ended = json.loads(look.recv(PATIENCE_S))["ended"]
    assert about["about"]["source"] == "a room" and about["about"]["session"]
    assert about["about"]["threshold"] == 0.4
    assert [of[0]["azimuth"] for of in past["past"]["marks"]] == [0, 1, 2]
    assert past["past"]["first"] == 0 and ended == {"error": str(error)}


class SlowBrowser:
    """A WebSocket: a frame is shown while each text is on its way to it."""

    def __init__(self, page, wanted):
        self.page, self.wanted, self.sent = page, wanted, []

    async def accept(self):
        pass

    async def send_text(self, text):
        self.page.show(frame_at(1 + len(self.sent), 0))
        await asyncio.sleep(0)
        self.sent.append(json.loads(text))

    async def send_bytes(self, message):
        self.sent.append(unpacked(message)[1]["frame"])

    async def receive_text(self):
        while len(self.sent) < self.wanted:
            await asyncio.sleep(0)
        raise WebSocketDisconnect


def test_each_frame_comes_once_with_the_past_or_after_it(page):
    page.show(frame_at(0, 0))
    browser = SlowBrowser(page, wanted=4)
    asyncio.run(page.look(browser))
    about, past, *frames = browser.sent
    assert "about" in about and len(past["past"]["marks"]) == 1
    assert frames == [1, 2]


def test_clients_that_go_in_the_middle_leave_no_traceback(page, caplog):
    host, port = "127.0.0.1", urlsplit(page.url).port
    upgrade = (
        f"GET /look HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    for sent in (upgrade, upgrade[:40], b"GET /main.js HTTP/1.1\r\nHost: " + upgrade[24:40]):
        for _ in range(5):
            with socket.create_connection((host, port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(sent)
        page.show(frame_at(0, 0))
    with connect(address(page, "look")) as well:
        assert well.recv(PATIENCE_S)
    wait_until(lambda: page.clients == 0)
    assert not [record for record in caplog.records if record.exc_info]
