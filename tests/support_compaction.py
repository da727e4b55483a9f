"""Compaction in tests: one run of it, a device that has something to compact, and the fold that must stay the same."""

from __future__ import annotations

from otpkeep_daemon.compactor import Compacted, Compactor
from otpkeep_protocol import state
from otpkeep_protocol.chains import Chains
from support_vault import Device

QUARANTINE_S = 14 * 24 * 3600


def compact(device: Device, *, fanout: int = 8, quarantine_s: int = QUARANTINE_S, dry_run: bool = False) -> Compacted:
    compactor = Compactor(device.engine, device.folder, device.replica, quarantine_s)
    return compactor.run(fanout=fanout, dry_run=dry_run)


def busy(device: Device, edits: int = 40) -> str:
    """Make some edits, each published by itself, and return one account."""
    account = device.add("mail")
    for number in range(edits):
        device.clock.ms += 1000
        device.change(account, note=f"note {number}")
        assert device.engine.publish()
    return account


def from_scratch(device: Device) -> tuple[bytes, Chains]:
    """Fold every single event anew."""
    events = list(device.replica.archive.events())
    chains = Chains(events)
    return state.encode(state.fold(events, chains.forks)), chains
