"""Putting back from the store what the folder has lost or broken, whoever made it (`otpkeep verify --repair`).

Never what a pack replaced, and never beats and snapshots. What lies under such a name now may be another whole file,
and the only copy of it: it is read first, or left where it is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from otpkeep_daemon.engine import Engine
from otpkeep_daemon.findings import NOTES
from otpkeep_daemon.folder import Folder
from otpkeep_daemon.logs import event
from otpkeep_daemon.store import Store
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import sealing
from otpkeep_protocol.errors import FolderUnwritable, OtpkeepError, Unreachable
from otpkeep_protocol.ids import sha256

log = logging.getLogger(__name__)
Why = OtpkeepError | None
Done = dict[str, Why]
Problem = Mapping[str, Any]


def put_back(engine: Engine, folder: Folder, store: Store, lock: Turns, names: Iterable[str]) -> Done:
    """Put the files of these names back. Return for each why it could not be, None if it was.

    Unreachable if the folder is, or takes nothing.
    """
    read = engine.replica is not None and _all_read(engine)
    return {name: _put_back(engine, folder, store, lock, name, read=read) for name in names}


def _all_read(engine: Engine) -> bool:
    """Make a pass, so that what lies under a wrong name is in the store before it is written over."""
    trouble = engine.run().trouble
    if isinstance(trouble, Unreachable):
        raise trouble
    return trouble is None


def _put_back(engine: Engine, folder: Folder, store: Store, lock: Turns, name: str, *, read: bool) -> Why:
    lock.give_way()
    try:
        with lock:
            kept = store.file_named(name)
            if kept is not None and not read and _hides_another(folder, store, name, store.data(kept.hash)):
                return OtpkeepError(_HIDDEN, "Run `otpkeep unlock`, then `otpkeep verify --repair`.")
            engine.repair(name)
    except FolderUnwritable:
        raise
    except OtpkeepError as error:
        if isinstance(error, Unreachable):
            engine.listed()  # raises if it is the folder, and not this one name in it
        log.warning(event("not-repaired", file=name, reason=error.message))
        return error
    log.info(event("repaired", file=name))
    return None


def _hides_another(folder: Folder, store: Store, name: str, right: bytes) -> bool:
    """Tell whether the bytes under this name may be another file's that is nowhere else, rather than damage.

    Keys are not needed to tell: a damaged copy shares most bytes with the right one, another file next to none.
    """
    try:
        data = folder.read(name)
        if data is None or store.has(sha256(data)):
            return False
        header = sealing.read_header(data)
    except Unreachable:
        raise
    except OtpkeepError:
        return False
    whole = header.vault == store.need("vault") and sealing.is_whole(len(data), header.type)
    return whole and not _is_copy(data, right)


def _is_copy(data: bytes, right: bytes) -> bool:
    """Tell whether half of the bytes after the header are where they should be."""
    pairs = zip(data[sealing.HEADER_SIZE :], right[sealing.HEADER_SIZE :], strict=False)
    same = sum(one == other for one, other in pairs)
    return 2 * same >= len(data) - sealing.HEADER_SIZE


def rows(before: Iterable[Problem], after: Iterable[Problem], done: Done) -> list[dict[str, Any]]:
    """Return {file, device, done, message, hint} of each file that was, or could not be, put back.

    `before` and `after` are what was found wrong until then, and what still is.
    """
    first: dict[str, Problem] = {}
    for problem in before:
        if problem["kind"] != "store" and problem["file"] is not None:
            first.setdefault(problem["file"], problem)
    tried = [(first[name], error) for name, error in done.items() if name in first]
    left = [
        p for p in after if p["kind"] not in NOTES | {"rebuild"} and (p["file"] not in done or p["kind"] == "store")
    ]
    return [
        *(_row(p, True, _DONE, "") if e is None else _row(p, False, e.message, e.hint or p["hint"]) for p, e in tried),
        *(_row(p, False, _NOT_HERE.get(p["kind"], _NO_COPY), p["hint"]) for p in left),
    ]


def _row(found: Problem, done: bool, message: str, hint: str) -> dict[str, Any]:
    return {"file": found["file"], "device": found["device"], "done": done, "message": message, "hint": hint}


_DONE = "put back from this device, and read back"
_HIDDEN = "under its name lies another whole file, which this device has not read and therefore does not write over"
_NO_COPY = "not repaired: this device has no right copy of it"
_NOT_HERE: Mapping[str, str] = {
    "gap": "not repaired: this device never had these events",
    "rollback": "not repaired: this device does not have these events any more",
    "no-slot": "not repaired: this device has no such slot",
    "not-here": "left alone: the cloud has it",
    "unknown-version": "left alone: only a newer otpkeep understands it",
    "rejected": "left alone: it is nothing that the vault vouches for",
    "contradiction": "left alone: what it says can't be changed",
    "pack": "left alone: what it says can't be changed",
    "snapshot": "left alone: nobody needs it, and it is never put back",
    "slot": "left alone: it is not used",
    "store": "not repaired: it is this device's own copy that is damaged",
}
