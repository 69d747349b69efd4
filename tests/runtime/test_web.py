"""Who is let in: names, pages of other origins, tokens."""

import asyncio
import http.client
import socket
import threading
from urllib.parse import urlsplit

import pytest
from tests.errors import raises
from tests.waiting import PATIENCE_S

from saiseld.runtime.errors import DeviceError, RecipeError
from saiseld.runtime.web import (
    checked_root_path,
    is_loopback,
    saved_token,
    serving,
    token_for,
)

TOKEN = "a-token-of-some-length"


async def hello(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


@pytest.fixture(scope="module")
def open_door():
    with serving(hello, "127.0.0.1", 0, None) as server:
        yield server


@pytest.fixture(scope="module")
def guarded():
    with serving(hello, "127.0.0.1", 0, TOKEN) as server:
        yield server


def ask(server, path="/", **headers):
    connection = http.client.HTTPConnection(
        "127.0.0.1", urlsplit(server.url).port, timeout=PATIENCE_S
    )
    connection.putrequest("GET", path, skip_host="host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


@pytest.mark.parametrize("host", ["localhost:8360", "127.0.0.1", "[::1]:1", "127.0.0.2"])
def test_names_of_this_machine_are_answered(open_door, host):
    assert ask(open_door, host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8360", "10.0.0.1", "", "a@localhost"]
)
def test_other_names_for_this_machine_are_not(open_door, host):
    assert ask(open_door, host=host).status == 421


def test_pages_of_other_origins_are_refused(open_door):
    port = urlsplit(open_door.url).port
    assert ask(open_door, origin=f"http://127.0.0.1:{port}").status == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://localhost"):
        assert ask(open_door, origin=origin).status == 403


def test_a_websocket_of_another_origin_is_refused(open_door):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    url = open_door.url.replace("http", "ws")
    with connect(url):
        pass
    with (
        pytest.raises(InvalidStatus, match="403"),
        connect(url, origin="http://evil.example"),
    ):
        pass


def test_every_answer_says_what_may_be_loaded(open_door):
    answer = ask(open_door)
    assert "default-src 'none'" in answer.getheader("content-security-policy")
    assert answer.getheader("x-content-type-options") == "nosniff"
    assert answer.getheader("access-control-allow-origin") is None


def test_a_token_is_asked_for_and_any_name_will_do_then(guarded):
    refused = ask(guarded)
    assert refused.status == 401 and refused.getheader("www-authenticate") == "Bearer"
    assert ask(guarded, authorization="Bearer another-token-here").status == 401
    assert ask(guarded, authorization=f"Bearer {TOKEN}", host="box.lan").status == 200


def test_a_browser_gets_the_token_as_a_cookie_and_out_of_the_address(guarded):
    answer = ask(guarded, f"/look?token={TOKEN}")
    assert answer.status == 303 and answer.getheader("location") == "./look"
    cookie = answer.getheader("set-cookie")
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Max-Age" in cookie
    assert ask(guarded, cookie=cookie.split(";")[0]).status == 200
    assert ask(guarded, cookie="saiseld_1=nothing; x").status == 401


def log_in(server, token, path="/look", **headers):
    connection = http.client.HTTPConnection(
        "127.0.0.1", urlsplit(server.url).port, timeout=PATIENCE_S
    )
    form = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
    connection.request("POST", path, f"token={token}", form | headers)
    answer = connection.getresponse()
    answer.page = answer.read().decode()
    connection.close()
    return answer


def test_a_browser_without_a_token_gets_a_form(guarded):
    refused = ask(guarded, "/look", accept="text/html,*/*")
    assert refused.status == 401 and refused.getheader("content-type").startswith("text/html")
    assert "form-action 'self'" in refused.getheader("content-security-policy")
    assert refused.getheader("referrer-policy") == "same-origin"  # else forms have no origin
    wrong = log_in(guarded, "another-token-here")
    assert wrong.status == 401 and "<form" in wrong.page and TOKEN not in wrong.page
    assert "This is not the token of this server." in wrong.page
    assert log_in(guarded, "x" * 5000).status == 401
    right = log_in(guarded, TOKEN)
    assert right.status == 303 and right.getheader("location") == "./look"
    assert ask(guarded, cookie=right.getheader("set-cookie").split(";")[0]).status == 200
    assert log_in(guarded, TOKEN, origin="https://lab.example").status == 403
    secure = log_in(guarded, TOKEN, **{"x-forwarded-proto": "https"})
    assert secure.getheader("set-cookie").endswith("Secure")
    # A program that sends its token in a header means what it asks, whatever it calls it.
    assert log_in(guarded, "x", authorization=f"Bearer {TOKEN}").status == 200


def test_a_server_is_found_under_a_path_whether_the_proxy_takes_it_off_or_not():
    with serving(hello, "127.0.0.1", 0, None, "/imaging/") as server:
        assert server.url.endswith("/imaging/")
        assert ask(server, "/imaging/jobs").status == ask(server, "/jobs").status == 200
        answer = ask(server, "/imaging")
        assert (answer.status, answer.getheader("location")) == (308, "./imaging/")
    for path in ("imaging", "/a b", "/../x", "/x//y", "https://evil.example"):
        with raises(RecipeError, "--root-path", found=path):
            checked_root_path(path)


def test_a_saved_token_is_made_once(tmp_path):
    file = tmp_path / "token"
    assert saved_token(file, "127.0.0.1") is None and not file.exists()
    token = saved_token(file, "0.0.0.0")
    assert token == saved_token(file, "0.0.0.0") and file.stat().st_mode & 0o077 == 0
    file.write_text("short")
    with raises(RecipeError, "token"):
        saved_token(file, "0.0.0.0")


def test_only_this_machine_needs_no_token():
    assert token_for("127.0.0.1", None) is None and token_for("::1", None) is None
    assert len(token_for("0.0.0.0", None)) >= 32
    assert not is_loopback("localhost.evil.example") and not is_loopback("")
    for token, found in (("short", "5 characters"), ("x", "1 character"), ("a b" * 9, "space")):
        with raises(RecipeError, expected="16 or more", found=found, advice="Leave it out"):
            token_for("0.0.0.0", token)


def test_a_place_that_is_taken_is_one_error(open_door):
    with (
        raises(DeviceError, advice="--port"),
        serving(hello, "127.0.0.1", urlsplit(open_door.url).port, None),
    ):
        pass


MALFORMED = [{"host": "["}, {"host": "[::1"}, {"origin": "http://["}, {"origin": "http://[x"}]


@pytest.mark.parametrize("headers", MALFORMED)
def test_malformed_names_are_refused_without_a_traceback(open_door, guarded, headers, caplog):
    assert ask(open_door, **headers).status == 400
    assert ask(guarded, **headers).status == 401  # whoever has no token learns nothing else
    assert ask(guarded, authorization=f"Bearer {TOKEN}", **headers).status == 400
    assert not [r for r in caplog.records if r.levelname == "ERROR"]


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "/\\evil.example", "///evil.example", "/http://evil.example", "//"]
)
def test_the_token_is_taken_out_of_the_address_on_this_server_alone(guarded, path):
    answer = ask(guarded, f"{path}?token={TOKEN}")
    location = answer.getheader("location")
    assert answer.status == 303
    assert location.startswith("./") and not set(location[2:]) & {*"/\\:"}


def test_an_origin_is_compared_after_the_token(guarded):
    foreign = {"origin": "https://lab.example"}
    assert ask(guarded, **foreign).status == 401
    assert ask(guarded, authorization=f"Bearer {TOKEN}", **foreign).status == 403
    same = {"origin": "https://lab.example", "host": "lab.example"}
    assert ask(guarded, authorization=f"Bearer {TOKEN}", **same).status == 200


def test_the_end_of_a_server_with_open_connections_is_silent(caplog, monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    async def streams(scope, receive, send):
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(3600)

    with serving(streams, "127.0.0.1", 0, None) as server:
        port = urlsplit(server.url).port
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        hello = "GET / HTTP/1.1\r\nHost: localhost\r\n"
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = f"Sec-WebSocket-Key: {'A' * 22}==\r\n"
        for connection, head in zip(
            connections, (hello, hello + upgrade + key, hello), strict=True
        ):
            connection.sendall(f"{head}\r\n".encode() if head != hello else hello.encode())
        assert connections[1].recv(12) == b"HTTP/1.1 101"
    for connection in connections:
        connection.close()
    assert not told and not caplog.records
