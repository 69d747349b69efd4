"""Someone who asks a server."""

from __future__ import annotations

import http.client
import io
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import soundfile
from tests.waiting import PATIENCE_S, wait_until


@dataclass
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Client:
    """Asks one server, with a connection for each question."""

    def __init__(self, url: str, timeout: float = PATIENCE_S) -> None:
        self.port, self.timeout = urlsplit(url).port, timeout

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Ask, with JSON where the body is no bytes."""
        if body is not None and not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        return self._asked(method, path, body, headers)

    def ask_in_pieces(self, method: str, path: str, pieces: Iterable[bytes]) -> Answer:
        """Ask with a body of unknown length (``Transfer-Encoding: chunked``)."""
        return self._asked(method, path, iter(pieces), {"Transfer-Encoding": "chunked"})

    def _asked(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            in_pieces = "Transfer-Encoding" in headers
            connection.request(method, path, body, headers, encode_chunked=in_pieces)
            answer = connection.getresponse()
            found = {key.lower(): value for key, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def open(self, name: str = "sleep 0") -> str:
        """Open a job; return its id."""
        answer = self.ask("POST", "/jobs", {"name": name})
        assert answer.status == 201, answer
        return str(answer.json["id"])

    def begin(self, name: str = "sleep 0", recording: bytes | None = None) -> str:
        """Open a job, upload a recording and start it; return its id."""
        job = self.open(name)
        assert self.ask("PUT", f"/jobs/{job}/recording", recording or wav()).status == 200
        assert self.ask("POST", f"/jobs/{job}/start").status == 202
        return job

    def uploading(self, job: str, size: int, sent: bytes = b"") -> socket.socket:
        """Return a connection on which the upload of a recording has begun."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=self.timeout)
        head = f"PUT /jobs/{job}/recording HTTP/1.1\r\nHost: localhost\r\n"
        connection.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode() + sent)
        return connection

    def job(self, job: str) -> dict[str, Any]:
        """Return a job as it is now."""
        found: dict[str, Any] = self.ask("GET", f"/jobs/{job}").json
        return found

    def running(self, job: str) -> None:
        """Wait until a job is being worked on."""
        wait_until(lambda: self.job(job)["state"] == "running")

    def ended(self, job: str) -> dict[str, Any]:
        """Return a job as it is when it has ended."""
        wait_until(lambda: self.job(job)["state"] in ("done", "failed"))
        return self.job(job)


def wav(seconds: float = 0.5, channels: int = 4) -> bytes:
    """Return a recording of noise."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((int(24000 * seconds), channels))
    file = io.BytesIO()
    soundfile.write(file, noise, 24000, format="WAV")
    return file.getvalue()
