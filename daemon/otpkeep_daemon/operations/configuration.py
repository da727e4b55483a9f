"""The settings of a running daemon."""

from __future__ import annotations

from typing import Any

from otpkeep_daemon.service import Args, Service


def reload(service: Service, _args: Args) -> dict[str, Any]:
    """Have the settings read anew."""
    service.reload()
    return {"reloaded": True}
