"""The HTTP API: upload a recording, follow its job, fetch what came of it.

Described by itself at ``/openapi.json``, and in docs/howto/serve.md.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from saiseld.arrays.description import MicrophoneArray
from saiseld.formats.sound_events import SoundEvent, read_sound_events
from saiseld.pipeline.results import Results
from saiseld.runtime.errors import OutputError, SaiseldError
from saiseld.runtime.files import atomic_path, only_run, remove_leftovers
from saiseld.runtime.version import __version__
from saiseld.runtime.web import Server, saved_token, serving, token_for
from saiseld.serve.jobs import (
    RECORDING,
    VIDEO,
    ErrorDetail,
    Full,
    Job,
    JobRequest,
    Jobs,
    Limits,
    Part,
    named,
    result_names,
)
from saiseld.serve.uploads import DiskSpace, check_upload
from saiseld.serve.worker import Do, error_detail, image_job, working

PORT = 8361
ASSETS = Path(__file__).parent / "assets"
_REQUEST_BYTES = 1 << 14
_HEALTH_S = 0.05
_log = logging.getLogger(__name__)
_PAGE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; media-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""For a job's page, which is one file and works without a server too."""


class Problem(BaseModel):
    """What every refusal says."""

    error: ErrorDetail


class Health(BaseModel):
    """How the server is."""

    version: str
    waiting: int
    """Jobs that are queued or running, as it was last known where the server is very busy."""
    upload_bytes: int
    """The most that an uploaded file may hold."""


class _State:
    """What the routes share."""

    def __init__(self, jobs: Jobs, limits: Limits, array: MicrophoneArray | None) -> None:
        self.jobs, self.limits, self.array = jobs, limits, array
        self.uploading: set[str] = set()
        self.deleted: set[str] = set()
        self.uploads = anyio.CapacityLimiter(limits.uploads)
        self.checks = anyio.CapacityLimiter(limits.checks)
        self.space = DiskSpace(jobs.folder, limits.free_bytes)
        self.queue = _Queue(jobs)


class _Queue:
    """How many jobs wait: asked of the table, but never waited for longer than a moment.

    Whoever watches the server must get an answer, however busy threads, table and disk are.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs, self._waiting = jobs, jobs.waiting()
        self._asking: asyncio.Task[None] | None = None
        self._limiter = anyio.CapacityLimiter(1)

    async def waiting(self) -> int:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        done, _ = await asyncio.wait({self._asking}, timeout=_HEALTH_S)
        for task in done:
            task.result()
        return self._waiting

    async def _ask(self) -> None:
        self._waiting = await anyio.to_thread.run_sync(self._jobs.waiting, limiter=self._limiter)


async def _state_of(request: Request) -> _State:
    shared: _State = request.app.state.shared
    return shared


Shared = Annotated[_State, Depends(_state_of)]
Id = Annotated[str, InPath(pattern="^[0-9a-f]{32}$", description="As `POST /jobs` said.")]


def _refused(*codes: int) -> dict[int | str, dict[str, Any]]:
    descriptions = {
        404: "No such job",
        408: "The upload stood still, or took too long",
        409: "Not in this state",
        413: "Larger than this server takes",
        422: "What was sent cannot be used",
        429: "As many jobs as this server keeps",
        503: "As many uploads as this server takes at a time",
        507: "No room on the server's disk",
    }
    return {code: {"model": Problem, "description": descriptions[code]} for code in codes}


_EVERYWHERE: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "Not HTTP as it should be"},
    401: {"model": Problem, "description": "Without the token of this server"},
    403: {"model": Problem, "description": "From a page of another origin"},
    421: {"model": Problem, "description": "By a name that is not this server's"},
    422: {"model": Problem, "description": "What was sent cannot be used"},
}
_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

routes = APIRouter(responses=_EVERYWHERE)


def _refuse(status: int, message: str, **headers: str) -> HTTPException:
    return HTTPException(status, message, headers or None)


def _found(shared: _State, job: str) -> Job:
    found = shared.jobs.get(job)
    if found is None:
        raise _refuse(404, "there is no such job")
    return found


@routes.get("/", include_in_schema=False)
def page() -> FileResponse:
    """Return the page for people."""
    return FileResponse(ASSETS / "index.html")


@routes.get("/health")
async def health(shared: Shared) -> Health:
    """Say that the server is there."""
    return Health(
        version=__version__,
        waiting=await shared.queue.waiting(),
        upload_bytes=shared.limits.upload_bytes,
    )


async def _read_request(shared: Shared, request: Request) -> JobRequest:
    """Read what is wanted, never more than that can be long."""
    body = b""
    try:
        async with asyncio.timeout(shared.limits.idle_s):
            async for piece in request.stream():
                body += piece
                if len(body) > _REQUEST_BYTES:
                    raise _refuse(413, f"expected at most {_REQUEST_BYTES} bytes")
        return JobRequest.model_validate_json(body)
    except TimeoutError:
        raise _refuse(408, "nothing more was sent", Connection="close") from None
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


_LINKS = {
    name: {"operationId": name, "parameters": {"job": "$response.body#/id"}}
    for name in ("one_job", "put_recording", "put_video", "start", "events", "delete")
}
_REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": JobRequest.model_json_schema()}},
    }
}


@routes.post(
    "/jobs",
    status_code=201,
    openapi_extra=_REQUEST_BODY,
    responses={201: {"links": _LINKS}, **_refused(408, 413, 429)},
)
async def create(shared: Shared, options: Annotated[JobRequest, Depends(_read_request)]) -> Job:
    """Open a job. Then put its recording, its video if there is one, and start it."""
    try:
        return await anyio.to_thread.run_sync(shared.jobs.create, options, shared.limits.jobs)
    except Full:
        most = shared.limits.jobs
        message = f"there are {most} jobs, the most that this server keeps; delete some"
        raise _refuse(429, message, **{"Retry-After": "60"}) from None


@routes.get("/jobs")
def every_job(shared: Shared) -> list[Job]:
    """Return all jobs, the youngest first."""
    return shared.jobs.all()


@routes.get("/jobs/{job}", responses=_refused(404))
def one_job(shared: Shared, job: Id) -> Job:
    """Return a job as it is now."""
    return _found(shared, job)


_UPLOAD_REFUSED = _refused(404, 408, 409, 413, 422, 503, 507)


@routes.put("/jobs/{job}/recording", openapi_extra=_UPLOAD, responses=_UPLOAD_REFUSED)
async def put_recording(shared: Shared, request: Request, job: Id) -> Job:
    """Put the recording of an open job: WAV, FLAC, ...; the channels of its array or format.

    The body is the file itself; it is looked at when it is whole.
    """
    return await _upload(shared, request, job, RECORDING)


@routes.put("/jobs/{job}/video", openapi_extra=_UPLOAD, responses=_UPLOAD_REFUSED)
async def put_video(shared: Shared, request: Request, job: Id) -> Job:
    """Put the video of an open job, a 360 degree panorama: MP4, ...

    The body is the file itself; it is looked at when it is whole.
    """
    return await _upload(shared, request, job, VIDEO)


async def _upload(shared: _State, request: Request, job: str, part: Part) -> Job:
    found = await anyio.to_thread.run_sync(_found, shared, job)
    if found.state != "open":
        raise _refuse(409, "expected an open job, found one that was started")
    if job in shared.uploading:
        raise _refuse(409, "another file of this job is being uploaded")
    if shared.uploads.available_tokens < 1 or len(shared.uploading) >= shared.limits.uploads:
        raise _refuse(503, "too many uploads at a time", **{"Retry-After": "5"})
    shared.uploading.add(job)
    folder = shared.jobs.folder_of(job)
    try:
        await anyio.to_thread.run_sync(shared.jobs.touch, job)
        await _store(shared, request, job, folder / part)
        await _look_at(shared, job, part)
        await anyio.to_thread.run_sync(shared.jobs.touch, job)
        return await anyio.to_thread.run_sync(_found, shared, job)
    except SaiseldError as error:
        if await anyio.to_thread.run_sync(shared.jobs.get, job) is None:
            raise _refuse(404, "the job was deleted meanwhile") from None
        status = 507 if isinstance(error, OutputError) else 422
        raise _Unusable(error_detail(error, folder), status) from None
    finally:
        shared.uploading.discard(job)
        if job in shared.deleted:  # its folder may have been made again by what was written
            shared.deleted.discard(job)
            shutil.rmtree(folder, ignore_errors=True)


async def _look_at(shared: _State, job: str, part: Part) -> None:
    """Open an uploaded file in a child process; remove it where it cannot be used."""
    path = shared.jobs.folder_of(job) / part
    try:
        request = await anyio.to_thread.run_sync(shared.jobs.request, job)
        layout = (request or JobRequest()).layout(shared.array)
        await anyio.to_thread.run_sync(
            check_upload, path, part, shared.limits, layout, limiter=shared.checks
        )
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@routes.post("/jobs/{job}/start", status_code=202, responses=_refused(404, 409))
async def start(shared: Shared, job: Id) -> Job:
    """Let an open job be worked on as soon as those before it are done."""
    found = _found(shared, job)
    if "recording" not in found.uploaded or job in shared.uploading:
        raise _refuse(409, "expected a job whose recording is uploaded")
    if not shared.jobs.queue(job):
        raise _refuse(409, "expected an open job, found one that was started")
    return _found(shared, job)


@routes.get("/jobs/{job}/events", responses=_refused(404, 409))
def events(shared: Shared, job: Id) -> list[SoundEvent]:
    """Return what sounded from when to when, and where."""
    results = Results(_done(shared, job), RECORDING)
    return read_sound_events(results.events)


@routes.get(
    "/jobs/{job}/results/{file}",
    response_class=Response,
    responses={200: {"content": {"*/*": {}}}, **_refused(404, 409)},
)
def result(shared: Shared, job: Id, file: str) -> FileResponse:
    """Return one of a done job's files; `index.html` is a page of all."""
    folder = _done(shared, job)
    if file not in result_names(folder):  # whatever is asked for, only names of ours are paths
        raise _refuse(404, "there is no such result")
    if file.endswith(".html"):
        return FileResponse(folder / file, headers={"content-security-policy": _PAGE_POLICY})
    name = named(file, _found(shared, job).name)
    return FileResponse(folder / file, filename=name, content_disposition_type="inline")


@routes.delete("/jobs/{job}", status_code=204, responses=_refused(404))
def delete(shared: Shared, job: Id) -> None:
    """Delete a job with all its files; one that runs is stopped."""
    if job in shared.uploading:
        shared.deleted.add(job)
    if not shared.jobs.delete(job):
        shared.deleted.discard(job)
        raise _refuse(404, "there is no such job")


def _done(shared: _State, job: str) -> Path:
    found = _found(shared, job)
    if found.state != "done":
        raise _refuse(409, f"expected a job that is done, found one that is {found.state}")
    return shared.jobs.results_of(job)


async def _store(shared: _State, request: Request, job: str, target: Path) -> None:
    """Write the body of a request to a file, whole or not at all, and never hold it in memory."""
    most = shared.limits.upload_bytes
    declared = request.headers.get("content-length", "")
    size = int(declared[:20]) if declared.isascii() and declared.isdecimal() else 0
    if size > most:
        raise _refuse(413, f"expected at most {most} bytes, found {size}")
    body = request.stream()
    end = time.monotonic() + shared.limits.upload_s

    async def following() -> bytes:
        try:
            async with asyncio.timeout(min(shared.limits.idle_s, end - time.monotonic())):
                return await anext(body, b"")
        except TimeoutError:
            raise _refuse(408, "it took too long to send", Connection="close") from None

    def write() -> None:
        written = 0
        with (
            shared.space.reserved(size) as room,
            atomic_path(target) as temporary,
            temporary.open("wb") as file,
        ):
            while piece := anyio.from_thread.run(following):
                written += len(piece)
                if written > most:
                    raise _refuse(413, f"expected at most {most} bytes")
                if job in shared.deleted:
                    raise _refuse(404, "the job was deleted meanwhile", Connection="close")
                room.write(len(piece))
                file.write(piece)

    await anyio.to_thread.run_sync(write, limiter=shared.uploads)


class _Unusable(Exception):
    """What was uploaded cannot be used."""

    def __init__(self, detail: ErrorDetail, status: int) -> None:
        self.detail, self.status = detail, status


def _answer(detail: ErrorDetail, status: int, headers: Any = None) -> JSONResponse:
    content = Problem(error=detail).model_dump(exclude_none=True)
    return JSONResponse(content, status, headers=headers)


async def _on_http(request: Request, error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    if error.status_code == 405:  # the router names the methods of the first route alone
        path = request.url.path.removeprefix(request.scope.get("root_path", ""))
        matching = [
            r for r in routes.routes if isinstance(r, APIRoute) and r.path_regex.match(path)
        ]
        headers["Allow"] = ", ".join(
            sorted({method for r in matching for method in r.methods or ()})
        )
    return _answer(ErrorDetail(message=str(error.detail)), error.status_code, headers)


async def _on_unusable(request: Request, error: _Unusable) -> Response:
    return _answer(error.detail, error.status)


async def _on_invalid(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return _answer(ErrorDetail(message=f"{place}: {first['msg']}", place=place), 422)


async def _on_gone(request: Request, error: ClientDisconnect) -> Response:
    return _answer(ErrorDetail(message="the upload was broken off"), 400)


async def _on_error(request: Request, error: SaiseldError) -> Response:
    """Answer where a file of the server's own cannot be used; only its log says which."""
    _log.error("%s %s: %s", request.method, request.url.path, error)
    return _answer(ErrorDetail(message="a file of the server's own cannot be used"), 500)


async def _on_mistake(request: Request, error: Exception) -> Response:
    return _answer(ErrorDetail(message="this is a mistake of the server's, not yours"), 500)


def application(jobs: Jobs, limits: Limits, array: MicrophoneArray | None = None) -> FastAPI:
    """Return the API over some jobs; ``array`` is what recorded where a job says nothing."""
    app = FastAPI(
        title="saiseld",
        version=__version__,
        summary="Who sounds where, in recordings that are uploaded.",
        # The pages that FastAPI makes of its description are fetched from elsewhere.
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.shared = _State(jobs, limits, array)
    app.include_router(routes)
    handlers: dict[Any, Any] = {
        HTTPException: _on_http,
        _Unusable: _on_unusable,
        RequestValidationError: _on_invalid,
        ClientDisconnect: _on_gone,
        SaiseldError: _on_error,
        Exception: _on_mistake,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    app.mount("/page", StaticFiles(directory=ASSETS))
    return app


@contextmanager
def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    root_path: str = "",
    limits: Limits | None = None,
    array: MicrophoneArray | None = None,
    do: Do = image_job,
) -> Iterator[Server]:
    """Serve the API as long as the block lasts.

    Parameters
    ----------
    folder
        Where jobs and their files are kept; a server that starts in it goes on with them.
    host, port
        Where to listen; port 0 takes a free one.
    token
        What clients must know; where others than this machine may come and none is given, one
        that is made once and kept in the folder.
    root_path
        Path under which a proxy has the server, such as ``/imaging``.
    limits
        What the server takes on.
    array
        What recorded where a job says nothing; ``do`` knows it by itself.
    do
        What works on a job; it can be sent to another process.

    Raises
    ------
    OutputError
        If the folder cannot be written, or another server is in it.
    DeviceError
        If the place to listen at cannot be had.
    """
    limits = limits or Limits()
    with only_run(folder) as own:
        jobs = Jobs(own)
        secret = saved_token(own / "token", host) if token is None else token_for(host, token)
        remove_leftovers(own, deep=True)  # uploads that ended with a killed server
        with (
            working(jobs, limits, do),
            serving(application(jobs, limits, array), host, port, secret, root_path) as server,
        ):
            yield server
