"""Long work in small steps lets those go first who wait."""

from __future__ import annotations

import threading
import time

from otpkeep_daemon.turns import Turns


def test_who_waits_is_served_between_two_steps() -> None:
    turns = Turns()
    waiting, served = threading.Event(), threading.Event()

    def ask() -> None:
        waiting.set()
        with turns:
            served.set()

    with turns:
        asker = threading.Thread(target=ask)
        asker.start()
        assert waiting.wait(10)
        while not turns._waiting:
            time.sleep(0.001)
    turns.give_way()

    assert served.wait(10)
    asker.join()


def test_giving_way_while_holding_the_lock_waits_for_nobody() -> None:
    turns = Turns()
    with turns:
        asker = threading.Thread(target=lambda: turns.__enter__().__exit__())
        asker.start()
        before = time.monotonic()
        with turns:
            turns.give_way()
        assert time.monotonic() - before < 0.5
    asker.join(10)
    assert not asker.is_alive()
