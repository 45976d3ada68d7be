"""The JSON documents of intake: ``intake.json`` and ``reason.json``.

Belongs here: their shapes, as ``docs/schemas`` publishes them. Does not belong here: deciding what
they say, or where they are stored.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.records import Column, IntakeWarning, TextTable

SCHEMA_VERSION = 1
MOST_REJECTS_LISTED = 1_000
"""Rejects listed in ``intake.json``; all of them are in ``rejects.parquet``."""


def reason_document(
    error: UploadRejected,
    upload_id: str,
    filename: str,
    sha256: str | None,
    size_bytes: int | None,
    received_at: str,
) -> dict[str, Any]:
    """Why a file is in quarantine: the content of ``reason.json``.

    Args:
        error: the refusal.
        upload_id: the upload that was refused.
        filename: its original name, for people.
        sha256: hash of its bytes; null when it was never read to the end.
        size_bytes: its size, if known.
        received_at: ISO 8601 in UTC.
    """
    details = {"detected": None, "limit": None, "supported_formats": None, **error.details}
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "error",
        "error_code": error.code,
        "http_equivalent": error.http_equivalent,
        "message": error.message,
        "details": json_ready(details),
        "advice": error.advice,
        "upload_id": upload_id,
        "filename": filename,
        "sha256": sha256,
        "size_bytes": size_bytes,
        "received_at": received_at,
    }


def intake_document(
    text: TextTable,
    columns: Sequence[Column],
    rejects: Sequence[Mapping[str, Any]],
    rejects_by_code: Mapping[str, int],
    warnings: Sequence[IntakeWarning],
) -> dict[str, Any]:
    """What intake made of an accepted file: the content of ``intake.json``.

    ``n_rows`` counts the rows that were cut out of the file whole: data rows, also those whose
    cells do not fit their column's type (they are in ``rejects``), and footer rows, which are the
    last ``footer_rows`` of them.

    Args:
        text: the table as it was cut.
        columns: its typed columns.
        rejects: the first rejected rows, at most `MOST_REJECTS_LISTED`.
        rejects_by_code: how many there are in all.
        warnings: everything to know.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "accepted",
        "error_code": None,
        "message": None,
        "encoding": text.encoding,
        "delimiter": text.dialect.delimiter,
        "quotechar": text.dialect.quotechar,
        **({} if text.dialect.sheet is None else {"sheet": text.dialect.sheet}),
        "header_rows": text.header_rows,
        "preamble_rows": text.preamble_rows,
        "footer_rows": text.footer_rows,
        "n_rows": text.balance.accepted + len(text.footer),
        "n_columns": len(columns),
        "columns": [
            {
                "name": column.name,
                "type": column.type,
                "semantic_type": column.semantic_type,
                "format": column.format,
                "unit": column.unit,
            }
            for column in columns
        ],
        "rejects": [dict(reject) for reject in rejects],
        "rejects_total": sum(rejects_by_code.values()),
        "rejects_by_code": dict(rejects_by_code),
        "warnings": [{"code": w.code, "message": w.message} for w in warnings],
        "other_tables": [dict(table) for table in text.other_tables],
    }


def quarantined_document(error: UploadRejected) -> dict[str, Any]:
    """The content of ``intake.json`` for a file that was refused."""
    unknown = dict.fromkeys(
        (
            *("encoding", "delimiter", "quotechar", "header_rows", "preamble_rows"),
            *("footer_rows", "n_rows", "n_columns"),
        )
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "quarantined",
        "error_code": error.code,
        "message": error.message,
        "advice": error.advice,
        **unknown,
        "columns": [],
        "rejects": [],
        "rejects_total": 0,
        "rejects_by_code": {},
        "warnings": [],
        "other_tables": [],
    }


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document whole: under a temporary name, then renamed."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    draft.write_text(
        json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False), encoding="utf-8"
    )
    draft.replace(path)


def json_ready(value: Any) -> Any:
    """The value with everything JSON cannot say turned into text; infinities become null."""
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_ready(item) for item in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
