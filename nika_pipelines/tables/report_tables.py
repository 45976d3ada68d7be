"""The tables of a table report, made from ``result.json``.

Belongs here: which numbers stand in which column, and how much of a wide table is shown.
"""

from typing import Any

from nika_pipelines.reports.chart_specs import Severity
from nika_pipelines.reports.document import Cell, Number, Table, TableColumn, TableRow
from nika_pipelines.reports.numerals import number, percent, plural, seconds, size, stamp
from nika_pipelines.reports.text import shown

NUMERIC_TYPES = frozenset({"integer", "float"})
_MOST_STATISTICS = 24
_FEWER_STATISTICS = 14  # where many findings take the space
_MANY_FINDINGS = 25
_MOST_FULL_NOTES = 6  # where there are many, further explanations are cut to one line
_MOST_MISSING = 6
_MOST_WARNINGS = 10
_MOST_CORRELATIONS = 5
_NOTABLE_CORRELATION = 0.5
_VALUE_LIMIT = 60
_STATISTICS_METHOD = (
    "Every row of the file is accounted for; types are inferred from all cells. Statistics use the "
    "sample standard deviation and quartiles by linear interpolation. "
)
_FINDINGS_METHOD = (
    "Scores rank findings of one kind; severity puts all of them in one order. The test named is the "
    "one that a value fails by most; whether it is reported is decided by the two tails of its "
    "column, each fitted to the outer values on its side of the median. An expected range ends "
    "where, by that fit, less than one value of the whole file would lie farther out, so it reaches "
    "farther on the side of a long tail. A robust sigma is the spread of the ordinary values: "
    "1.4826 times the median distance from the median or, where that is 0, the interquartile range "
    "divided by 1.349. It says how far out a value is, not where the range ends."
)
_TESTS = {"z_score": "z-score", "iqr": "IQR fences", "mad": "MAD", "missing_run": "long gap"}
"""The methods of findings: which test a value fails, not how far out it is."""
_ROW_CODES = {
    "SHORT_ROW": "fewer cells than the header",
    "LONG_ROW": "more cells than the header",
    "CAST": "a cell that does not fit its column's type",
    "DUPLICATE": "repeats an earlier row",
    "CONTRACT": "breaks a rule of the contract",
    "FIELD_TOO_LONG": "a cell longer than allowed",
    "INVALID_ENCODING": "bytes that are not text in the file's encoding",
    "UNCLOSED_QUOTE": "a quote that is never closed",
}


def numeric_columns(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The columns that hold numbers, judged or not."""
    return [c for c in result.get("columns") or [] if c.get("type") in NUMERIC_TYPES]


def line_noun(result: dict[str, Any]) -> str:
    """What the file's own places are called: lines of a text, rows of a sheet, records."""
    dialect = (result.get("file_info") or {}).get("dialect") or {"delimiter": ","}
    if dialect.get("sheet"):
        return "row of the sheet"
    return "line of the file" if dialect.get("delimiter") else "record of the file"


def severity_counts(result: dict[str, Any]) -> dict[Severity, int]:
    """How many findings that are not suppressed have each severity."""
    counts = dict.fromkeys(Severity, 0)
    for anomaly in result.get("anomalies") or []:
        if not anomaly.get("suppressed"):
            counts[Severity.of(anomaly.get("severity"))] += 1
    return counts


def findings_table(result: dict[str, Any], listed: list[dict[str, Any]], found: int) -> Table:
    """The findings in their order of rank, each with its explanation and identifier."""
    crowded = len(listed) > _MANY_FINDINGS
    timed = any(anomaly.get("time_start") for anomaly in listed)
    columns = [
        TableColumn("No.", "right"),
        TableColumn("Severity"),
        TableColumn("Column"),
        TableColumn("Rows"),
        *([TableColumn("Time")] if timed else []),
        TableColumn("Value", "right"),
        TableColumn("Expected", "right"),
        TableColumn("Score", "right"),
        TableColumn("Fails test"),
    ]
    rows = tuple(
        _finding_row(rank, anomaly, timed=timed, brief=crowded and rank > _MOST_FULL_NOTES)
        for rank, anomaly in enumerate(listed, start=1)
    )
    file = str((result.get("data_files") or {}).get("anomalies") or "anomalies.parquet")
    left_out = found - len(listed)
    more = f"{left_out:,} more in {file.rsplit('/', 1)[-1]}." if left_out > 0 else None
    return Table(tuple(columns), rows, more)


def _finding_row(rank: int, anomaly: dict[str, Any], *, timed: bool, brief: bool) -> TableRow:
    value = anomaly.get("value")
    cells: list[Cell] = [
        Number(str(rank), rank),
        Severity.of(anomaly.get("severity")),
        str(anomaly.get("column") or "\u2013"),
        _rows_text(anomaly),
        *([_times_text(anomaly)] if timed else []),
        _value(value),
        _range_text(anomaly.get("expected_range")),
        Number(number(anomaly.get("score"), 3), anomaly.get("score")),
        _test_text(anomaly.get("method")),
    ]
    note = str(anomaly.get("explanation") or "")
    return TableRow(tuple(cells), note, str(anomaly.get("id") or ""), brief)


def _test_text(method: object) -> str:
    return _TESTS.get(str(method), str(method or "").replace("_", " "))


def _rows_text(anomaly: dict[str, Any]) -> str:
    first, last = anomaly.get("row_start"), anomaly.get("row_end")
    if first is None:
        return str(anomaly.get("location") or "\u2013")
    return number(first) if last in (None, first) else f"{number(first)}\u2013{number(last)}"


def _times_text(anomaly: dict[str, Any]) -> str:
    first, last = stamp(anomaly.get("time_start")), stamp(anomaly.get("time_end"))
    if last in ("\u2013", first):
        return first
    if last[:10] == first[:10]:
        return f"{first} \u2013 {last[11:]}"
    return f"{first} \u2013 {last}"


def _value(value: object) -> Cell:
    if isinstance(value, bool) or value is None:
        return "\u2013" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return Number(number(value), value)
    text = stamp(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _VALUE_LIMIT else f"{text[:_VALUE_LIMIT]}\u2026"


def _range_text(expected: object) -> str:
    if not isinstance(expected, list) or len(expected) != 2:
        return "\u2013"
    low, high = expected
    if low is None and high is None:
        return "\u2013"
    if low is None:
        return f"\u2264 {number(high, 4)}"
    if high is None:
        return f"\u2265 {number(low, 4)}"
    return f"{number(low, 4)} to {number(high, 4)}"


def statistics_tables(result: dict[str, Any]) -> list[tuple[str, Table]]:
    """One table for numeric columns and one for all others, as far as there are any."""
    columns = result.get("columns") or []
    crowded = len(result.get("anomalies") or []) > _MANY_FINDINGS
    most = _FEWER_STATISTICS if crowded else _MOST_STATISTICS
    numeric = [c for c in columns if c.get("type") in NUMERIC_TYPES and c.get("mean") is not None]
    other = [c for c in columns if c not in numeric]
    room_for_other = min(len(other), most // 2)
    shown = numeric[: most - room_for_other]
    tables = []
    if shown:
        tables.append(("Numeric columns", _numeric_table(shown, len(numeric))))
    if other:
        rest = other[: most - len(shown)]
        tables.append(("Other columns", _other_table(rest, len(other))))
    return tables


def _left_out(total: int, shown: int) -> str | None:
    return f"{total - shown:,} more in result.json." if total > shown else None


def _numeric_table(columns: list[dict[str, Any]], total: int) -> Table:
    keys = ("mean", "std", "min", "q1", "median", "q3", "max", "skewness", "kurtosis")
    heads = ("Mean", "Std", "Min", "Q1", "Median", "Q3", "Max", "Skew", "Kurtosis")
    rows = tuple(
        TableRow(
            (
                str(column["name"]),
                Number(number(column.get("count")), column.get("count")),
                Number(number(column.get("nulls")), column.get("nulls")),
                *(
                    _shape(column.get(key))
                    if key in keys[-2:]
                    else Number(number(column.get(key), 4), column.get(key))
                    for key in keys
                ),
            )
        )
        for column in columns
    )
    names = ("Count", "Missing", *heads)
    heading = (TableColumn("Column"), *(TableColumn(name, "right") for name in names))
    return Table(heading, rows, _left_out(total, len(columns)))


def _shape(value: object) -> Number:
    """Skewness or kurtosis; what rounding left of a symmetry is no figure."""
    settled = round(value, 9) if isinstance(value, float) else value
    return Number(number(settled, 3), settled if isinstance(settled, int | float) else None)


def _other_table(columns: list[dict[str, Any]], total: int) -> Table:
    rows = tuple(
        TableRow(
            (
                str(column["name"]),
                _type_text(column),
                Number(number(column.get("count")), column.get("count")),
                Number(number(column.get("nulls")), column.get("nulls")),
                Number(number(column.get("distinct")), column.get("distinct")),
                _content(column),
            )
        )
        for column in columns
    )
    heading = (
        TableColumn("Column"),
        TableColumn("Type"),
        TableColumn("Count", "right"),
        TableColumn("Missing", "right"),
        TableColumn("Distinct", "right"),
        TableColumn("Content", wrap=True),
    )
    return Table(heading, rows, _left_out(total, len(columns)))


def _type_text(column: dict[str, Any]) -> str:
    storage, meaning = str(column.get("type") or ""), str(column.get("semantic_type") or "")
    return storage if meaning in ("", storage) else f"{storage}, {meaning}"


def _content(column: dict[str, Any]) -> str:
    """The range of dates, else the most frequent values."""
    if column.get("type") in ("date", "timestamp") and column.get("min"):
        return f"{stamp(column['min'])} to {stamp(column['max'])}"
    top = column.get("top") or []
    if not top:
        return "empty"
    if (column.get("distinct") or 0) == (column.get("count") or 0) > 1:
        return f"all different, e.g. {_short(top[0]['value'])}"
    return ", ".join(f"{_short(entry['value'])} ({number(entry['count'])})" for entry in top[:3])


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 30 else f"{text[:29]}\u2026"


def correlation_table(result: dict[str, Any]) -> Table | None:
    """The strongest correlations, if any is worth a look."""
    notable = [
        entry
        for entry in result.get("correlations") or []
        if abs(entry.get("pearson") or 0) >= _NOTABLE_CORRELATION
    ]
    if not notable:
        return None
    notable.sort(key=lambda entry: -abs(entry["pearson"]))
    rows = tuple(
        TableRow(
            (
                str(entry["a"]),
                str(entry["b"]),
                Number(number(entry["pearson"], 3), entry["pearson"]),
                Number(number(entry["n"]), entry["n"]),
            )
        )
        for entry in notable[:_MOST_CORRELATIONS]
    )
    heading = (
        TableColumn("Column"),
        TableColumn("with"),
        TableColumn("Pearson r", "right"),
        TableColumn("Rows", "right"),
    )
    return Table(heading, rows, _left_out(len(notable), len(rows)))


def quality_table(result: dict[str, Any]) -> Table | None:
    """The parts of the quality score with their weights."""
    metrics = result.get("metrics") or {}
    parts = metrics.get("quality_parts") or {}
    if not parts:
        return None
    rows = [
        TableRow(
            (
                str(name).capitalize(),
                Number(number(part.get("score"), 3), part.get("score")),
                Number(number(part.get("weight"), 3), part.get("weight")),
                str(part.get("explanation") or ""),
            )
        )
        for name, part in parts.items()
    ]
    score = metrics.get("quality_score")
    rows.append(
        TableRow(("Quality score", Number(number(score, 3), score), None, "Weighted mean."))
    )
    heading = (
        TableColumn("Part"),
        TableColumn("Score", "right"),
        TableColumn("Weight", "right"),
        TableColumn("Why", wrap=True),
    )
    return Table(heading, tuple(rows))


def balance_sentence(result: dict[str, Any]) -> str | None:
    """Where every line of the file went."""
    balance = result.get("row_balance") or {}
    if not balance:
        return None
    names = ("preamble", "header", "blank", "footer")
    outside = [f"{number(balance[name])} {name}" for name in names if balance.get(name)]
    parts = [*outside, _lines_of(balance, "accepted"), _lines_of(balance, "rejected")]
    closing = "no line is lost" if balance.get("closes") else "the balance does not close"
    lines = plural(int(balance.get("physical_lines") or 0), "line")
    return f"The file has {lines}: {', '.join(parts)}; {closing}."


def _lines_of(balance: dict[str, Any], fate: str) -> str:
    """Lines that were accepted or rejected, with their records where these are fewer."""
    lines, records = balance.get(f"{fate}_lines"), balance.get(fate)
    said = f"{number(lines)} {fate}"
    if records in (None, lines):
        return said
    return f"{said} ({plural(int(records), 'row')}, as records may span several lines)"


def missing_table(result: dict[str, Any]) -> Table | None:
    """The columns with the most missing values."""
    rows_in_all = int((result.get("metrics") or {}).get("accepted_records") or 0)
    gaps = sorted(
        (c for c in result.get("columns") or [] if c.get("nulls")), key=lambda c: -c["nulls"]
    )
    if not gaps:
        return None
    rows = tuple(
        TableRow(
            (
                str(column["name"]),
                Number(number(column["nulls"]), column["nulls"]),
                Number(percent(column["nulls"], rows_in_all)),
            )
        )
        for column in gaps[:_MOST_MISSING]
    )
    heading = (
        TableColumn("Column"),
        TableColumn("Missing", "right"),
        TableColumn("Share of rows", "right"),
    )
    return Table(heading, rows, _left_out(len(gaps), len(rows)))


def rejects_table(result: dict[str, Any]) -> Table | None:
    """Rejected rows by code."""
    codes = result.get("rejects_by_code") or {}
    if not codes:
        return None
    total = int((result.get("metrics") or {}).get("total_records") or 0)
    ordered = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    rows = tuple(
        TableRow(
            (
                str(code),
                Number(number(count), count),
                Number(percent(count, total)),
                _ROW_CODES.get(str(code), "a rule of the contract"),
            )
        )
        for code, count in ordered[:_MOST_WARNINGS]
    )
    heading = (
        TableColumn("Code"),
        TableColumn("Rows", "right"),
        TableColumn("Share", "right"),
        TableColumn("Meaning", wrap=True),
    )
    return Table(heading, rows, _left_out(len(ordered), len(rows)))


def warnings_table(result: dict[str, Any]) -> Table | None:
    """What is worth knowing about an accepted file."""
    warnings = result.get("warnings") or []
    if not warnings:
        return None
    rows = tuple(
        TableRow((str(warning.get("code")), str(warning.get("message") or "")))
        for warning in warnings[:_MOST_WARNINGS]
    )
    heading = (TableColumn("Code"), TableColumn("Message", wrap=True, whole=True))
    return Table(heading, rows, _left_out(len(warnings), len(rows)))


def method_sentences(result: dict[str, Any]) -> list[tuple[str, bool]]:
    """How findings were made, as text with its emphasis, from what really ran."""
    methods = sorted(
        {_test_text(a["method"]) for a in result.get("anomalies") or [] if a.get("method")}
    )
    text = [(_STATISTICS_METHOD, False)]
    if methods:
        text += [("Findings come from: ", False), (", ".join(methods), True), (". ", False)]
    text.append((_FINDINGS_METHOD, False))
    masked = _masked_columns(result)
    if masked:
        text.append((f" Masked as personal data: {masked}.", False))
    return text


def _masked_columns(result: dict[str, Any]) -> str:
    """The columns whose values are masked here; empty when none are."""
    if not (result.get("settings") or {}).get("mask_personal_data"):
        return ""
    names = [str(c["name"]) for c in result.get("columns") or [] if c.get("personal")]
    more = len(names) - _MOST_MISSING
    return ", ".join(names[:_MOST_MISSING]) + (f" and {more:,} more" if more > 0 else "")


def times_table(result: dict[str, Any]) -> Table | None:
    """Processing time of each stage, and its share of the whole."""
    metrics = result.get("metrics") or {}
    stages = metrics.get("stage_times") or {}
    if not stages:
        return None
    total = metrics.get("processing_time") or sum(stages.values())
    heading = [TableColumn("Processing")]
    heading += [TableColumn(str(stage).replace("_", " "), "right") for stage in stages]
    times = [Number(seconds(spent), spent) for spent in [*stages.values(), total]]
    shares = [Number(percent(spent, total)) for spent in stages.values()]
    return Table(
        (*heading, TableColumn("total", "right")),
        (TableRow(("time", *times)), TableRow(("share", *shares, None))),
    )


def facts_table(result: dict[str, Any]) -> Table:
    """File, hash, run, versions and settings."""
    info = result.get("file_info") or {}
    file = [
        shown(info.get("filename"), 120),
        size(info.get("size_bytes")),
        info.get("encoding"),
        _quoted_pairs(info.get("dialect")),
    ]
    facts = {
        "File": ", ".join(str(part) for part in file if part),
        "SHA-256": info.get("sha256"),
        "Upload": result.get("upload_id"),
        "Run": result.get("run_id"),
        "Data files": ", ".join(str(f) for f in (result.get("data_files") or {}).values() if f),
        "Versions": _pairs(result.get("versions")),
        "Settings": _pairs(result.get("settings")),
    }
    rows = tuple(TableRow((name, str(fact))) for name, fact in facts.items() if fact)
    return Table((TableColumn("What"), TableColumn("Value", wrap=True)), rows)


def _pairs(mapping: object) -> str:
    if not isinstance(mapping, dict):
        return str(mapping or "")
    return ", ".join(f"{key} {value}" for key, value in mapping.items() if value is not None)


def _quoted_pairs(mapping: object) -> str:
    """Pairs whose values may be blanks or marks, such as a tab or a quote."""
    if not isinstance(mapping, dict):
        return str(mapping or "")
    return ", ".join(f"{key} {value!r}" for key, value in mapping.items() if value is not None)
