"""What a folder holds before there is a store: its files, and the vaults that they say they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from otpkeep_daemon.device import is_slot_of
from otpkeep_daemon.folder import READ_LIMIT, Folder, Found
from otpkeep_daemon.folder_file import START_SIZE, FolderFile
from otpkeep_protocol import sealing
from otpkeep_protocol.errors import Ambiguous, Malformed, NotFound, OtpkeepError, Unreachable
from otpkeep_protocol.ids import VaultId
from otpkeep_protocol.naming import EXTENSION, NameKind, classify, hidden_name


def read_all(
    folder: Folder, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> tuple[dict[str, FolderFile], int]:
    """Return the files of otpkeep in the folder by name, and how many there are that can't be read yet.

    Of each only the start has been read. `progress` is told (files done, files in all).
    """
    listing = folder.look()
    read = {}
    for number, found in enumerate(listing.files, start=1):
        read[found.name] = _start_of_ours(folder, found)
        progress(number, len(listing.files))
    ours = {name: file for name, file in read.items() if file is not None}
    pending = sum(1 for name in read if name not in ours and EXTENSION in name)
    return ours, pending + len(listing.placeholders)


def _start_of_ours(folder: Folder, found: Found) -> FolderFile | None:
    """Return a file that says it is otpkeep's, None for any other, and for one that can't be read."""
    try:
        start = folder.head(found.name, START_SIZE) or b""
    except Unreachable:
        raise
    except OtpkeepError:
        return None
    is_ours = sealing.has_magic(start) and found.size <= READ_LIMIT
    return FolderFile(folder, found.name, found.size, found.mtime_ns, start) if is_ours else None


def slots_of(files: Iterable[FolderFile], vault: VaultId) -> list[bytes]:
    """Return the bytes of the slots of a vault among these files, as far as they can be read."""
    return [data for file in files if is_slot_of(file.start, vault) and (data := file.read()) is not None]


def holds_vault(folder: Folder) -> bool:
    """Tell whether there is a vault, even one whose files are still empty or elsewhere."""
    listing = folder.look()
    names = [*(found.name for found in listing.files), *(hidden_name(name) for name in listing.placeholders)]
    return any(classify(name) is NameKind.SEALED_NAME for name in names) or bool(_vaults_of(read_all(folder)[0]))


def _vaults_of(files: Mapping[str, FolderFile]) -> set[VaultId]:
    found = set()
    for file in files.values():
        try:
            found.add(sealing.read_header(file.start).vault)
        except Malformed:
            continue
    return found


def choose_vault(files: Mapping[str, FolderFile], wanted: str | None, pending: int) -> VaultId:
    """Return the one vault that the files belong to, or that `wanted` begins. NotFound or Ambiguous otherwise."""
    found = _vaults_of(files)
    chosen = [vault for vault in found if wanted is None or vault.hex().startswith(wanted.lower())]
    if len(chosen) == 1:
        return chosen[0]
    if not found:
        raise NotFound(
            f"this folder holds no vault ({pending} files have not arrived or are damaged)",
            "Wait until your cloud client has synced it, or name another folder.",
        )
    listed = ", ".join(sorted(vault.hex() for vault in found))
    if chosen:
        raise Ambiguous(f"this folder holds several vaults: {listed}", "Say which with --vault.")
    raise NotFound(f"this folder holds no vault {wanted}; it holds {listed}", "Say which with --vault.")
