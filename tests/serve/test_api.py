"""The HTTP API: what goes well, and a clear answer to everything that does not."""

import shutil
import socket
import sys
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
from tests.errors import raises
from tests.memory import allocations
from tests.serve.asking import Client, wav
from tests.serve.fake import work
from tests.waiting import PATIENCE_S, wait_until

from saiseld.arrays.description import read_array
from saiseld.runtime.errors import OutputError
from saiseld.serve import uploads
from saiseld.serve.api import serve
from saiseld.serve.jobs import Jobs, Limits, named

NONE = "0" * 32
LIMITS = Limits(
    upload_bytes=300_000, jobs=40, idle_s=PATIENCE_S, memory_bytes=1 << 30, free_bytes=1
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    with serve(folder, port=0, limits=LIMITS, do=work) as server:
        server.folder = folder
        yield server


@pytest.fixture
def client(server):
    client = Client(server.url)
    yield client
    for job in client.ask("GET", "/jobs").json:
        client.ask("DELETE", f"/jobs/{job['id']}")


def files_of(server, job):
    return list((server.folder / "jobs" / job).iterdir())


def message(answer):
    return answer.json["error"]["message"]


def test_a_recording_goes_in_and_its_results_come_out(client):
    job = client.open("sleep 0")
    assert client.ask("GET", f"/jobs/{job}").json["state"] == "open"
    uploaded = client.ask("PUT", f"/jobs/{job}/recording", wav())
    assert uploaded.status == 200 and uploaded.json["uploaded"] == ["recording"]
    assert client.ask("POST", f"/jobs/{job}/start").status == 202
    done = client.ended(job)
    assert done["state"] == "done" and done["share"] == 1 and done["error"] is None
    assert done["files"] == ["index.html", "recording.events.csv"]
    assert done["warnings"] == ["recording: hums at 50 Hz"]
    page = client.ask("GET", f"/jobs/{job}/results/index.html")
    assert page.status == 200 and b"done" in page.body
    assert "'unsafe-inline'" in page.headers["content-security-policy"]
    part = client.ask("GET", f"/jobs/{job}/results/recording.events.csv", Range="bytes=0-4")
    assert part.status == 206 and part.body == b"event"
    (event,) = client.ask("GET", f"/jobs/{job}/events").json
    assert event["class_name"] == "Bell" and event["azimuth"] == 12.3
    assert client.ask("DELETE", f"/jobs/{job}").status == 204
    assert client.ask("GET", f"/jobs/{job}").status == 404


def test_jobs_are_done_one_after_the_other_in_their_order(client):
    jobs = [client.begin(f"sleep {seconds}") for seconds in (0.6, 0.1, 0.1)]
    ended = [client.ended(job)["ended"] for job in jobs]
    assert ended == sorted(ended)


def test_progress_is_told(client, server):
    job = client.begin("shares 2")
    for step in (1, 2):
        wait_until(lambda step=step: client.job(job)["share"] == step / 10)
        time.sleep(0.6 if step == 1 else 0)  # it is told no more often than twice a second
        (server.folder / f"go{step}").touch()
    assert client.ended(job)["state"] == "done"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "recording"),
        (b"this is no audio", "WAV or FLAC"),
        (wav()[:5000], "cut off"),
        (wav(channels=2), "4 (the tetrahedron)"),
        (wav(0.01), "at least one frame"),
    ],
)
def test_what_is_no_recording_is_refused_as_the_command_line_does(client, server, body, expected):
    job = client.open()
    answer = client.ask("PUT", f"/jobs/{job}/recording", body)
    assert answer.status == 422 and expected in message(answer)
    assert str(server.folder) not in message(answer)
    assert client.ask("GET", f"/jobs/{job}").json["uploaded"] == []
    assert client.ask("POST", f"/jobs/{job}/start").status == 409


def test_an_upload_is_held_against_the_array_that_recorded(tmp_path):
    with serve(
        tmp_path, port=0, limits=LIMITS, array=read_array("respeaker-core-6"), do=work
    ) as server:
        client = Client(server.url)
        for job, number in (
            (client.open(), 6),
            (client.ask("POST", "/jobs", {"array": "uma-8"}).json["id"], 7),
        ):
            answer = client.ask("PUT", f"/jobs/{job}/recording", wav(channels=2))
            assert answer.status == 422
            assert answer.json["error"]["expected"].startswith(f"{number},")
        job = client.open()
        assert client.ask("PUT", f"/jobs/{job}/recording", wav(channels=6)).status == 200


def test_what_is_no_video_is_refused(client):
    job = client.open()
    answer = client.ask("PUT", f"/jobs/{job}/video", wav())
    assert answer.status == 422 and "MP4" in message(answer)


@pytest.mark.parametrize(
    "name", ["fail", "break", pytest.param("die", marks=pytest.mark.slow), "fill 2000"]
)
def test_a_job_that_cannot_be_done_is_failed_with_its_reason(client, server, name):
    found = client.ended(client.begin(name))
    assert found["state"] == "failed" and found["files"] == []
    told = found["error"]["message"]
    expected = {
        "fail": "recording: expected sound, found silence",
        "break": "this is a mistake of the server's, not yours (ZeroDivisionError)",
        "die": "its process ended before it was done (SIGKILL)",
        "fill 2000": "it needs more memory than this server gives a job",
    }
    assert told == expected[name]
    assert client.ended(client.begin())["state"] == "done"  # the next one is not harmed


@pytest.mark.slow
def test_a_job_that_takes_too_long_is_stopped(tmp_path):
    limits = LIMITS.model_copy(update={"job_s": 1.0})
    with serve(tmp_path, port=0, limits=limits, do=work) as server:
        client = Client(server.url)
        first, second = client.begin("sleep 3600"), client.begin("sleep 3600")
        for job in (first, second):  # the worker goes on with the next
            assert client.ended(job)["error"]["message"] == "it took longer than 1 s"


@pytest.mark.skipif(sys.platform == "win32", reason="limits are kept on Unix only")
def test_a_job_has_limits_that_the_system_keeps(tmp_path):
    limits = LIMITS.model_copy(update={"cpu_s": 1.0, "result_bytes": 1 << 20})
    with serve(tmp_path, port=0, limits=limits, do=work) as server:
        client = Client(server.url)
        jobs = [client.begin(name) for name in ("large 2", "files 400", "large 1", "spin")]
        ends = [client.ended(job) for job in jobs]
    told = [end["error"] and end["error"]["message"] for end in ends]
    assert "results/recording.json" in told[0] and "(OSError)" in told[1]
    assert told[2] is None and ends[2]["state"] == "done"
    assert told[3] == "it took more processor time than a job may"


def test_health_is_told_while_the_table_makes_everybody_wait(tmp_path, monkeypatch):
    with serve(tmp_path, port=0, limits=LIMITS, do=work) as server:
        client, go = Client(server.url), threading.Event()
        usual = Jobs.waiting

        def slow(jobs):
            go.wait(PATIENCE_S)
            return usual(jobs)

        monkeypatch.setattr(Jobs, "waiting", slow)
        try:
            assert [client.ask("GET", "/health").json["waiting"] for _ in range(3)] == [0, 0, 0]
        finally:
            go.set()


def test_uploads_in_pieces_leave_the_reserve_free(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "STEP_BYTES", 1 << 12)
    with serve(tmp_path, port=0, limits=LIMITS, do=work) as server:
        client = Client(server.url)
        own = tmp_path / "jobs" / client.open()

        def usage(folder):  # of a disk that these uploads alone fill
            written = sum(path.stat().st_size for path in own.iterdir())
            return SimpleNamespace(free=100_000 + LIMITS.free_bytes - written)

        monkeypatch.setattr(shutil, "disk_usage", usage)
        path = f"/jobs/{own.name}/recording"
        assert client.ask_in_pieces("PUT", path, [bytes(10_000)] * 25).status == 507
        assert list(own.iterdir()) == []
        assert client.ask_in_pieces("PUT", path, [wav()]).status == 200


def test_a_running_job_can_be_deleted(client, server):
    job = client.begin("sleep 3600")
    client.running(job)
    assert client.ask("DELETE", f"/jobs/{job}").status == 204
    assert client.ask("GET", f"/jobs/{job}").status == 404
    following = client.ended(client.begin())
    assert following["state"] == "done"
    assert not (server.folder / "jobs" / job).exists()


def test_too_large_is_told_before_it_is_sent_and_while(client):
    job = client.open()
    answer = client.ask("PUT", f"/jobs/{job}/recording", bytes(LIMITS.upload_bytes + 1))
    assert answer.status == 413 and str(LIMITS.upload_bytes) in message(answer)
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        head = f"PUT /jobs/{job}/recording HTTP/1.1\r\nHost: localhost\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(40):
            connection.sendall(b"2710\r\n" + bytes(10_000) + b"\r\n")
        assert connection.recv(12) == b"HTTP/1.1 413"
    assert client.ask("GET", f"/jobs/{job}").json["uploaded"] == []


def test_an_upload_that_is_broken_off_leaves_nothing(client, server):
    job = client.open()
    with client.uploading(job, 100_000, bytes(5000)):
        wait_until(lambda: files_of(server, job))
    wait_until(lambda: not files_of(server, job))
    # A moment later the next may be sent.
    wait_until(lambda: client.ask("PUT", f"/jobs/{job}/recording", wav()).status == 200)


def test_files_of_a_job_are_uploaded_one_at_a_time(client, server):
    job = client.open()
    with client.uploading(job, 100_000, bytes(5000)):
        wait_until(lambda: files_of(server, job))
        assert client.ask("PUT", f"/jobs/{job}/video", b"x").status == 409


def test_an_upload_that_stands_still_is_cut_off(tmp_path):
    limits = LIMITS.model_copy(update={"idle_s": 0.5})
    with serve(tmp_path, port=0, limits=limits, do=work) as server:
        client = Client(server.url)
        with client.uploading(client.open(), 100_000, bytes(5000)) as connection:
            assert connection.recv(12) == b"HTTP/1.1 408"


def test_an_upload_in_trickles_does_not_go_on_for_ever(tmp_path):
    limits = LIMITS.model_copy(update={"upload_s": 1.0})
    with serve(tmp_path, port=0, limits=limits, do=work) as server:
        client = Client(server.url)
        job = client.open()
        with client.uploading(job, 100_000) as connection:
            connection.settimeout(0.2)
            answer = b""
            until = time.monotonic() + PATIENCE_S
            while not answer and time.monotonic() < until:
                connection.sendall(b"x")
                with suppress(TimeoutError):
                    answer = connection.recv(12)
            assert answer == b"HTTP/1.1 408"


def test_an_upload_that_the_end_of_the_server_cuts_off_is_no_error(tmp_path, caplog):
    with serve(tmp_path, port=0, limits=LIMITS, do=work) as server:
        client = Client(server.url)
        job = client.open()
        connection = client.uploading(job, 100_000, bytes(5000))
        wait_until(lambda: list((tmp_path / "jobs" / job).iterdir()))
    connection.close()
    assert not list((tmp_path / "jobs" / job).iterdir())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_client_that_never_reads_holds_no_memory_and_nobody_up(client):
    job = client.begin("large 60")
    client.ended(job)
    head = f"GET /jobs/{job}/results/recording.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    idle = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(5)]
    with allocations() as peak:
        for connection in idle:
            connection.sendall(head.encode())
        for connection in idle:
            assert connection.recv(1)  # it is being answered
        assert client.ended(client.begin())["state"] == "done"
        assert peak() < 50e6
    for connection in idle:
        connection.close()


def test_more_uploads_than_it_takes_are_told_to_come_again(tmp_path):
    limits = LIMITS.model_copy(update={"uploads": 1})
    with serve(tmp_path, port=0, limits=limits, do=work) as server:
        client = Client(server.url)
        first, second = client.open(), client.open()
        with client.uploading(first, 100_000, bytes(5000)):
            wait_until(lambda: list((tmp_path / "jobs" / first).iterdir()))
            answer = client.ask("PUT", f"/jobs/{second}/recording", wav())
            assert answer.status == 503 and "retry-after" in answer.headers
        wait_until(lambda: client.ask("PUT", f"/jobs/{second}/recording", wav()).status == 200)


def test_no_room_on_the_disk_is_told(tmp_path):
    limits = LIMITS.model_copy(update={"free_bytes": 1 << 60})
    with serve(tmp_path, port=0, limits=limits, do=work) as server:
        client = Client(server.url)
        assert client.ask("PUT", f"/jobs/{client.open()}/recording", wav()).status == 507


def test_more_jobs_than_it_keeps_are_told(tmp_path):
    limits = LIMITS.model_copy(update={"jobs": 2})
    with serve(tmp_path, port=0, limits=limits, do=work) as server:
        client = Client(server.url)
        first, _ = client.open(), client.open()
        answer = client.ask("POST", "/jobs", {})
        assert answer.status == 429 and "delete some" in message(answer)
        client.ask("DELETE", f"/jobs/{first}")
        assert client.ask("POST", "/jobs", {}).status == 201


def test_a_job_that_is_deleted_while_a_file_is_uploaded_is_gone(client, server):
    job = client.open()
    with client.uploading(job, 100_000, bytes(5000)) as connection:
        time.sleep(0.3)
        assert client.ask("DELETE", f"/jobs/{job}").status == 204
        connection.sendall(bytes(95_000))
        assert connection.recv(12) == b"HTTP/1.1 404"
    assert client.ask("GET", f"/jobs/{job}").status == 404
    assert not (server.folder / "jobs" / job).exists()


def test_open_jobs_that_are_left_alone_go(tmp_path):
    limits = LIMITS.model_copy(update={"open_s": 0.5})
    with serve(tmp_path, port=0, limits=limits, do=work) as server:
        client = Client(server.url)
        job = client.open()
        wait_until(lambda: client.ask("GET", f"/jobs/{job}").status == 404)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"/jobs/{NONE}", None, 404),
        ("DELETE", f"/jobs/{NONE}", None, 404),
        ("PUT", f"/jobs/{NONE}/recording", b"x", 404),
        ("POST", f"/jobs/{NONE}/start", None, 404),
        ("GET", "/jobs/..%2f..%2fetc", None, 404),
        ("GET", "/jobs/nonsense", None, 422),
        ("PUT", f"/jobs/{NONE}/other", b"x", 404),
        ("POST", "/jobs", b"no json", 422),
        ("POST", "/jobs", {"threshold": 2}, 422),
        ("POST", "/jobs", {"threshold": float("nan")}, 422),
        ("POST", "/jobs", {"unknown": 1}, 422),
        ("POST", "/jobs", {"overlay": 0}, 422),
        ("POST", "/jobs", {"name": ""}, 422),
        ("POST", "/jobs", {"name": "x" * 20_000}, 413),
        ("GET", "/nothing", None, 404),
        ("PATCH", "/jobs", None, 405),
    ],
)
def test_every_refusal_is_json_of_one_form(client, method, path, body, status):
    answer = client.ask(method, path, body)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json" and message(answer)


def test_a_wrong_method_is_told_the_right_ones(client):
    assert client.ask("PATCH", "/jobs").headers["allow"] == "GET, POST"
    assert client.ask("PUT", f"/jobs/{NONE}").headers["allow"] == "DELETE, GET"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\x00b", "..", "\u202ex\n"])
def test_names_of_users_are_shown_and_never_paths(client, server, name):
    job = client.open(name)
    assert set(job) <= set("0123456789abcdef") and (server.folder / "jobs" / job).is_dir()
    shown = client.ask("GET", f"/jobs/{job}").json["name"]
    assert shown.isprintable()


@pytest.mark.parametrize("file", ["..%2f..%2frecording", "%2e%2e/recording", "x", "recording"])
def test_results_are_only_what_the_job_wrote(client, file):
    job = client.begin()
    client.ended(job)
    assert client.ask("GET", f"/jobs/{job}/results/{file}").status == 404


def test_results_of_a_job_that_is_not_done_are_not_there(client):
    job = client.open()
    assert client.ask("GET", f"/jobs/{job}/results/index.html").status == 409
    assert client.ask("GET", f"/jobs/{job}/events").status == 409


def test_a_started_job_takes_no_more(client):
    job = client.begin("sleep 3600")
    assert client.ask("POST", f"/jobs/{job}/start").status == 409
    assert client.ask("PUT", f"/jobs/{job}/recording", wav()).status == 409


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("meeting.wav", "meeting.overlay.mp4"),
        ("../etc/x", "_etc_x.overlay.mp4"),
        ("...", "recording.overlay.mp4"),
        ("Sitzung: ä", "Sitzung_ ä.overlay.mp4"),
    ],
)
def test_results_are_saved_under_the_title(title, name):
    assert named("recording.overlay.mp4", title) == name
    assert named("index.html", title) == "index.html"


def test_a_server_under_a_path_answers_as_at_the_root(tmp_path):
    with serve(tmp_path, port=0, do=work, root_path="/imaging") as server:
        client = Client(server.url)
        for prefix in ("", "/imaging"):
            assert client.ask("GET", f"{prefix}/health").json["upload_bytes"] > 0
            assert b"page/main.js" in client.ask("GET", f"{prefix}/").body
            assert client.ask("GET", f"{prefix}/page/main.js").status == 200
            assert client.ask("PATCH", f"{prefix}/jobs").headers["allow"] == "GET, POST"
        described = client.ask("GET", "/imaging/openapi.json").json
        assert described["servers"] == [{"url": "/imaging"}]


def test_other_machines_need_the_token(tmp_path, monkeypatch):
    def listen_on_loopback(place, listen=socket.create_server, **options):
        assert place[0] == "0.0.0.0"
        return listen(("127.0.0.1", place[1]), **options)

    monkeypatch.setattr(socket, "create_server", listen_on_loopback)
    with serve(tmp_path, host="0.0.0.0", port=0, limits=LIMITS, do=work) as server:
        token = server.url.partition("token=")[2]
        client = Client(server.url)
        assert len(token) >= 32
        assert client.ask("GET", "/jobs").status == 401
        assert client.ask("POST", "/jobs", {}).status == 401
        assert client.ask("GET", "/jobs", Authorization=f"Bearer {token}").status == 200


def test_pages_of_others_may_not_ask(client):
    answer = client.ask("OPTIONS", "/jobs", Origin="http://evil.example")
    assert answer.status == 403 and "access-control-allow-origin" not in answer.headers
    assert client.ask("GET", "/jobs", Host="evil.example").status == 421


def test_the_page_is_there_and_two_servers_do_not_share_a_folder(client, server):
    page = client.ask("GET", "/")
    assert page.status == 200 and b"page/main.js" in page.body
    assert client.ask("GET", "/page/main.js").status == 200
    with raises(OutputError, expected="no other run"), serve(server.folder, port=0):
        pass


def test_it_describes_itself(client):
    described = client.ask("GET", "/openapi.json").json
    assert set(described["paths"]) == {
        "/health",
        "/jobs",
        "/jobs/{job}",
        "/jobs/{job}/recording",
        "/jobs/{job}/video",
        "/jobs/{job}/start",
        "/jobs/{job}/events",
        "/jobs/{job}/results/{file}",
    }
