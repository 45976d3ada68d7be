"""The lake: typed tables as Parquet, one folder per upload, published whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nika_pipelines.intake.records import IntakeReport
from resources.files import read_json, write_json


class Lake:
    """Folders ``lake/<feed>/<upload_id>`` below the data folder."""

    def __init__(self, data: Path) -> None:
        """Use this data folder."""
        self._data = data

    def folder(self, feed: str, upload_id: str) -> Path:
        """The folder of an upload's tables."""
        return self._data / "lake" / feed / upload_id

    @contextmanager
    def publishing(self, feed: str, upload_id: str) -> Iterator[Path]:
        """Give an empty folder to write into; publish it at the end, drop it on any error."""
        target = self.folder(feed, upload_id)
        draft = target.with_name(f".{upload_id}.part")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            yield draft
            if target.exists():
                shutil.rmtree(target)
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def write_intake(self, folder: Path, report: IntakeReport) -> None:
        """Keep what intake found out beside its tables."""
        write_json(folder / "report.json", report.to_json())

    def read_intake(self, feed: str, upload_id: str) -> IntakeReport:
        """Read what intake found out about an upload.

        Raises:
            FileNotFoundError: the upload has no validated table.
        """
        folder = self.folder(feed, upload_id)
        return IntakeReport.from_json(read_json(folder / "report.json"), folder)

    def remove(self, feed: str, upload_id: str) -> None:
        """Delete an upload's tables, also half written ones.

        Raises:
            OSError: something of them cannot be deleted.
        """
        folder = self.folder(feed, upload_id)
        for path in (folder, folder.with_name(f".{upload_id}.part")):
            if path.exists():
                shutil.rmtree(path)

    def relative(self, path: Path) -> str:
        """A path as text below the data folder, as results name their files."""
        return path.relative_to(self._data).as_posix()
