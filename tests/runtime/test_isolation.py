"""What a child process may take, and what its parent is told."""

import sys
from pathlib import Path

import pytest

from saiseld.runtime.errors import AudioError
from saiseld.runtime.isolation import LimitExceededError, ProcessLimits, call_isolated

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits are kept on Linux only")

# Processor time ends a child that turns for ever: on a busy machine the clock would be first.
LIMITS = ProcessLimits(memory_bytes=128 << 20, cpu_s=1, wall_s=300, niceness=0)


def refuse(path):
    raise AudioError(path, place="channels", expected="4", found="2", advice="Give 4")


def fill(megabytes):
    return len(bytearray(megabytes << 20))


def turn_for_ever():
    while True:
        pass


def crash():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)


def write(path):
    Path(path).write_bytes(b"x")


def fails_to_reach(port):
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return True
    return False


def answer_a_type_that_is_none_of_json():
    return 1j


def test_a_result_comes_back():
    assert call_isolated(fill, 1, limits=LIMITS) == 1 << 20


def test_an_error_keeps_its_fields():
    with pytest.raises(AudioError) as caught:
        call_isolated(refuse, "a.wav", limits=LIMITS)
    error = caught.value
    assert (error.source, error.place, error.expected) == ("a.wav", "channels", "4")
    assert (error.found, error.advice) == ("2", "Give 4")


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (fill, (400,), "128 MiB"),
        (turn_for_ever, (), "processor time"),
        (crash, (), "SIGSEGV"),
        (answer_a_type_that_is_none_of_json, (), ""),
    ],
)
def test_what_takes_too_much_or_crashes_is_one_error(function, arguments, named):
    with pytest.raises(LimitExceededError) as caught:
        call_isolated(function, *arguments, limits=LIMITS)
    assert named in str(caught.value) and "\n" not in str(caught.value)


def test_a_child_writes_no_file(tmp_path):
    with pytest.raises(LimitExceededError):
        call_isolated(write, str(tmp_path / "x"), limits=LIMITS)
    assert not (tmp_path / "x").exists() or not (tmp_path / "x").stat().st_size


def test_a_child_has_no_network_where_the_system_lets_it():
    import socket

    from saiseld.runtime.isolation import without_network

    if not call_isolated(without_network, limits=LIMITS):
        pytest.skip("this system keeps the network of a process without privileges")
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert call_isolated(fails_to_reach, server.getsockname()[1], limits=LIMITS)
