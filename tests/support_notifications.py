"""A notification server without a desktop: what it is asked to show, it writes down, one JSON document a line.

Run as a program: `support_notifications.py FILE`, with DBUS_SESSION_BUS_ADDRESS. It implements what
https://specifications.freedesktop.org/notification-spec/latest/protocol.html asks for. No annotations import here:
dbus_fast reads D-Bus signatures out of the annotations.
"""
# ruff: noqa: F722, F821

import asyncio
import json
import sys
from pathlib import Path

NAME = "org.freedesktop.Notifications"


async def serve(file: Path) -> None:
    """Own the name, and answer until the process is ended."""
    from dbus_fast.aio import MessageBus
    from dbus_fast.service import ServiceInterface, dbus_method, dbus_signal

    class Server(ServiceInterface):
        @dbus_method()
        def Notify(
            self,
            app_name: "s",
            replaces: "u",
            icon: "s",
            summary: "s",
            body: "s",
            actions: "as",
            hints: "a{sv}",
            timeout: "i",
        ) -> "u":
            shown = {"app": app_name, "summary": summary, "body": body, "urgency": hints["urgency"].value}
            with file.open("a") as lines:
                lines.write(json.dumps(shown) + "\n")
            return 1

        @dbus_method()
        def GetCapabilities(self) -> "as":
            return ["body", "body-markup"]

        @dbus_method()
        def CloseNotification(self, number: "u"):
            pass

        @dbus_method()
        def GetServerInformation(self) -> "ssss":
            return ["tests", "otpkeep", "1", "1.2"]

        @dbus_signal()
        def NotificationClosed(self) -> "uu":
            return [1, 1]

        @dbus_signal()
        def ActionInvoked(self) -> "us":
            return [1, "default"]

    bus = await MessageBus().connect()
    bus.export("/org/freedesktop/Notifications", Server(NAME))
    await bus.request_name(NAME)
    file.touch()
    await bus.wait_for_disconnect()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
