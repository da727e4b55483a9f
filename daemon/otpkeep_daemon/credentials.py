"""A systemd credential: the key encrypted under this machine's own secret or its TPM, and opened by the user manager.

It is loaded in a unit of its own (LoadCredentialEncrypted=), not in the daemon's: a credential that can no longer be
decrypted (another machine, a cleared TPM) fails its whole unit with status 243, and the daemon must go on, locked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from otpkeep_daemon.key_file import KeyFile
from otpkeep_protocol.errors import Locked

NAME = "otpkeep-unlock"
ANSWERS_WITHIN_S = 20.0
WORDS = 200
"""Characters of what a program says of its failure."""
SCOPED = 256
"""The systemd from which users other than root can have credentials encrypted (systemd-creds --user)."""


class Credential:
    """A credential in an encrypted file, 0600, at an absolute path."""

    def __init__(self, path: Path) -> None:
        self._file = KeyFile(path)
        self._path = path

    def why_not(self) -> str:
        """Return why this can't be used here, "" if it can: tried for real, with a credential that is thrown away."""
        probe = Credential(self._path.with_suffix(".try"))
        try:
            probe.keep("00")
            probe.forget()
        except Locked as reason:
            return reason.message
        return ""

    def keep(self, key: str) -> None:
        """Encrypt the key, and see that the user manager can decrypt it. Locked, with the reason, if it can't."""
        encrypt = ["systemd-creds", "encrypt", *_scope(), f"--name={NAME}", "-", "-"]
        _check_manager()
        self._file.keep(_run(encrypt, key))
        try:
            opened = self._load()
        except Locked:
            self._file.forget()
            raise
        if opened != key:
            self._file.forget()
            raise Locked("the systemd user manager gives back another credential than was encrypted")

    def read(self) -> str:
        """Return the key. Locked, with the reason, if it can't be decrypted."""
        self._file.read()
        _check_manager()
        return self._load()

    def forget(self) -> None:
        """Remove the file."""
        self._file.forget()

    def _load(self) -> str:
        words = ["systemd-run", "--user", "--quiet", "--collect", "--wait", "--pipe"]
        words += ["-p", f"LoadCredentialEncrypted={NAME}:{self._path}", "systemd-creds", "cat", NAME]
        return _run(words, "").strip()


def given(environment: Mapping[str, str]) -> str | None:
    """Return the key that the daemon's own unit was given as a credential, None if it was not."""
    directory = environment.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return None
    try:
        return (Path(directory) / NAME).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _check_manager() -> None:
    """Raise Locked unless this user has a service manager, which is what decrypts."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not runtime or not (Path(runtime) / "systemd" / "private").exists():
        raise Locked("there is no systemd user manager here")


def _scope() -> Sequence[str]:
    """Return the option that binds a credential to this user. Locked if this systemd can't do it."""
    if shutil.which("systemd-creds") is None:
        raise Locked("this system has no systemd-creds")
    found = re.match(r"systemd (\d+)", _run(["systemd-creds", "--version"], ""))
    version = int(found[1]) if found is not None else 0
    if version >= SCOPED:
        return ["--user", "--no-ask-password"]
    if sys.platform == "win32" or os.geteuid() != 0:
        raise Locked(f"systemd {version} encrypts credentials for root only; {SCOPED} and newer do it for everybody")
    return []


def _run(words: Sequence[str], text: str) -> str:
    """Return what a program prints; `text` is its input. Locked, with the reason that it gives, if it fails."""
    try:
        done = subprocess.run(
            words,
            input=text,
            capture_output=True,
            timeout=ANSWERS_WITHIN_S,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise Locked(f"{words[0]} did not end in time") from None
    except (OSError, UnicodeError) as error:
        raise Locked(f"{words[0]} can't be run ({type(error).__name__})") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        why = _NO_CREDENTIAL.get(done.returncode) or (said[-1][:WORDS] if said else "it did not say why")
        raise Locked(f"{words[0]} failed: {why}")
    return done.stdout


_NO_CREDENTIAL: Mapping[int, str] = {243: "this machine can't decrypt the credential"}
