"""What a verification finds wrong beyond a single file, in words; see `findings`."""

from __future__ import annotations

from collections.abc import Sequence

from otpkeep_daemon.findings import Finding, events_text
from otpkeep_protocol.ids import Piece, event_name


def gap(
    pieces: Sequence[tuple[bytes, int, int, int]], *, device: str | None, claimed: tuple[str, str] | None, own: bool
) -> Finding:
    """Return the finding of events that are named and are nowhere here; `claimed` is the file that names the latest
    and the device that wrote it; `device` made them, None if it is not known.
    """
    file, by = claimed if claimed is not None else (None, None)
    naming = f", which {file} names," if file is not None else ""
    if own:
        message = (
            f"{events_text(pieces)} of this device itself{naming} are in no file of the folder and not in its store: "
            "the store was restored from an older copy, or the device was copied"
        )
        return Finding("rollback", message, f"{_SEEN.format(by)} The next edit here goes on by itself.", None, device)
    if device is None:
        message = f"{events_text(pieces)} of a device that this one has never heard of{naming} are nowhere here"
        return Finding("gap", message, _SEEN.format(by), None, None)
    message = f"{events_text(pieces)}{naming} are in no file of the folder, and this device never had them"
    elsewhere = f" If {device} is lost: {_SEEN.format(by)}" if by is not None and by != device else ""
    return Finding("gap", message, f"Start otpkeep on {device} and let its folder sync.{elsewhere}", None, device)


_SEEN = "Run `otpkeep verify --repair` on {}, which has them, and let its folder sync."


def contradiction(file: str, device: str, piece: Piece) -> Finding:
    """Return the finding of a claim about another event than the one that is here."""
    name = event_name(piece.writer, piece.last)
    message = f"it says that its device has seen another event {name} than the one in the folder; both can't be true"
    hint = (
        f"Both histories are kept as soon as they arrive: run `otpkeep verify --repair` on {device}. Was a device "
        "restored from a backup, or copied? Its next edit settles it. If not, it may be forged: `otpkeep devices`."
    )
    return Finding("contradiction", message, hint, file, device)


def fork(device: str | None, name: str) -> Finding:
    """Return the finding of two histories under one identity, of which both are here."""
    message = f"two histories were written under one identity, {name}; both are whole and kept"
    hint = "Was that device restored from a backup, or copied? Its next edit goes on under another; nothing is lost."
    return Finding("fork", message, hint, None, device)


def invalid(file: str, device: str | None, event: str, problem: str) -> Finding:
    """Return the finding of an event without effect."""
    message = f"its event {event} has no effect, here or anywhere: {problem}"
    return Finding("event", message, "Update otpkeep there and here; `otpkeep event` shows it.", file, device)


def update(file: str, device: str | None, event: str) -> Finding:
    """Return the finding of an event that only a newer otpkeep understands."""
    message = f"its event {event} was written by a newer otpkeep: what it changes is not known here"
    return Finding("unknown-version", message, "Update otpkeep on this device.", file, device)


def bare(file: str, device: str, count: int) -> Finding:
    """Return the finding of events whose values are gone."""
    events = "an event" if count == 1 else f"{count} events"
    message = f"the values of {events} in it are in no file of the folder, nor on this device: they can't be shown"
    hint = f"Run `otpkeep verify --repair` on {device}, which made them, or on any device that still shows them."
    return Finding("body", message, hint, file, device)


def pack(file: str, device: str, old: str, new: str, count: int) -> Finding:
    """Return the finding of a pack that says more than is true."""
    events = "an event or value" if count == 1 else f"{count} events or values"
    message = f"it says that {new} has all of {old}, which still holds {events} beyond it; no device believes it"
    hint = f"Keep {old}: then nothing is lost. Update otpkeep on {device}, which is broken, or in other hands."
    return Finding("pack", message, hint, file, device)


def packed_away(name: str, device: str, gone: int) -> Finding:
    """Return the finding of a file that took the place of others and is nowhere here."""
    files = "a file" if gone == 1 else f"{gone} files"
    message = f"a pack says that it took the place of {files}, and it is neither in the folder nor on this device"
    hint = f"Start otpkeep on {device} and let its folder sync: it puts its own files back."
    return Finding("missing", message, hint, name, device)


def snapshot(name: str, device: str, *, own: bool) -> Finding:
    """Return the finding of a snapshot that is not what its events say."""
    message = "it does not say what the events that it covers say: a new device might show wrong values at first"
    if own:
        return Finding(
            "snapshot", message, "Delete it: no event is in it, and another is written in time.", name, device
        )
    hint = f"No device that has the events believes it. Update otpkeep on {device}, and delete the file."
    return Finding("snapshot", message, hint, name, device)


def unnamed_slot(name: str) -> Finding:
    """Return the finding of a slot that no statement of the vault names."""
    message = "it is a slot that no statement of this vault names, or a damaged copy of one; it is not used"
    hint = "If a passphrase was just changed elsewhere, let the folder sync. Else delete it: another slot is whole."
    return Finding("slot", message, hint, name)


def superseded_slot(name: str) -> Finding:
    """Return the finding of a slot that a newer passphrase has replaced."""
    message = "it is a slot that was replaced: who has it and the passphrase of then can still open the vault"
    return Finding("superseded-slot", message, "Delete it once all your devices have synced.", name)


def slot_missing(name: str) -> Finding:
    """Return the finding of a slot that is named and nowhere here."""
    message = "the vault names it as one of its slots, and it is neither in the folder nor on this device"
    hint = "Run `otpkeep verify --repair` on the device where the passphrase was set, or on any that has it."
    return Finding("missing", message, hint, name)


def no_slot(what: str, *, repairable: bool) -> Finding:
    """Return the finding of a folder that `what`, the passphrase or anything, does not open."""
    message = f"no slot in the folder is whole that {what} opens: nobody could recover with it from this folder alone"
    hint = (
        "`otpkeep verify --repair` puts it back from this device."
        if repairable
        else "Run `otpkeep verify --repair` on your other devices. Keep this one until that holds: it has everything."
    )
    return Finding("no-slot", message, hint)


def two_slots() -> Finding:
    """Return the finding of two passphrases that were set at once."""
    message = "two devices set a new passphrase at once; each of them opens this vault"
    return Finding("slots", message, "Recover on one more device with the code and set another.")


def drill_lacks(events: int, accounts: int, differ: int, *, repairable: bool) -> Finding:
    """Return the finding of a rebuilt vault that is not what this device has."""
    lacks = f"{events} events that this device has" if events != 1 else "an event that this device has"
    message = (
        f"a new device could not rebuild from this folder {lacks}: it would lack {accounts} accounts, "
        f"and show {differ} with other values"
    )
    hint = "Run `otpkeep verify --repair`, then `otpkeep verify --depth rebuild`." if repairable else _AGAIN
    return Finding("rebuild", message, hint)


def drill_untaken(events: int) -> Finding:
    """Return the finding of events in the folder that the live state does not have."""
    count = "an event" if events == 1 else f"{events} events"
    message = f"the folder has {count} that this device did not take in, though nothing is wrong with the files"
    return Finding("rebuild", message, _AGAIN)


def drill_unreadable(events: int) -> Finding:
    """Return the finding of events that this device can't read from its own store any more."""
    count = "an event" if events == 1 else f"{events} events"
    message = f"{count} of this device could not be read from its own store again, nor from the folder"
    hint = "Run `otpkeep verify` for the files. Keep a copy of the store, and recover on another device meanwhile."
    return Finding("rebuild", message, hint)


def drill_differs(what: str) -> Finding:
    """Return the finding of a live state that is not the fold of its events."""
    message = f"{what} is not what the same events give when they are folded anew; the folder is whole"
    hint = (
        "Restart otpkeep and run this again. If it stays, keep a copy of the store, and recover anew from the folder."
    )
    return Finding("rebuild", message, hint)


_AGAIN = "Run `otpkeep backup now`, then `otpkeep verify --depth rebuild`; if it stays, the other problems say why."
