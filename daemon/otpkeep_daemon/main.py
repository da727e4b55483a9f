"""The daemon: puts the parts together, and runs until a signal."""

from __future__ import annotations

import errno
import gc
import logging
import os
import time
from collections.abc import Callable

from otpkeep_daemon import device, logs
from otpkeep_daemon.access import is_served, is_set_up
from otpkeep_daemon.alarms import Notice, Problem
from otpkeep_daemon.alone import open_service
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.lock import holder, wait_for_lock
from otpkeep_daemon.logs import event
from otpkeep_daemon.notify import Supervisor
from otpkeep_daemon.parts import Parts, condition
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.secrecy import protect_memory
from otpkeep_daemon.service import Service
from otpkeep_daemon.settings import Settings
from otpkeep_daemon.signals import signals
from otpkeep_daemon.teller import Teller, facts
from otpkeep_protocol.errors import (
    Busy,
    IntegrityProblem,
    Locked,
    Malformed,
    OtpkeepError,
    Refused,
    UnknownVersion,
    WrongPassphrase,
)

log = logging.getLogger(__name__)


class _Served(Busy):
    """Another daemon serves here."""


HOPELESS = 78
"""The exit code for a supervisor where starting again can't help; systemd/otpkeep.service names it (EX_CONFIG)."""
AGAIN = 75
"""The exit code for a supervisor that shall start the daemon anew (EX_TEMPFAIL)."""
_HOPELESS = (Malformed, Refused, WrongPassphrase, IntegrityProblem, UnknownVersion, _Served)
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
Passphrase = Callable[[], str]


def run(paths: Paths, *, given: Passphrase | None, typed: Passphrase | None) -> int:
    """Run in the foreground until SIGTERM or SIGINT. Return the exit code.

    The passphrase is `given` by what the environment names, or `typed` by a person if nothing is remembered. What goes
    wrong before is raised for a person, and logged for a supervisor.
    """
    gc.enable()
    protect_memory()
    supervisor = Supervisor(os.environ, os.getpid())
    if supervisor.listens:
        logs.begin(paths.log, os.environ)
    try:
        return _run(paths, given, typed, supervisor)
    except OtpkeepError as error:
        if not supervisor.listens:
            raise
        log.critical(event("not-started", reason=error.message, hint=error.hint))
        if not _is_hopeless(error):
            return 1
        if not isinstance(error, _Served):
            _tell(paths, error)
        return HOPELESS


def _tell(paths: Paths, error: OtpkeepError) -> None:
    """Tell a person of a daemon that nobody will start again: from now on nothing is backed up."""
    now, settings = time.time(), Settings(paths.config)
    notice = Notice("not-started", True, now, (Problem("not-started", "", error.message, error.hint),))
    Teller(lambda: settings.now.on_problem).tell_now(notice, facts(notice, now, "", ""))


def _is_hopeless(error: OtpkeepError) -> bool:
    """Tell whether starting again can't help: of what the disk refuses, nobody knows that."""
    cause = error.__cause__
    return isinstance(error, _HOPELESS) and not (isinstance(cause, OSError) and cause.errno in _PASSING)


def _run(paths: Paths, given: Passphrase | None, typed: Passphrase | None, supervisor: Supervisor) -> int:
    if not is_set_up(paths):
        raise Refused("otpkeep is not set up here", "Run `otpkeep init` or `otpkeep recover FOLDER` first.")
    paths.prepare()
    settings = Settings(paths.config)
    if not supervisor.listens:  # a person is told on the screen what is wrong before, and nothing is made then
        logs.begin(paths.log, os.environ)
    if settings.trouble is not None:
        log.error(event("settings-in-error", reason=settings.trouble.message))
    lock = wait_for_lock(paths.lock, "daemon", lambda: is_served(paths))
    if lock is None:
        raise _Served(f"otpkeep is already running here: {holder(paths.lock)}", "Stop it first, or use it as it is.")
    service = open_service(paths, lock, pid=os.getpid(), settings=settings)
    try:
        _unlock(service, given, typed, supervised=supervisor.listens)
        code = _serve(service, paths, settings, supervisor)
    finally:
        service.close()
    log.info(event("stopped"))
    return code


def _unlock(service: Service, given: Passphrase | None, typed: Passphrase | None, *, supervised: bool) -> None:
    """Unlock by the first source there is; by none of them the daemon starts locked, and says why.

    So it does under a supervisor if what it is given does not fit: it had better mirror than end.
    """
    if given is not None:
        try:
            service.unlock(_keys(service, given))
        except (Locked, WrongPassphrase, Refused) as reason:
            if not supervised:
                raise
            service.wait_because(reason)
    elif not service.unlock_by_itself() and typed is not None:
        service.unlock(_keys(service, typed))
    if service.accounts is None:
        log.warning(event("locked", reason=service.waits.message))


def _keys(service: Service, passphrase: Passphrase) -> Keys:
    """Return the device's keys; the passphrase and the admin seed are gone with this call."""
    return device.unlock(service.store, device.open_slots(service.slot_files(), passphrase))


def _serve(service: Service, paths: Paths, settings: Settings, supervisor: Supervisor) -> int:
    """Have all parts run until a signal or one of them asks to stop. Return the exit code."""
    asked = signals()
    parts = Parts(service, paths, settings, supervisor, failed=asked.end)
    service.engine.progressed = supervisor.alive
    _clear_temporaries(service)
    _first_pass(service)
    with parts.running():
        supervisor.ready(condition(service))
        log.info(event("ready", locked=service.accounts is None, process=os.getpid()))
        while asked.wait():
            parts.take_up()
        supervisor.stopping()
        log.info(event("stopping"))
    if parts.shut_out:
        return AGAIN
    return 0 if parts.failure is None else 1


def _first_pass(service: Service) -> None:
    """Look before the first edit: what the folder says of this device's own past must be known before it writes."""
    try:
        service.engine.run()
    except OtpkeepError as trouble:
        log.error(event("first-pass-failed", reason=trouble.message))


def _clear_temporaries(service: Service) -> None:
    """Remove what a crash of this device left in the folder, if the folder is there."""
    try:
        service.engine.clear_temporaries()
    except OtpkeepError as trouble:
        log.warning(event("temporaries-stay", reason=trouble.message))
