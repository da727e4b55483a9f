"""Events by the names that people use for them, such as `9f86d0.17`."""

from __future__ import annotations

import re

from otpkeep_daemon.archive import Archive
from otpkeep_protocol.errors import NotFound, Usage
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import full_event_name

_NAME = re.compile(r"([0-9a-f]{4,32})\.([0-9]{1,16})(?:\.([0-9a-f]{4,32}))?", re.IGNORECASE)


def find_event(archive: Archive, name: str) -> Event:
    """Return the event of that name: 4 or more hex digits of its writer, a dot and its seq.

    Of a forked writer two events have that name; then a dot and 4 or more digits of the hash say which is meant.
    Usage for what is no such name or fits several events, NotFound if none is held.
    """
    read = _NAME.fullmatch(name.strip())
    if read is None:
        raise Usage("an event is named like 9f86d0.17", "`otpkeep log` shows the names.")
    digits = (read[3] or "").lower()
    found = [e for e in archive.find(read[1].lower(), int(read[2])) if e.hash.hex().startswith(digits)]
    if not found:
        raise NotFound("there is no such event on this device", "`otpkeep log` shows those that there are.")
    if len({event.dot.writer for event in found}) > 1:
        raise Usage("this name fits events of several writers", "Give more digits before the dot.")
    if len(found) > 1:
        names = " or ".join(sorted(full_event_name(event.dot) for event in found))
        raise Usage("two events have this name, since a device was copied or rolled back", f"Say which: {names}.")
    return found[0]
