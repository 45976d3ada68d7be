"""The quality score of a table: five parts, each 0-100, and their weighted mean.

| part | weight | what it measures |
|---|---|---|
| completeness | 0.30 | share of the accepted table's cells that hold a value |
| validity | 0.30 | share of the file's records that were accepted, without doubtful values |
| uniqueness | 0.15 | share of rows that do not repeat an earlier row in every column |
| consistency | 0.15 | 100, less 10 per kind of warning and less the share of infinite values |
| timeliness | 0.10 | share of steps along the time column that go forward without a long gap |

A part that cannot be judged (no time column, too many columns to compare rows) has no score, and
its weight is shared by the others.
"""

from nika_pipelines.intake.records import IntakeReport
from nika_pipelines.tables.records import QualityPart, QualityScore, TableProfile

WEIGHTS = {
    "completeness": 0.30,
    "validity": 0.30,
    "uniqueness": 0.15,
    "consistency": 0.15,
    "timeliness": 0.10,
}
POINTS_PER_WARNING = 10.0


def score(profile: TableProfile, intake: IntakeReport) -> QualityScore:
    """Score the table that ``intake`` accepted and ``profile`` describes."""
    found = {
        "completeness": _completeness(profile),
        "validity": _validity(intake),
        "uniqueness": _uniqueness(profile),
        "consistency": _consistency(profile, intake),
        "timeliness": _timeliness(profile),
    }
    parts = {
        name: QualityPart(None if points is None else round(points, 2), WEIGHTS[name], why)
        for name, (points, why) in found.items()
    }
    judged = [part for part in parts.values() if part.score is not None]
    weight = sum(part.weight for part in judged)
    total = sum((part.score or 0.0) * part.weight for part in judged) / weight
    return QualityScore(round(total, 2), parts)


def _completeness(profile: TableProfile) -> tuple[float | None, str]:
    cells = profile.rows * len(profile.columns)
    if not cells:
        return None, "There are no cells."
    empty = sum(column.nulls for column in profile.columns)
    return 100 * (1 - empty / cells), f"{empty:,} of {cells:,} cells are empty."


def _validity(intake: IntakeReport) -> tuple[float | None, str]:
    balance = intake.balance
    if not balance.records:
        return None, "There are no records."
    # Rows are not known, so the column with most such values stands for all of them.
    doubtful = max((warning.doubtful for warning in intake.warnings), default=0)
    good = max(0, balance.accepted - doubtful)
    text = f"{balance.rejected:,} of {balance.records:,} records were rejected"
    if doubtful:
        text += f", and {doubtful:,} values of one column do not read like its others"
    return 100 * good / balance.records, f"{text}."


def _uniqueness(profile: TableProfile) -> tuple[float | None, str]:
    if profile.duplicate_rows is None or not profile.rows:
        return None, "Duplicate rows were not counted."
    repeated = profile.duplicate_rows
    return (
        100 * (1 - repeated / profile.rows),
        f"{repeated:,} of {profile.rows:,} rows repeat an earlier one.",
    )


def _consistency(profile: TableProfile, intake: IntakeReport) -> tuple[float, str]:
    kinds = sorted({warning.code for warning in intake.warnings})
    numbers = sum(column.count for column in profile.columns if column.type == "float")
    infinite = sum(column.non_finite for column in profile.columns)
    points = 100 - POINTS_PER_WARNING * len(kinds) - 100 * infinite / max(numbers, 1)
    reasons = [f"warnings: {', '.join(kinds)}"] if kinds else []
    reasons += [f"{infinite:,} values are infinite or not a number"] if infinite else []
    text = "; ".join(reasons) or "no warnings and no infinite values"
    return max(0.0, points), f"{text[0].upper()}{text[1:]}."


def _timeliness(profile: TableProfile) -> tuple[float | None, str]:
    axis = profile.time_axis
    if axis is None or not axis.steps:
        return None, "There is no time column whose order could be judged."
    backwards = round((1 - axis.ordered_share) * axis.steps)
    troubled = min(axis.steps, backwards + axis.long_gaps)
    explanation = (
        f"Along {axis.column}, {backwards:,} of {axis.steps:,} steps go back in time and "
        f"{axis.long_gaps:,} are gaps of more than ten usual steps."
    )
    return 100 * (1 - troubled / axis.steps), explanation
