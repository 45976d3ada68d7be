"""The files that the user names."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nika_pipelines.commands.console import messages, plain
from nika_pipelines.intake.names import display_name, is_companion

if TYPE_CHECKING:
    from nika_pipelines.processing import SourceFile


def named_files(paths: list[Path]) -> list["SourceFile"]:
    """The files that these paths mean, in order; a folder means its candidates.

    Raises:
        typer.BadParameter: a path is not there or cannot be read; nothing is done then.
    """
    from nika_pipelines.processing import candidates

    files: list[SourceFile] = []
    for path in paths:
        _check(path)
        if path.is_file() and is_companion(path.name):
            # As when a shell expands `*`: it says how another file is to be read.
            messages().print(f"{plain(path)} is a companion, so it is not processed by itself")
            continue
        found, notices = candidates(path)
        files += found
        for notice in notices:
            messages().print(f"{plain(display_name(notice.path))}: {plain(notice.message)}")
    return files


def one_file(path: Path) -> Path:
    """The file that this path means.

    Raises:
        typer.BadParameter: it is not there, is a folder, or cannot be read.
    """
    _check(path)
    if path.is_dir():
        raise typer.BadParameter(f"{display_name(str(path))} is a folder, not a file")
    return path


def _check(path: Path) -> None:
    shown = display_name(str(path))
    try:
        exists, is_usable = path.exists(), path.is_file() or path.is_dir()
    except OSError as error:
        raise typer.BadParameter(f"{shown}: {error.strerror}") from None
    if not exists:
        raise typer.BadParameter(f"there is no file {shown}")
    if not is_usable:
        raise typer.BadParameter(f"{shown} is a pipe, socket or device, not a file")
    if not os.access(path, os.R_OK):
        raise typer.BadParameter(f"no permission to read {shown}")
