"""`add` through a running daemon, saved and in the folder, beside a bare durable write; the command beside pass."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from bench.pass_store import pass_store
from support_bench import Bench, Timed, begin, in_turns, program, show_pair, timed, uri, workplace

REST_S = 0.5
"""Longer than the daemon works on after an edit: the own vault file, one look at the folder."""


def durable_write(folder: Path, data: bytes) -> Timed:
    """Return the floor: a file without a name, written, synced, linked, its directory synced."""
    numbers = itertools.count()

    def write() -> None:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        descriptor = os.open(".", os.O_TMPFILE | os.O_WRONLY, 0o600, dir_fd=directory)
        os.write(descriptor, data)
        os.fsync(descriptor)
        name = f"{next(numbers):032x}.otpk"
        os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=True)
        os.fsync(directory)
        os.close(descriptor)
        os.close(directory)

    return timed(write)


def main(n: int, accounts: int) -> None:
    """Print the figures; `accounts` are there before anything is measured."""
    with workplace() as place:
        begin("bench.bench_add", place)
        a = Bench(program(place), place / "a", place / "folder")
        a.init()
        with a.daemon(), pass_store(place) as store:
            numbers = itertools.count()
            for number in itertools.islice(numbers, accounts):
                a.add(number)
            (place / "floor").mkdir()
            data = max(a.folder.glob("*.otpk"), key=lambda path: path.stat().st_mtime_ns).read_bytes()
            floor = durable_write(place / "floor", data)
            request = timed(lambda: a.add(next(numbers)))
            against = f"a durable write of {len(data)} bytes"
            title = f"add by request, {accounts} accounts"
            show_pair(title, in_turns(request, floor, n, rest_s=REST_S), 4, against)
            show_pair(f"{title}, without a rest", in_turns(request, floor, n), 4, against)
            command = timed(lambda: a.command("add", "-", stdin=uri(next(numbers)).encode()))
            insert = timed(lambda: store.insert(next(numbers)))
            pair = in_turns(command, insert, n, rest_s=REST_S)
            show_pair("otpkeep add -", pair, 2.5, "pass otp insert -e")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3] or ("40", "100")))
