"""What a verification finds wrong, in words: what it is, what is lost or safe, and the next command.

Messages go into alarms and so into logs: there a device is its id. Its label is in `device`, and in hints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from otpkeep_daemon.problem import counted
from otpkeep_protocol.ids import event_name

NOTES = frozenset({"other-vault", "superseded-slot", "replaced", "fork", "slots", "event"})
"""Kinds that are told and put nothing in doubt: the backup is whole with them."""
PASSING = ("beat", "snapshot")
REPAIR = "`otpkeep verify --repair` puts it back from this device."


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem; `device` is the label, or without keys the id, of the device whose file it is."""

    kind: str
    message: str
    hint: str
    file: str | None = None
    device: str | None = None

    def row(self) -> dict[str, str | None]:
        """Return it as `verify` answers it."""
        return {
            "file": self.file,
            "device": self.device,
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
        }


def is_whole(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing among these puts the backup in doubt."""
    return all(finding.kind in NOTES for finding in findings)


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that the store has: its kind, its device (label or id, None for slots), the pieces of its events.

    `replaced`: a pack took its place. `elsewhere`: all its events are in other files of the folder, None if unknown.
    `spoiled`: the store's copy is damaged.
    """

    name: str
    kind: str
    device: str | None
    own: bool
    events: tuple[tuple[bytes, int, int, int], ...] = ()
    replaced: bool = False
    elsewhere: bool | None = None
    spoiled: bool = False

    @property
    def repairable(self) -> bool:
        """Tell whether the store's copy may be put into the folder."""
        return self.kind not in PASSING and not self.replaced and not self.spoiled


def broken(kind: str, what: str, kept: Kept) -> Finding:
    """Return the finding of a file of the store that the folder has lost, or has no longer whole."""
    hint = _DOWNLOAD if kind == "not-here" else _next_step(kept)
    return Finding(kind, f"{what}; {_meaning(kept)}", hint, kept.name, kept.device)


def _meaning(kept: Kept) -> str:
    if kept.kind in _MEANING:
        return _MEANING[kept.kind]
    held = f"it holds {events_text(kept.events)}" if kept.events else "it holds no event that other files do not have"
    if not kept.events:
        return f"{held}: nothing is lost"
    if kept.elsewhere:
        return f"{held}, which other files of the folder have, too: nothing is lost"
    if kept.spoiled:
        return f"{held}, and this device's own copy is damaged, too: it may be lost"
    if kept.elsewhere is None:
        return f"{held}, which this device has: nothing is lost here"
    return f"{held}, which this device has: nothing is lost here, but who recovers from this folder would lack that"


def _next_step(kept: Kept) -> str:
    if kept.kind in PASSING:
        if kept.own:
            return "Nothing need be done: this device writes it anew in time; `otpkeep backup now` looks at once."
        return f"Nothing need be done: {kept.device} writes another in time, and removes this one."
    if kept.replaced:
        return f"Start otpkeep on {kept.device}, which has the file that took its place, and let its folder sync."
    return _ELSEWHERE if kept.spoiled else REPAIR


def events_text(pieces: Iterable[tuple[bytes, int, int, int]]) -> str:
    """Return (writer, first, last, count) of events for people, such as `2 events (9f86d0.3 to 9f86d0.4)`."""
    pieces = list(pieces)
    spans = [_span(writer, first, last) for writer, first, last, _ in pieces]
    shown = ", ".join(spans[:_MOST]) + (", …" if len(spans) > _MOST else "")
    return f"{counted(sum(piece[3] for piece in pieces), 'event')} ({shown})"


def _span(writer: bytes, first: int, last: int) -> str:
    return event_name(writer, first) + (f" to {event_name(writer, last)}" if last > first else "")


_ELSEWHERE = "Run `otpkeep verify --repair` on another device that has it (`otpkeep devices` lists them)."
_MEANING = {
    "slot": "it is one of the slots by which the passphrase or the recovery code opens the vault; this device has it",
    "beat": "it only says what its device has seen: nothing is lost",
    "snapshot": "it is a copy of the state that makes recovery quick: no event is lost",
}
_MOST = 3
_DOWNLOAD = "Have your cloud client download it (often: “always keep on this device”), then run `otpkeep verify` again."


def damage_of(data: bytes, right: bytes | None, others: str | None) -> str:
    """Return what has become of a file, from its bytes, those that it should have if they are known here, and the name
    of the file that these bytes are, if they are another one's.
    """
    if not data:
        return "it is empty"
    if not any(data):
        return f"its {len(data)} bytes are all zero"
    if others is not None:
        return f"it holds the bytes of {others}"
    if right is not None and right.startswith(data):
        return f"it was cut short: {len(data)} of its {len(right)} bytes are left"
    return f"its {len(data)} bytes are not those that its name stands for"


def damaged_unknown(name: str, what: str) -> Finding:
    """Return the finding of a damaged file that this device has never read whole."""
    return Finding("damaged", f"{what}; what it held is unknown here, as this device never read it whole", _MAKER, name)


def damaged_replaced(name: str, what: str, by: str) -> Finding:
    """Return the finding of a damaged file whose events the file `by` has taken over."""
    message = f"{what}; {by} has taken its place, so that nothing is lost"
    return Finding("replaced", message, "Nothing need be done: its device removes it in time.", name)


def damaged_copy(name: str, of: str) -> Finding:
    """Return the finding of a damaged copy, under a name that a cloud client made, of a file that is whole."""
    return Finding("damaged", f"it is a damaged copy of {of}, which is whole: nothing is lost", "Delete it.", name)


def unopened(name: str, error: str) -> Finding:
    """Return the finding of a file that says it is this vault's and is none that its keys open."""
    message = f"it does not open ({error}): it was damaged before it got this name, or nobody with the keys made it"
    return Finding("not-authentic", message, _MAKER, name)


def cut(name: str, error: str, device: str | None = None) -> Finding:
    """Return the finding of a file that breaks the format."""
    message = f"it is no whole file of otpkeep ({error}); what it held is unknown here"
    return Finding("malformed", message, _MAKER, name, device)


_MAKER = (
    "If it is still being synced, wait. Else start otpkeep on the device that made it, which puts its own files right, "
    "or run `otpkeep verify --repair` on a device that has read it (`otpkeep devices` lists them)."
)


def newer(name: str) -> Finding:
    """Return the finding of a file that this otpkeep does not understand."""
    message = "it was written by a newer otpkeep: nothing of it can be checked here"
    return Finding("unknown-version", message, "Update otpkeep on this device, and run `otpkeep verify` again.", name)


def unread(name: str, error: str, hint: str) -> Finding:
    """Return the finding of a file that the system does not give us."""
    return Finding("unreadable", error, hint, name)


def other_vault(name: str) -> Finding:
    """Return the finding of a file of another vault."""
    message = "it belongs to another vault; it is left alone, and puts this one in no doubt"
    return Finding("other-vault", message, "Keep one vault in a folder: move it, or one of the two mirrors.", name)


def rejected(name: str, error: str, device: str | None) -> Finding:
    """Return the finding of a file that is sealed with the vault's key, and that nobody admitted vouches for."""
    message = f"it is sealed with this vault's key, but nobody whom the vault admitted vouches for it ({error})"
    hint = (
        "Nothing of it was taken in: move it out of the folder, and keep it. Update otpkeep everywhere. If none of "
        "your devices made it, somebody has your passphrase: change the secrets that your accounts protect."
    )
    return Finding("rejected", message, hint, name, device)


def store_copy(name: str, device: str | None, *, in_folder: bool) -> Finding:
    """Return the finding of a file whose copy in the store is damaged."""
    where = "the folder has it whole" if in_folder else "the folder does not have it whole either"
    hint = (
        "This disk damages data. Keep a copy of the store, move it aside, and run `otpkeep recover` on the folder."
        if in_folder
        else "Keep a copy of the store; run `otpkeep verify --repair` on another device that has it."
    )
    return Finding("store", f"this device's own copy of it is damaged; {where}", hint, name, device)
