import threading
import time

import pytest

from saiseld.runtime.threads import in_threads, threads_here


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order(threads: int) -> None:
    def slow_first(number: int) -> tuple[int, str]:
        time.sleep(0.01 if number % 3 == 0 else 0)
        return number, threading.current_thread().name

    found = list(in_threads(slow_first, range(40), threads))
    assert [number for number, _ in found] == list(range(40))
    own = threading.current_thread().name
    assert {name == own for _, name in found} == {threads == 1}


def test_items_are_read_no_further_ahead_than_they_are_taken() -> None:
    read = []

    def items():
        for number in range(1000):
            read.append(number)
            yield number

    results = in_threads(str, items(), 2)
    assert next(results) == "0"
    assert len(read) < 30
    results.close()
    assert len(read) < 30


def test_an_error_is_that_of_the_item() -> None:
    def fails(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number

    results = in_threads(fails, range(100), 2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)


def test_threads_are_those_asked_for_or_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_here() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 5}, raising=False)
    assert threads_here() == 2
