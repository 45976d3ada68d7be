"""What a result means: a level, two sentences a manager understands, and what to do next.

Belongs here: reading a finished result. Does not belong here: computing any number.
"""

from typing import Any, Literal

from nika_pipelines.intake.codes import WARNING_ADVICE

Level = Literal["good", "attention", "bad"]

BAD_QUALITY = 70.0
GOOD_QUALITY = 95.0
BAD_REJECTED_SHARE = 0.05
MUCH_MISSING_SHARE = 0.20
SAME_INFORMATION = 0.99
MOST_NAMES = 5
MOST_FINDINGS_NAMED = 3
MOST_UNJUDGED_NAMED = 3
MOST_REJECTS_LISTED = 12
"""Rejected rows that a report lists, the first of the file."""

_WARNING_STEPS: dict[str, str] = {code.value: step for code, step in WARNING_ADVICE.items()}


def verdict(result: dict[str, Any]) -> dict[str, str]:
    """The level of a result and two sentences about it; a third names what was not judged."""
    level = _level(result)
    said = f"{_usable_sentence(result)} {_look_sentence(result, level)}"
    return {"level": level, "text": said + _unjudged_sentence(result)}


def judged_columns(result: dict[str, Any]) -> list[str]:
    """The numeric columns whose values were searched for anomalies, at least partly."""
    unjudged = {one["column"] for one in result.get("not_judged") or [] if not one.get("partly")}
    return [name for name in _numeric(result) if name not in unjudged]


def recommendations(result: dict[str, Any]) -> list[str]:
    """Concrete next steps, the most urgent first; empty when there is nothing to do."""
    return [
        *_about_rejects(result),
        *_about_findings(result),
        *_about_columns(result),
        *_about_duplicates(result),
        *_about_warnings(result),
    ]


def _level(result: dict[str, Any]) -> Level:
    metrics = result["metrics"]
    findings = _findings(result)
    rejected = metrics["rejected_records"]
    if (
        not result["row_balance"]["closes"]
        or metrics["quality_score"] < BAD_QUALITY
        or rejected > BAD_REJECTED_SHARE * metrics["total_records"]
    ):
        return "bad"
    if rejected or findings or result["warnings"] or metrics["quality_score"] < GOOD_QUALITY:
        return "attention"
    if _numeric(result) and not judged_columns(result):
        return "attention"  # nothing unusual was found because nothing was searched
    return "good"


def _usable_sentence(result: dict[str, Any]) -> str:
    metrics = result["metrics"]
    total, accepted = metrics["total_records"], metrics["accepted_records"]
    rejected = total - accepted
    usable = (
        f"{accepted:,} of {total:,} rows {'is' if accepted == 1 else 'are'} usable and "
        f"{rejected:,} {'was' if rejected == 1 else 'were'} rejected"
    )
    if not rejected:
        usable = "The only row is usable" if total == 1 else f"All {total:,} rows are usable"
    return f"{usable}; the quality score is {metrics['quality_score']:.0f} of 100."


def _look_sentence(result: dict[str, Any], level: Level) -> str:
    if not result["row_balance"]["closes"]:
        return "The lines of the file do not add up, so do not rely on this table."
    if _findings(result):
        return _findings_sentence(_findings(result))
    calm = _calm(result)
    if result["rejects_by_code"]:
        return f"{calm}; look at the rejected rows first."
    if level == "good":
        return f"{calm}."
    if result["warnings"]:
        return f"{calm}, but note: {_lower(_first_sentence(result['warnings'][0]['message']))}"
    if result["metrics"]["quality_score"] >= GOOD_QUALITY:
        return f"{calm}."
    return f"{calm}; {_weakest_part(result)}"


def _findings_sentence(findings: list[dict[str, Any]]) -> str:
    """How many findings there are, and the explanation of the worst; it begins with its place."""
    worst = _lower(findings[0]["explanation"])
    if len(findings) == 1:
        return f"One finding to look at, in {worst}"
    return f"{len(findings):,} findings to look at, the worst in {worst}"


def _calm(result: dict[str, Any]) -> str:
    """What can be said without any finding, which depends on what was judged at all."""
    if not _numeric(result):
        return "No numeric column is there to judge, and no run of missing values stands out"
    if not judged_columns(result):
        return f"Not judged for anomalies: {_unjudged(result)}"
    where = " in the accepted rows" if result["rejects_by_code"] else ""
    return f"Nothing unusual was found{where}"


def _unjudged_sentence(result: dict[str, Any]) -> str:
    """Which columns were not judged, unless the sentence before it says so."""
    named = _unjudged(result)
    if not named or not (_findings(result) or judged_columns(result)):
        return ""
    return f" Not judged for anomalies: {named}."


def _unjudged(result: dict[str, Any]) -> str:
    """The measurements that were not judged; identifiers only when nothing else was judged."""
    none_judged = not judged_columns(result)
    named = [
        f"{one['column']} ({one['reason']})"
        for one in result.get("not_judged") or []
        if none_judged or not one["by_nature"]
    ]
    left = len(named) - MOST_UNJUDGED_NAMED
    more = f" and {left:,} more" if left > 0 else ""
    return ", ".join(named[:MOST_UNJUDGED_NAMED]) + more


def _weakest_part(result: dict[str, Any]) -> str:
    parts = result["metrics"]["quality_parts"]
    judged = {name: part for name, part in parts.items() if part["score"] is not None}
    name = min(judged, key=lambda key: judged[key]["score"])
    return f"the weakest part is {name}: {_lower(judged[name]['explanation'])}"


def _about_rejects(result: dict[str, Any]) -> list[str]:
    codes = result["rejects_by_code"]
    rejected = result["metrics"]["rejected_records"]
    if not rejected:
        return []
    listed = ", ".join(
        f"{code} {count:,}" for code, count in sorted(codes.items(), key=lambda item: -item[1])
    )
    rows = "1 rejected row" if rejected == 1 else f"{rejected:,} rejected rows"
    file = str((result.get("data_files") or {}).get("rejects") or "rejects.parquet")
    where = f'"Rejected rows" in the report and {file}'
    if rejected > MOST_REJECTS_LISTED:
        where = f'"Rejected rows" in the report (the first {MOST_REJECTS_LISTED}) and {file} (all)'
    return [f"Mend the {rows} at the source ({listed}); lines and reasons: {where}."]


def _about_findings(result: dict[str, Any]) -> list[str]:
    findings = _findings(result)
    steps = [f"Check {finding['location']}." for finding in findings[:MOST_FINDINGS_NAMED]]
    left = len(findings) - len(steps)
    if left > 0:
        steps.append(f"Go through the other {left:,} findings, in order of severity.")
    return steps


def _about_columns(result: dict[str, Any]) -> list[str]:
    rows = result["metrics"]["accepted_records"]
    columns = result["columns"]
    empty = [c["name"] for c in columns if c["count"] == 0]
    gappy = [
        f"{c['name']} ({c['nulls'] / rows:.0%})"
        for c in columns
        if c["count"] and c["nulls"] > MUCH_MISSING_SHARE * rows
    ]
    constant = [c["name"] for c in columns if c["count"] > 1 and c["distinct"] == 1]
    steps = []
    if empty:
        steps.append(f"Fill or drop what is empty throughout: {_names(empty)}.")
    if gappy:
        steps.append(f"Find out why values are missing in {_names(gappy)}.")
    if constant and rows > 1:
        steps.append(f"Check whether one and the same value is right for {_names(constant)}.")
    return steps + _about_pairs(result)


def _about_pairs(result: dict[str, Any]) -> list[str]:
    pairs = [
        f"{pair['a']} and {pair['b']}"
        for pair in result["correlations"]
        if abs(pair["pearson"]) >= SAME_INFORMATION
    ]
    if not pairs:
        return []
    return [f"Expect no separate information from nearly proportional columns: {_names(pairs)}."]


def _about_duplicates(result: dict[str, Any]) -> list[str]:
    part = result["metrics"]["quality_parts"]["uniqueness"]
    if part["score"] is None or part["score"] >= 100:
        return []
    return [f"Find out whether repeated rows are meant: {_lower(part['explanation'])}"]


def _about_warnings(result: dict[str, Any]) -> list[str]:
    steps: dict[str, str] = {}
    for warning in result["warnings"]:
        steps.setdefault(
            warning["code"], _WARNING_STEPS.get(warning["code"], f"Note: {warning['message']}")
        )
    return list(steps.values())


def _numeric(result: dict[str, Any]) -> list[str]:
    return [c["name"] for c in result["columns"] if c["type"] in ("integer", "float")]


def _findings(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [record for record in result["anomalies"] if not record["suppressed"]]


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    left = len(names) - MOST_NAMES
    return f"{shown} and {left:,} more" if left > 0 else shown


def _first_sentence(message: str) -> str:
    """A warning's gist; the report has the rest of it in its list of warnings."""
    head, end, _rest = message.partition(". ")
    return f"{head}." if end else message


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
