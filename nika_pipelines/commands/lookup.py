"""Finding an upload in the ledger by what the user typed."""

from typing import TYPE_CHECKING

import typer

from nika_pipelines.commands.ledgers import ledger_path, opened_ledger
from nika_pipelines.intake.names import display_name
from nika_pipelines.intake.states import Upload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nika_pipelines.settings import Settings

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
        newest = [known.upload_id for known in ledger.uploads(limit=_COMPARED)]
    similar = _similar(upload_id, newest)
    hint = f"; did you mean {', '.join(similar)}?" if similar else "; `nika list` shows them all"
    raise typer.BadParameter(f"there is no upload {display_name(upload_id)!r}{hint}")


def _similar(upload_id: str, known: "Sequence[str]") -> list[str]:
    """Ids that hold the text, newest first, then ids that look like it."""
    import difflib

    holding = [one for one in reversed(known) if upload_id and upload_id.lower() in one.lower()]
    return (holding or difflib.get_close_matches(upload_id, known, cutoff=0.5))[:_SUGGESTIONS]
