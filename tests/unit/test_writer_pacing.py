"""How much goes out at a time, and how long a load waits for the engine."""

from __future__ import annotations

import threading
import time

import pytest

from prodsim.loaders.bulk import patience as waiting
from prodsim.loaders.bulk.bulk_answer import Verdict
from prodsim.loaders.bulk.pacing import KIB, MIB, BytesInFlight, RequestSize
from prodsim.loaders.bulk.patience import Patience, Tries, pause_s
from prodsim.plugin.errors import EngineError, EngineUnreachable

BUSY = Verdict("again", "rejected_execution_exception", "rejected", "busy")
AWAY = Verdict("again", "no_connection", "OpenSearch is not reachable (refused)", "away")
DISK = Verdict("again", "cluster_block_exception", "flood-stage watermark", "disk")


def test_requests_grow_while_answers_are_quick_and_shrink_when_not() -> None:
    size = RequestSize()
    start = size.bytes
    size.answered(start, 0.2)
    assert start < size.bytes <= start + 256 * KIB
    grown = size.bytes
    size.answered(grown, 5.0)
    assert size.bytes < grown
    for _ in range(100):
        size.answered(size.bytes, 0.1)
    assert size.bytes == 8 * MIB
    for _ in range(100):
        size.overloaded()
    assert size.bytes == 256 * KIB


def test_a_quick_answer_to_a_small_request_proves_nothing() -> None:
    size = RequestSize()
    start = size.bytes
    size.answered(10_000, 0.01)
    assert size.bytes == start


def test_no_request_is_as_large_as_one_that_was_refused_for_its_size() -> None:
    size = RequestSize()
    size.refused(200 * KIB)
    for _ in range(100):
        size.answered(size.bytes, 0.01)
    assert size.bytes == 100 * KIB


def test_bytes_in_flight_stay_below_their_bound_over_all_threads() -> None:
    in_flight = BytesInFlight(100)
    lock = threading.Lock()
    now = most = 0

    def send(size: int) -> None:
        nonlocal now, most
        for _ in range(30):
            with in_flight.room(size):
                with lock:
                    now += size
                    most = max(most, now)
                time.sleep(0.0005)
                with lock:
                    now -= size

    threads = [threading.Thread(target=send, args=(size,)) for size in (30, 45, 60, 10, 99)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert now == 0
    assert 60 < most <= 100


def test_a_request_above_the_bound_goes_alone_and_is_not_overtaken_for_ever() -> None:
    in_flight = BytesInFlight(100)
    stop, sent = threading.Event(), threading.Event()

    def small() -> None:
        while not stop.is_set():
            with in_flight.room(40):
                time.sleep(0.001)

    def large() -> None:
        with in_flight.room(500):
            sent.set()

    threads = [threading.Thread(target=target, daemon=True) for target in (small, small, small, large)]
    for thread in threads:
        thread.start()
    assert sent.wait(10)
    stop.set()
    for thread in threads:
        thread.join(10)


def test_who_waits_for_room_hears_that_the_writer_was_stopped() -> None:
    in_flight = BytesInFlight(10)

    def check() -> None:
        raise EngineError("stopped")

    with in_flight.room(10), pytest.raises(EngineError, match="stopped"), in_flight.room(1, check):
        pass
    with in_flight.room(10):
        pass


def test_pauses_have_full_jitter_and_a_longest() -> None:
    pauses = [pause_s(failures, BUSY) for failures in range(12) for _ in range(50)]
    assert min(pauses) < 0.05
    assert 5 < max(pauses) <= waiting.LONGEST_PAUSE_S
    assert max(pause_s(0, BUSY) for _ in range(50)) <= waiting.FIRST_PAUSE_S
    assert min(pause_s(0, DISK) for _ in range(50)) >= waiting.DISK_PAUSE_S[0]


def test_patience_ends_with_an_error_that_says_what_was_waited_for() -> None:
    for verdict, kind in ((AWAY, EngineUnreachable), (BUSY, EngineError)):
        tries = Tries(Patience("p-1", print, 0.2))
        began = time.monotonic()
        with pytest.raises(kind, match=f"writing to p-1: .*{verdict.message[:8]}.*Gave up after 0 s"):  # noqa: PT012  until it raises
            while time.monotonic() - began < 5:
                tries.failed(verdict, began)
        assert 0.15 < time.monotonic() - began < 2


def test_progress_gives_new_patience() -> None:
    tries = Tries(Patience("p-1", print, 0.15, pause=lambda seconds: None))
    for _ in range(8):
        tries.failed(BUSY, time.monotonic())
        time.sleep(0.05)
        tries.progressed()


def test_a_full_disk_gets_longer_patience() -> None:
    patience = Patience("p-1", print, 600)
    assert patience.limit_s(DISK) > 5 * patience.limit_s(BUSY)


def test_what_is_waited_for_is_said_once_and_so_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SAY_AFTER_S", 0.05)
    said: list[str] = []
    patience = Patience("p-1", said.append, 600)
    began = time.monotonic()
    patience.failed(AWAY, began)
    assert said == []
    time.sleep(0.06)
    for _ in range(20):
        patience.failed(AWAY, began)
    assert said == ["p-1: OpenSearch is not reachable (refused). Waiting for 0 s now, and for up to 10 min"]
    patience.progressed()
    patience.progressed()
    assert said[1:] == ["p-1: OpenSearch takes writes again, after 0 s"]
    assert 0.05 < patience.waited_s < 1


def test_a_full_disk_is_said_at_once_and_so_is_what_to_do() -> None:
    said: list[str] = []
    patience = Patience("p-1", said.append, 600)
    for _ in range(20):
        patience.failed(DISK, time.monotonic())
    assert len(said) == 1
    assert "disk is full: free space" in said[0]
    assert "for up to 60 min" in said[0]


def test_a_pause_that_was_given_may_end_the_wait() -> None:
    class Enough(Exception):
        pass

    def pause(seconds: float) -> None:
        raise Enough

    with pytest.raises(Enough):
        Tries(Patience("p-1", print, 600, pause)).failed(BUSY, time.monotonic())
