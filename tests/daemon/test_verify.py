"""Every kind of damage to the folder is found at its depth, told with what to do, and repaired where it can be."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from otpkeep_daemon.calls import call
from otpkeep_daemon.findings import NOTES
from otpkeep_daemon.folder import RealFolder
from otpkeep_daemon.operations.verifying import verification
from otpkeep_protocol.errors import Busy, Locked, Unreachable, Usage
from otpkeep_protocol.naming import file_name
from support_damage import ACCOUNT, DAMAGE, Scene, only_sealed
from support_vault import Hand, World, add, deliver, new_world, seal, totp


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_at_its_depth_and_a_repair_puts_back_what_this_device_has(damage: str) -> None:
    case = DAMAGE[damage]
    with new_world() as world:
        scene = Scene(world)
        case.do(scene)
        for depth in ("names", "content", "rebuild"):
            # when
            found = scene.verify(depth)
            # then: exactly this is found, in words that say what to do
            assert sorted(problem["kind"] for problem in found["problems"]) == case.expected(depth), found
            assert all(
                (problem["message"] and "`" in problem["hint"]) or problem["hint"] for problem in found["problems"]
            )
            assert found["ok"] is all(kind in NOTES for kind in case.expected(depth))
        # when: it is repaired, then: it is whole, or every file that is not is named
        mended = scene.verify(repair=True)
        assert mended["ok"] is case.mended, mended
        assert all(row["message"] and (row["done"] or row["hint"]) for row in mended["repaired"])
        assert {row["file"] for row in mended["repaired"] if not row["done"]} == {
            problem["file"] for problem in mended["problems"] if problem["kind"] not in NOTES
        }
        assert scene.verify("names")["ok"] or not case.mended


def test_a_locked_device_repairs_what_names_alone_can_tell(scene: Scene) -> None:
    scene.folder.take(scene.second)
    scene.folder.put(scene.third, b"")
    scene.service.lock_keys()
    # when
    done = scene.verify("names", repair=True)
    # then: another's files are there again, and its device is named by its id
    assert done["ok"]
    assert {row["file"]: row["done"] for row in done["repaired"]} == {scene.second: True, scene.third: True}
    assert {row["device"] for row in done["repaired"]} == {scene.phone.store.need("device").hex()}
    # and: deeper it needs the keys
    with pytest.raises(Locked):
        scene.verify("content", repair=True)


@pytest.mark.parametrize("locked", [True, False])
def test_a_whole_file_that_is_only_under_a_wrong_name_is_never_written_over_unread(scene: Scene, locked: bool) -> None:
    # given: a client put a file that nobody here knows in the place of another
    unknown = seal(Hand("tablet").run(), "unknown")
    scene.folder.put(scene.third, unknown)
    if locked:
        scene.service.lock_keys()
    # when
    done = scene.verify("names" if locked else "content", repair=True)
    # then: it is left alone, or read first, and both are there afterwards
    assert done["ok"] is not locked
    if locked:
        assert scene.read(scene.third) == unknown
        assert "unlock" in done["repaired"][0]["hint"]
    else:
        assert scene.read(file_name(unknown)) == unknown
        assert file_name(scene.read(scene.third)) == scene.third


def test_nothing_that_a_pack_replaced_is_put_back(scene: Scene) -> None:
    # given: the phone has merged its files, and the laptop's folder has the merged one only
    from otpkeep_daemon.compactor import Compactor

    for number in range(8):
        scene.phone.change(scene.account, note=f"edit {number}")
        scene.phone.run()
    Compactor(scene.phone.engine, scene.phone.folder, scene.phone.replica, 0).run()
    deliver(scene.phone, scene.laptop)
    scene.look()
    old = [n for n in scene.phone.folder.names() if scene.laptop.store.replacement_of(n) is not None if n[0] != "R"]
    assert old
    for name in old:
        scene.folder.take(name)
    # when
    found = scene.verify("rebuild", repair=True)
    # then
    assert (found["ok"], found["repaired"]) == (True, [])
    assert not set(old) & set(scene.folder.names())
    # and: one that is damaged where it still lies is told, and puts nothing in doubt
    scene.folder.put(old[0], b"broken")
    found = scene.verify()
    assert ([problem["kind"] for problem in found["problems"]], found["ok"]) == (["replaced"], True)


def test_a_folder_that_is_not_the_one_it_was_is_unreachable_and_never_filled(scene: Scene) -> None:
    for name in scene.folder.names():
        scene.folder.take(name)
    for depth in ("names", "content"):
        with pytest.raises(Unreachable):
            scene.verify(depth, repair=True)
    assert scene.folder.names() == []


def test_one_name_that_can_t_be_written_keeps_no_other_from_being_repaired(scene: Scene, tmp_path: Path) -> None:
    # given: a real folder, in which a directory has the name of one file, and another one is gone
    for name in scene.folder.names():
        (tmp_path / name).write_bytes(scene.read(name))
    scene.service.move_to(RealFolder(tmp_path, "ab12"))
    with scene.laptop.store.transaction():
        scene.laptop.store.put("folder.device", str(tmp_path.stat().st_dev).encode())
    (tmp_path / scene.second).unlink()
    (tmp_path / scene.second).mkdir()
    (tmp_path / scene.third).unlink()
    # when
    done = scene.verify("names", repair=True)
    # then
    assert {row["file"]: row["done"] for row in done["repaired"]} == {scene.second: False, scene.third: True}
    assert [problem["file"] for problem in done["problems"]] == [scene.second]


def test_a_device_that_does_not_publish_repairs_nothing(scene: Scene) -> None:
    scene.folder.take(scene.third)
    call(scene.service, "backup", {"mode": "off", "here": False})
    with pytest.raises(Usage):
        scene.verify(repair=True)
    assert not scene.folder.has(scene.third)


def test_whom_to_ask_is_said_where_nobody_here_has_it(scene: Scene) -> None:
    # given: the phone saw two edits of a tablet, of which only the first has come
    tablet, witness = Hand("tablet"), Hand("witness")
    tablet.write(add(ACCOUNT, name="x"))
    witness.write(add(b"b" * 16, name="y"), [tablet.piece()])
    scene.put(seal(tablet.run(1, 1), "tablet"))
    name = scene.put(seal(witness.run(), "witness"))
    # when
    (problem,) = scene.verify()["problems"]
    # then: the event, who names it, and on which device to do what
    assert problem["kind"] == "gap"
    assert f"1 event ({tablet.writer.hex()[:6]}.2)" in problem["message"]
    assert name in problem["message"]
    assert f"Start otpkeep on {problem['device']}" in problem["hint"]
    assert f"verify --repair` on {witness.author.device.hex()[:8]}" in problem["hint"]


def test_a_true_snapshot_holds_and_one_whose_events_are_missing_is_not_judged(scene: Scene) -> None:
    from support_damage import snapshot

    snapshot(scene, scene.laptop.state())
    assert scene.verify()["problems"] == []
    scene.folder.take(scene.third)
    assert [problem["kind"] for problem in scene.verify()["problems"]] == ["missing"]


def test_edits_go_on_during_a_drill_which_holds_no_lock_and_finds_nothing_wrong(scene: Scene) -> None:
    edited, stuck = [], []

    def edit() -> None:
        fields = {"note": f"during the drill {len(edited)}"}
        args = {"account": scene.account, "fields": fields, "otp": {}, "placeholder": False}
        edited.append(call(scene.service, "edit", args)["backed_up"])

    def step() -> None:
        if not scene.service.lock.mine:
            editor = threading.Thread(target=edit)
            editor.start()
            editor.join(20)
            stuck.append(editor.is_alive())

    # when: at every step another thread edits
    found = verification(scene.service, "rebuild", step)
    # then
    assert found["problems"] == []
    assert len(edited) > 20
    assert not any(stuck)
    assert all(edited)


def test_the_drill_compares_state_and_codes_and_leaves_nothing_behind(scene: Scene) -> None:
    directory = scene.laptop.path / "drill"
    sealed = []
    # given: what a crash may have left
    directory.mkdir()
    (directory / "store.db").write_bytes(b"half")

    def step() -> None:
        if (directory / "store.db").read_bytes() != b"half":
            sealed.append(only_sealed(directory, [b"bank", b"mail", b"a second file"]))

    # when
    assert verification(scene.service, "rebuild", step)["drill"]["ok"]
    # then: it was sealed files all the time, for this user alone, and is gone
    assert sealed
    assert all(sealed)
    assert not directory.exists()
    # when: what is shown here is not what the events say
    subject = scene.service.open.replica.state.subjects[bytes.fromhex(scene.account)]
    (dot, written), *_ = subject.registers["otp"].dots.items()
    subject.registers["otp"].dots[dot] = written._replace(value=totp(b"another secret of it"))
    scene.service.open.replica.memory.version += 1
    # then
    found = scene.verify("rebuild")
    messages = " ".join(problem["message"] for problem in found["problems"] if problem["kind"] == "rebuild")
    assert "the state of this device" in messages
    assert f"the code of account {scene.account[:6]}" in messages


def test_only_one_drill_runs_at_a_time(scene: Scene) -> None:
    refused = []

    def step() -> None:
        if (scene.laptop.path / "drill" / "store.db").exists() and not refused:
            with pytest.raises(Busy):
                scene.verify("rebuild")
            refused.append(True)

    assert verification(scene.service, "rebuild", step)["ok"]
    assert refused


def test_a_failed_drill_stays_in_status_until_one_succeeds(scene: Scene) -> None:
    def kinds() -> list[str]:
        problems = call(scene.service, "status", {})["problems"]
        return sorted(p["kind"] for p in problems if p["kind"] in ("drill", "verify"))

    # given: a drill that failed because of the folder
    data = scene.read(scene.third)
    scene.folder.take(scene.third)
    scene.verify("rebuild")
    assert kinds() == ["drill", "verify"]
    told = call(scene.service, "status", {})
    assert (told["drill"]["ok"], told["drill"]["accounts"]) == (False, 2)
    assert told["drill"]["duration_ms"] >= 0
    # when: the folder is whole again, and only looked at
    scene.folder.put(scene.third, data)
    scene.verify("names")
    assert kinds() == ["drill", "verify"]
    scene.verify("content")
    # then: the drill stands, until one succeeds
    assert kinds() == ["drill"]
    assert scene.verify("rebuild")["ok"]
    assert kinds() == []
    assert call(scene.service, "status", {})["drill"]["ok"]
    # and: a check of names that finds nothing hides nothing, nor does it a good drill
    scene.verify("names")
    told = call(scene.service, "status", {})
    assert (told["drill"]["ok"], told["verified"]["depth"]) == (True, "names")
