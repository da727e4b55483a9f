"""What a digest says, and what was accepted, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otpkeep_cli.render.plain import counted, plain


def comparison_text(found: Mapping[str, Any] | None) -> str:
    """Return what the digest from elsewhere says of this device; "" where none was given."""
    if found is None:
        return ""
    beside = f" (as of event {plain(found['event'])})" if found["event"] else ""
    hint = f"\n  {plain(found['hint'])}" if found["hint"] else ""
    return f"{'!' if found['doubt'] else 'Digest:'} {plain(found['message'])}{beside}{hint}"


def accepted_text(done: Mapping[str, Any]) -> str:
    """Return which notices have ended, and what was put back."""
    lines = [
        f"The rollback of {counted(row['events'], 'event')} of {plain(row['device'])} is accepted."
        for row in done["rollbacks"]
    ]
    if done["slots"]:
        lines.append(f"The rollback of {counted(done['slots'], 'slot')} is accepted.")
    lines += [f"No longer waiting for {counted(r['events'], 'event')} of {plain(r['device'])}." for r in done["gaps"]]
    lines += [f"The histories of {plain(device)} are accepted; both stay." for device in done["forks"]]
    lines += ["That another machine writes as this device is accepted." for _ in done["copies"]]
    lines = lines or ["There was nothing to accept."]
    if done["published"]:
        lines.append(f"{counted(done['published'], 'file')} put back or published.")
    if done["missing"]:
        lines.append(f"{counted(done['missing'], 'file')} not put back: backup is off on this device.")
    return "\n".join(lines)
