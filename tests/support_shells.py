"""Real shells at a terminal, for what happens at a Tab."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

WITHIN_S = 60.0
START: Mapping[str, tuple[str, ...]] = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
}
SAY = r"""say() { printf '\001%s\002' "$@"; printf '\003'; }; PS1=$'\005> '"""
"""Prints its words between bytes that no echo of what is typed has; so is the prompt marked."""
PENDING = "zstyle ':completion:*' insert-tab false"
"""Else zsh takes a Tab for a pasted one when more has been typed already, as we do."""
READY: Mapping[str, str] = {
    "bash": "bind 'set enable-bracketed-paste off'; source {script}; {say}\r",
    "zsh": "fpath=({directory} $fpath); autoload -Uz compinit; compinit -u -D; {pending}; {say}\r",
}
TAB, HOME, ENTER = "\t", "\x01", "\r"


class _Terminal:
    """What a shell has written to its terminal, and what is typed there."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unread = ""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def read_to(self, mark: str) -> str:
        """Return what comes until there is this mark."""
        deadline = time.monotonic() + WITHIN_S
        while mark not in self._unread:
            assert time.monotonic() < deadline, self._unread
            if select.select([self._descriptor], [], [], 0.2)[0]:
                self._unread += os.read(self._descriptor, 65_536).decode(errors="replace")
        seen, _, self._unread = self._unread.partition(mark)
        return seen


def program(directory: Path) -> Path:
    """Make a program `otpkeep` that is the one of these tests, in a directory for PATH, and return the directory."""
    directory.mkdir(exist_ok=True)
    made = directory / "otpkeep"
    made.write_text(f"#!{sys.executable}\nfrom otpkeep_cli.main import main\nmain()\n")
    made.chmod(0o755)
    return directory


def completed(shell: str, script: Path, lines: Sequence[str], env: Mapping[str, str], cwd: Path) -> list[list[str]]:
    """Return the words of each line after a Tab at its end, as the shell hands them to a program."""
    if shell == "fish":
        return [_fish(line, env, cwd) for line in lines]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        START[shell], stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=cwd, start_new_session=True
    ) as process:
        os.close(theirs)
        try:
            terminal = _Terminal(ours)
            terminal.type(READY[shell].format(script=script, directory=script.parent, say=SAY, pending=PENDING))
            return [_words(terminal, line) for line in lines]
        finally:
            process.kill()
            os.close(ours)


def _words(terminal: _Terminal, line: str) -> list[str]:
    """Type a line and a Tab at the prompt, put `say` before it, and read what that prints."""
    terminal.read_to("\x05")
    terminal.type(f"{line}{TAB}{HOME}say {ENTER}")
    return re.findall("\x01(.*?)\x02", terminal.read_to("\x03"))


def _fish(line: str, env: Mapping[str, str], cwd: Path) -> list[str]:
    """Return the candidates, without their descriptions; fish says them without a terminal."""
    asked = ["fish", "-c", "complete -C $argv[1]", line]
    done = subprocess.run(asked, env=env, cwd=cwd, capture_output=True, text=True, check=True)
    return [candidate.partition("\t")[0] for candidate in done.stdout.splitlines()]
