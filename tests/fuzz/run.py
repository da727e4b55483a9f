"""The coverage-guided fuzzer: atheris (libFuzzer) over the targets of the table. `make fuzz` starts it.

    python -m fuzz.run [--seconds N] [--jobs N] [--keep] [TARGET …]

What it finds on the way is kept in .fuzz/TARGET, so that the next run goes on where this one ended. An input that
breaks a promise is shown, with what it broke; with --keep it is put into the corpus too, and `make test` fails from
then on until it is mended. `python -m fuzz.minimise` puts what else was found there, as far as it reaches anything new.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
WORK = HERE.parents[1] / ".fuzz"
PACKAGES = [
    "otpkeep_protocol",
    "otpkeep_daemon.formats",
    "otpkeep_daemon.config",
    "otpkeep_daemon.cloud_configs",
    "otpkeep_cli.times",
    "fuzz",
]
SLOWEST_S = 5
"""For one input, with coverage being counted, which slows a target down several times."""
MEMORY_MB = 1024


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one target: how many inputs were tried, how many are worth keeping, and the ones that failed."""

    target: str
    executions: int
    kept: int
    failures: tuple[Path, ...]
    said: str


def explore(target: str, seconds: int) -> Report:
    """Fuzz one target in a process of its own, since libFuzzer ends the one that it runs in."""
    work, found = WORK / target, WORK / f"{target}.failures"
    for place in (work, found, CORPUS / target):
        place.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    words = [
        f"-max_total_time={seconds}",
        f"-timeout={SLOWEST_S}",
        f"-rss_limit_mb={MEMORY_MB}",
        "-print_final_stats=1",
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "fuzz.run",
            "--inside",
            target,
            *words,
            f"-artifact_prefix={found}/",
            work,
            CORPUS / target,
        ],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd=HERE.parents[1],
    )
    said = done.stdout + done.stderr
    failures = tuple(sorted(path for path in set(found.iterdir()) - before if not path.name.startswith("slow-unit")))
    count = re.search(r"number_of_executed_units:\s*(\d+)", said)
    report = Report(target, int(count[1]) if count else 0, len(list(work.iterdir())), failures, said)
    _tell(report, broken=done.returncode != 0 and not failures)
    return report


def _tell(report: Report, *, broken: bool) -> None:
    print(
        f"{report.target:24} {report.executions:>10} inputs, {report.kept:>5} kept, {len(report.failures)} failed",
        flush=True,
    )
    if report.failures or broken:
        print(_reason(report.said), flush=True)
    for path in report.failures:
        print(f"    {path}", flush=True)


def _reason(said: str) -> str:
    """Return the lines that tell what went wrong: the traceback, or libFuzzer's own words."""
    lines = said.splitlines()
    starts = [n for n, line in enumerate(lines) if "Uncaught Python exception" in line or "ERROR: libFuzzer" in line]
    return "\n".join(lines[starts[0] :][:40] if starts else lines[-20:])


def keep(report: Report) -> None:
    """Put what failed into the corpus, where every test run tries it."""
    for path in report.failures:
        data = path.read_bytes()
        shutil.copyfile(path, CORPUS / report.target / f"found-{hashlib.sha256(data).hexdigest()[:16]}")


def inside(target: str, words: Sequence[str]) -> None:
    """Hand this process over to libFuzzer."""
    import atheris

    with atheris.instrument_imports(include=PACKAGES):
        from fuzz import targets
    from otpkeep_protocol.errors import OtpkeepError

    chosen = targets.BY_NAME[target]

    def one(data: bytes) -> None:
        try:
            chosen.run(data)
        except OtpkeepError:
            return

    atheris.Setup([sys.argv[0], f"-max_len={chosen.longest}", *words], one)
    atheris.Fuzz()


def main() -> int:
    """Fuzz the targets that were named, or all. Return 1 if any failed."""
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3:])
        return 0
    from fuzz.targets import BY_NAME

    reading = argparse.ArgumentParser(prog="make fuzz", description="Fuzzes everything that reads bytes from outside.")
    reading.add_argument("--seconds", type=int, default=60, help="for each target")
    reading.add_argument("--jobs", type=int, default=1, help="targets at a time")
    reading.add_argument("--keep", action="store_true", help="put what failed into the corpus")
    reading.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(BY_NAME))
    chosen = reading.parse_args()
    if unknown := set(chosen.targets) - BY_NAME.keys():
        reading.error(f"no such target: {', '.join(sorted(unknown))}")
    with ThreadPoolExecutor(chosen.jobs) as pool:
        reports = list(pool.map(lambda name: explore(name, chosen.seconds), chosen.targets or BY_NAME))
    if chosen.keep:
        for report in reports:
            keep(report)
    failed = [report.target for report in reports if report.failures or not report.executions]
    print(f"{sum(report.executions for report in reports)} inputs in all; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
