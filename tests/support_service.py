"""The service of a daemon over a test device."""

from __future__ import annotations

import os
from collections.abc import Callable

from otpkeep_daemon.config import Config
from otpkeep_daemon.own_vault import OwnVault
from otpkeep_daemon.service import Service
from support_vault import Device


def serve(device: Device, *, locked: bool = False, config: Callable[[], Config] = Config) -> Service:
    """Return a daemon's service on the store and folder of a device, unlocked unless it is to stay `locked`."""
    own = OwnVault(device.path / "vault.aegis.json", device.random)
    service = Service(device.store, device.folder, own, device.around, pid=os.getpid(), config=config)
    if not locked:
        service.unlock(device.replica.keys)
    return service
