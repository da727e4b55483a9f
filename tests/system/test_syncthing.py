"""Three real Syncthing nodes on this machine carry the folder between three daemons, and do what Syncthing does."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from otpkeep_protocol.naming import file_name
from support_system import flipped, uri
from support_three_sides import Side, arrives, in_step, three_sides

pytestmark = pytest.mark.xdist_group("syncthing")  # they share three nodes

IGNORED = "[0-7]*"
"""About every second file: names begin with a random hex digit."""

_HARMLESS = "it is a damaged copy of {}.otpk, which is whole: nothing is lost"


@pytest.fixture(scope="module")
def one_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Side]]:
    """Three devices of one vault, with daemons and nodes."""
    with three_sides(tmp_path_factory.mktemp("trio")) as sides:
        yield sides


@pytest.fixture
def trio(one_vault: list[Side]) -> Iterator[list[Side]]:
    """The three in step, and with nodes as they were at first, whatever another test did."""
    arrives(lambda: in_step(one_vault), "all three have the same accounts, log and files")
    yield one_vault
    for side in one_vault:
        side.node.ignore()
        side.node.become("sendreceive")


_numbers = iter(range(1, 1000))


def add(side: Side) -> str:
    """Add an account that no other is like; return its id."""
    return str(side.device.add(uri(next(_numbers)))["id"])


def note(side: Side, account: str, text: str) -> None:
    side.device.run("edit", account, "--note", text).ok()


def notes(side: Side, account: str) -> int:
    """Return how many edits of its note an account has seen."""
    return sum("note" in str(row["changes"]) for row in side.log(account))


def all_in_step(trio: list[Side]) -> None:
    arrives(lambda: in_step(trio), "all three have the same accounts, log and files")


def added_file(side: Side) -> Path:
    """Add an account; return the file that holds the edit, which is the only one that it made."""
    before = side.made()
    add(side)
    (name,) = side.made() - before
    return side.node.folder / name


def test_edits_of_three_devices_cross_by_themselves_and_all_end_alike(trio: list[Side]) -> None:
    # given: an account of each, which reaches the others
    made = [add(side) for side in trio]
    arrives(lambda: all(side.accounts().keys() >= set(made) for side in trio), "each add arrives at all")
    # when: each deletes, or edits, what another one made, and all edit one account at once
    note(trio[1], made[0], "by beta")
    trio[2].device.run("rm", made[1]).ok()
    for side in trio:
        note(side, made[2], f"by {side.device.home.name}")
    # then: all have all of it
    all_in_step(trio)
    accounts = trio[0].accounts()
    assert accounts[made[0]]["note"] == "by beta"
    assert made[1] not in accounts
    assert notes(trio[0], made[2]) == 3
    assert not any(side.conflicts() for side in trio)


def test_edits_on_all_sides_of_a_partition_are_all_there_after_it(trio: list[Side]) -> None:
    alpha, beta, gamma = trio
    shared, deleted = add(alpha), add(beta)
    all_in_step(trio)
    # when: gamma is cut off, and all three edit; then alpha is, so that only beta can tell gamma of alpha's edits
    with gamma.node.stopped():
        apart = [add(side) for side in trio]
        for side in trio:
            note(side, shared, f"apart, by {side.device.home.name}")
        alpha.device.run("rm", deleted).ok()
        note(gamma, deleted, "edited where nobody knew that it was deleted")
        arrives(lambda: apart[0] in beta.accounts(), "alpha and beta go on without gamma")
        assert not {*apart[:2]} & gamma.accounts().keys()
        alpha.node.stop()
    arrives(lambda: set(apart) <= gamma.accounts().keys(), "alpha's edits come by way of beta")
    apart += [add(alpha), add(gamma)]
    alpha.node.start()
    # then: nothing is lost, and nothing is missing or in doubt
    all_in_step(trio)
    accounts = alpha.accounts()
    assert set(apart) <= accounts.keys()
    assert notes(alpha, shared) == 3
    assert notes(alpha, deleted) == 1
    for side in trio:
        assert side.device.run("verify", "--depth", "rebuild").ok().json["problems"] == []
        assert side.folder_status()["waiting_for"] == []
    assert not any(side.conflicts() for side in trio)


def test_conflict_files_of_syncthing_are_read_told_and_never_deleted(trio: list[Side]) -> None:
    alpha, beta, gamma = trio
    old, travelling, twice = added_file(alpha), added_file(gamma), added_file(gamma)
    strange = file_name(b"nobody made this")
    all_in_step(trio)
    put_backs = [len(side.put_backs()) for side in trio]
    # given: while gamma is cut off, other bytes come there under names of alpha's files
    with gamma.node.stopped():
        cut, hidden = added_file(alpha), added_file(alpha)
        os.utime(old)
        whole = {path.name: path.read_bytes() for path in (old, cut, hidden, travelling, twice)}
        _spoil(gamma, cut.name, whole[cut.name][:-200], loses=True)
        _spoil(gamma, hidden.name, whole[hidden.name][:-200], loses=False)
        _spoil(gamma, old.name, flipped(whole[old.name], 300), loses=False)
        # and: two of gamma's are broken elsewhere, one of them at home too, where gamma puts it right at once
        _spoil(alpha, travelling.name, flipped(whole[travelling.name], 300), loses=False)
        _spoil(alpha, twice.name, flipped(whole[twice.name], 300), loses=True)
        _spoil(gamma, twice.name, flipped(whole[twice.name], 400), loses=False)
        arrives(lambda: twice.read_bytes() == whole[twice.name], "gamma puts its own file right")
        # and: on both sides a name of ours that nobody has given, here with another file's bytes, there with none of us
        _spoil(alpha, strange, whole[old.name], loses=True)
        _spoil(gamma, strange, b"written by a program that is not ours", loses=False)
        before = gamma.stamps()
        gamma.look()
        assert gamma.stamps() == before
    # when: they meet, then: Syncthing has put one version of each aside, and who made a file has put it right
    arrives(lambda: _put_aside(gamma) == {old.name, cut.name, hidden.name, twice.name, strange}, "there are conflicts")
    arrives(lambda: all(_are_whole(side, whole) for side in trio), "all files are whole under their own names")
    arrives(lambda: all(side.conflicts() == gamma.conflicts() for side in trio), "the conflicts are everywhere")
    all_in_step(trio)
    assert [len(side.put_backs()) for side in trio] == [put_backs[0] + 2, put_backs[1], put_backs[2] + 2]
    # and: damaged versions that stay are told for what they are; the whole ones are no trouble
    aside = gamma.conflicts()
    damaged = {name for name, data in aside.items() if data not in whole.values()}
    assert _names_of(damaged) == {cut.name, twice.name}
    assert _names_of(aside.keys() - damaged) == {old.name, hidden.name, strange}
    for side in trio:
        told = {problem["file"]: problem["message"] for problem in side.device.run("verify").json["problems"]}
        assert told.keys() == damaged | {strange}
        assert all(
            told[n] == f"it is a damaged copy of {n[:32]}.otpk, which is whole: nothing is lost" for n in damaged
        )
        assert "not those that its name stands for" in told[strange]
    # and: no look deletes or writes anything more
    _nothing_moves(trio)
    assert all(side.conflicts() == aside for side in trio)
    # when: a person deletes what verify names, then: no doubt is left, and the whole copies stay
    for name in (*damaged, strange):
        (beta.node.folder / name).unlink()
    all_in_step(trio)
    for side in trio:
        assert side.device.run("verify", "--depth", "rebuild").ok().json["problems"] == []
        assert side.conflicts().keys() == aside.keys() - damaged


def test_what_a_node_ignores_is_waited_for_and_nothing_is_healed_in_circles(trio: list[Side]) -> None:
    alpha, beta, gamma = trio
    kept_back = _old_file_of(alpha, gamma)
    put_backs = [side.put_backs() for side in trio]
    # given: gamma's node ignores every second file
    gamma.node.ignore(IGNORED)
    # when: alpha and gamma each make files that are ignored, and after them one that is not
    lacking, unheard = _some_ignored(alpha), _some_ignored(gamma)
    # then: each side that lacks some names whose they are and how many
    _waits(gamma, "alpha", lacking)
    for side in (alpha, beta):
        _waits(side, "gamma", unheard)
    # and: what vanishes from gamma's folder alone, gamma's device leaves to the others for a day
    kept_back.unlink()
    arrives(lambda: gamma.problems("missing"), "gamma notices")
    _nothing_moves(trio)
    assert [side.put_backs() for side in trio] == put_backs
    # when: the node ignores nothing any more, then: all is there, and the gaps are closed
    gamma.node.ignore()
    all_in_step(trio)
    assert kept_back.exists()
    for side in trio:
        assert side.folder_status()["waiting_for"] == []
        assert side.problems("gap") == side.problems("missing") == []
    assert [side.put_backs() for side in trio] == put_backs


def test_a_receive_only_node_keeps_its_edits_and_says_that_nobody_has_seen_them(trio: list[Side]) -> None:
    alpha, beta, gamma = trio
    # given: an edit of gamma that the others have seen, and said so by edits of theirs
    before = add(gamma)
    arrives(lambda: all(before in side.accounts() for side in (alpha, beta)), "gamma's edit arrives")
    for side in (alpha, beta):
        add(side)
    arrives(lambda: {row["device"] for row in gamma.folder_status()["seen_by"]} == {"alpha", "beta"}, "gamma hears")
    # when: its folder only receives, and all three edit
    gamma.node.become("receiveonly")
    files = [added_file(gamma), added_file(gamma)]
    arrives(lambda: gamma.node.local_changes() == len(files), "Syncthing keeps them to itself")
    others = [add(alpha), add(beta)]
    arrives(lambda: set(others) <= gamma.accounts().keys(), "the others' edits arrive")
    # then: its edits are nowhere else, and status says that nobody has seen them
    assert not any({path.name for path in files} & side.names() for side in (alpha, beta))
    assert gamma.folder_status()["seen_by"] == []
    # when: a person has the node's changes reverted, which deletes the files
    mine, put_backs = gamma.accounts(), len(gamma.put_backs())
    gamma.node.revert()
    arrives(lambda: gamma.node.local_changes() == 0, "Syncthing deletes them")
    # then: the daemon tells it, and publishes them again, each once; no edit is lost
    arrives(lambda: len(gamma.put_backs()) == put_backs + len(files), "they are put back")
    assert all(path.exists() for path in files)
    assert any("2 events of gamma" in message for message in gamma.problems("rollback"))
    assert gamma.accounts() == mine
    before_looks = gamma.stamps()
    gamma.look()
    assert gamma.stamps() == before_looks
    # and: they reach the others once the node sends again
    gamma.node.become("sendreceive")
    all_in_step(trio)
    assert alpha.accounts() == mine
    add(alpha)
    arrives(lambda: [row["device"] for row in gamma.folder_status()["seen_by"]] == ["alpha"], "alpha has seen them")


def _spoil(side: Side, name: str, data: bytes, *, loses: bool) -> None:
    """Write other bytes under a name, as one step; of two versions Syncthing keeps the one that changed last."""
    draft = side.node.folder / f"~syncthing~{name}.tmp"
    draft.write_bytes(data)
    when = time.time() + (-3600 if loses else 60)
    os.utime(draft, (when, when))
    shutil.move(draft, side.node.folder / name)


def _put_aside(side: Side) -> set[str]:
    return _names_of(side.conflicts())


def _names_of(copies: Iterable[str]) -> set[str]:
    """Return the names of the files of which these are conflict copies."""
    return {f"{name[:32]}.otpk" for name in copies}


def _are_whole(side: Side, whole: dict[str, bytes]) -> bool:
    files = side.files()
    return all(files.get(name) == data for name, data in whole.items())


def _nothing_moves(trio: list[Side]) -> None:
    """See that several looks of each device write, and delete, nothing at all."""
    before = [side.stamps() for side in trio]
    for side in trio:
        side.look()
    assert [side.stamps() for side in trio] == before


def _is_ignored(path: Path) -> bool:
    return path.name[0] in "01234567"


def _old_file_of(side: Side, there: Side) -> Path:
    """Have a device make a file that is going to be ignored; return it as it is in another one's folder."""
    while not _is_ignored(path := added_file(side)):
        pass
    copy = there.node.folder / path.name
    arrives(lambda: copy.exists() and in_step([side, there]), "it arrives before it is ignored")
    return copy


def _some_ignored(side: Side) -> int:
    """Have a device make files of which some are ignored, and the last is not; return how many are."""
    ignored = [_is_ignored(added_file(side))]
    while not any(ignored) or ignored[-1]:
        ignored.append(_is_ignored(added_file(side)))
    return sum(ignored)


def _waits(side: Side, device: str, events: int) -> None:
    """See that a device names whose events it lacks, and how many, in status and to verify."""
    wanted = [{"device": device, "events": events}]
    arrives(lambda: side.folder_status()["waiting_for"] == wanted, f"{events} events of {device} are waited for")
    (told,) = side.problems("gap")
    assert f"waiting for {events} event" in told
    assert device in told
    found = side.device.run("verify").json["problems"]
    assert [(problem["kind"], problem["device"]) for problem in found] == [("gap", device)]
