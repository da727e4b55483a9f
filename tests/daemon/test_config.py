"""Settings: defaults without a file, and a mistake is named with its line."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpkeep_daemon.config import SETTINGS, Config, mistakes, parse_config, read_config, salvaged
from otpkeep_daemon.setting_kinds import shown
from otpkeep_daemon.settings import Settings
from otpkeep_protocol.errors import Malformed, Refused, Usage


def test_no_file_gives_the_defaults(tmp_path: Path) -> None:
    assert read_config(tmp_path / "config.toml") == Config(look_every_s=60, debounce_ms=50, own_vault_delay_ms=200)


def test_a_setting_replaces_its_default_alone(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("# ours\nlook_every_s = 5\n")
    assert read_config(tmp_path / "config.toml") == Config(look_every_s=5)


def test_a_misspelt_setting_is_named_with_line_and_suggestion() -> None:
    with pytest.raises(Malformed) as caught:
        parse_config("debounce_ms = 1\n\nlook_evry_s = 5\n", "config.toml")
    assert "config.toml, line 3" in caught.value.message
    assert "look_evry_s" in caught.value.message
    assert caught.value.hint == "Did you mean look_every_s? To take it out: otpkeep config --unset look_evry_s"


@pytest.mark.parametrize("text", ["\n[folder]\npath = 1", "\nfolder.path = 1", '\n"folder" = 1', "\n[[folder]]\n"])
def test_an_unknown_table_is_named_with_its_line_and_all_settings(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_config(text, "config.toml")
    assert "line 2" in caught.value.message
    assert "own_vault_delay_ms" in caught.value.hint


@pytest.mark.parametrize("value", ["0", "-1", "86401", "1" + 30 * "0", "1.5", "true", '"60"', "[60]", "1979-05-27"])
def test_a_value_that_is_not_allowed_is_refused_with_what_is(value: str) -> None:
    with pytest.raises(Malformed, match=r"line 1: look_every_s must be a whole number from 1 to 86400") as caught:
        parse_config(f"look_every_s = {value}", "config.toml")
    assert "otpkeep config look_every_s 60" in caught.value.hint


@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting_has_a_sentence_and_a_default_that_it_allows(key: str) -> None:
    setting = SETTINGS[key]
    assert setting.about.endswith(".")
    assert parse_config(f"{key} = {shown(setting.default)}", "config.toml") == Config()


def test_all_mistakes_are_told_from_top_to_bottom() -> None:
    found = mistakes("nonsense = 1\nlook_every_s = 0\n\nother = 2\n")
    assert [mistake.line for mistake in found] == [1, 2, 4]
    with pytest.raises(Malformed, match=r"line 1: .* \(2 more below it\)"):
        parse_config("nonsense = 1\nlook_every_s = 0\n\nother = 2\n", "config.toml")


def test_what_stands_in_a_text_of_several_lines_is_not_taken_for_the_key() -> None:
    (first, second) = mistakes('other = """\nlook_every_s = 0\n"""\nlook_every_s = 0\n')
    assert (first.line, second.line) == (1, 4)


def test_of_a_file_with_mistakes_the_rest_can_be_understood() -> None:
    assert salvaged("nonsense = 1\nlook_every_s = 0\ndebounce_ms = 7\n") == Config(debounce_ms=7)


def test_a_slip_in_one_line_leaves_what_the_others_say_in_force() -> None:
    """Neither locking nor the command for alarms may be switched off by it."""
    text = 'lock_after_s = 300\non_problem = "notify"\nlook_every_s = = 5\n'
    assert salvaged(text) == Config(lock_after_s=300, on_problem="notify")
    # where lines mean nothing by themselves, none is taken
    assert salvaged('x = """\non_problem = "rm"\n"""\n= 3\n') == Config()
    assert salvaged("[other]\nlook_every_s = 5\n= 3\n") == Config()


def test_a_number_of_thousands_of_digits_is_a_mistake_and_stops_no_daemon(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f"lock_after_s = 300\nlook_every_s = {5000 * '9'}\n")
    settings = Settings(tmp_path / "config.toml")
    assert settings.trouble is not None
    assert "not TOML" in settings.trouble.message
    assert settings.now.lock_after_s == 300
    assert settings.reload() is False


def test_a_link_to_nothing_is_no_file_without_settings(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles.toml", tmp_path / "config.toml"
    real.write_text("quarantine_s = 31536000\n")
    link.symlink_to(real)
    settings = Settings(link)
    # when: what it leads to is away, as on a disk that is not mounted
    real.unlink()
    assert settings.reload() is False
    assert settings.now.quarantine_s == 31_536_000
    # then: a daemon that starts so deletes nothing by guessed settings
    with pytest.raises(Malformed, match="leads to nothing"):
        Settings(link).check()


def test_nesting_that_python_can_t_follow_is_a_mistake() -> None:
    assert "not TOML" in mistakes("x = " + 5000 * "[")[0].message


def test_a_file_that_others_can_change_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("look_every_s = 5\n")
    path.chmod(0o666)
    # where nobody else gets at it, its mode does no harm
    tmp_path.chmod(0o700)
    assert read_config(path).look_every_s == 5
    tmp_path.chmod(0o755)
    with pytest.raises(Refused) as caught:
        read_config(path)
    assert caught.value.hint == f"chmod 600 {path}"


def test_what_is_not_toml_is_named_with_its_place() -> None:
    with pytest.raises(Malformed, match=r"config.toml, line 2: this is not TOML"):
        parse_config("look_every_s = 5\n= 3\n", "config.toml")


def test_a_file_that_is_not_text_is_malformed(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Malformed, match="UTF-8"):
        read_config(tmp_path / "config.toml")


def test_a_directory_in_its_place_is_malformed(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="directory"):
        read_config(tmp_path)


@given(st.text(alphabet="look_every_s=[]\"'\n 1#.", max_size=60))
def test_any_text_gives_settings_or_a_typed_error(text: str) -> None:
    with contextlib.suppress(Malformed):
        assert parse_config(text, "config.toml").look_every_s >= 1


def test_the_command_for_alarms_is_text_and_long_times_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('on_problem = "notify --now"\nsilent_after_s = 31536000\n')
    assert read_config(tmp_path / "config.toml") == Config(on_problem="notify --now", silent_after_s=31_536_000)
    with pytest.raises(Malformed, match="line 1: on_problem must be a command"):
        parse_config("on_problem = 1", "config.toml")


@pytest.mark.parametrize("wrong", ["'", 'notify "--now', "   "])
def test_a_command_that_could_never_run_is_refused_when_it_is_set(wrong: str) -> None:
    setting = SETTINGS["on_problem"]
    with pytest.raises(Usage, match="quotation mark"):
        setting.typed(wrong)
    assert setting.typed("'/home/ann a/tell me' --now") == "'/home/ann a/tell me' --now"
    assert setting.typed("") == ""
