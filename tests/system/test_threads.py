"""Threads: none dies unseen."""

import threading

import pytest

from monitor.system.threads import ThreadGroup
from monitor.types import SourceError


def test_a_thread_that_fails_stops_all_and_is_named():
    stop = threading.Event()
    threads = ThreadGroup(stop)

    def fail():
        raise RuntimeError("broken")

    threads.start("waits", lambda: stop.wait(60) and None)
    threads.start("fails", fail)
    assert stop.wait(60)
    with pytest.raises(ExceptionGroup) as caught:
        threads.join(60)
    (error,) = caught.value.exceptions
    assert str(error) == "broken"
    assert error.__notes__ == ["in thread 'fails'"]


def test_what_a_person_can_put_right_comes_alone_unless_more_went_wrong():
    def fail(error):
        raise error

    threads = ThreadGroup(threading.Event())
    threads.start("listen", lambda: fail(SourceError("no such file")))
    with pytest.raises(SourceError, match="no such file"):
        threads.join(60)
    threads.start("analyse", lambda: fail(RuntimeError("broken")))
    with pytest.raises(ExceptionGroup) as caught:
        threads.join(60)
    assert len(caught.value.exceptions) == 2


def test_threads_that_end_well_say_nothing():
    threads = ThreadGroup(threading.Event())
    done = []
    threads.start("works", lambda: done.append(1))
    threads.join(60)
    assert done == [1]


def test_a_thread_that_does_not_end_is_named_after_the_deadline():
    release = threading.Event()
    threads = ThreadGroup(threading.Event())
    threads.start("stuck", lambda: release.wait(60) and None)
    with pytest.raises(ExceptionGroup) as caught:
        threads.join(0.05)
    release.set()
    assert str(caught.value.exceptions[0]) == "still running after 0.05 s: stuck"


def test_what_somebody_else_has_found_ends_all_threads():
    stop = threading.Event()
    threads = ThreadGroup(stop)
    threads.start("waits", lambda: stop.wait(60) and None)
    threads.fail(RuntimeError("it hangs"))
    with pytest.raises(ExceptionGroup) as caught:
        threads.join(60)
    assert [str(error) for error in caught.value.exceptions] == ["it hangs"]
