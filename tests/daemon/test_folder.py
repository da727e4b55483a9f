"""One contract, held by the real folder (both ways of publishing) and by the one in memory."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otpkeep_daemon import durable, folder
from otpkeep_daemon.folder import Published, RealFolder, create_folder
from otpkeep_daemon.mounts import filesystem_type, network_filesystem
from otpkeep_protocol.errors import Malformed, Refused, Unreachable
from otpkeep_protocol.naming import file_name, temporary_name
from support_folders import TAG, Place, memory_place, real_place

DATA = b"sealed bytes" * 1000
NAME = file_name(DATA)


@pytest.fixture(params=["memory", "anonymous", "named"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "memory":
        return memory_place()
    return real_place(tmp_path / "folder", anonymous=request.param == "anonymous")


@pytest.fixture(params=[True, False], ids=["anonymous", "named"])
def real(request: pytest.FixtureRequest, tmp_path: Path) -> RealFolder:
    (tmp_path / "folder").mkdir()
    return RealFolder(tmp_path / "folder", TAG, anonymous=request.param)


# The contract


def test_what_is_published_is_listed_and_reads_back(place: Place) -> None:
    assert place.folder.publish(NAME, DATA) is Published.DONE
    assert [(f.name, f.size) for f in place.folder.look().files] == [(NAME, len(DATA))]
    assert place.folder.read(NAME) == DATA


def test_publishing_leaves_nothing_else_behind(place: Place) -> None:
    place.folder.publish(NAME, DATA)
    assert place.names() == [NAME]


def test_an_empty_file_can_be_published(place: Place) -> None:
    assert place.folder.publish(NAME, b"") is Published.DONE
    assert place.folder.read(NAME) == b""


def test_publishing_again_is_done_already(place: Place) -> None:
    place.folder.publish(NAME, DATA)
    assert place.folder.publish(NAME, DATA) is Published.DONE


@pytest.mark.parametrize("other", [b"", b"damage", DATA[:-1], DATA + b"\0", bytes(len(DATA))])
def test_a_name_with_other_bytes_is_taken_and_stays_untouched(place: Place, other: bytes) -> None:
    place.put(NAME, other)
    assert place.folder.publish(NAME, DATA) is Published.TAKEN
    assert place.folder.read(NAME) == other


def test_a_look_lists_by_name_and_sees_conflict_copies(place: Place) -> None:
    copy = NAME.replace(".otpk", " (1).otpk")
    for name in (NAME, copy, "zebra.jpg"):
        place.put(name, DATA)
    assert [f.name for f in place.folder.look().files] == sorted([NAME, copy, "zebra.jpg"])


def test_a_look_passes_over_temporaries_and_the_readme(place: Place) -> None:
    for name in ("README.txt", f"{NAME}.part", temporary_name(TAG, "cd34"), f".syncthing.{NAME}.tmp"):
        place.put(name, DATA)
    assert place.folder.look().files == ()
    assert place.folder.look().placeholders == ()


def test_a_placeholder_is_listed_apart(place: Place) -> None:
    place.put(f".{NAME}.icloud", b"plist")
    listing = place.folder.look()
    assert (listing.files, listing.placeholders) == ((), (f".{NAME}.icloud",))


def test_two_looks_at_an_unchanged_folder_are_equal(place: Place) -> None:
    place.put(NAME, DATA)
    assert place.folder.look() == place.folder.look()


def test_a_changed_file_looks_different(place: Place) -> None:
    place.put(NAME, DATA)
    before = place.folder.look()
    place.put(NAME, DATA + b"x")
    assert place.folder.look() != before


def test_a_file_that_is_gone_reads_as_none(place: Place) -> None:
    assert place.folder.read(NAME) is None


def test_a_file_beyond_the_bound_is_malformed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (folder, sys.modules["otpkeep_daemon.memory_folder"]):
        monkeypatch.setattr(module, "READ_LIMIT", 10)
    place.put("ten", b"x" * 10)
    place.put("eleven", b"x" * 11)
    assert place.folder.read("ten") == b"x" * 10
    with pytest.raises(Malformed):
        place.folder.read("eleven")


def test_deleting_is_done_once_and_twice(place: Place) -> None:
    place.folder.publish(NAME, DATA)
    place.folder.delete(NAME)
    place.folder.delete(NAME)
    assert place.names() == []


def test_only_our_own_leftovers_are_cleared(place: Place) -> None:
    theirs = temporary_name("ff00", "cd34")
    for name in (NAME, theirs, temporary_name(TAG, "cd34"), f"{NAME}.part"):
        place.put(name, DATA)
    place.folder.clear_temporaries()
    assert place.names() == sorted([NAME, theirs, f"{NAME}.part"])


def test_the_readme_says_what_was_written_last(place: Place) -> None:
    for text in ("first", "second", "second"):
        place.folder.write_readme(text)
    assert place.folder.read("README.txt") == b"second"
    assert place.names() == ["README.txt"]


@pytest.mark.parametrize(
    "act",
    [
        lambda f: f.look(),
        lambda f: f.read(NAME),
        lambda f: f.publish(NAME, DATA),
        lambda f: f.delete(NAME),
        lambda f: f.clear_temporaries(),
        lambda f: f.write_readme("text"),
    ],
    ids=["look", "read", "publish", "delete", "clear", "readme"],
)
def test_a_missing_folder_is_unreachable_not_empty(place: Place, act: Callable[[object], object]) -> None:
    place.disappear()
    with pytest.raises(Unreachable) as caught:
        act(place.folder)
    assert "ENOENT" in caught.value.message
    assert "Mount the disk" in caught.value.hint


# The real folder only


def test_a_published_file_is_for_this_user_alone(real: RealFolder) -> None:
    real.publish(NAME, DATA)
    real.write_readme("text")
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in real.path.iterdir()}
    assert modes == {NAME: 0o600, "README.txt": 0o600}


def test_publish_never_makes_the_folder(real: RealFolder) -> None:
    real.path.rmdir()
    with pytest.raises(Unreachable):
        real.publish(NAME, DATA)
    assert not real.path.exists()


def test_links_directories_pipes_and_sockets_are_left_alone(real: RealFolder, tmp_path: Path) -> None:
    # given names that look like files of ours and are none
    (tmp_path / "outside").write_bytes(DATA)
    (real.path / "link.otpk").symlink_to(tmp_path / "outside")
    (real.path / "loop.otpk").symlink_to("loop.otpk")
    (real.path / "directory.otpk").mkdir()
    os.mkfifo(real.path / "pipe.otpk")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(real.path / "socket.otpk"))
    # then none is listed, read, waited for or published over
    assert real.look().files == ()
    for name in ("link.otpk", "loop.otpk", "directory.otpk", "pipe.otpk", "socket.otpk"):
        assert real.read(name) is None
        assert real.publish(name, DATA) is Published.TAKEN


def test_the_folder_itself_may_be_a_link(real: RealFolder, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(real.path)
    assert RealFolder(tmp_path / "link", TAG).publish(NAME, DATA) is Published.DONE
    assert real.read(NAME) == DATA


@pytest.mark.parametrize(("target", "cause"), [("file", "ENOTDIR"), ("loop", "ELOOP")])
def test_what_is_no_directory_is_unreachable(tmp_path: Path, target: str, cause: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(Unreachable, match=cause):
        RealFolder(tmp_path / target, TAG).look()


@pytest.mark.parametrize("name", ["", ".", "..", "../escape", "/etc/passwd", "a\0b"])
def test_a_path_is_no_name(real: RealFolder, name: str) -> None:
    for act in (real.read, real.delete, lambda n: real.publish(n, DATA)):
        with pytest.raises(Refused):
            act(name)


def test_a_large_file_is_written_whole(real: RealFolder) -> None:
    data = os.urandom(3 * 1024 * 1024 + 1)
    assert real.publish(file_name(data), data) is Published.DONE
    assert real.read(file_name(data)) == data


def test_ten_thousand_files_are_looked_at_quickly(real: RealFolder) -> None:
    for number in range(10_000):
        (real.path / f"{number:032x}.otpk").touch()
    begin = time.process_time()
    assert len(real.look().files) == 10_000
    assert time.process_time() - begin < 1.0


def test_creating_makes_what_is_missing_for_this_user_alone(tmp_path: Path) -> None:
    create_folder(tmp_path / "a" / "b")
    assert [stat.S_IMODE((tmp_path / p).stat().st_mode) for p in ("a", "a/b")] == [0o700, 0o700]
    create_folder(tmp_path / "a" / "b")


def test_creating_over_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Unreachable, match=r"ENOTDIR|EEXIST"):
            create_folder(path)
    assert (tmp_path / "file").read_bytes() == b"kept"


_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from otpkeep_daemon.folder import RealFolder
from otpkeep_protocol.errors import OtpkeepError
folder = RealFolder(Path(sys.argv[1]), "ab12", anonymous=sys.argv[2] == "anonymous")
try:
    print(folder.publish(sys.argv[3], b"data").value)
except OtpkeepError as error:
    print(type(error).__name__, error.message, error.hint, sep="|")
"""


def _publish_under(path: Path, way: str, *before: str) -> str:
    """Publish "data" as NAME in a process started by the words `before`; return what it printed."""
    done = subprocess.run(
        [*before, sys.executable, "-c", _IN_ANOTHER_PROCESS, str(path), way, NAME],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return done.stdout.strip()


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@needs_strace
@pytest.mark.parametrize("way", ["anonymous", "named"])
@pytest.mark.parametrize(
    ("calls", "error", "kind", "word"),
    [
        ("fsync", "ENOSPC", "FolderFull", "free some space"),
        ("fsync", "EIO", "Unreachable", "check it"),
        ("fsync", "EDQUOT", "FolderFull", "quota"),
        ("linkat", "EROFS", "FolderReadOnly", "read-only"),
        ("linkat", "EIO", "Unreachable", "check it"),
    ],
)
def test_a_failing_disk_is_told_by_its_cause_and_leaves_nothing(
    tmp_path: Path, way: str, calls: str, error: str, kind: str, word: str
) -> None:
    said = _publish_under(tmp_path, way, "strace", "-f", "-qq", "-o", os.devnull, "-e", f"inject={calls}:error={error}")
    assert said.startswith(f"{kind}|")
    assert error in said
    assert word in said
    assert list(tmp_path.iterdir()) == []


@needs_strace
@pytest.mark.parametrize("way", ["anonymous", "named"])
def test_a_name_whose_directory_can_not_be_synced_is_thrown_away(tmp_path: Path, way: str) -> None:
    # the first fsync is the file's, the second the directory's
    said = _publish_under(tmp_path, way, "strace", "-f", "-qq", "-o", os.devnull, "-e", "inject=fsync:error=EIO:when=2")
    assert "EIO" in said
    assert list(tmp_path.iterdir()) == []


@needs_strace
@pytest.mark.parametrize(("way", "error"), [("anonymous", "ENOENT"), ("anonymous", "EPERM"), ("named", "EPERM")])
def test_systems_without_links_still_get_the_file(tmp_path: Path, way: str, error: str) -> None:
    said = _publish_under(
        tmp_path, way, "strace", "-f", "-qq", "-o", os.devnull, "-e", f"inject=linkat,link:error={error}"
    )
    assert said == "done"
    assert [p.name for p in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME).read_bytes() == b"data"


@needs_strace
@pytest.mark.parametrize("error", ["EINVAL", "EOPNOTSUPP"])
def test_a_directory_that_knows_no_sync_is_no_failure(tmp_path: Path, error: str) -> None:
    said = _publish_under(
        tmp_path, "named", "strace", "-f", "-qq", "-o", os.devnull, "-e", f"inject=fsync:error={error}:when=2"
    )
    assert said == "done"


@needs_strace
@pytest.mark.parametrize("way", ["anonymous", "named"])
def test_killed_at_any_call_no_half_file_ever_has_the_name(tmp_path: Path, way: str) -> None:
    seen = set()
    for call in ("write", "fsync", "linkat", "unlinkat"):
        for when in (1, 2, 3):
            place = tmp_path / f"{call}{when}"
            place.mkdir()
            kill = f"inject={call}:signal=SIGKILL:when={when}"
            env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
            subprocess.run(
                ["strace", "-f", "-qq", "-o", os.devnull, "-e", kill, sys.executable, "-c",
                 _IN_ANOTHER_PROCESS, str(place), way, NAME],
                check=False, capture_output=True, env=env,
            )  # fmt: skip
            # then the name has everything or is not there, and clearing leaves at most that
            RealFolder(place, TAG).clear_temporaries()
            left = {p.name: p.read_bytes() for p in place.iterdir()}
            assert left in ({}, {NAME: b"data"})
            seen.add(bool(left))
    assert seen == {True, False}


@needs_strace
def test_an_anonymous_publish_shows_no_other_name(tmp_path: Path) -> None:
    log = tmp_path / "log"
    place = tmp_path / "folder"
    place.mkdir()
    assert _publish_under(place, "anonymous", "strace", "-f", "-qq", "-o", str(log), "-e", "trace=openat") == "done"
    lines = [line for line in log.read_text().splitlines() if "O_TMPFILE" in line]
    if not lines or " = -1" in lines[0]:
        pytest.skip("the file system of the temporary directory has no O_TMPFILE")
    assert "~otpkeep" not in log.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="dropping to another user needs root")
def test_one_unreadable_file_is_refused_alone_a_closed_folder_is_unreachable(tmp_path: Path) -> None:
    # given a folder of another user with one file of root's, in a place that the user can reach
    script = (
        "import os, sys; from pathlib import Path\n"
        "from otpkeep_daemon.folder import RealFolder\n"
        "from otpkeep_protocol.errors import OtpkeepError\n"
        "os.chdir(sys.argv[1]); os.setgid(65534); os.setuid(65534)\n"
        "folder = RealFolder(Path('folder'), 'ab12')\n"
        "for act in (lambda: folder.read('file'), lambda: os.chmod('folder', 0o600), folder.look,\n"
        "            lambda: folder.read('file'), lambda: os.chmod('folder', 0), folder.look):\n"
        "    try: act(); print('done')\n"
        "    except OtpkeepError as error: print(type(error).__name__)\n"
    )
    tmp_path.chmod(0o755)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x")
    (tmp_path / "folder" / "file").chmod(0o600)
    os.chown(tmp_path / "folder", 65534, 65534)
    # when the user reads it, then takes away the folder's own rights bit by bit
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    # then only the first failure is the file's
    assert done.stdout.split() == ["Refused", "done", "Unreachable", "Unreachable", "done", "Unreachable"]


def test_an_absent_file_holds_nothing_and_is_discarded_already(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        assert durable.holds(descriptor, NAME, DATA) is None
        durable.discard(descriptor, NAME)
    finally:
        os.close(descriptor)


# File systems

MOUNTS = """\
22 1 0:21 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/share rw,relatime shared:5 - cifs //nas/share rw
31 22 0:41 / /mnt/with\\040space rw - fuse.sshfs host: rw
32 30 8:2 / /mnt/share/disk rw - ext4 /dev/sdb1 rw
33 22 0:50 / /twice rw - nfs4 nas:/ rw
34 33 8:3 / /twice rw - btrfs /dev/sdc1 rw
garbage
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/ann", "ext4"),
        ("/mnt/share", "cifs"),
        ("/mnt/share/otp", "cifs"),
        ("/mnt/shared", "ext4"),
        ("/mnt/share/disk/otp", "ext4"),
        ("/mnt/with space/otp", "fuse.sshfs"),
        ("/twice/x", "btrfs"),
    ],
)
def test_the_deepest_and_latest_mount_says_the_file_system(path: str, kind: str) -> None:
    assert filesystem_type(MOUNTS, path) == kind


def test_an_empty_table_says_nothing() -> None:
    assert filesystem_type("", "/home") is None


def test_the_kernel_s_own_file_systems_are_not_network() -> None:
    assert network_filesystem(Path("/proc/self/status")) is None
