"""`otpkeep code` through the daemon beside `pass otp`."""

from __future__ import annotations

import sys

from bench.pass_store import pass_store
from support_bench import Bench, begin, in_turns, program, show_pair, timed, workplace


def main(n: int, accounts: int) -> None:
    """Print the figure; the vault holds `accounts`."""
    with workplace() as place:
        begin("bench.bench_code", place)
        a = Bench(program(place), place / "a", place / "folder")
        a.init()
        with a.daemon(), pass_store(place) as store:
            for number in range(accounts):
                a.add(number)
            store.insert(1)
            ours = timed(lambda: a.command("code", "Beispiel 1:anna1@example.org"))
            pair = in_turns(ours, timed(lambda: store.code(1)), n)
            show_pair(f"otpkeep code, {accounts} accounts", pair, 2, "pass otp")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3] or ("40", "1000")))
