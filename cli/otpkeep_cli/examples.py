"""Examples of every command, in one place: --help, the manual pages and their tests take them from here.

Each is a line that a shell takes as it stands, with a remark where the line does not speak for itself.
"""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": ("otpkeep init", "otpkeep code github"),
    "init": ("otpkeep init", "otpkeep init --folder ~/Dropbox/otpkeep --device laptop"),
    "recover": (
        "otpkeep recover ~/Dropbox/otpkeep",
        "otpkeep recover ~/Dropbox/otpkeep --code-file code.txt",
        "otpkeep recover ~/Dropbox/otpkeep --digest 57-9f86d081884c7d65",
    ),
    "add": (
        "otpkeep add - < uri.txt                    # otpauth://…, unseen by others",
        "otpkeep add --issuer GitHub --name alice   # asks for the secret",
        "otpkeep add --issuer Bank --type hotp --digits 8 --placeholder",
    ),
    "edit": ("otpkeep edit github --name alice@example.org --tag work", "otpkeep edit github --note ''   # unsets it"),
    "rm": ("otpkeep rm github", "otpkeep undo   # brings it back"),
    "show": ("otpkeep show github", "otpkeep show github --show-secrets", "otpkeep show github --at '2 days ago'"),
    "list": ("otpkeep list", "otpkeep list --tag work --json", "otpkeep list --at 2026-01-31"),
    "code": ("otpkeep code github", "otpkeep code github --at '10 minutes ago'", "otpkeep code bank --peek"),
    "log": ("otpkeep log github", "otpkeep log --since '1 week ago' --device laptop --limit 20"),
    "event": ("otpkeep event 9f86d0.17",),
    "diff": ("otpkeep diff '2 days ago'", "otpkeep diff 2026-01-01 9f86d0.17"),
    "undo": (
        "otpkeep undo",
        "otpkeep undo 9f86d0.17",
        "otpkeep undo 9f86d0.17 --force   # though it was changed since",
    ),
    "restore": ("otpkeep restore github --to '2 hours ago'", "otpkeep restore --to 9f86d0.17 --dry-run"),
    "import": (
        "otpkeep import aegis-export.json --dry-run",
        "otpkeep import aegis-export.json --passphrase-file password.txt",
        "otpkeep import - < uris.txt",
    ),
    "export": (
        "otpkeep export accounts.json   # encrypted; Aegis opens it",
        "otpkeep export - --format otpauth --yes | gpg -e -r me > uris.gpg",
    ),
    "watch": ("otpkeep watch ~/aegis-export.json --two-way", "otpkeep watch   # lists what is watched"),
    "unwatch": ("otpkeep unwatch ~/aegis-export.json",),
    "review": ("otpkeep review", "otpkeep review 3 --accept"),
    "status": ("otpkeep status", "otpkeep status --json", "otpkeep status --digest 57-9f86d081884c7d65"),
    "doctor": ("otpkeep doctor", "otpkeep doctor --json"),
    "verify": ("otpkeep verify", "otpkeep verify --repair", "otpkeep verify --depth rebuild"),
    "backup": ("otpkeep backup now", "otpkeep backup off"),
    "accept-rollback": ("otpkeep accept-rollback",),
    "compact": ("otpkeep compact --dry-run",),
    "folder": ("otpkeep folder", "otpkeep folder ~/Nextcloud/otpkeep"),
    "devices": ("otpkeep devices",),
    "devices list": ("otpkeep devices list --json",),
    "devices retire": ("otpkeep devices retire 'old phone'", "otpkeep devices retire 3fa9c1 --undo"),
    "devices rename": ("otpkeep devices rename laptop 'work laptop'",),
    "config": (
        "otpkeep config",
        "otpkeep config look_every_s 30",
        "otpkeep config --unset look_every_s",
    ),
    "unlock": ("otpkeep unlock", "otpkeep unlock --remember keychain", "otpkeep unlock --forget"),
    "lock": ("otpkeep lock",),
    "daemon": ("otpkeep daemon run",),
    "daemon run": ("otpkeep daemon run",),
    "service": ("otpkeep service install", "otpkeep service logs -f"),
    "service install": ("otpkeep service install",),
    "service uninstall": ("otpkeep service uninstall",),
    "service start": ("otpkeep service start",),
    "service stop": ("otpkeep service stop",),
    "service restart": ("otpkeep service restart   # after an update",),
    "service status": ("otpkeep service status", "otpkeep service status --json"),
    "service logs": ("otpkeep service logs -f", "otpkeep service logs --lines 50"),
    "completion": ("otpkeep completion bash --install", 'eval "$(otpkeep completion zsh)"'),
}
"""Words after `otpkeep` -> shell lines."""


def epilog(path: str) -> str | None:
    """Return what ends the help of a command, named by its words; click leaves lines after \\b as they are."""
    lines = EXAMPLES.get(path)
    if not lines:
        return None
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join(["\b", title, *(f"  $ {line}" for line in lines)])
