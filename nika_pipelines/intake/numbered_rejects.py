"""Data rows of rejects: which row of the file's data each of them is.

A data row counts the records below the header from 1, rejected ones included, so that it is the
row a person counts in the file; blank lines and lines within cells make it differ from the line.
"""

from nika_pipelines.intake.records import LINE_COLUMN, TextTable
from nika_pipelines.sql import identifier, literal, parquet_rows


def numbered(rejects: str, text: TextTable) -> str:
    """The FROM item of rejects with their data rows as ``row``.

    Rows that the reader rejected are not in the text table, and get the number of the record
    before them, plus one, as they would have in it.

    Args:
        rejects: the FROM item of rejects by line.
        text: the table they come from, and the rejects of its reader.
    """
    line = identifier(LINE_COLUMN)
    # Only lines that were rejected are numbered: the text table may be far larger than memory.
    kept = (
        f"(SELECT {line} AS line, file_row_number + 1 AS place "
        f"FROM read_parquet({literal(str(text.parquet))}, file_row_number = true) "
        f"WHERE {line} IN (SELECT line FROM {rejects}))"
    )
    lost = f"(SELECT DISTINCT line FROM {parquet_rows(text.rejects_parquet)})"
    before = f"(SELECT line, row_number() OVER (ORDER BY line) AS lost FROM {lost})"
    return (
        f'(SELECT r.*, k.place + coalesce(b.lost, 0) AS "row" FROM {rejects} r '
        f"LEFT JOIN {kept} k USING (line) ASOF LEFT JOIN {before} b ON r.line > b.line)"
    )
