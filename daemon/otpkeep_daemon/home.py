"""The place of a device while it is set up: its store, not ready yet, and the folder that it will mirror."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon.folder import Folder, RealFolder, create_folder
from otpkeep_daemon.keys import Surroundings
from otpkeep_daemon.lock import wait_for_lock
from otpkeep_daemon.mounts import network_filesystem
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.sockets import connect
from otpkeep_daemon.store import Store
from otpkeep_protocol.errors import Refused, Unreachable

CONNECT_S = 5.0
READY, STARTED = "ready", "started"
AROUND = Surroundings(os.urandom, lambda: time.time_ns() // 1_000_000)


@dataclass(frozen=True, slots=True)
class Home:
    """A store that is being set up, and the folder that it will mirror."""

    store: Store
    folder: Folder
    path: Path


def is_ready(store: Store) -> bool:
    """Tell whether this store was set up to the end."""
    return store.get(READY) is not None


@contextmanager
def open_home(paths: Paths, folder: Path, *, create: bool) -> Iterator[Home]:
    """Give a fresh store beside `folder`, which is made if `create`. Whatever an interrupted attempt stored is gone.

    Refused if this device is set up already, or the places don't fit; Unreachable if there is no folder. A store in
    which nothing was put when it ends is removed again.
    """
    _check_place(paths)
    lock = wait_for_lock(paths.lock, "setup", lambda: False)
    assert lock is not None
    store = Store(paths.store, lock)
    try:
        yield _prepared(paths, store, folder.expanduser().absolute(), create=create)
    finally:
        empty = not is_ready(store) and not store.files()
        store.close()
        if empty:
            for path in (paths.store, *(Path(f"{paths.store}{end}") for end in ("-wal", "-shm"))):
                path.unlink(missing_ok=True)


def check_fresh(paths: Paths) -> None:
    """Refuse a device that is set up already, before a person is asked where to keep a backup."""
    _check_place(paths)
    if not paths.store.exists():
        return
    lock = wait_for_lock(paths.lock, "setup", lambda: False)
    assert lock is not None
    store = Store(paths.store, lock)
    try:
        ready = is_ready(store)
    finally:
        store.close()
    if ready:
        raise _already()


def _check_place(paths: Paths) -> None:
    paths.prepare()
    kind = network_filesystem(paths.data)
    if kind is not None:
        raise Refused(
            f"{paths.data} is on a network file system ({kind}), where a store can't be kept safe",
            "Set OTPKEEP_HOME to a directory on a local disk; only the folder may be remote.",
        )
    peer = connect(paths.socket, CONNECT_S)
    if peer is not None:
        peer.close()
        raise _already()


def _already() -> Refused:
    return Refused(
        "otpkeep is already set up on this device; nothing was changed",
        "`otpkeep status` shows it. For a second vault use another OTPKEEP_HOME.",
    )


def _prepared(paths: Paths, store: Store, path: Path, *, create: bool) -> Home:
    if is_ready(store):
        raise _already()
    check_apart(paths.data, path)
    if create:
        create_folder(path)
    elif not path.is_dir():
        raise Unreachable(f"there is no folder {path}", "Name the folder that your cloud client has synced.")
    if store.get(STARTED) is not None:
        _clear_interrupted(store)
    store.clear()
    tag = AROUND.random(6).hex()
    with store.transaction():
        store.put("tag", tag.encode())
        store.put(STARTED, b"init" if create else b"recover")
    return Home(store, RealFolder(path, tag), path)


def check_apart(data: Path, folder: Path) -> None:
    """Refuse a folder that would carry this device's store, placeholders' secrets included, into the cloud."""
    if real(data).is_relative_to(real(folder)):
        raise Refused(
            f"the folder {folder} would hold otpkeep's own data in {data}, which must stay on this device",
            "Choose another folder, or another OTPKEEP_HOME.",
        )


def real(path: Path) -> Path:
    """Return the path without links; one whose links lead in a circle as far as they lead, where `resolve` fails."""
    return Path(os.path.realpath(path))


def _clear_interrupted(store: Store) -> None:
    """Remove what an attempt that was cut off has left in its folder, whose tag is forgotten with it.

    Of an `init`, also what it has published: its vault was never acknowledged, so nobody uses it. It may have been
    another folder than the one that is named now; if that one is gone, so is what was in it.
    """
    place = store.get("folder")
    if place is None or not Path(os.fsdecode(place)).is_dir():
        return
    folder = RealFolder(Path(os.fsdecode(place)), store.need("tag").decode())
    folder.clear_temporaries()
    for file in store.files() if store.get(STARTED) == b"init" else ():
        folder.delete(file.name)
