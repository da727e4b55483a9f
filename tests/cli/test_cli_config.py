"""`config` as a person uses it: before anything is set up, with a file of their own, with one in error."""

from __future__ import annotations

from pathlib import Path

import pytest

from otpkeep_daemon.config import SETTINGS
from support_cli import Device

ROW = {"key", "value", "default", "source", "allowed", "description"}


@pytest.fixture
def fresh(tmp_path: Path) -> Device:
    """A device that is not set up."""
    return Device(tmp_path / "laptop", tmp_path / "folder")


def settings(device: Device) -> Path:
    return device.home / "config.toml"


def test_all_settings_are_listed_with_where_they_come_from(fresh: Device) -> None:
    settings(fresh).write_text("look_every_s = 5\n")
    rows = fresh.run("config").ok().json
    assert [row["key"] for row in rows] == list(SETTINGS)
    assert all(row.keys() == ROW for row in rows)
    found = {row["key"]: row for row in rows}
    assert (found["look_every_s"]["value"], found["look_every_s"]["source"]) == (5, "file")
    assert (found["debounce_ms"]["value"], found["debounce_ms"]["source"]) == (50, "default")
    # and: as text
    said = fresh.run("config", json=False).ok().out
    assert "look_every_s = 5  (set in the file; default 60)" in said
    assert all(setting.about in said and setting.kind.allowed in said for setting in SETTINGS.values())


def test_looking_at_the_settings_makes_nothing(fresh: Device) -> None:
    fresh.run("config").ok()
    assert list(fresh.home.iterdir()) == []


def test_one_setting_is_printed_bare(fresh: Device) -> None:
    assert fresh.run("config", "look_every_s", json=False).ok().out == "60\n"
    assert fresh.run("config", "look_every_s").ok().json["value"] == 60


def test_what_is_set_is_in_the_file_until_it_is_unset(fresh: Device) -> None:
    done = fresh.run("config", "look_every_s", "5").ok().json
    assert (done["value"], done["source"], done["applied"], done["trouble"]) == (5, "file", False, None)
    assert fresh.run("config", "look_every_s", json=False).ok().out == "5\n"
    assert settings(fresh).stat().st_mode & 0o777 == 0o600
    done = fresh.run("config", "--unset", "look_every_s").ok().json
    assert (done["value"], done["source"]) == (60, "default")
    assert "next start" in fresh.run("config", "look_every_s", "7", json=False).ok().out


@pytest.mark.parametrize("words", [("look_every_s", "0"), ("look_every_s", "soon"), ("look_evry_s", "5")])
def test_what_is_not_allowed_changes_nothing(fresh: Device, words: tuple[str, str]) -> None:
    settings(fresh).write_text("# mine\n")
    refused = fresh.run("config", *words)
    assert (refused.code, refused.error["kind"]) == (2, "usage")
    said = refused.error["message"] + refused.error["hint"]
    assert "from 1 to 86400" in said or "Did you mean look_every_s?" in said
    assert settings(fresh).read_text() == "# mine\n"


@pytest.mark.parametrize(
    "words", [("--unset",), ("--unset", "look_every_s", "5"), ("--edit", "look_every_s"), ("--path", "--edit")]
)
def test_words_that_do_not_go_together_are_usage_errors(fresh: Device, words: tuple[str, ...]) -> None:
    assert fresh.run("config", *words).code == 2


def test_a_file_in_error_is_shown_with_its_line_and_what_counts_meanwhile(fresh: Device) -> None:
    settings(fresh).write_text("debounce_ms = 7\nlook_evry_s = 5\n")
    # as text: the settings on standard output, the mistake and its repair on standard error
    done = fresh.run("config", json=False)
    assert done.code == 1
    assert "debounce_ms = 7  (set in the file" in done.out
    assert "line 2: there is no setting 'look_evry_s'" in done.err
    assert "hint: Did you mean look_every_s? To take it out: otpkeep config --unset look_evry_s" in done.err
    # as JSON: one document with both
    error = fresh.run("config").error
    assert error["kind"] == "malformed"
    assert {row["key"]: row["value"] for row in error["settings"]}["debounce_ms"] == 7
    # the repair that is named repairs it
    fresh.run("config", "--unset", "look_evry_s").ok()
    assert settings(fresh).read_text() == "debounce_ms = 7\n"
    fresh.run("config").ok()


def test_a_repair_of_one_mistake_tells_of_the_next(fresh: Device) -> None:
    settings(fresh).write_text("look_every_s = 0\nnonsense = 5\n")
    done = fresh.run("config", "look_every_s", "5").ok().json
    assert "line 2" in done["trouble"]
    assert "nonsense" in fresh.run("config", "look_every_s", "6").error["message"]


def test_a_file_that_is_not_toml_is_left_alone(fresh: Device) -> None:
    settings(fresh).write_text("look_every_s: 5\n")
    for words in (("config",), ("config", "look_every_s"), ("config", "look_every_s", "5")):
        refused = fresh.run(*words)
        assert (refused.code, refused.error["kind"]) == (1, "malformed")
        assert "line 1" in refused.error["message"]
    assert settings(fresh).read_text() == "look_every_s: 5\n"


def test_path_names_the_file_and_edit_opens_it_and_checks_it(fresh: Device) -> None:
    assert fresh.run("config", "--path", json=False).ok().out == f"{settings(fresh)}\n"
    # when: an editor (here sed) makes a mistake in the explained file
    spoiled = fresh.run("config", "--edit", env={"EDITOR": "sed -i 's/^# look_every_s = 60/look_every_s = 0/'"})
    # then: the mistake is told
    assert (spoiled.code, spoiled.error["kind"]) == (1, "malformed")
    # and: another edit repairs it
    rows = fresh.run("config", "--edit", env={"EDITOR": "sed -i 's/^look_every_s = 0/look_every_s = 9/'"}).ok().json
    assert {row["key"]: row["value"] for row in rows}["look_every_s"] == 9
    # and: an editor that fails is told of, with the file that it may have left half done
    failed = fresh.run("config", "--edit", env={"EDITOR": "false"})
    assert (failed.code, failed.error["kind"]) == (1, "refused")
    assert str(settings(fresh)) in failed.error["message"]


def test_a_shell_completes_the_names_of_settings(fresh: Device) -> None:
    typed = {"_OTPKEEP_COMPLETE": "bash_complete", "COMP_WORDS": "otpkeep config deb", "COMP_CWORD": "2"}
    assert fresh.run(json=False, env=typed).out.split() == ["plain,debounce_ms"]


def test_init_leaves_an_explained_file_and_never_replaces_one(fresh: Device, tmp_path: Path) -> None:
    fresh.init()
    assert all(f"# {key} = " in settings(fresh).read_text() for key in SETTINGS)
    other = Device(tmp_path / "phone", fresh.folder)
    settings(other).write_text("look_every_s = 5\n")
    other.recover()
    assert settings(other).read_text() == "look_every_s = 5\n"
