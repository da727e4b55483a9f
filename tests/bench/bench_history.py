"""What a long history costs: the same work with 1,000, 10,000 and 100,000 edits of the same accounts behind it.

- Recovery from a folder of three devices on disk, compacted, keys at hand (the key derivation is not in it):
  out of the snapshot until every account has given its code (goal: flat); and without one until every event is
  checked, stored and folded (goal: at most three times the floor, see bench_fold, so linear).
- The most memory that `otpkeep recover` takes with the same folder, Argon2 included (goal: under 150 MB).
- An edit, saved and in the folder (flat). A look at a folder with nothing new in it (goal: under 20 ms at 640 files).
- Compaction of the eight newest edits (flat), and `otpkeep compact` where all runs of 64 edits have waited for it,
  snapshot included.

Compared are processor times (see costs); wall times stand beside them. With a file name it draws the curves into it.

    python -m bench.bench_history [rounds] [accounts] [FILE.svg] [edits,edits,…]
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import long_life
from bench.bench_fold import DEVICES
from bench.costs import Cost, by_turns, pair, processor, wall
from bench.drawing import BLUE, BROWN, GREEN, GREY, Curve, document, log_panel, seconds
from bench.recovering import Recovery, cost_of_program
from bench.upkeep import Upkeep, first_compaction
from support_bench import begin, program, show, show_pair, spread, workplace

SIZES = (1_000, 10_000, 100_000)
MANY, WAITED = 640, 64
FLAT, FLOORS, MOST_LOOK_S, MOST_BYTES = 1.5, 3, 0.02, 150_000_000
Found = Mapping[int, Sequence[Cost]]


@dataclass(frozen=True, slots=True)
class Place:
    """One history: how many edits, the vault, and a directory with its `folder` and its `store`.

    `snapshot` is the name of that file in the folder.
    """

    edits: int
    life: long_life.Life
    path: Path
    snapshot: str


def build(place: Path, edits: int, accounts: int, **shape: int) -> Place:
    """Make a history, in a folder and in the first device's store; for `shape` see `long_life.files`."""
    path = Path(tempfile.mkdtemp(dir=place))
    life, store = long_life.new_life(), long_life.open_store(path / "store")
    snapshot = long_life.write(long_life.files(life, edits, accounts, **shape), path / "folder", store)
    long_life.furnish(store, life, path / "folder")
    store.close()
    return Place(edits, life, path, snapshot)


def told(title: str, found: Found) -> None:
    """Print a curve."""
    points = [f"{edits:,}: {processor(c) * 1e3:,.1f} ms ({wall(c) * 1e3:,.1f})" for edits, c in found.items()]
    print(f"     {title}: {', '.join(points)} by processor (wall)", flush=True)


def flat(title: str, found: Found) -> Found:
    """Print a curve whose ends should be alike, and return it."""
    told(title, found)
    least, most = min(found), max(found)
    show_pair(f"{title}, {most:,} edits", pair(found[most], found[least]), FLAT, f"{least:,}")
    return found


def recovery(places: Sequence[Place], accounts: int, n: int) -> dict[str, Found]:
    """Measure both ways to recover, and the floor."""
    ways = {p.edits: Recovery(p.life, p.path / "folder", p.snapshot, accounts) for p in places}
    short = flat("recovery with a snapshot", by_turns({e: way.short for e, way in ways.items()}, 2 * n + 1))
    long: dict[int, list[Cost]] = {edits: [] for edits in ways}
    least: dict[int, list[Cost]] = {edits: [] for edits in ways}
    for _, (edits, way) in itertools.product(range(n), ways.items()):
        long[edits].append(way.whole())
        least[edits].append(way.floor())
    told("recovery without", long)
    told("the floor", least)
    for edits in ways:
        rate = edits / processor(long[edits])
        title = f"recovery without a snapshot, {edits:,} edits ({rate:,.0f} a second)"
        show_pair(title, pair(long[edits], least[edits]), FLOORS, "the floor")
    return {"with a snapshot": short, "without": long, "the floor of it": least}


def memory(places: Sequence[Place], words: Sequence[str]) -> Mapping[int, Cost]:
    """Measure `otpkeep recover` in a process of its own."""
    found = {place.edits: cost_of_program(words, place.path / "folder", place.path) for place in places}
    for edits, cost in found.items():
        peak, detail = f"{cost.peak / 1e6:.0f} MB", f"{cost.processor:.2f} s by processor, {cost.wall:.2f} s"
        title = f"memory of `otpkeep recover`, {edits:,} edits"
        show(title, f"{peak}, goal {MOST_BYTES / 1e6:g}", cost.peak < MOST_BYTES, detail, 1)
    return found


def upkeep(places: Sequence[Place], accounts: int, n: int) -> dict[str, Found]:
    """Measure what a device does every day."""
    devices = {place.edits: Upkeep.open(place.life, place.path) for place in places}
    edit = flat("an edit", by_turns({e: d.edit for e, d in devices.items()}, 20 * n))
    newest = flat("compaction of the newest", by_turns({e: d.compact_newest for e, d in devices.items()}, 5 * n))
    look = by_turns({e: d.look for e, d in devices.items()}, 10 * n)
    told("a look", look)
    for each in devices.values():
        each.close()
    left = [build(place.path, place.edits, accounts, longest=WAITED) for place in places]
    whole = by_turns({p.edits: partial(first_compaction, p.life, p.path) for p in left}, n, warm=0)
    told(f"compaction of all its runs of {WAITED}", whole)
    return {"an edit": edit, "a look": look, "compaction of the newest": newest, "compaction of all": whole}


def many_files(place: Path, accounts: int, n: int) -> None:
    """Measure a look at a folder in which the newest edits wait for compaction."""
    made = build(place, 3 * MANY, accounts, young=-(-MANY // DEVICES))
    desk = Upkeep.open(made.life, made.path)
    costs = [desk.look() for _ in range(10 * n + 1)][1:]
    number, times = len(list((made.path / "folder").iterdir())), spread([cost.wall for cost in costs])
    title = f"a look at {number} files with nothing new"
    figure = f"{processor(costs) * 1e3:.1f} ms, goal {MOST_LOOK_S * 1e3:g}"
    show(title, figure, processor(costs) < MOST_LOOK_S, f"wall {times}", len(costs))
    desk.close()


def drawing(recoveries: Mapping[str, Found], memories: Mapping[int, Cost], daily: Mapping[str, Found]) -> str:
    """Return all curves as SVG."""
    colours = (GREEN, BROWN, GREY, BLUE)

    def lines(found: Mapping[str, Found]) -> list[Curve]:
        named = zip(found.items(), colours, strict=False)
        return [Curve(name, colour, [(e, processor(c)) for e, c in costs.items()]) for (name, costs), colour in named]

    peak = [Curve("peak memory", BROWN, [(edits, cost.peak / 1e6) for edits, cost in memories.items()])]
    body = [
        *log_panel("Recovery", lines(recoveries), 20, seconds, "edits"),
        *log_panel("With so many edits before it", lines(daily), 380, seconds, "edits"),
        *log_panel("otpkeep recover", peak, 740, lambda value: f"{value:,.0f} MB", "edits"),
    ]
    return document(1080, 340, body)


def main(n: int, accounts: int, sizes: Sequence[int], svg: Path | None) -> None:
    """Print the figures."""
    with workplace() as place:
        begin("bench.bench_history", place)
        places = [build(place, edits, accounts) for edits in sizes]
        for made in places:
            sizes_of = [path.stat().st_size for path in (made.path / "folder").iterdir()]
            print(f"     {made.edits:,} edits: {len(sizes_of)} files, {sum(sizes_of):,} bytes", flush=True)
        found = recovery(places, accounts, n), memory(places, program(place)), upkeep(places, accounts, n)
        many_files(place, accounts, n)
        if svg is not None:
            svg.write_text(drawing(*found), encoding="utf-8")


if __name__ == "__main__":
    drawn = [Path(word) for word in sys.argv[1:] if word.endswith(".svg")]
    lists = [[int(part) for part in word.split(",")] for word in sys.argv[1:] if "," in word]
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    rounds, owned = [*numbers, *(3, 1_000)[len(numbers) :]]
    main(rounds, owned, lists[0] if lists else SIZES, drawn[0] if drawn else None)
