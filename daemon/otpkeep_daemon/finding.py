"""Finding an account by what a person says: an id, 6 or more digits of one, or words of issuer and name."""

from __future__ import annotations

from collections.abc import Sequence

from otpkeep_protocol.errors import Ambiguous, NotFound
from otpkeep_protocol.view import View

ID_DIGITS = 6


class Finder:
    """Finds among these views. The index of spellings is made when it is first needed."""

    def __init__(self, views: Sequence[View]) -> None:
        self._views = views
        self._index: dict[str, list[View]] | None = None

    def find(self, text: str, *, deleted: bool = False) -> View:
        """Return the one account that `text` means, a living one unless `deleted` ones count too.

        NotFound, or Ambiguous with the candidates as data for the person who asked.
        """
        by_id = [v for v in self._views if _id_matches(v, text)]
        found = [v for v in by_id if deleted or not v.deleted] or self._named(text, deleted=deleted)
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(shown.account.hex()[:ID_DIGITS] for shown in found[:5])
            raise Ambiguous(
                f"these words fit {len(found)} accounts: {ids}",
                "Say more of the name, or use an id from `otpkeep list`.",
                {"candidates": [_candidate(shown) for shown in found]},
            )
        if by_id:
            raise NotFound("this account was deleted", "`otpkeep log` shows when and where; `otpkeep undo` undoes it.")
        raise NotFound("no account fits these words", "`otpkeep list` shows all accounts.")

    def _named(self, text: str, *, deleted: bool) -> list[View]:
        """Return the accounts of which `text` is the issuer, the name or both; failing that, a part of them."""
        wanted = " ".join(text.casefold().split())
        if not wanted:
            return []
        index = self._spellings()
        exact = [v for v in index.get(wanted, ()) if deleted or not v.deleted]
        if exact:
            return exact
        found = {v.account for spelling, shown in index.items() if wanted in spelling for v in shown}
        return [v for v in self._views if v.account in found and (deleted or not v.deleted)]

    def _spellings(self) -> dict[str, list[View]]:
        """Return the accounts by each way to name them exactly."""
        if self._index is None:
            self._index = {}
            for shown in self._views:
                for spelling in _spellings(shown):
                    self._index.setdefault(spelling, []).append(shown)
        return self._index


def _id_matches(shown: View, text: str) -> bool:
    return len(text) >= ID_DIGITS and shown.account.hex().startswith(text.lower())


def _spellings(shown: View) -> set[str]:
    issuer = (shown.values.get("issuer") or "").casefold()
    name = (shown.values.get("name") or "").casefold()
    return {issuer, name, f"{issuer}:{name}", f"{issuer} {name}"}


def _candidate(shown: View) -> dict[str, str]:
    values = shown.values
    return {"id": shown.account.hex(), "issuer": values.get("issuer", ""), "name": values.get("name", "")}
