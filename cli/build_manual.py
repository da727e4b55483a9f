"""A hook of the build: writes the manual pages and completion scripts that a wheel installs under share/."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PACKAGES = ("protocol", "daemon", "cli")
_COMPLETIONS = {
    "bash": "share/bash-completion/completions/otpkeep",
    "zsh": "share/zsh/site-functions/_otpkeep",
    "fish": "share/fish/vendor_completions.d/otpkeep.fish",
}


class ManualHook(BuildHookInterface[Any]):
    """Adds files that are made of the program's own help."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        """Write the files to a temporary directory and name them to the build."""
        self._made = tempfile.TemporaryDirectory()
        for place, text in self._texts().items():
            path = Path(self._made.name, place)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            build_data["shared_data"][str(path)] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002  # as above
        """Remove the temporary directory."""
        self._made.cleanup()

    def _texts(self) -> dict[str, str]:
        """Return place in the installation -> text."""
        sys.path[:0] = [str(Path(self.root, package)) for package in _PACKAGES]
        from otpkeep_cli import completing, manual
        from otpkeep_cli.group import otpkeep

        seconds = float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
        date = time.strftime("%Y-%m-%d", time.gmtime(seconds))
        pages = manual.pages(otpkeep, completing.PROGRAM, self.metadata.version, date)
        texts = {f"share/man/man1/{name}": text for name, text in pages.items()}
        return texts | {place: completing.script(otpkeep, shell) for shell, place in _COMPLETIONS.items()}
