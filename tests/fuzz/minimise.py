"""Making the corpus small: of all that reaches the same lines one after the other, the shortest stays.

python -m fuzz.minimise [TARGET …]      takes in what the fuzzer left in .fuzz
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from fuzz.run import CORPUS, WORK
from fuzz.seeds import seeds
from fuzz.targets import BY_NAME, Target
from otpkeep_protocol.errors import OtpkeepError

LONGEST = 6_000
FOUND = "found-"
"""Begins the names of inputs that once broke something: they stay whatever they reach."""
FEW = 24
"""Seeds of a target that all stay: a right file is where the search begins."""
_OURS = ("otpkeep_protocol", "otpkeep_daemon", "otpkeep_cli")
Step = tuple[str, int, int]


def reached(target: Target, data: bytes) -> set[Step]:
    """Return the steps from line to line, in the project's own modules, that an input takes."""
    steps: set[Step] = set()

    def entered(frame: FrameType, _event: str, _arg: Any) -> Any:
        name = frame.f_code.co_filename
        if not any(package in name for package in _OURS):
            return None
        before = frame.f_lineno

        def moved(frame: FrameType, _event: str, _arg: Any) -> Any:
            nonlocal before
            steps.add((name, before, frame.f_lineno))
            before = frame.f_lineno
            return moved

        return moved

    sys.settrace(entered)
    try:
        target.run(data)
    except OtpkeepError:
        pass
    finally:
        sys.settrace(None)
    return steps


def chosen(target: Target, inputs: set[bytes]) -> list[bytes]:
    """Return those inputs that, from the shortest on, reach something that none before them reached."""
    known: set[Step] = set()
    kept = []
    for data in sorted(inputs, key=lambda data: (len(data), data)):
        steps = reached(target, data)
        if not steps <= known or not kept:
            known |= steps
            kept.append(data)
    return kept


def minimise(target: Target) -> int:
    """Rewrite the corpus of a target; return how many inputs it has now."""
    place = CORPUS / target.name
    old = [path for path in place.iterdir() if not path.name.startswith(FOUND)]
    found = list((WORK / target.name).glob("*"))
    inputs = {path.read_bytes() for path in [*old, *found] if path.stat().st_size <= LONGEST}
    examples = [data for name, data in seeds() if name == target.name and len(data) <= LONGEST]
    kept = [*chosen(target, inputs | set(examples)), *(examples if len(examples) <= FEW else [])]
    wanted = {hashlib.sha256(data).hexdigest()[:16]: data for data in kept}
    for path in old:
        if path.name not in wanted:
            path.unlink()
    for name, data in wanted.items():
        Path(place / name).write_bytes(data)
    return len(list(place.iterdir()))


if __name__ == "__main__":
    for name in sys.argv[1:] or BY_NAME:
        print(f"{name:24} {minimise(BY_NAME[name]):>5} in the corpus", flush=True)
