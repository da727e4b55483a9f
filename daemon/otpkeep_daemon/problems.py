"""What is wrong with the folder, the vault, its devices and watched files, each with what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otpkeep_daemon import histories
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.carried import unseen
from otpkeep_daemon.engine import Engine
from otpkeep_daemon.healing import lost_files
from otpkeep_daemon.newcomers import newcomers
from otpkeep_daemon.problem import problem, problem_of
from otpkeep_daemon.reviewing import REASONS
from otpkeep_daemon.rows import Names, timestamp
from otpkeep_daemon.store import Store
from otpkeep_daemon.vault_files import copies_beside, stamp_of
from otpkeep_daemon.watched import Watched
from otpkeep_daemon.watches import OWN, Watch
from otpkeep_protocol import plan
from otpkeep_protocol.errors import StoreUnwritable
from otpkeep_protocol.healing import REPEATED
from otpkeep_protocol.ids import event_name
from otpkeep_protocol.plan import Seen
from otpkeep_protocol.state import State
from otpkeep_protocol.view import is_retired

FAR_AHEAD_MS = 24 * 3600 * 1000


def problems(
    store: Store, engine: Engine, accounts: Accounts | None, now_ms: int, *, labels: bool
) -> list[dict[str, str]]:
    """Return what is wrong, each with what to do; devices by their labels or by their ids."""
    found = []
    trouble = engine.last.trouble
    if trouble is not None and not isinstance(trouble, StoreUnwritable):
        found.append(problem_of(trouble, "folder"))
    found += _folder_problems(store, engine, now_ms)
    names = accounts.names() if accounts is not None and labels else Names(State(), store.writers())
    found += _vanishing(store, names)
    found += histories.folder_problems(store, names)
    if accounts is not None:
        found += _vault_problems(store, accounts, names, now_ms)
    return found


def _folder_problems(store: Store, engine: Engine, now_ms: int) -> list[dict[str, str]]:
    looked = store.looked(but=("ok", "foreign", "slot", "replaced")).values()
    seen = {v.name: Seen(v.size, v.mtime_ns, v.verdict, v.since) for v in looked}
    late = plan.overdue(seen, now_ms // 1000)
    found = _each("damaged", late, "does not open", "`otpkeep verify` names what it held.")
    for verdict, (message, hint) in _VERDICTS.items():
        found += _each(verdict, [v.name for v in looked if v.verdict == verdict], message, hint)
    if engine.last.missing:
        message = f"{len(engine.last.missing)} files that were in the folder are gone; nothing is lost on this device"
        found.append(problem("missing", message, _BY_ITSELF))
    return found


_BY_ITSELF = (
    "They are put back by themselves: this device's at the next look, others' after a day or two, and all after a day "
    "at the earliest if most are gone. `otpkeep verify` names them."
)


def _vanishing(store: Store, names: Names) -> list[dict[str, str]]:
    """Return the files that vanish again and again although they are put back."""
    rows = ((store.file_named(name), row) for name, row in lost_files(store).items() if row.vanished >= REPEATED)
    found = [(file, row) for file, row in rows if file is not None]
    if len(found) > MOST_NAMED:
        message = f"{len(found)} files, {found[0][0].name} among them, vanish from the folder again and again: {_MEANS}"
        return [problem("vanishing", message, _WHO)]
    return [
        problem(
            "vanishing",
            f"{file.name} of {names.label(file.owner) if file.owner is not None else 'all devices'} has vanished from "
            f"the folder {row.vanished} times, or was broken there: {_MEANS}",
            _WHO,
            file.name,
        )
        for file, row in found
    ]


_MEANS = "something deletes it; nothing is lost on this device, but who recovers from the folder may lack what is in it"
_WHO = (
    "Look for what deletes in the folder: rules, quota and trash of the cloud client, another program, a person. "
    "Or move it: `otpkeep folder DIR`. It is put back all the same, but later each time."
)
MOST_NAMED = 5
"""Files of one kind that are named one by one; of more than these their number says enough."""


def _each(kind: str, names: Sequence[str], message: str, hint: str) -> list[dict[str, str]]:
    if len(names) > MOST_NAMED:
        return [problem(kind, f"{len(names)} files in the folder, {names[0]} among them: each {message}", hint)]
    return [problem(kind, f"{name} in the folder {message}", hint, name) for name in names]


_VERDICTS: Mapping[str, tuple[str, str]] = {
    "other-vault": ("belongs to another vault; it is left alone", "Keep one vault in a folder."),
    "newer": ("was written by a newer otpkeep", "Update otpkeep on this device."),
    "rejected": (
        "was sealed with this vault's key, but nobody the vault knows vouches for it",
        "Keep it, and ask for help.",
    ),
}


def _vault_problems(store: Store, accounts: Accounts, names: Names, now_ms: int) -> list[dict[str, str]]:
    chains = accounts.replica.chains
    found = histories.vault_problems(store, accounts, names)
    if len(accounts.replica.current_slot_statements()) > 1:
        message = "two devices set a new passphrase at once; all of them open this vault"
        found.append(problem("slots", message, "Recover on one more device with the code and set another."))
    for writer, seq, why in store.problems():
        message = f"event {event_name(writer, seq)} of {names.of_writer(writer)} has no effect: {why}"
        found.append(problem("event", message, "Update otpkeep there and here.", event_name(writer, seq)))
    own = store.need("device")
    for writer in (w for w in chains.writers() if store.writers().get(w) != own):
        _, wall = chains.last_seen_by(writer)
        if wall - now_ms > FAR_AHEAD_MS:
            message = f"the clock of {names.of_writer(writer)} is ahead: it wrote at {timestamp(wall)}"
            hint = "Set its clock, or this machine's if that is behind; no edit is lost."
            found.append(problem("clock", message, hint, writer.hex()))
    return found


def device_problems(store: Store, accounts: Accounts | None, now_ms: int, silent_s: int) -> list[dict[str, str]]:
    """Return the devices that are new, and, with keys, those that nobody has heard of for `silent_s`.

    With keys also, whether nothing of this one gets to the others. They are named by their ids: a label is nothing for
    a log.
    """
    state = accounts.replica.state if accounts is not None else None
    found = []
    if accounts is not None and accounts.replica.retired:
        found.append(problem("retired", "this device was retired", _RETIRED, store.need("device").hex()))
    for device, when in newcomers(store, now_ms).items():
        if state is None or not is_retired(state, device):
            message = f"the device {device.hex()[:8]} has joined the vault; this one heard of it on {timestamp(when)}"
            found.append(problem("new-device", message, _NEW_DEVICE, device.hex()))
    for device, last in _last_words(store, accounts).items() if accounts is not None else ():
        if now_ms - last >= silent_s * 1000:
            message = f"the device {device.hex()[:8]} was last heard of on {timestamp(last)}"
            found.append(problem("silent", message, _SILENT, device.hex()))
    return found + (unseen(store, accounts, now_ms) if accounts is not None else [])


_RETIRED = (
    "Nothing is lost, and it goes on backing up; nobody waits for it. An edit here makes it active again, and so does "
    "`otpkeep devices retire DEVICE --undo`."
)
_NEW_DEVICE = (
    "`otpkeep devices` shows its name. If it is not yours, somebody knows your passphrase or recovery code: "
    "change what your accounts' secrets protect, from another machine."
)
_SILENT = "Start otpkeep there, and see that its folder syncs; `otpkeep devices` shows its name."


def _last_words(store: Store, accounts: Accounts) -> dict[bytes, int]:
    """Return when (ms) each other device that is not retired was last heard of, if ever."""
    words: dict[bytes, int] = {}
    for writer, device in store.writers().items():
        words[device] = max(words.get(device, 0), accounts.replica.chains.last_seen_by(writer)[1])
    own, state = store.need("device"), accounts.replica.state
    return {d: last for d, last in words.items() if last and d != own and not is_retired(state, d)}


def watched_problems(watched: Watched) -> list[dict[str, str]]:
    """Return what a person must know of the watched files."""
    found = [
        problem(
            "held",
            f"a change of {hold.path} waits, since {REASONS[hold.reason]}; nothing of it was done",
            f"`otpkeep review {hold.id}` shows it; --accept does it, --reject keeps the accounts as they are.",
            hold.id,
        )
        for hold in watched.watches.holds()
    ]
    found += [problem(trouble.kind, trouble.message, trouble.hint, str(p)) for p, trouble in watched.troubles.items()]
    for path in sorted(watched.changed_while_locked):
        message = f"{path} has changed, and is read once otpkeep is unlocked"
        found.append(problem("locked", message, "Run `otpkeep unlock`.", str(path)))
    for watch in watched.watches.all():
        found += _file_problems(watch)
    return found


def _file_problems(watch: Watch) -> list[dict[str, str]]:
    if watch.format == OWN:
        return []
    found = [
        problem("conflict-copy", f"{copy} is another version of {watch.path}; it is left alone", _COPY_HINT, str(copy))
        for copy in copies_beside(watch.path)
    ]
    if stamp_of(watch.path) is None:
        message = f"the watched file {watch.path} is gone; that deletes no account"
        found.append(problem("watched-missing", message, "Put it back, or run `otpkeep unwatch`.", str(watch.path)))
    return found


_COPY_HINT = "What it had beyond the file was taken in once it could be read. Delete it when you need it no longer."
