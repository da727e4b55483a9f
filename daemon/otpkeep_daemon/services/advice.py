"""What is wrong with an installed service, and what to do. Pure."""

from __future__ import annotations

from otpkeep_daemon.services.state import State
from otpkeep_daemon.services.unit import SANDBOX_FAILED


def problems(
    state: State, served_by: int | None, program_there: bool, *, elsewhere: bool = False
) -> list[dict[str, str]]:
    """Return problems as `status` shows them; `served_by` is the process that answers on the socket, None if none does.

    `program_there` tells whether the program that the service starts still exists, `elsewhere` whether the service
    was installed for other places than those of this command.
    """
    if not state.installed:
        return [_problem("not-installed", "No service is installed: edits are published only by commands.", _INSTALL)]
    found = []
    if not program_there:
        found.append(_problem("program-gone", "The program that the service starts is not there any more.", _INSTALL))
    if not state.enabled:
        found.append(_problem("not-enabled", "The service does not start at login.", _INSTALL))
    if not state.running:
        found += _why_not(state)
        found.append(_problem("not-running", f"The service does not run: {state.state}.", _START))
    elif elsewhere:
        found.append(_problem("elsewhere", ELSEWHERE, ELSEWHERE_HINT))
    elif served_by is None:
        found.append(_problem("not-served", "The service runs, and its daemon does not answer.", _LOGS))
    if served_by is not None and served_by != state.pid and not elsewhere:
        found.append(_problem("another-daemon", f"Process {served_by} serves, which is not the service's.", _OTHER))
    if state.lingering is False:
        found.append(_problem("no-lingering", LINGER_MESSAGE, LINGER_HINT))
    if state.kind == "systemd" and not state.sandboxed:
        found.append(_problem("no-sandbox", SANDBOX_MESSAGE, SANDBOX_HINT))
    return found


def _why_not(state: State) -> list[dict[str, str]]:
    """Return what systemd could not set up for the daemon, if that is why it does not run (systemd.exec(5))."""
    status = state.last_exit.status if state.last_exit is not None else ""
    if status in SANDBOX_STATUSES:
        return [_problem("sandbox-failed", "The service's sandbox can't be made here any more.", _INSTALL)]
    if status == CREDENTIAL_STATUS:
        return [_problem("credential-failed", "systemd can't open the credential that unlocks otpkeep.", _REMEMBER)]
    return []


def _problem(kind: str, message: str, hint: str) -> dict[str, str]:
    return {"kind": kind, "message": message, "hint": hint}


SANDBOX_STATUSES = frozenset(map(str, SANDBOX_FAILED))
CREDENTIAL_STATUS = "243"
LINGER_MESSAGE = "The service runs only while you are logged in."
LINGER_HINT = "If it is to run from the start of the machine on: loginctl enable-linger"
SANDBOX_MESSAGE = "The service runs without a sandbox: this machine forbids user namespaces to ordinary users."
SANDBOX_HINT = "It backs up all the same. Once they are allowed: otpkeep service uninstall, then install."
ELSEWHERE = "The service is installed for other places (OTPKEEP_HOME or XDG directories)."
ELSEWHERE_HINT = "Run this with the same variables, or `otpkeep service uninstall` first and then install it for these."
_REMEMBER = "Run `otpkeep unlock --remember METHOD` again, then `otpkeep service start`."
_INSTALL = "Run `otpkeep service install`."
_START = "Run `otpkeep service start`; `otpkeep service logs` says why it ended."
_LOGS = "Wait a moment, then look at `otpkeep service logs`."
_OTHER = "Stop it, then run `otpkeep service start`."
