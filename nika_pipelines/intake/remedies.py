"""What to do about content that is not what the name says, or that is damaged.

Belongs here: advice that depends on the format that was found. Does not belong here: the advice of
a code as such (`codes`), finding the format (`gate`).
"""

_TAKEN = {
    "xlsx": ("an XLSX workbook", ".xlsx"),
    "xlsb": ("an XLSB workbook", ".xlsb"),
    "xls": ("an old XLS workbook", ".xls"),
    "ods": ("an ODS workbook", ".ods"),
    "parquet": ("a Parquet file", ".parquet"),
    "json": ("JSON", ".json"),
    "gzip": ("packed with gzip", ".csv.gz"),
    "zstd": ("packed with zstd", ".csv.zst"),
    "text": ("text or unknown", ".csv"),
}
"""Formats that are taken under another name: in words, and that name's ending."""

_UNTAKEN = {
    "html": (
        "a web page (HTML)",
        "Open it in a spreadsheet program and save it as XLSX or CSV.",
    ),
    "zip": ("an archive of other files", "Unpack it and send the files in it, one by one."),
    "7z": ("a 7z archive", "Unpack it and send the files in it, one by one."),
    "rar": ("a RAR archive", "Unpack it and send the files in it, one by one."),
    "bzip2": ("packed with bzip2", "Unpack it, or pack it with gzip."),
    "xz": ("packed with xz", "Unpack it, or pack it with gzip."),
    "ole2": ("an old Office document", "Open it and save its table as XLSX or CSV."),
}
_NO_TABLE = "Send the table itself, as CSV, TSV, XLSX, JSON or Parquet; renaming does not help."

COPY_AGAIN = "The file is damaged or was cut off. Copy or export it again."


def content_in_words(detected: str) -> str:
    """A format that was found, as it stands after "the content is"."""
    if detected in _TAKEN:
        return _TAKEN[detected][0]
    return _UNTAKEN[detected][0] if detected in _UNTAKEN else detected.upper()


def remedy_for(detected: str, extension: str) -> str:
    """What to do about a file whose content is another format than its extension says."""
    if detected == "text":
        return _about_text(extension)
    if detected in _TAKEN:
        return f"Rename the file so that it ends in {_TAKEN[detected][1]}, and drop it again."
    return _UNTAKEN[detected][1] if detected in _UNTAKEN else _NO_TABLE


def _about_text(extension: str) -> str:
    kind = extension.lstrip(".").upper()
    return (
        f"If it is a text table, rename it so that it ends in .csv; otherwise export it again as "
        f"{kind}."
    )
