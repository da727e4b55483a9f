"""A harness that kills or fails a real command at each of its file system calls, and checks what is then there.

A test names a scene and a command; everything else is the same for all features:

    def a_tagged_account(device: Device) -> Words:
        device.init()
        return ("edit", device.add(uri(1))["id"], "--tag", "new")

    def test_an_edit_that_fails_anywhere_is_whole_or_not_there(tmp_path: Path) -> None:
        assert_withstands(Scene(tmp_path, a_tagged_account), most=12)

`a_tagged_account` sets the device up and returns the words of the command. The scene runs it once undisturbed, which
shows where it can be hit and what it does. Then each fault has a copy of the scene, and it is checked that

- the command says what happened and what to do, with an exit code that fits, or succeeds;
- a fresh device recovers from the folder as it is now, with all that was backed up or is said to be;
- all is there that was before; the change is there as a whole if the command said so, else as a whole or not at all;
- the next run leaves no temporary file; every file in the folder is whole; store and folder pass `verify`;
- the command succeeds when it is run again, and then the change is there.

`most` bounds the faults: every kind of call is killed and every error of it happens. `make sweep` takes them all.
`Daemon` in support_daemon_faults.py does the same to a daemon at work.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from otpkeep_cli.failure import exit_code
from otpkeep_protocol.errors import OtpkeepError
from otpkeep_protocol.sealing import read_header
from support_cli import Device, Result
from support_seen import Seen, folder_in_use, recovered, see, whole
from support_strace import KILL, Fault, chosen, faults, run_traced
from support_system import need, ours

Words: TypeAlias = Sequence[str | Path]
CAUSES = {
    "EIO": "Input/output|disk I/O",
    "ENOSPC": "full|[Ss]pace",
    "EDQUOT": "[Qq]uota|full|disk I/O",
    "EROFS": "[Rr]ead-only|disk I/O",
    "EMFILE": "[Tt]oo many (open )?files|unable to open|disk I/O",
}
"""What the words about an error must have in them; SQLite has none of its own for most."""
_SAID = re.compile(r"Traceback|\b[A-Z]\w*(Error|Exception)\b|sqlite3\.")
_MISSED = 0.1
"""The part of the faults that may miss, since what Python itself reads shifts the numbers of calls."""


class Scene:
    """A device with its folder and whatever else lies in `place`, as `prepare` left it; `reset` brings it all back.

    `meanwhile` is what somebody else does between the command and the next run. `shown` is what must be as the accounts
    are, such as a watched file: there may be one value of it before the change, and one after.
    """

    def __init__(
        self,
        root: Path,
        prepare: Callable[[Device], Words],
        *,
        meanwhile: Callable[[Device], object] = lambda _: None,
        shown: Callable[[Device], object] = lambda _: None,
    ) -> None:
        need("strace")
        self.place, self._kept = root / "place", root / "kept"
        self._root, self._heirs, self._meanwhile, self._shown = root, 0, meanwhile, shown
        self.device = Device(self.place / "alpha", self.place / "folder")
        self.words = prepare(self.device)
        shutil.copytree(self.place, self._kept, symlinks=True)
        self.backed_up = self.heir() if ours(self.device.folder) else None
        self.before = self.look()
        self.shown_before = self._shown(self.device)
        self._allowed = self._names()
        self.reset()
        self.undisturbed = run_traced(self.words, self.device.env, (self.place,))
        self.undisturbed.result.ok()
        self.after = self.look()
        self.shown_after = self._shown(self.device)
        self._allowed |= self._names()

    def reset(self) -> None:
        shutil.rmtree(self.place)
        shutil.copytree(self._kept, self.place, symlinks=True)

    def strike(self, fault: Fault) -> Result | None:
        """Run the command in a fresh copy with this fault; None if it missed."""
        self.reset()
        paths = self.undisturbed.paths
        traced = run_traced(self.words, self.device.env, (self.place,), fault=fault, paths=paths)
        return traced.result if traced.hit else None

    def look(self) -> Seen | None:
        """Have the service run after what happened meanwhile, and return what it shows."""
        self._meanwhile(self.device)
        return see(self.device)

    def check_folders(self) -> None:
        """Check that each folder holds whole files of one vault, and nothing temporary."""
        for folder in {path.parent for path in self.place.rglob("*.otpk")}:
            whole(folder)
            assert len({read_header(path.read_bytes()).vault for path in ours(folder)}) == 1, "remains of another vault"

    def check_shown(self, seen: Seen) -> None:
        """Check that what must be as the accounts are is so."""
        wanted = self.shown_after if seen.same(self.after) else self.shown_before
        assert self._shown(self.device) == wanted

    def heir(self) -> Seen | None:
        """Recover a fresh device from a copy of the folder in use, as it is, and return what it shows."""
        self._heirs += 1
        root = self._root / f"heir-{self._heirs}"
        shutil.copytree(folder_in_use(self.device), root / "folder")
        try:
            return recovered(root / "beta", root / "folder", self.device.passphrase_file.read_text())
        finally:
            shutil.rmtree(root)

    def litter(self) -> set[Path]:
        """Return what lies about that neither the scene nor an undisturbed run has left; the folder apart."""
        return self._names() - self._allowed

    def _names(self) -> set[Path]:
        found = {path for path in self.place.rglob("*") if self.device.folder not in path.parents}
        return {path for path in found if not re.fullmatch(r"[0-9a-f]{32}\.otpk", path.name)}


@dataclass(slots=True)
class Tally:
    """How many faults hit, how many missed, and what was wrong after which of them."""

    hit: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def assert_withstands(scene: Scene, *, most: int, among: Callable[[Fault], bool] = lambda _: True) -> Tally:
    """Check the command of a scene under each fault, or about `most` of them; `among` says which of them count."""
    every = [fault for fault in faults(scene.undisturbed.places) if among(fault)]
    taken = chosen(every, most)
    tally = Tally()
    for fault in taken:
        try:
            _withstand(scene, fault, tally)
        except (AssertionError, OtpkeepError, OSError, sqlite3.Error) as error:
            tally.wrong.append(f"{fault}: {type(error).__name__}: {error}")
    print(f"{len(taken)} of {len(every)} faults; missed: {', '.join(tally.missed) or 'none'}")
    assert tally.wrong == [], "\n".join([f"{len(tally.wrong)} of {len(taken)}", *tally.wrong])
    assert len(tally.missed) <= _MISSED * len(taken) + 1
    return tally


def _withstand(scene: Scene, fault: Fault, tally: Tally) -> None:
    result = scene.strike(fault)
    if result is None:
        tally.missed.append(str(fault))
        return
    tally.hit += 1
    judge(result, fault.what)
    _check_heir(scene, result)
    seen = scene.look()
    _check(scene, seen, done=result.code == 0)
    if result.code != 0 and (seen is None or not seen.same(scene.after) or seen.same(scene.before)):
        scene.device.run(*scene.words).ok()
        _check(scene, see(scene.device), done=True)


def judge(result: Result, what: str) -> None:
    """Check that a command that was hit says so in the usual way, and why; one that was killed says nothing."""
    if what == KILL:
        assert result.code == -9, result
        return
    assert not _SAID.search(result.err + result.out), result
    if result.code == 0:
        return
    error = result.error
    assert error["kind"] not in ("unexpected", "integrity", "not-authentic", "wrong-passphrase"), result
    assert result.code == exit_code(error["kind"]), result
    assert error["hint"], result
    assert re.search(CAUSES[what], f"{error['message']} {error['hint']}"), result


def _check_heir(scene: Scene, result: Result) -> None:
    """Check what a fresh device gets out of the folder as it is: all that the command calls backed up, nothing else."""
    if scene.backed_up is None and result.code != 0:
        return
    found, after = scene.heir(), scene.after
    assert found is not None
    assert after is not None
    if result.code == 0 and result.json.get("backed_up", True):
        assert found.same(after), "what was called backed up is not in the folder"
    if scene.backed_up is not None:
        assert scene.backed_up.ids <= found.ids, "what was backed up before is gone"
    assert set(found.edits) <= set(after.edits), "a fresh device finds what nobody did"


def _check(scene: Scene, seen: Seen | None, *, done: bool) -> None:
    """Check what the next run finds: all or nothing of the change, all of it if it is `done`, and no litter."""
    if seen is None:
        assert scene.before is None, "the device is not set up any more"
        assert not done, "what was acknowledged is not there"
        return
    assert seen.same(scene.after) or (not done and seen.same(scene.before)), f"neither before nor after: {seen}"
    if scene.before is not None:
        assert scene.before.ids <= seen.ids, "what was there before is gone"
    assert sorted(scene.litter()) == [], "temporary files are left"
    scene.check_folders()
    scene.check_shown(seen)
