"""The report store: result documents, report files and charts, and the addresses they open at."""

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nika_pipelines.settings import Settings
from resources.files import read_json, write_json


class ReportStore:
    """Folders ``results``, ``reports`` and ``charts`` below the data folder."""

    def __init__(self, settings: Settings) -> None:
        """Use the data folder and the report server's port of these settings."""
        self._data = settings.data
        self._origin = f"http://127.0.0.1:{settings.reports_port}"

    def result_folder(self, feed: str, upload_id: str) -> Path:
        """Where the result documents of an upload are kept."""
        folder = self._data / "results" / feed / upload_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def write_document(self, feed: str, upload_id: str, name: str, document: Any) -> Path:
        """Write one JSON document of an upload, whole or not at all."""
        path = self.result_folder(feed, upload_id) / f"{name}.json"
        write_json(path, document)
        return path

    def read_document(self, feed: str, upload_id: str, name: str) -> Any:
        """Read one JSON document of an upload.

        Raises:
            FileNotFoundError: the stage that writes it has not run.
        """
        return read_json(self._data / "results" / feed / upload_id / f"{name}.json")

    def report_path(self, feed: str, upload_id: str, name: str = "report.pdf") -> Path:
        """Where a report file of an upload is kept."""
        path = self._data / "reports" / feed / upload_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def digest_path(self, day: str) -> Path:
        """Where the digest of a day (YYYY-MM-DD) is kept."""
        path = self._data / "reports" / "digest" / f"{day}.pdf"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def chart_path(self, upload_id: str) -> Path:
        """Where the picture of an upload for the web UI is kept."""
        path = self._data / "charts" / f"{upload_id}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def url(self, path: Path) -> str:
        """The loopback address at which `nika up` serves a report or chart."""
        return f"{self._origin}/{quote(os.fspath(path.relative_to(self._data)))}"

    def remove(self, feed: str, upload_id: str) -> None:
        """Delete everything kept of an upload.

        Raises:
            OSError: something of it cannot be deleted.
        """
        for kind in ("results", "reports"):
            folder = self._data / kind / feed / upload_id
            if folder.exists():
                shutil.rmtree(folder)
        self.chart_path(upload_id).unlink(missing_ok=True)
