"""A person accepts what the folder or the devices have done to the history, and compares digests."""

from __future__ import annotations

from typing import Any

from otpkeep_daemon import histories
from otpkeep_daemon.comparison import comparison
from otpkeep_daemon.healing import AT_ONCE
from otpkeep_daemon.service import Args, Service


def accept_rollback(service: Service, _args: Args) -> dict[str, Any]:
    """Take in what the folder has, accept what is wrong with the histories, and have put back all that is gone.

    Return {rollbacks, slots, gaps, forks, copies}: what is no problem any more; and {published, missing, backed_up}.
    Unreachable if the folder is.
    """
    _look(service)
    with service.store.transaction():
        accepted = histories.accept_all(service.store, service.open)
        service.store.put(AT_ONCE, b"yes")
    published = _look(service)
    missing = len(service.engine.last.missing) if not service.engine.publishing else 0
    backed_up = service.engine.publishing and not service.engine.waiting()
    service.changed()
    return accepted | {"published": published, "missing": missing, "backed_up": backed_up}


def compare_digest(service: Service, args: Args) -> dict[str, Any]:
    """Return what the digest `digest` says of what is held here."""
    return comparison(service.open, args["digest"])


def _look(service: Service) -> int:
    """Make a pass and return how many files it published. Whatever keeps it from that is raised."""
    outcome = service.engine.run()
    if outcome.trouble is not None:
        raise outcome.trouble
    return outcome.published
