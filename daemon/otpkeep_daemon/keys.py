"""The keys of an unlocked device, and what is sealed and opened with them."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from otpkeep_protocol import content, events, keyring, sealing, statements
from otpkeep_protocol.content import Author, Content
from otpkeep_protocol.errors import NotAuthentic
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.keyring import Keyring
from otpkeep_protocol.rules import FEATURES, STATEMENT_KINDS


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where randomness (bytes of the operating system) and time (ms since 1970) come from."""

    random: Callable[[int], bytes] = field(repr=False)
    now: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Keys:
    """What an unlocked device has in memory; `keyring` never has the admin seed.

    `understood` are the critical features of events that its version of otpkeep knows.
    """

    keyring: Keyring
    author: Author
    salt_secret: bytes = field(repr=False)
    local_key: bytes = field(repr=False)
    understood: frozenset[str] = FEATURES

    def seal(self, made: bytes, random: bytes) -> bytes:
        """Return the file of the content `made` under the newest epoch; `random` is 32 fresh random bytes."""
        ring = self.keyring
        return sealing.seal(
            made,
            vault=ring.vault,
            epoch=ring.newest.id,
            key=ring.newest.key,
            salt_secret=self.salt_secret,
            random=random,
        )

    def seal_merged(self, content: bytes) -> bytes:
        """Return the file of merged runs, the same on whatever device it is made (SPEC §8)."""
        secret = hmac.digest(self.keyring.id_key, b"otpkeep/v1/merged", "sha256")
        return replace(self, salt_secret=secret).seal(content, bytes(32))

    def open(self, data: bytes) -> bytes:
        """Return the content of a sealed file. NotAuthentic, Malformed or UnknownVersion if it does not open."""
        header = sealing.read_header(data)
        return sealing.open_sealed(data, header, self._epoch_key(header))

    def open_start(self, data: bytes) -> bytes:
        """Return the start of what is sealed, enough to tell its kind; errors as for `open`."""
        header = sealing.read_header(data)
        return sealing.open_start(data, header, self._epoch_key(header))

    def _epoch_key(self, header: sealing.Header) -> bytes:
        epoch = self.keyring.epoch(header.epoch)
        if epoch is None:
            raise NotAuthentic("a file sealed under keys that this device does not have")
        return epoch.key

    def read(self, opened: bytes) -> Content:
        """Return what the content of a file says, as `content.read` does."""
        return content.read(opened, self.keyring, self.understood)

    def read_event(self, envelope: bytes, body: bytes | None) -> Event:
        """Return the event of stored bytes with every rule checked, as when it came in."""
        return self.checked(events.read(envelope, body, self.keyring.vault, self.understood))

    def checked(self, event: Event) -> Event:
        """Return the event, without effect if it carries an admin statement that the admin did not sign."""
        if event.problem is None and event.kind in STATEMENT_KINDS and event.values is not None:
            try:
                statements.check_admin(event.extra["statement"], self.keyring)
            except NotAuthentic as error:
                return event._replace(problem=error.message)
        return event

    def seal_local(self, account: bytes, secret: bytes, random: bytes) -> bytes:
        """Return a placeholder's secret sealed for this device alone; `random` is 32 fresh random bytes."""
        return keyring.wrap(self.local_key, self._local_label(account), secret, random)

    def open_local(self, account: bytes, sealed: bytes) -> bytes:
        """Return what `seal_local` sealed. NotAuthentic for anything else."""
        return keyring.unwrap(self.local_key, self._local_label(account), sealed)

    def seal_watch(self, path: bytes, held: bytes, random: bytes) -> bytes:
        """Return what a watched file held, or its password, sealed for this device alone; `random` as above."""
        return keyring.wrap(self.local_key, self._watch_label(path), held, random)

    def open_watch(self, path: bytes, sealed: bytes) -> bytes:
        """Return what `seal_watch` sealed for that path. NotAuthentic for anything else."""
        return keyring.unwrap(self.local_key, self._watch_label(path), sealed)

    def _watch_label(self, path: bytes) -> bytes:
        return b"otpkeep/v1/watch" + self.keyring.vault + sha256(path)

    def _local_label(self, account: bytes) -> bytes:
        return b"otpkeep/v1/local" + self.keyring.vault + account
