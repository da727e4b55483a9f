"""What cloud clients say of their folders in their own configuration: bytes in, folders out.

Every parser raises Malformed with what is wrong. Sources: Dropbox's help on info.json; abraunegg/onedrive, config.d;
Nextcloud desktop, FolderDefinition::save, written by Qt's QSettings; Syncthing's manual page syncthing-config(5).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from otpkeep_protocol.errors import Malformed

_ONEDRIVE_LINE = re.compile(r'\s*(\w+)\s*=\s*"(.*)"\s*')
_ONE_WAY = {
    "download_only": "it only downloads (download_only): nothing written there leaves this machine",
    "upload_only": "it only uploads (upload_only): what other devices write does not arrive",
}
_FOLDER_KEY = re.compile(r"(\d+)\\(?:Folders|Multifolders|FoldersWithPlaceholders)\\([^\\]+)\\(\w+)")
_URL_KEY = re.compile(r"(\d+)\\url")
_QT_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]+)|([0-7]+)|(.))", re.DOTALL)
_QT_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SYNCTHING_UNFIT = {
    "receiveonly": "it only receives (receiveonly): nothing written there leaves this machine",
    "sendonly": "it only sends (sendonly): what other devices write does not arrive",
    "readonly": "it only sends (readonly): what other devices write does not arrive",
    "receiveencrypted": "it keeps other devices' data encrypted (receiveencrypted)",
}
_SYNCTHING_FIT = frozenset({"", "sendreceive", "readwrite"})


@dataclass(frozen=True, slots=True)
class Configured:
    """A folder as its client names it: the path as written there, what the client calls it.

    `remark` is what a person should know before choosing it, `unfit` why it can't carry a backup; mostly "".
    """

    path: str
    label: str
    remark: str = ""
    unfit: str = ""


def dropbox(data: bytes) -> list[Configured]:
    """Return the accounts in an info.json: `{"personal": {"path": …}, "business": {"path": …}}`."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed("it is not JSON") from error
    accounts = value if isinstance(value, Mapping) else {}
    found = [Configured(path, kind) for kind in ("personal", "business") if (path := _path_of(accounts.get(kind)))]
    if not found:
        raise Malformed("it names no account's folder")
    return found


def _path_of(account: Any) -> str:
    path = account.get("path") if isinstance(account, Mapping) else None
    return path if isinstance(path, str) else ""


def onedrive(data: bytes) -> list[Configured]:
    """Return the folder in the configuration of abraunegg's client: `key = "value"`, the last of a key counts."""
    lines = (_ONEDRIVE_LINE.fullmatch(line) for line in _text(data).splitlines())
    values = {line[1]: line[2] for line in lines if line is not None}
    unfit = "; ".join(words for key, words in _ONE_WAY.items() if values.get(key) == "true")
    return [Configured(values.get("sync_dir") or "~/OneDrive", "sync_dir", unfit=unfit)]


def nextcloud(data: bytes) -> list[Configured]:
    r"""Return the folders in a nextcloud.cfg: `0\Folders\1\localPath=…` under [Accounts], for each of them."""
    folders: dict[tuple[str, str], dict[str, str]] = {}
    servers: dict[str, str] = {}
    for key, value in _section(data, "[Accounts]"):
        if (folder := _FOLDER_KEY.fullmatch(key)) is not None:
            folders.setdefault((folder[1], folder[2]), {})[folder[3]] = _qt_value(value)
        elif (server := _URL_KEY.fullmatch(key)) is not None:
            servers[server[1]] = _qt_value(value)
    return [_nextcloud_folder(found, servers.get(account, "")) for (account, _), found in folders.items()]


def _section(data: bytes, header: str) -> list[tuple[str, str]]:
    """Return key and value of each line in a section; Qt 6 writes UTF-8, Qt 5 Latin-1 with escapes."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "\0" in text:
        raise Malformed("it is not text")
    inside, found = False, []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == header
        elif inside and "=" in line and not line.startswith(";"):
            key, _, value = line.partition("=")
            found.append((key.strip(), value.strip()))
    return found


def _nextcloud_folder(found: Mapping[str, str], server: str) -> Configured:
    label = server.partition("://")[2].strip("/") or "an account"
    remarks = {
        "paused in Nextcloud: resume it there": found.get("paused") == "true",
        "virtual files: set it to be always available locally": found.get("virtualFilesMode", "off") != "off",
    }
    said = "; ".join(words for words, holds in remarks.items() if holds)
    path = found.get("localPath", "")
    return Configured(path, label, said, "" if path else "it has no local path")


def _qt_value(text: str) -> str:
    r"""Undo what QSettings does to a string: quotes, escapes, and UTF-16 halves of characters as `\xNNNN`."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    halves = _QT_ESCAPE.sub(_unescaped, text)
    return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _unescaped(found: re.Match[str]) -> str:
    if found[1] is not None:
        return chr(int(found[1][-4:], 16))
    if found[2] is not None:
        return chr(int(found[2], 8) & 0xFFFF)
    return _QT_CONTROL.get(found[3], found[3])


def syncthing(data: bytes) -> list[Configured]:
    """Return the folders in a config.xml. A document type, and so any entity, is refused unread."""
    reading = _Syncthing()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise Malformed("it is not XML") from error
    return [_syncthing_folder(folder) for folder in reading.folders]


def _refuse_doctype(*_: object) -> None:
    raise Malformed("it has a document type, which Syncthing writes none of")


class _Syncthing:
    """Collects what `configuration/folder` elements say; those under `defaults` are no folders."""

    def __init__(self) -> None:
        self.folders: list[dict[str, str]] = []
        self._inside: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._inside.append(name)
        if self._inside[0] != "configuration":
            raise Malformed("it is not a configuration of Syncthing")
        if self._inside == ["configuration", "folder"]:
            self.folders.append({**attributes, "paused": "", "devices": ""})
        elif self._inside == ["configuration", "folder", "device"]:
            self.folders[-1]["devices"] += "."

    def text(self, text: str) -> None:
        if self._inside == ["configuration", "folder", "paused"]:
            self.folders[-1]["paused"] += text

    def end(self, _name: str) -> None:
        self._inside.pop()


def _syncthing_folder(found: Mapping[str, str]) -> Configured:
    kind, name = found.get("type", "").lower(), found.get("label") or found.get("id", "")
    remarks = {
        "paused in Syncthing: resume it there": found["paused"].strip().lower() == "true",
        "shared with no other device yet: no backup until it is": len(found["devices"]) < 2,
    }
    said = "; ".join(words for words, holds in remarks.items() if holds)
    fit = kind in _SYNCTHING_FIT
    unfit = "" if fit else _SYNCTHING_UNFIT.get(kind, "it is of a kind that otpkeep does not know")
    return Configured(found.get("path", ""), f'folder "{name}"', said, unfit)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Malformed("it is not text") from error
