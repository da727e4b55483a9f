"""Whatever bytes come from outside: an answer or a typed refusal, in bounded time and memory (faults.md, group 12).

`make fuzz` explores; here everything that it ever found is tried again, and Hypothesis has a short look round.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import bounds
from fuzz.bounds import MEBIBYTE, outcome
from fuzz.targets import BY_NAME, TARGETS, Target
from otpkeep_daemon.formats import registry
from otpkeep_protocol.errors import Malformed

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
MOST_BYTES = 500_000
"""Of the whole corpus: it is in every checkout."""
EXAMPLES = 60
PIECES = [
    b"",
    b"\0",
    b"\xff",
    b"\x80",
    b"\x90",
    b"\xc0",
    b"\xdd\xff\xff\xff\xff",
    b"\n",
    b'"',
    b"{",
    b"[",
    b"=",
    b"%",
    b"-",
    b"9" * 20,
]
PATTERNS = {
    "zeros": b"\0",
    "ones": b"\xff",
    "arrays in arrays": b"\x91",
    "maps in maps": b"\x81\xa1a",
    "arrays that promise more than there is": b"\xdd\x00\x0f\xff\xff",
    "brackets": b"[",
    "objects": b'{"a":',
    "lines": b"k=1\n",
    "dotted keys": b"a.",
    "elements": b"<a>",
    "one long URI": b"otpauth://totp/a?secret=AAAA&issuer=",
    "escapes": b"\\x41\\",
}
named = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def tried(target: Target) -> list[Path]:
    return sorted((CORPUS / target.name).glob("*"))


@cache
def known(target: Target) -> list[bytes]:
    return [path.read_bytes() for path in tried(target)]


@named
def test_everything_in_the_corpus_gets_an_answer_or_a_typed_refusal(target: Target) -> None:
    assert tried(target), "a target without seeds explores nothing: python -m fuzz.seeds tests/fuzz/corpus"
    for data in known(target):
        outcome(target, data)


@st.composite
def mutated(draw: st.DrawFn, target: Target) -> bytes:
    """Bytes near something known: bytes changed, cut out, put in, or two things joined."""
    data = draw(st.sampled_from(known(target)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 16)))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=8)))
        data = data[:start] + piece + data[end:]
    if draw(st.booleans()):
        return data
    other = draw(st.sampled_from(known(target)))
    return data[: draw(st.integers(0, len(data)))] + other[draw(st.integers(0, len(other))) :]


@named
def test_no_bytes_near_those_get_anything_else(target: Target) -> None:
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(st.one_of(mutated(target), st.binary(max_size=300)))
    def check(data: bytes) -> None:
        outcome(target, data)

    check()


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_a_mebibyte_of_the_same_costs_no_reader_more_than_its_share(pattern: bytes) -> None:
    data = (pattern * (MEBIBYTE // len(pattern) + 1))[:MEBIBYTE]
    for target in TARGETS:
        outcome(target, data)


def test_every_format_that_can_be_imported_is_fuzzed() -> None:
    assert {f"import-{kind.name}" for kind in registry.FORMATS} <= BY_NAME.keys()


def test_the_corpus_has_no_strangers_and_stays_small() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == BY_NAME.keys()
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


class TestTheBoundsThemselves:
    """A harness that finds nothing must be able to find something."""

    def test_an_exception_that_is_not_ours_is_a_finding(self) -> None:
        with pytest.raises(KeyError):
            outcome(Target("x", lambda data: {}[data]), b"")

    def test_a_refusal_is_an_answer(self) -> None:
        def refuse(_data: bytes) -> None:
            raise Malformed("no")

        assert isinstance(outcome(Target("x", refuse), b"").refusal, Malformed)

    def test_memory_out_of_proportion_is_a_finding(self) -> None:
        with pytest.raises(AssertionError, match="bytes of memory"):
            outcome(Target("x", lambda _data: bytes(64 * MEBIBYTE).__len__() and None), b"")

    def test_time_out_of_proportion_is_a_finding(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bounds, "SECONDS", 0.001)
        with pytest.raises(AssertionError, match="for an input of 1 bytes"):
            outcome(Target("x", lambda _data: sum(range(1_000_000)) and None), b"x")


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not here: make fuzz installs it")
def test_the_explorer_runs_a_target_and_tells_what_it_did() -> None:
    words = [sys.executable, "-m", "fuzz.run", "--seconds", "1", "time"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "inputs in all; failed: none" in done.stdout
