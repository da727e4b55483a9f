"""Authors that write events as a real device would: with seq, prev, lamport and seen from what they hold."""

from dataclasses import dataclass, field, replace

from vector_basis import Value, labelled
from vector_cast import ACCOUNT, VAULT, WALL, Device, Event, certificate, device, make_event, otp_of
from vector_fold import Lore


@dataclass(slots=True)
class Author:
    """A device that writes; `held` is all it holds, `head` the last event of its writer."""

    device: Device
    held: list[Event] = field(default_factory=list)
    head: Event | None = None
    salt: str = "story"

    def write(
        self,
        kind: str,
        fields: dict[str, Value] | None = None,
        body: dict[str, Value] | None = None,
        **header: Value,
    ) -> Event:
        """The next event of this author, who then holds it; `wall` is by default 1 s for each lamport."""
        lore, written = Lore(self.held), fields or {}
        seq = 1 if self.head is None else self.head.header["seq"] + 1
        chain = {} if self.head is None else {"prev": self.head.hash}
        envelope: dict[str, Value] = {
            "v": 1,
            "vault": VAULT,
            "writer": self.device.writer,
            "seq": seq,
            **chain,
            "lamport": lore.clock() + 1,
            "wall": WALL + 1000 * lore.clock(),
            "seen": lore.seen(),
            "kind": kind,
            "fields": sorted(written, key=str.encode),
            **header,
        }
        salt = labelled(f"{self.salt} {self.device.label} {seq}", 16)
        event = make_event(envelope, {"set": written, **(body or {})}, salt)
        self.held, self.head = [*self.held, event], event
        return event

    def open(self) -> "Author":
        self.write("writer.open", body={"device": self.device.public, "nonce": self.device.nonce})
        made = {"certificate": certificate(self.device.public)}
        self.write("device.add", {"label": self.device.label}, made, account=self.device.id)
        return self

    def add(self, otp: Value = None, account: bytes = ACCOUNT, **header: Value) -> Event:
        fields = {"otp": otp or otp_of(), "issuer": "Example", "name": "alice"}
        return self.write("account.add", fields, account=account, alive=True, **header)

    def edit(self, fields: dict[str, Value], account: bytes = ACCOUNT, **header: Value) -> Event:
        """An edit, which gives life unless it only touches position, favourite or icon."""
        life: dict[str, Value] = {} if fields.keys() <= {"position", "favourite", "icon"} else {"alive": True}
        return self.write("account.edit", fields, account=account, **life, **header)

    def delete(self, account: bytes = ACCOUNT, **header: Value) -> Event:
        return self.write("account.delete", account=account, alive=False, **header)

    def use(self, key: bytes, counter: int, account: bytes = ACCOUNT) -> Event:
        return self.write("account.use", None, {"counter": [key, counter]}, account=account)

    def hear(self, *events: Event) -> None:
        mine = {event.hash for event in self.held}
        self.held = [*self.held, *(event for event in events if event.hash not in mine)]

    def clone(self) -> "Author":
        """The same device restored from a copy: it goes on with the same writer, and so forks it."""
        return replace(self, held=list(self.held), salt=self.salt + " clone")


def three() -> tuple[Author, Author, Author, list[Event]]:
    """A opened its writer and added an account; B and C joined and hold all of A; all that was written."""
    a = Author(device("A")).open()
    a.add()
    b, c = Author(device("B"), list(a.held)).open(), Author(device("C"), list(a.held)).open()
    everything = union(a, b, c)
    for author in (a, b, c):
        author.hear(*everything)
    return a, b, c, everything


def union(*authors: Author) -> list[Event]:
    """All that these authors hold, each event once."""
    found = {event.hash: event for author in authors for event in author.held}
    return list(found.values())
