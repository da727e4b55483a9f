"""What is wrong with the machine, as `status` names it: disks, hints from the system, the clock, a crowded folder.

Each kind is stable, since alarms go by it:

    store-full, store-read-only, store-unwritable     nothing can be saved
    folder-full, folder-read-only                     saved, not published (what failed; what will fail next)
    watching                                          changes are found by the timed look alone
    clock                                             this machine's clock was moved, or contradicts its own past
    foreign                                           thousands of files in the folder are not otpkeep's
"""

from __future__ import annotations

from otpkeep_daemon import clocks
from otpkeep_daemon.clocks import DAY_MS, Anchor, Reading
from otpkeep_daemon.problem import problem, problem_of
from otpkeep_daemon.rows import timestamp
from otpkeep_daemon.service import Service
from otpkeep_protocol.errors import OtpkeepError, StoreUnwritable

ANCHOR = "clock.anchor"
HOUR_MS = 3_600_000
MANY_FOREIGN = 1_000
"""From so many on, passing over them at every look is worth a word."""
_SET_CLOCK = (
    "Set date and time (timedatectl set-ntp true; or your system's settings). No edit is lost, and edits go on; "
)


def problems(service: Service) -> list[dict[str, str]]:
    """Return what is wrong with the machine, each with what to do. Called under the service's lock."""
    found = [*disk_troubles(service), *service.unwatched()]
    rows = [problem_of(trouble) for trouble in found]
    rows += _clock(service)
    foreign = service.engine.last.foreign
    if foreign >= MANY_FOREIGN:
        message = (
            f"{foreign} files in the folder are not otpkeep's; they are left alone, and every look passes over them"
        )
        hint = "Give otpkeep a folder of its own (`otpkeep folder DIR`), or move the others out."
        rows.append(problem("foreign", message, hint))
    return rows


def disk_troubles(service: Service) -> list[OtpkeepError]:
    """Return what keeps the store and the folder from being written, what has failed and what will, each once."""
    service.store.mend()
    last = service.engine.last
    found = [service.store.trouble, last.trouble if isinstance(last.trouble, StoreUnwritable) else None, last.warning]
    shown = {last.trouble.kind} if last.trouble is not None and last.trouble not in found else set()
    once: dict[str, OtpkeepError] = {}
    for trouble in found:
        if trouble is not None and trouble.kind not in shown:
            once.setdefault(trouble.kind, trouble)
    return list(once.values())


def look_at_clock(service: Service, now: Reading | None = None) -> int:
    """Return by how many ms the clock was moved, forward or back, 0 if it was not; remember where it stands."""
    store = service.store
    with service.lock:
        kept = Anchor.decode(store.get(ANCHOR))
        known = service.clock if service.clock is not None else kept
        service.clock, moved = clocks.follow(known, now or clocks.read())
        if service.pid is not None and (kept is None or _is_news(kept, service.clock)):
            _keep(service, service.clock)
    return moved


def _is_news(kept: Anchor, anchor: Anchor) -> bool:
    return kept.boot != anchor.boot or abs(kept.constant - anchor.constant) >= HOUR_MS


def _keep(service: Service, anchor: Anchor) -> None:
    """Write down where the clock stands; a store that can't be written is told of elsewhere."""
    if service.store.trouble is None:
        with service.store.transaction():
            service.store.put(ANCHOR, anchor.encode())


def _clock(service: Service) -> list[dict[str, str]]:
    moved = look_at_clock(service)
    if moved:
        way = "forward" if moved > 0 else "back"
        message = f"this machine's clock was moved {way} by {_span(abs(moved))} since the machine was started"
        hint = f"{_SET_CLOCK}if it is right now, this notice ends by itself within a day."
        return [problem("clock", message, hint)]
    ahead = _own_last_word(service) - service.around.now()
    if ahead > DAY_MS:
        message = (
            f"this machine's clock is {_span(ahead)} behind what it was when this device wrote last, "
            f"at {timestamp(service.around.now() + ahead)}"
        )
        hint = f"{_SET_CLOCK}if it is right now and was wrong then, this notice ends with the next edit."
        return [problem("clock", message, hint)]
    return []


def _own_last_word(service: Service) -> int:
    return service.store.last_wall_of(service.store.need("device"))


def _span(milliseconds: int) -> str:
    days = round(milliseconds / DAY_MS)
    return f"{days} days" if days != 1 else "1 day"
