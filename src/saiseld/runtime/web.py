"""Authorisation of a web server's requests, and a server in a thread of its own.

A page on this machine can be reached by every other page that the user has open. What they could
do is refused here: a name that was made to point at this machine (DNS rebinding) is told by the
``Host`` header, a foreign page by ``Origin``. Whoever serves more than this machine needs a token,
as ``Authorization: Bearer`` or, for browsers, once as ``?token=`` or in a form, which becomes a
cookie.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import os
import re
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from saiseld.runtime.errors import (
    DeviceError,
    InputError,
    OutputError,
    RecipeError,
    WorkError,
    message_of,
    refusing,
)
from saiseld.runtime.text import counted

if TYPE_CHECKING:
    import uvicorn

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_CONNECTIONS = 256
"""Connections at a time; more are told to come again."""
_START_S = 20.0

SAME_ORIGIN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""What a page may load: files of this server. An answer that names its own policy keeps it."""

_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
    b"content-security-policy": SAME_ORIGIN_POLICY.encode(),
}


_LOGIN_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_LOGIN = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>saiseld: log in</title>
<link rel="icon" href="data:,">
<style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;max-width:30rem;
margin:3rem auto;padding:0 1rem;color:CanvasText;background:Canvas}}
input,button{{font:inherit;padding:.3rem .6rem;width:100%;box-sizing:border-box;
margin:.3rem 0}}</style></head><body><main><h1>saiseld</h1><p>{message}</p>
<form method="post"><label>Token <input name="token" type="password" required autofocus
autocomplete="current-password"></label><button>Log in</button></form></main></body></html>"""
_LOGIN_BYTES, _LOGIN_S = 1 << 12, 10.0
_COOKIE_S = 30 * 86400

_OTHER_ORIGIN = (
    "a page of another origin may not use this server; a proxy in front of it must pass the host "
    "and port that the browser asked for (nginx: proxy_set_header Host $http_host)"
)


_OTHER_NAME = (
    "this server answers to localhost alone, not to the name it was called; started with --token "
    "it answers to any name, also behind a proxy"
)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def token_for(host: str, token: str | None) -> str | None:
    """Return the token that guards a server: a new one where it needs one and none was given.

    Raises
    ------
    RecipeError
        If a token is given that is too short to guard anything.
    """
    if token is None:
        return None if is_loopback(host) else secrets.token_urlsafe(24)
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        is_short = len(token) < 16
        raise RecipeError(
            "token",
            expected="16 or more letters, digits and signs of ASCII, without spaces",
            found=counted(len(token), "character") if is_short else "a space or another character",
            advice="Leave it out: a new one is made and printed",
        )
    return token


def saved_token(file: Path, host: str) -> str | None:
    """Return the token of a server that is begun again and again: made once, kept in a file.

    Links and cookies go on working so. None where the server needs no token.

    Raises
    ------
    OutputError
        If the file cannot be read or written.
    RecipeError
        If what it holds is too short to guard anything.
    """
    token = token_for(host, None)
    if token is None:
        return None
    with refusing(OutputError, file, "a file for the server's token"):
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return token_for(host, file.read_text("ascii").strip())
        with os.fdopen(descriptor, "w") as opened:
            opened.write(f"{token}\n")
    return token


def checked_root_path(path: str) -> str:
    """Return the path under which a proxy has a server, without a slash at its end.

    Raises
    ------
    RecipeError
        If it is none.
    """
    path = path.rstrip("/")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", path) or {".", ".."} & {*path.split("/")}:
        raise RecipeError("--root-path", expected="a path such as /imaging", found=repr(path))
    return path


def problem(error: InputError | str) -> bytes:
    """Return an error as the JSON that every refusal of a server is."""
    detail: dict[str, str] = {"message": str(error)}
    if isinstance(error, InputError):
        parts = ("place", "expected", "found", "advice")
        detail |= {part: getattr(error, part) for part in parts if getattr(error, part)}
    return msgspec.json.encode({"error": detail})


class AuthMiddleware:
    """Refuses requests without the token or of other origins; puts the headers on every answer.

    Parameters
    ----------
    application
        What answers those who are let in.
    token
        What they must know; None only where the server listens on this machine alone.
    root_path
        Path under which a proxy has the server; see `checked_root_path`.
    """

    def __init__(self, application: Application, token: str | None, root_path: str = "") -> None:
        self._application, self._token, self._root = application, token, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        scope = self._under_root(scope)
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        is_http = scope["type"] == "http"
        if self._token and is_http and _is_login(scope, headers):
            given = await _sent_token(receive)
        answer = self._refusal(scope, headers, given)
        if answer is None and is_http and scope["path"] == self._root != "":
            answer = 308, "", {b"location": _itself(self._root) + b"/"}
        if answer is None and self._token and given and is_http:
            answer = 303, "", self._logged_in(scope, headers)
        if answer is not None and answer[0] == 401 and _wants_page(scope, headers):
            await _answer_login("This is not the token of this server." if given else "", send)
        elif answer is not None:
            await _answer(*answer, scope, _with_headers(send))
        else:
            await self._application(scope, receive, _with_headers(send))

    def _under_root(self, scope: Scope) -> Scope:
        """Return a scope whose path begins with the root, whether a proxy took it off or not."""
        root, path = self._root, scope["path"]
        if not root:
            return scope
        whole = path if path == root or path.startswith(f"{root}/") else root + path
        return {**scope, "root_path": root, "path": whole}

    def _logged_in(self, scope: Scope, headers: Mapping[str, str]) -> dict[bytes, bytes]:
        """Return the headers that lead back to the same page, with a cookie."""
        # Lax, since a link from elsewhere that leads here is to work; what changes anything is no
        # GET, and a foreign page's requests are refused.
        cookie = f"{_cookie_name(scope)}={self._token}; Path=/; HttpOnly; SameSite=Lax; "
        cookie += f"Max-Age={_COOKIE_S}"
        if headers.get("x-forwarded-proto") == "https":
            cookie += "; Secure"
        return {b"location": _itself(scope["path"]), b"set-cookie": cookie.encode()}

    def _refusal(
        self, scope: Scope, headers: Mapping[str, str], given: str
    ) -> tuple[int, str, dict[bytes, bytes]] | None:
        if self._token is not None and not self._is_authorised(scope, headers, given):
            return 401, "expected the token of this server", {b"www-authenticate": b"Bearer"}
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            name = _host_name(host)
            origin_host = None if origin is None else urlsplit(origin).netloc
        except ValueError:
            return 400, "expected a host name, and an origin that is an address", {}
        if self._token is None and not is_loopback(name or ""):
            return 421, _OTHER_NAME, {}
        if origin is not None and (origin == "null" or origin_host != host):
            return 403, _OTHER_ORIGIN, {}
        return None

    def _is_authorised(self, scope: Scope, headers: Mapping[str, str], given: str) -> bool:
        assert self._token is not None
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        cookie = _cookie(headers.get("cookie", ""), _cookie_name(scope))
        offered = (bearer.strip() if kind.lower() == "bearer" else "", cookie, given)
        return any(
            hmac.compare_digest(one.encode("utf-8", "replace"), self._token.encode())
            for one in offered
        )


def _is_login(scope: Scope, headers: Mapping[str, str]) -> bool:
    kind = headers.get("content-type", "").partition(";")[0]
    is_form = scope["method"] == "POST" and kind == "application/x-www-form-urlencoded"
    # Programs that send their token beside what they ask may call anything a form, as curl does.
    return bool(is_form and "authorization" not in headers)


async def _sent_token(receive: Receive) -> str:
    """Return the token in a form's body; empty if there is none, or the body is no form."""
    body, is_more = b"", True
    try:
        async with asyncio.timeout(_LOGIN_S):
            while is_more and len(body) <= _LOGIN_BYTES:
                message = await receive()
                body += message.get("body", b"")
                is_more = message.get("more_body", False)
    except TimeoutError:
        return ""
    if len(body) > _LOGIN_BYTES:
        return ""
    return parse_qs(body.decode("latin-1")).get("token", [""])[0]


def _wants_page(scope: Scope, headers: Mapping[str, str]) -> bool:
    return scope["type"] == "http" and "text/html" in headers.get("accept", "")


async def _answer_login(message: str, send: Send) -> None:
    body = _LOGIN.format(message=message or "This server needs its token.").encode()
    headers = {
        b"content-type": b"text/html; charset=utf-8",
        b"content-length": str(len(body)).encode(),
        b"www-authenticate": b"Bearer",
        b"content-security-policy": _LOGIN_POLICY.encode(),
        # Without a referrer browsers say that a form comes from no origin.
        b"referrer-policy": b"same-origin",
    }
    send = _with_headers(send)
    await send({"type": "http.response.start", "status": 401, "headers": [*headers.items()]})
    await send({"type": "http.response.body", "body": body})


def _host_name(host: str) -> str | None:
    """Return the name in a ``Host`` header, None where there is none; raise ``ValueError``."""
    if not host.isprintable() or set(host) & {*"@/?#\\"}:
        return None
    return urlsplit(f"//{host}").hostname


def _itself(path: str) -> bytes:
    """Return an address of the same page without its query: relative, so it leads nowhere else."""
    return f"./{quote(path.rpartition('/')[2])}".encode()


def _cookie_name(scope: Scope) -> str:
    # Cookies know no ports: two servers on a machine would take one another's.
    return f"saiseld_{(scope.get('server') or ('', 0))[1]}"


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


async def _answer(
    status: int, message: str, headers: Mapping[bytes, bytes], scope: Scope, send: Send
) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": message[:100]})
        return
    body = problem(message) if message else b""
    ours = {b"content-type": b"application/json", b"content-length": str(len(body)).encode()}
    start = {"type": "http.response.start", "status": status}
    await send(start | {"headers": [*ours.items(), *headers.items()]})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {key.lower() for key, _ in message.get("headers", ())}
            more = [(key, value) for key, value in _HEADERS.items() if key not in present]
            message["headers"] = [*message.get("headers", ()), *more]
        await send(message)

    return send_with_headers


class Server:
    """A running server.

    Parameters
    ----------
    url
        Where it is, with the token that a browser needs.
    """

    def __init__(self, url: str, running: uvicorn.Server) -> None:
        self.url, self._running = url, running

    def drop(self, client: tuple[str, int] | None = None) -> None:
        """Cut the connections of a client that takes nothing, or all; on any thread."""
        for connection in list(self._running.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None and (
                client is None or getattr(connection, "client", None) == client
            ):
                connection.loop.call_soon_threadsafe(transport.abort)


@contextmanager
def serving(
    application: Application, host: str, port: int, token: str | None, root_path: str = ""
) -> Iterator[Server]:
    """Serve an application behind `AuthMiddleware` on a thread of its own during the block.

    Parameters
    ----------
    application
        An ASGI application.
    host, port
        Where to listen; port 0 takes a free one.
    token
        See `token_for`.
    root_path
        Path under which a proxy has it; see `checked_root_path`.

    Raises
    ------
    DeviceError
        If the place cannot be had.
    """
    import uvicorn

    root_path = checked_root_path(root_path)

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host.strip("[]"), port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise DeviceError(
            f"{host}:{port}",
            expected="a place to listen at",
            found=message_of(error),
            advice="Take another --port, or end what has it",
        ) from error
    running = uvicorn.Server(
        uvicorn.Config(
            AuthMiddleware(application, token, root_path),
            http="h11",
            ws="websockets-sansio",
            ws_max_size=1 << 16,
            ws_per_message_deflate=False,  # heat and pictures are small or packed already
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=running.run, args=([listening],), daemon=True, name="server")
    thread.start()
    try:
        _wait_for(running, thread)
        address = f"[{host.strip('[]')}]" if ":" in host else host
        query = f"?token={token}" if token else ""
        port = listening.getsockname()[1]
        yield Server(f"http://{address}:{port}{root_path}/{query}", running)
    finally:
        with _silenced("uvicorn.error", "asyncio"):
            running.should_exit = True
            thread.join(_START_S)
        listening.close()


@contextmanager
def _silenced(*loggers: str) -> Iterator[None]:
    """Log nothing: what the end of a server cuts off is no error."""
    silent = [logging.getLogger(name) for name in loggers]
    for logger in silent:
        logger.disabled = True
    try:
        yield
    finally:
        for logger in silent:
            logger.disabled = False


def _wait_for(running: uvicorn.Server, thread: threading.Thread) -> None:
    waited = threading.Event()
    for _ in range(int(_START_S / 0.02)):
        if running.started:
            return
        if not thread.is_alive():
            break
        waited.wait(0.02)
    raise WorkError("the server did not start")
