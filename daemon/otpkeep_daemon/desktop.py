"""A desktop notification, shown by a process of its own: `python -m otpkeep_daemon.desktop`, with JSON on its input.

The library needs an event loop, keeps its connection, and may wait for ever for a desktop that hangs; a process that is
ended after a while keeps all of that out of the daemon. It can't tell whether anybody saw the notification, not even
whether there is a desktop (desktop-notifier answers all the same), so nothing counts on it.
"""

from __future__ import annotations

import asyncio
import html
import importlib.util
import json
import sys

TITLE = "otpkeep"
WORDS = (sys.executable, "-m", "otpkeep_daemon.desktop")


def is_installed() -> bool:
    """Tell whether the extra `notify` is installed."""
    return importlib.util.find_spec("desktop_notifier") is not None


def text_of(message: str, hint: str, *, grave: bool) -> bytes:
    """Return what this module reads from its standard input."""
    return json.dumps({"body": f"{message}\n{hint}".strip(), "grave": grave}).encode()


async def _show(body: str, *, grave: bool) -> None:
    from desktop_notifier import DesktopNotifier, Urgency

    marked = html.escape(body, quote=False) if sys.platform.startswith("linux") else body
    urgency = Urgency.Critical if grave else Urgency.Normal
    await DesktopNotifier(app_name=TITLE, app_icon=None).send(title=TITLE, message=marked, urgency=urgency)


if __name__ == "__main__":
    given = json.loads(sys.stdin.buffer.read())
    asyncio.run(_show(given["body"], grave=given["grave"]))
