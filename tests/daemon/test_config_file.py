"""Writing the settings file: one value changes, and everything else stays as the person wrote it."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpkeep_daemon import config_file, exchange
from otpkeep_daemon.config import SETTINGS, Config, parse_config, read_config
from otpkeep_daemon.config_file import change, create_template, edited, template
from otpkeep_daemon.setting_kinds import shown
from otpkeep_protocol.errors import Malformed, OtpkeepError

OURS = """\
# Why: the disk is slow.

debounce_ms   =   70    # tried 50 before
   # indented
"quarantine_s" = 5
"""


def test_the_template_explains_every_setting_and_sets_none() -> None:
    assert tomllib.loads(template()) == {}
    for key, setting in SETTINGS.items():
        assert f"# {setting.about}" in template()
        assert f"\n# {key} = {shown(setting.default)}\n" in template()


@pytest.mark.parametrize("key", SETTINGS)
def test_a_setting_takes_the_place_of_the_line_that_explains_it_and_gives_it_back(key: str) -> None:
    value = SETTINGS[key].default
    assert edited(template(), key, value, "x") == template().replace(f"# {key} =", f"{key} =")
    assert edited(edited(template(), key, value, "x"), key, None, "x") == template()


def test_a_value_changes_and_its_comment_and_spaces_stay() -> None:
    assert edited(OURS, "debounce_ms", 80, "x") == OURS.replace("70", "80")
    assert edited(OURS, "quarantine_s", 6, "x") == OURS.replace("= 5", "= 6")


def test_a_new_setting_comes_to_the_end() -> None:
    assert edited(OURS, "look_every_s", 5, "x") == f"{OURS}look_every_s = 5\n"
    assert edited("debounce_ms = 1", "look_every_s", 5, "x") == "debounce_ms = 1\nlook_every_s = 5\n"


def test_a_setting_that_is_unset_leaves_its_comment_for_the_next_time() -> None:
    without = edited(OURS, "debounce_ms", None, "x")
    assert "\n# debounce_ms = 50    # tried 50 before\n" in without
    assert "\ndebounce_ms = 9    # tried 50 before\n" in edited(without, "debounce_ms", 9, "x")


def test_lines_end_as_they_did() -> None:
    changed = edited(OURS.replace("\n", "\r\n"), "debounce_ms", 80, "x")
    assert changed == OURS.replace("70", "80").replace("\n", "\r\n")


_LINES = st.lists(
    st.sampled_from(
        [
            "",
            "# ours",
            "  # ours",
            "# look_every_s = often",
            "# look_every_s = 9 # old",
            "#look_every_s=7",
            "#debounce_ms = 1",
        ]
    )
)
_NUMBERS = [key for key, setting in SETTINGS.items() if isinstance(setting.default, int)]
_VALUES = st.dictionaries(st.sampled_from(_NUMBERS), st.integers(1, 2000))


@given(_LINES, _VALUES, _LINES, st.sampled_from(_NUMBERS), st.none() | st.integers(1, 2000))
def test_nothing_but_the_one_setting_ever_changes(
    head: list[str], values: dict[str, int], tail: list[str], key: str, value: int | None
) -> None:
    # given: any file of settings and comments
    text = "\n".join([*head, *(f"{k} = {v} # {k}" for k, v in values.items()), *tail, ""])
    # when: one is set or unset
    made = edited(text, key, value, "x")
    # then: the file says that, and the rest as before
    wanted = {k: v for k, v in values.items() if k != key} | ({} if value is None else {key: value})
    assert tomllib.loads(made) == wanted
    others = [line for line in text.splitlines() if key not in line]
    assert [line for line in made.splitlines() if key not in line] == others


def test_a_file_that_is_not_toml_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("look_every_s = \n")
    with pytest.raises(Malformed, match="line 1"):
        change(path, "look_every_s", 5)
    assert path.read_text() == "look_every_s = \n"
    assert _names(tmp_path) == ["config.toml"]


def test_a_file_with_a_mistake_is_touched_only_to_repair_it(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("look_every_s = 0\nnonsense = 1\n")
    # another setting is none of its mistakes
    with pytest.raises(Malformed, match="line 1"):
        change(path, "debounce_ms", 5)
    # each mistake can be repaired, one after the other
    change(path, "nonsense", None)
    change(path, "look_every_s", 5)
    assert path.read_text() == "look_every_s = 5\n"


@pytest.mark.parametrize("text", ["[folder]\npath = 1\n", "folder.path = 1\n", "folder = { path = 1 }\n"])
def test_a_table_that_is_no_setting_can_be_taken_out(text: str) -> None:
    assert "folder" not in edited(f"look_every_s = 5 # mine\n{text}", "folder", None, "x")


def test_a_file_that_is_too_long_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine\n" * 200_000)
    with pytest.raises(Malformed, match="too long"):
        change(path, "look_every_s", 5)
    assert path.stat().st_size == 1_400_000


def test_a_new_file_is_the_template_with_the_value_and_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    change(path, "look_every_s", 5)
    assert path.read_text() == template().replace("# look_every_s = 60", "look_every_s = 5")
    assert path.stat().st_mode & 0o777 == 0o600
    assert _names(tmp_path) == ["config.toml"]


def test_a_template_takes_nobody_s_place(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert create_template(path)
    path.write_text(OURS)
    assert not create_template(path)
    assert path.read_text() == OURS


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real, link = tmp_path / "dotfiles" / "otpkeep.toml", tmp_path / "config.toml"
    real.write_text(OURS)
    link.symlink_to(real)
    change(link, "debounce_ms", 80)
    assert link.is_symlink()
    assert real.read_text() == OURS.replace("70", "80")


def test_an_edit_by_hand_between_reading_and_writing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The person saves at the last moment there is: when the new file lies ready."""
    path = tmp_path / "config.toml"
    path.write_text(OURS)
    saves = iter(
        [lambda: path.write_text(f"{OURS}look_every_s = 7\n"), lambda: _replace(path, f"{OURS}look_every_s = 8\n")]
    )

    def saved_meanwhile(places: exchange.Places, data: bytes) -> None:
        prepare(places, data)
        next(saves, lambda: None)()

    prepare: Callable[[exchange.Places, bytes], None] = exchange.prepare
    monkeypatch.setattr(exchange, "prepare", saved_meanwhile)
    change(path, "debounce_ms", 80)
    # then: both are in the file
    assert read_config(path) == Config(debounce_ms=80, look_every_s=8, quarantine_s=5)
    assert _names(tmp_path) == ["config.toml"]


def test_somebody_who_never_stops_writing_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    path.write_text(OURS)
    prepare, count = exchange.prepare, iter(range(1, 100))

    def saved_meanwhile(places: exchange.Places, data: bytes) -> None:
        prepare(places, data)
        path.write_text(f"look_every_s = {next(count)}\n")

    monkeypatch.setattr(exchange, "prepare", saved_meanwhile)
    with pytest.raises(OtpkeepError, match="keeps writing"):
        change(path, "debounce_ms", 80)
    assert path.read_text() == f"look_every_s = {config_file.ATTEMPTS}\n"


def test_of_many_who_set_at_once_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    keys = _NUMBERS
    threads = [threading.Thread(target=lambda k=key: [change(path, k, n) for n in range(1, 21)]) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tomllib.loads(path.read_text()) == dict.fromkeys(keys, 20)
    assert parse_config(path.read_text(), "x").look_every_s == 20
    assert _names(tmp_path) == ["config.toml"]


def test_a_directory_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(OtpkeepError, match="can't be written"):
        change(tmp_path / "gone" / "config.toml", "look_every_s", 5)


def _replace(path: Path, text: str) -> None:
    """Save as most editors do: a new file in the place of the old one."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


def _names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]
