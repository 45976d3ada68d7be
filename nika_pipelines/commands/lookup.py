"""Finding an upload in the ledger by what the user typed."""

from typing import TYPE_CHECKING

import typer

from nika_pipelines.commands.ledgers import ledger_path, opened_ledger
from nika_pipelines.intake.names import display_name
from nika_pipelines.intake.states import Upload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nika_pipelines.settings import Settings

ELLIPSIS = "\u2026"
_ENDING = 22
_SUGGESTIONS = 3
_COMPARED = 2_000


def find_upload(upload_id: str, settings: "Settings") -> Upload:
    """The upload of this id.

    Raises:
        typer.BadParameter: there is none; similar ids are named.
    """
    if not ledger_path(settings).exists():
        raise typer.BadParameter(f"nothing was ever processed in {settings.data}")
    with opened_ledger(settings) as ledger:
        upload = ledger.get(upload_id)
        if upload is not None:
            return upload
        known = ledger.uploads(limit=None if ELLIPSIS in upload_id else _COMPARED)
        meant = [one for one in known if _is_meant(upload_id, one.upload_id)]
        if len(meant) == 1:
            return meant[0]
        newest = [one.upload_id for one in known]
    similar = _similar(upload_id, newest)
    hint = f"; did you mean {', '.join(similar)}?" if similar else "; `nika list` shows them all"
    raise typer.BadParameter(f"there is no upload {display_name(upload_id)!r}{hint}")


def shortened(text: str, most: int) -> str:
    """Text of at most so many characters; what is left out of its middle is an ellipsis.

    The end says more: of an upload's id it is the time and a number that no other upload has.
    """
    if len(text) <= most:
        return text
    end = min(_ENDING, most - 2)
    return f"{text[: most - end - 1]}{ELLIPSIS}{text[-end:]}"


def _is_meant(shown: str, upload_id: str) -> bool:
    """Whether an id may have been shortened to what the user typed."""
    start, ellipsis, end = shown.partition(ELLIPSIS)
    is_shorter = len(shown) < len(upload_id)
    return bool(ellipsis and end and is_shorter) and (
        upload_id.startswith(start) and upload_id.endswith(end)
    )


def _similar(upload_id: str, known: "Sequence[str]") -> list[str]:
    """Ids that hold the text, newest first, then ids that look like it."""
    import difflib

    holding = [one for one in reversed(known) if upload_id and upload_id.lower() in one.lower()]
    return (holding or difflib.get_close_matches(upload_id, known, cutoff=0.5))[:_SUGGESTIONS]
