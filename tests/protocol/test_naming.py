"""Names: what is ours, what is passed over, and that no conflict copy ever is."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otpkeep_protocol.naming import NameKind, classify, file_name, is_conflict_copy, is_own_temporary, temporary_name

N = "0123456789abcdef0123456789abcdef"
SEALED = f"{N}.otpk"

CONFLICT_COPIES = {
    "Dropbox": f"{N} (Ann's conflicted copy 2026-01-31).otpk",
    "Dropbox case": f"{N} (Case Conflict).otpk",
    "Dropbox case again": f"{N} (Case Conflict 1).otpk",
    "OneDrive device": f"{N}-LAPTOP.otpk",
    "OneDrive number": f"{N} (2).otpk",
    "OneDrive safe backup": f"{N}-LAPTOP-safeBackup-0001.otpk",
    "Google Drive": f"{N} (1).otpk",
    "iCloud": f"{N} 2.otpk",
    "Syncthing": f"{N}.sync-conflict-20260131-101112-ABCDEFG.otpk",
    "Nextcloud user": f"{N} (conflicted copy ann 2026-01-31 101112).otpk",
    "Nextcloud": f"{N} (conflicted copy 2026-01-31 101112).otpk",
    "Nextcloud case": f"{N} (case clash from laptop).otpk",
    "Resilio": f"{N}.Conflict.otpk",
    "pCloud": f"{N} [conflicted].otpk",
    "Seafile": f"{N} (SFConflict ann@example.org 2026-01-31-10-11-12).otpk",
    "rclone conflict": f"{SEALED}.conflict1",
    "rclone path": f"{SEALED}..path1",
}

NOT_OURS_TO_SKIP = {
    "upper case": f"{N.upper()}.otpk",
    "upper case extension": f"{N}.OTPK",
    "31 digits": f"{N[1:]}.otpk",
    "33 digits": f"{N}0.otpk",
    "newline at the end": f"{SEALED}\n",
    "digits of another script": f"{'٣' * 32}.otpk",
    "no extension": N,
    "a photo": "IMG_0001.jpg",
    "a copy of the readme": "README (1).txt",
    "only an ending": ".part",
    "partial without rclone's digits": f"{SEALED}.partial",
    "copy of our temporary": "~otpkeep-ab12-cd34 (1).tmp",
    "empty": "",
}

TEMPORARY = {
    "Dropbox": ".dropbox.cache",
    "Google Drive down": ".tmp.drivedownload",
    "Google Drive up": ".tmp.driveupload",
    "Syncthing": f".syncthing.{SEALED}.tmp",
    "Syncthing on Windows": f"~syncthing~{SEALED}.tmp",
    "Syncthing folder": ".stfolder",
    "Syncthing ignores": ".stignore",
    "Syncthing versions": ".stversions",
    "Nextcloud": f".{SEALED}.~1a2b3c4d",
    "Nextcloud journal": ".sync_0123456789ab.db",
    "Nextcloud journal log": ".sync_0123456789ab.db-wal",
    "Nextcloud log": ".owncloudsync.log.1",
    "Nextcloud part": f"{SEALED}.part",
    "Nextcloud filepart": f"{SEALED}.filepart",
    "Resilio": f"{SEALED}.rsls",
    "Resilio unfinished": f"{SEALED}.!sync",
    "Resilio alone": ".!sync",
    "Resilio folder": ".sync",
    "Seafile": f"{SEALED}.sbak",
    "rclone": f"{SEALED}.1a2b3c4d.partial",
    "ours": "~otpkeep-ab12-cd34.tmp",
}


def test_a_file_is_named_by_the_hash_of_its_bytes() -> None:
    assert file_name(b"otpkeep") == hashlib.sha256(b"otpkeep").hexdigest()[:32] + ".otpk"


@given(st.binary(max_size=64))
def test_every_name_we_give_is_recognised_as_ours(data: bytes) -> None:
    assert classify(file_name(data)) is NameKind.SEALED_NAME


@pytest.mark.parametrize("name", CONFLICT_COPIES.values(), ids=CONFLICT_COPIES.keys())
def test_a_conflict_copy_is_judged_by_its_content(name: str) -> None:
    assert classify(name) is NameKind.CANDIDATE


@pytest.mark.parametrize("name", NOT_OURS_TO_SKIP.values(), ids=NOT_OURS_TO_SKIP.keys())
def test_what_no_rule_names_is_judged_by_its_content(name: str) -> None:
    assert classify(name) is NameKind.CANDIDATE


@pytest.mark.parametrize("name", TEMPORARY.values(), ids=TEMPORARY.keys())
def test_what_cloud_programs_leave_lying_is_passed_over(name: str) -> None:
    assert classify(name) is NameKind.TEMPORARY


@pytest.mark.parametrize("name", [f".{SEALED}.icloud", f".{N} 2.otpk.icloud", ".photo.jpg.icloud"])
def test_a_file_that_is_not_downloaded_is_there_nevertheless(name: str) -> None:
    assert classify(name) is NameKind.PLACEHOLDER


def test_the_readme_is_for_people() -> None:
    assert classify("README.txt") is NameKind.README


@given(st.text(max_size=80))
@example("\udcff")
@example("..")
@example(".\n.icloud")
def test_any_name_at_all_has_a_kind(name: str) -> None:
    assert classify(name) in NameKind


def test_a_device_knows_its_own_temporary_files_only() -> None:
    # given a name of the device ab12
    name = temporary_name("ab12", "cd34")
    # then it alone claims the name, and everybody passes it over
    assert is_own_temporary(name, "ab12")
    assert not is_own_temporary(name, "ab1")
    assert not is_own_temporary(name, "ab")
    assert not is_own_temporary(name, "ab12cd")
    assert classify(name) is NameKind.TEMPORARY


@pytest.mark.parametrize("name", ["~otpkeep-ab12-.tmp", "~otpkeep-ab12-cd-ef.tmp", "~otpkeep-ab12-cd.tmp.otpk", SEALED])
def test_what_is_not_spelt_as_ours_is_never_cleared(name: str) -> None:
    assert not is_own_temporary(name, "ab12")


COPIES = [
    "aegis (Anna's conflicted copy 2026-01-31).json",
    "aegis (Case Conflict).json",
    "aegis (1).json",
    "aegis(2).json",
    "aegis-LAPTOP-safeBackup-0001.json",
    "aegis 2.json",
    "aegis.sync-conflict-20260131-101010-ABCDEF7.json",
    "aegis (conflicted copy anna 2026-01-31 101010).json",
    "aegis.Conflict.json",
    "aegis [conflicted].json",
    "aegis (SFConflict anna@example.org 2026-01-31-10-10-10).json",
    "aegis.json.conflict1",
    "aegis.json..path2",
]


@pytest.mark.parametrize("name", COPIES)
def test_conflict_copies_are_known_by_their_names(name: str) -> None:
    assert is_conflict_copy(name, "aegis.json")


@pytest.mark.parametrize("name", ["aegis.json", "aegis-old.json", "aegis.json.bak", "aegis2.json", "other (1).json"])
def test_other_files_beside_are_not(name: str) -> None:
    assert not is_conflict_copy(name, "aegis.json")
