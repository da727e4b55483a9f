"""How tests with generated examples run: as many as were asked for, and none fails because the machine is busy."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from support_convergence import profile


@pytest.mark.parametrize("made", [settings(), settings(max_examples=3), profile(3)], ids=["default", "own", "machine"])
def test_no_verdict_depends_on_how_fast_the_machine_is(made: settings) -> None:
    assert made.deadline is None
    assert {HealthCheck.too_slow, HealthCheck.data_too_large} <= set(made.suppress_health_check)


@pytest.mark.parametrize(("sweep", "examples"), [("", 20), ("5", 20), ("300", 300), ("all", 400)])
def test_a_sweep_runs_as_many_histories_as_it_is_told(
    sweep: str, examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTPKEEP_SWEEP", sweep)
    assert profile(20).max_examples == examples
