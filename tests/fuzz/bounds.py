"""How much any bytes may cost: processor time and memory in proportion to their number."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import dataclass

from fuzz.targets import Target
from otpkeep_protocol.errors import OtpkeepError

MEBIBYTE = 1_048_576
SECONDS = 1.0
"""For up to 1 MiB, and for each more."""
MEMORY = 24 * MEBIBYTE
"""Bytes for anything; what one byte of msgpack or JSON can stand for comes on top of it."""
BYTES_FOR_ONE = 192


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of some bytes: the refusal, None for a value; processor seconds and the peak of memory in bytes."""

    refusal: OtpkeepError | None
    seconds: float
    peak: int


def outcome(target: Target, data: bytes) -> Outcome:
    """Run a target. AssertionError if it costs too much; any exception but an OtpkeepError leaves."""
    traced = tracemalloc.is_tracing()
    if not traced:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before, start = tracemalloc.get_traced_memory()[0], time.process_time()
    refusal = None
    try:
        target.run(data)
    except OtpkeepError as error:
        refusal = error
    finally:
        seconds = time.process_time() - start
        peak = tracemalloc.get_traced_memory()[1] - before
        if not traced:
            tracemalloc.stop()
    _check(target.name, len(data), seconds, peak)
    return Outcome(refusal, seconds, peak)


def _check(name: str, size: int, seconds: float, peak: int) -> None:
    most = MEMORY + BYTES_FOR_ONE * size
    assert peak <= most, f"{name}: {peak} bytes of memory for an input of {size}, where {most} are allowed"
    allowed = SECONDS * max(1.0, size / MEBIBYTE)
    assert seconds <= allowed, f"{name}: {seconds:.1f} s for an input of {size} bytes"
