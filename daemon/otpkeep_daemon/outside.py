"""Running a person's own command outside of the service's sandbox, where it finds what it finds in their session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

VARIABLE = "OTPKEEP_SERVICE"
"""Set by systemd/otpkeep.service, whose sandbox has neither a network nor anything to write."""


def outside(words: Sequence[str], env: Mapping[str, str], limit_s: int) -> list[str]:
    """Return what to start so that the command `words` runs outside, with the same standard streams and exit status.

    Under systemd the user's manager runs it, ends it after `limit_s` seconds, and gives it the environment of a
    session; elsewhere it is `words`. `env` is the daemon's environment.
    """
    if env.get(VARIABLE) != "systemd":
        return list(words)
    run = ["systemd-run", "--user", "--quiet", "--pipe", "--wait", "--collect", f"--property=RuntimeMaxSec={limit_s}"]
    return [*run, "--", *(word.replace("$", "$$") for word in words)]
