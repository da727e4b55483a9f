"""What the commands are measured beside: pass with its otp extension, a git store, a key without passphrase."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support_bench import bare_environment, run, uri

_WHO = "bench@example.org"
_GENERATE = ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key", _WHO]


@dataclass(frozen=True, slots=True)
class PassStore:
    """One password store."""

    env: dict[str, str]

    def insert(self, number: int) -> None:
        """Record an account; `-e` reads the URI from standard input once."""
        run(["pass", "otp", "insert", "-e", f"bench/{number}"], self.env, f"{uri(number)}\n".encode())

    def code(self, number: int) -> bytes:
        """Return the code of an account."""
        return run(["pass", "otp", f"bench/{number}"], self.env).strip()


@contextmanager
def pass_store(place: Path) -> Iterator[PassStore]:
    """Yield a store in `place`. SystemExit if its programs are not installed."""
    if shutil.which("pass") is None or shutil.which("git") is None:
        raise SystemExit("this benchmark needs pass, pass-extension-otp and git")
    # gpg-agent's socket needs a short path, whatever `place` is.
    with tempfile.TemporaryDirectory(prefix="g", dir="/tmp") as keys:
        env = bare_environment() | {
            "HOME": str(place),
            "GNUPGHOME": keys,
            "PASSWORD_STORE_DIR": str(place / "pass"),
            **{f"GIT_{who}_{what}": _WHO for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        try:
            for words in ([*_GENERATE, "default", "default", "never"], ["pass", "init", _WHO], ["pass", "git", "init"]):
                run(words, env)
            yield PassStore(env)
        finally:
            run(["gpgconf", "--kill", "gpg-agent"], env)
