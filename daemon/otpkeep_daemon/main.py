"""The daemon: puts the parts together, and runs until a signal."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Callable

from otpkeep_daemon import device
from otpkeep_daemon.access import is_served, is_set_up
from otpkeep_daemon.alone import open_service
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.lock import holder, wait_for_lock
from otpkeep_daemon.parts import Parts
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.secrecy import protect_memory
from otpkeep_daemon.service import Service
from otpkeep_daemon.settings import Settings
from otpkeep_protocol.errors import Busy, OtpkeepError, Refused

ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
SIGNALS = ENDING | {signal.SIGHUP}
"""Blocked in every thread and waited for by the main one, so that no other thread can swallow them."""
log = logging.getLogger(__name__)


def run(paths: Paths, *, given: Callable[[], str] | None, typed: Callable[[], str] | None) -> int:
    """Run in the foreground until SIGTERM or SIGINT. Return the exit code.

    The passphrase is `given` by what the environment names, or `typed` by a person if nothing is remembered.
    """
    gc.enable()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    protect_memory()
    if not is_set_up(paths):
        raise Refused("otpkeep is not set up here", "Run `otpkeep init` or `otpkeep recover FOLDER` first.")
    paths.prepare()
    settings = Settings(paths.config)
    lock = wait_for_lock(paths.lock, "daemon", lambda: is_served(paths))
    if lock is None:
        raise Busy(f"otpkeep is already running here: {holder(paths.lock)}", "Stop it first, or use it as it is.")
    service = open_service(paths, lock, pid=os.getpid(), settings=settings)
    try:
        _unlock(service, given, typed)
        failure = _serve(service, paths, settings)
    finally:
        service.close()
    log.info("stopped")
    return 0 if failure is None else 1


def _unlock(service: Service, given: Callable[[], str] | None, typed: Callable[[], str] | None) -> None:
    """Unlock by the first source there is; by none of them the daemon starts locked, and says why."""
    if given is not None:
        service.unlock(_keys(service, given))
    elif not service.unlock_by_itself() and typed is not None:
        service.unlock(_keys(service, typed))
    if service.accounts is None:
        log.warning("locked: %s; what is saved here is published all the same", service.waits.message)


def _keys(service: Service, passphrase: Callable[[], str]) -> Keys:
    """Return the device's keys; the passphrase and the admin seed are gone with this call."""
    return device.unlock(service.store, device.open_slots(service.slot_files(), passphrase))


def _serve(service: Service, paths: Paths, settings: Settings) -> BaseException | None:
    """Have all parts run until a signal asks to stop, or the worker has failed; return that failure."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    parts = Parts(service, paths, settings, failed=lambda: os.kill(os.getpid(), signal.SIGTERM))
    _clear_temporaries(service)
    _first_pass(service)
    with parts.running():
        log.info("%s, process %d", "locked" if service.accounts is None else "ready", os.getpid())
        while signal.sigwait(SIGNALS) not in ENDING:
            parts.reload()
        log.info("stopping")
    return parts.worker.failure


def _first_pass(service: Service) -> None:
    """Look before the first edit: what the folder says of this device's own past must be known before it writes."""
    try:
        service.engine.run()
    except OtpkeepError as trouble:
        log.error("%s", trouble.message)


def _clear_temporaries(service: Service) -> None:
    """Remove what a crash of this device left in the folder, if the folder is there."""
    try:
        service.engine.clear_temporaries()
    except OtpkeepError as trouble:
        log.warning("%s", trouble.message)
