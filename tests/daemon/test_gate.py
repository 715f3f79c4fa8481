"""Runs that go together, and runs that go alone."""

import threading

import pytest

from daemon.gate import Gate
from daemon.inflight import Notes


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def gate():
    return Gate()


def test_ordinary_runs_go_together(gate):
    first, second = gate.enter(), gate.enter()
    gate.leave(first)
    gate.leave(second)


def test_one_that_goes_alone_waits_for_the_others_and_they_for_it(gate):
    entered, order = threading.Semaphore(0), []
    first = gate.enter()

    def enter(name, alone):
        me = gate.enter(alone=alone)
        order.append(name)
        entered.release()
        return me

    in_thread(lambda: order.append("left") or gate.leave(enter("alone", alone=True)))
    while gate._alone is None:
        pass
    other = in_thread(lambda: enter("other", alone=False))
    assert order == ["left"]
    gate.leave(first)
    other.join(30)
    assert order == ["left", "alone", "other"]


def test_two_that_go_alone_take_turns(gate):
    inside, most = [], []

    def run():
        me = gate.enter(alone=True)
        inside.append(me)
        most.append(len(inside))
        inside.remove(me)
        gate.leave(me)

    for thread in [in_thread(run) for _ in range(20)]:
        thread.join(30)
    assert most == [1] * 20


def test_one_that_hangs_does_not_hold_up_the_others_for_ever():
    gate = Gate(alone_seconds=0.05)
    gate.enter()  # never leaves
    hanging = gate.enter(alone=True)  # nor does this, for long
    gate.leave(gate.enter())
    gate.leave(gate.enter(alone=True))
    gate.leave(hanging)
    gate.leave(gate.enter())


def test_one_that_was_given_up_is_not_waited_for(tmp_path):
    notes, begun, go = Notes(tmp_path / "notes"), threading.Event(), threading.Event()
    hanging, next_one = notes.slot("p", 1), notes.slot("p", 2)

    def hang():
        with hanging.run(notes.of("p", "a/a.jsonl", "", ""), alone=False):
            begun.set()
            go.wait(60)

    thread = in_thread(hang)
    assert begun.wait(30)
    hanging.give_up()
    assert not notes._gate._inside
    with next_one.run(notes.of("p", "a/b.jsonl", "", ""), alone=True):
        assert len(notes._gate._inside) == 1
    go.set()
    thread.join(30)
    hanging.close()
    next_one.close()
