"""Bad contents of sealed files (SPEC §8): perfectly sealed, and signed where the case is not about that."""

from vector_basis import Case, Value, bad, canonical, labelled
from vector_cast import (
    EPOCH,
    OTHER_ADMIN_SEED,
    WALL,
    Event,
    certificate,
    device,
    statement,
)
from vector_chains import forked
from vector_fold import Lore, encode, fold
from vector_sealing import ADMIN_2_SEED, EPOCH_2, beat_of, content_of, run_of, sealed, snapshot_of
from vector_story import three

MALFORMED, FORGED = "malformed", "not-authentic"
Row = tuple[str, str, str, Value]
A, B = device("A"), device("B")


def events_of_a() -> list[Event]:
    return [e for e in three()[3] if e.header["writer"] == A.writer]


def signatures() -> list[Row]:
    own = events_of_a()
    right, last = run_of(A, own), own[-1]
    flipped = right["signature"][:-1] + bytes([right["signature"][-1] ^ 1])
    pairs = right["payload"]
    head = [A.writer, last.header["seq"], last.hash]
    rule = "§8: signature"
    return [
        ("signature flipped", rule, FORGED, {**right, "signature": flipped}),
        ("signature of zeros", rule, FORGED, {**right, "signature": bytes(64)}),
        ("signature by another device", rule, FORGED, run_of(A, own, signer=B.seed)),
        (
            "signature of an earlier event",
            rule,
            FORGED,
            {**right, "payload": pairs, "signature": run_of(A, own[:-1])["signature"]},
        ),
        ("signature over another seq", rule, FORGED, content_of("run", A, pairs, [head[0], 4, head[2]])),
        ("signature over another writer", rule, FORGED, content_of("run", A, pairs, [B.writer, *head[1:]])),
        ("signature over a hash cut to 16 bytes", rule, FORGED, content_of("run", A, pairs, [*head[:2], head[2][:16]])),
        (
            "signature over kind beat",
            rule,
            FORGED,
            {**right, "signature": content_of("beat", A, pairs, head)["signature"]},
        ),
        (
            "beat signature over another wall",
            rule,
            FORGED,
            {**beat_of(A, WALL, []), "payload": {"wall": WALL + 1, "seen": []}},
        ),
        (
            "snapshot signature over another state",
            rule,
            FORGED,
            {**snapshot_of(A, canonical([]), []), "payload": {"state": encode(fold(own)), "seen": []}},
        ),
        (
            "snapshot signature over the state instead of its hash",
            rule,
            FORGED,
            content_of("snapshot", A, {"state": b"\x90", "seen": []}, [A.writer, b"\x90", []]),
        ),
        ("beat of another writer of its device", rule, FORGED, {**beat_of(A, WALL, []), "nonce": bytes(16)}),
        ("snapshot of another writer of its device", rule, FORGED, {**snapshot_of(A, b"\x90", []), "nonce": bytes(16)}),
        (
            "beat signature that leaves the writer out",
            rule,
            FORGED,
            content_of("beat", A, {"wall": WALL, "seen": []}, [WALL, []]),
        ),
        ("signature of 63 bytes", rule, MALFORMED, {**right, "signature": flipped[:63]}),
    ]


def certificates() -> list[Row]:
    own, rule = events_of_a(), "§8: certificate"
    good = certificate(A.public)
    for_b, foreign = certificate(B.public), statement("device.add", {"device": A.public}, vault=bytes(16))
    other_kind = statement("device.revoke", {"device": A.public})
    superseding = statement("device.add", {"device": A.public}, [bytes(32)])
    cases: list[tuple[str, str, Value]] = [
        ("certificate flipped", FORGED, [EPOCH, good[1][:-1] + bytes([good[1][-1] ^ 1])]),
        ("certificate by another admin", FORGED, certificate(A.public, OTHER_ADMIN_SEED)),
        ("certificate by the other epoch's admin", FORGED, certificate(A.public, ADMIN_2_SEED)),
        ("certificate that names the other epoch", FORGED, [EPOCH_2, good[1]]),
        ("certificate that names an unknown epoch", FORGED, [bytes(16), good[1]]),
        ("certificate of another device", FORGED, for_b),
        ("certificate of another vault", FORGED, [EPOCH, foreign["signature"]]),
        ("certificate from a statement of another kind", FORGED, [EPOCH, other_kind["signature"]]),
        ("certificate from a statement that supersedes", FORGED, [EPOCH, superseding["signature"]]),
        ("certificate signed by the device itself", FORGED, certificate(A.public, A.seed)),
        ("certificate nil", MALFORMED, None),
        ("certificate of one", MALFORMED, good[:1]),
        ("certificate of three", MALFORMED, [*good, None]),
    ]
    return [(name, rule, effect, run_of(A, own, certificate=value)) for name, effect, value in cases]


def owners() -> list[Row]:
    own, rule = events_of_a(), "§8: the writer is derived from device and nonce"
    return [
        ("nonce of another writer", rule, FORGED, run_of(A, own, nonce=labelled("nonce B", 16))),
        ("run of A's events signed by B", rule, FORGED, run_of(B, own)),
        ("nonce of 15 bytes", "§8: nonce", MALFORMED, run_of(A, own, nonce=A.nonce[:15])),
        ("device of 31 bytes", "§8: device", MALFORMED, run_of(A, own, device=A.public[:31])),
    ]


def runs() -> list[Row]:
    _, b, _, everything = three()
    own = events_of_a()
    of_b = [e for e in everything if e.header["writer"] == b.device.writer]
    trunk, branch, other = forked()
    pairs = run_of(A, own)["payload"]
    head = [A.writer, 3, own[-1].hash]
    rule = "§8: one writer, seqs ascending by 1, each prev the hash of the one before"
    swapped = [[pairs[0][0], pairs[1][1]], *pairs[1:]]
    foreign = foreign_event(own[-1])
    return [
        ("run whose prev is another's hash", rule, MALFORMED, run_of(A, [*trunk, branch[0], other[1]])),
        ("run with a seq missing", rule, MALFORMED, run_of(A, [own[0], own[2]])),
        ("run with both branches of a fork", rule, MALFORMED, run_of(A, [*trunk, branch[0], other[0]])),
        ("run with one event twice", rule, MALFORMED, run_of(A, [own[0], own[0]])),
        ("run last first", rule, MALFORMED, content_of("run", A, pairs[::-1], head)),
        ("run of two writers", rule, MALFORMED, run_of(A, [of_b[0], *own])),
        ("run of nothing", "§8: not empty", MALFORMED, content_of("run", A, [], [A.writer, 0, bytes(32)])),
        ("run that is a map", "§8: payload", MALFORMED, content_of("run", A, {"events": pairs}, head)),
        (
            "run of envelopes alone",
            "§8: [envelope, body or nil]",
            MALFORMED,
            content_of("run", A, [p[0] for p in pairs], head),
        ),
        (
            "run of threes",
            "§8: [envelope, body or nil]",
            MALFORMED,
            content_of("run", A, [[*p, None] for p in pairs], head),
        ),
        ("run with a str for an envelope", "§8: envelope bin", MALFORMED, content_of("run", A, [["e", None]], head)),
        (
            "run with an int for a body",
            "§8: body bin or nil",
            MALFORMED,
            content_of("run", A, [*pairs[:2], [pairs[2][0], 0]], head),
        ),
        (
            "run with the body of another event",
            "§4: `body` is H(body bytes)",
            MALFORMED,
            content_of("run", A, swapped, head),
        ),
        ("run with an event of another vault", "§4: an event of another vault", MALFORMED, run_of(A, [foreign])),
    ]


def foreign_event(event: Event) -> Event:
    header = {**event.header, "vault": bytes(16)}
    return Event(canonical(header), event.body, header, event.values)


def shapes() -> list[Row]:
    right = run_of(A, events_of_a())
    beat, seen = beat_of(A, WALL, []), Lore(events_of_a()).seen()
    head = [A.writer, 3, bytes(32)]
    keys = ("kind", "device", "nonce", "certificate", "payload", "signature")
    return [
        *(
            (f"content without {key}", "§8: content", MALFORMED, {k: v for k, v in right.items() if k != key})
            for key in keys
        ),
        ("content of an unknown kind", "§8: kind", MALFORMED, content_of("walk", A, right["payload"], head)),
        ("content kind an int", "§8: kind", MALFORMED, {**right, "kind": 1}),
        ("content an array", "§8: canonical map", MALFORMED, list(right.values())),
        ("beat without wall", "§8: beat", MALFORMED, {**beat, "payload": {"seen": []}}),
        ("beat without seen", "§8: beat", MALFORMED, {**beat, "payload": {"wall": WALL}}),
        ("beat with a wall below 0", "§4: wall", MALFORMED, beat_of(A, -1, [])),
        (
            "beat with pieces not ascending",
            "§4: pieces ascend",
            MALFORMED,
            beat_of(A, WALL, [[b"\xff" * 16, 1, 1, bytes(16)], *seen]),
        ),
        ("beat that is an array", "§8: beat", MALFORMED, {**beat, "payload": [WALL, []]}),
        ("snapshot without state", "§8: snapshot", MALFORMED, content_of("snapshot", A, {"seen": []}, [bytes(32), []])),
        (
            "snapshot with a state that is an array",
            "§8: state bin",
            MALFORMED,
            content_of("snapshot", A, {"state": [], "seen": []}, [bytes(32), []]),
        ),
        (
            "snapshot with a state that is not canonical",
            "§6: canonical array",
            MALFORMED,
            snapshot_of(A, b"\xdc\x00\x00", []),
        ),
    ]


def encodings() -> list[tuple[str, str, str, bytes]]:
    right = canonical(run_of(A, events_of_a()))
    return [
        ("content with a byte after it", "§2", MALFORMED, right + b"\xc0"),
        ("content cut short", "§2", MALFORMED, right[:-1]),
        (
            "content with a length in long form",
            "§2",
            MALFORMED,
            right.replace(b"\xa4kind\xa3run", b"\xa4kind\xd9\x03run"),
        ),
        ("content empty", "§2", MALFORMED, b""),
    ]


def bad_contents() -> list[Case]:
    rows = [*signatures(), *certificates(), *owners(), *runs(), *shapes()]
    encoded = [(name, why, effect, canonical(value)) for name, why, effect, value in rows] + encodings()
    return [bad(name, why, effect, what="sealed", hex=sealed(raw).hex()) for name, why, effect, raw in encoded]
