"""Whether the backup is whole: checking the folder, and putting back what it has lost."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from typing import Any

from otpkeep_daemon import repair, verified
from otpkeep_daemon.logs import event
from otpkeep_daemon.service import Args, Service
from otpkeep_daemon.verify import Verification
from otpkeep_protocol.errors import Busy, Locked, OtpkeepError, Usage

log = logging.getLogger(__name__)
DRILL = "drill"
"""The directory beside the store in which a restore drill works."""


def verify(service: Service, args: Args) -> dict[str, Any]:
    """Check the folder; with `repair` put back what it has lost or broken, and check it again."""
    if args.get("repair"):
        return repaired(service, args["depth"])
    return verification(service, args["depth"])


def verification(service: Service, depth: str, step: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Check the folder, and keep what came out for `status`; `step` is called again and again, and may raise.

    Locked, and the keys are gone, if it is locked meanwhile.
    """
    return _with_keys_gone(lambda: _verification(service, depth, step)[0])


def repaired(service: Service, depth: str) -> dict[str, Any]:
    """Check the folder, put back what this device can, and return the second check with what was done in `repaired`."""
    if not service.engine.publishing:
        raise Usage("backup is off on this device, which therefore writes nothing", "Run `otpkeep backup on`.")
    return _with_keys_gone(lambda: _repaired(service, depth))


class _LockedMeanwhile(Locked):
    """It was locked in the midst of something that has the keys."""


def _with_keys_gone(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except _LockedMeanwhile:
        pass  # the traceback has the keys, so it must be gone before they are swept up
    gc.collect()
    raise Locked("otpkeep was locked in the midst of this check, which was given up", "Run it again.")


def _repaired(service: Service, depth: str) -> dict[str, Any]:
    """Repair in rounds, since what lay under a wrong name may be a file that is missing itself, once it is known."""
    look = _shallower(depth)
    answer, names = _verification(service, look)
    found, done = list(answer["problems"]), dict[str, repair.Why]()
    while fresh := [name for name in names if name not in done]:
        done |= repair.put_back(service.engine, service.folder, service.store, service.lock, fresh)
        answer, names = _verification(service, look)
        found += answer["problems"]
    if look != depth:
        answer, _ = _verification(service, depth)
    service.changed()
    return {**answer, "repaired": repair.rows(found, answer["problems"], done)}


def _shallower(depth: str) -> str:
    """Return the depth at which is looked for what to repair: a drill finds nothing more that could be put back."""
    return "content" if depth == "rebuild" else depth


def _verification(
    service: Service, depth: str, step: Callable[[], None] = lambda: None
) -> tuple[dict[str, Any], list[str]]:
    """Return the answer, and the names of the files that could be put back."""
    accounts = service.accounts
    if depth != "names" and accounts is None:
        raise Locked("checking the content needs the keys", "Give the passphrase, or use `--depth names`.")

    def go_on() -> None:
        step()
        if service.accounts is not accounts and accounts is not None:
            raise _LockedMeanwhile("")
        if service.ending:
            raise Busy("otpkeep is stopping; this check was given up", "Run it again once it is started.")
        if service.lock.mine:  # with keys that came for this call alone; then the engine can make no passes
            service.engine.progressed()

    began, begin = service.around.now(), time.monotonic()
    check = Verification(
        service.store,
        service.engine,
        service.folder,
        service.lock,
        accounts=accounts,
        depth=depth,
        directory=service.own_vault.path.parent / DRILL,
        step=go_on,
    )
    result = check.run()
    _keep(service, result, began, int((time.monotonic() - begin) * 1000))
    return result, check.repairable


def _keep(service: Service, result: dict[str, Any], began: int, took_ms: int) -> None:
    """Keep a result for `status`; a store that can't be written must not hide it from who asked."""
    try:
        with service.lock:
            verified.keep(service.store, result, began, took_ms)
    except OtpkeepError as error:
        log.error(event("verification-not-written-down", problems=len(result["problems"]), reason=error.message))
