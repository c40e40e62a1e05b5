from threading import Event

import pytest

from evoforge.tracker._courier import Courier


def test_calls_are_made_in_order():
    made: list[int] = []
    courier = Courier("test")
    for number in range(100):
        courier.send(lambda number=number: made.append(number))
    assert courier.close(lambda: made.append(-1), timeout=5)
    assert made == [*range(100), -1]


def test_after_an_error_only_the_last_call_is_made():
    made: list[str] = []
    go = Event()
    courier = Courier("test")
    courier.send(go.wait)
    courier.send(lambda: 1 // 0)
    courier.send(lambda: made.append("after"))
    go.set()
    with pytest.raises(ZeroDivisionError):
        courier.close(lambda: made.append("last"), timeout=5)
    assert made == ["last"]
    with pytest.raises(ZeroDivisionError):
        courier.send(lambda: None)


def test_who_waits_is_not_held_up():
    stuck = Event()
    courier = Courier("test")
    courier.send(stuck.wait)
    assert not courier.close(lambda: None, timeout=0.05)
    stuck.set()


def test_an_exit_in_the_thread_is_an_error_and_no_exit():
    courier = Courier("test")
    with pytest.raises(RuntimeError):
        courier.close(lambda: exit(3), timeout=5)
