"""What the daily digest says: one page on everything that arrived on one day, over all feeds.

Belongs here: the words and the order of the page. Reading the ledger belongs to the caller, who
hands over one `DigestEntry` per upload.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from nika_pipelines.intake.states import UploadState
from nika_pipelines.reports.chart_specs import Severity, Tone
from nika_pipelines.reports.document import (
    Block,
    Document,
    Heading,
    Kpi,
    KpiStrip,
    Note,
    Number,
    Paragraph,
    Table,
    TableColumn,
    TableRow,
)
from nika_pipelines.reports.numerals import number, percent, plural, seconds, stamp
from nika_pipelines.reports.text import shown

# Together these fill one page and no more.
_MOST_FEEDS = 5
_MOST_PROBLEMS = 6
_MOST_FINDINGS = 4
_MOST_ERRORS = 3
_NAME_LIMIT = 48
_MESSAGE_LIMIT = 170

_GROUPS = ("ready", "in work", "quarantined", "failed", "duplicate", "deleted")
_GROUP_OF = {
    UploadState.REPORT_READY: "ready",
    UploadState.QUARANTINED: "quarantined",
    UploadState.FAILED: "failed",
    UploadState.DUPLICATE: "duplicate",
    UploadState.DELETED: "deleted",
}
_SEVERITIES = tuple(Severity)


@dataclass(frozen=True)
class DigestEntry:
    """One upload of the day.

    Attributes:
        filename: as dropped; may be hostile.
        state: a value of `UploadState`.
        received_at: ISO 8601 UTC.
        anomalies: findings by severity name.
        worst_finding: the explanation of the worst finding, and `worst_severity` its severity.
        processing_seconds: None if nothing was processed.
    """

    upload_id: str
    filename: str
    feed: str
    state: str
    received_at: str
    error_code: str | None = None
    message: str | None = None
    rows: int | None = None
    rejected: int | None = None
    quality_score: float | None = None
    anomalies: dict[str, int] = field(default_factory=dict)
    worst_severity: str | None = None
    worst_finding: str | None = None
    processing_seconds: float | None = None

    @property
    def group(self) -> str:
        """The heading under which its state is counted; states on the way are in work."""
        known = {state.value: group for state, group in _GROUP_OF.items()}
        return known.get(self.state, "in work")


def digest_document(
    day: date,
    uploads: list[DigestEntry],
    errors: list[dict[str, Any]],
    *,
    made_at: datetime,
    time_zone: str = "UTC",
) -> Document:
    """The digest of one day.

    Args:
        day: the day told about.
        uploads: everything that arrived on that day.
        errors: errors of the machinery, as ``{at, where, message}``; ``at`` is ISO 8601.
        made_at: when the digest is made, for the foot.
        time_zone: the zone in which the day begins and ends.
    """
    blocks: list[Block] = [_verdict(uploads, errors), _kpis(uploads)]
    if uploads:
        blocks += [Heading("What arrived", 2), _arrivals(uploads)]
    problems = [entry for entry in uploads if entry.group in ("failed", "quarantined")]
    if problems:
        blocks += [Heading("What did not get through", 2), _problems(problems)]
    worst = _worst(uploads)
    if worst:
        blocks += [Heading("Worst findings", 2), _worst_table(worst)]
    elif uploads:
        blocks.append(Paragraph("No file of the day has a finding."))
    if errors:
        blocks += [Heading("Errors of the machinery", 2), _errors(errors)]
    return Document(
        title=f"Daily digest, {day.day} {day:%B %Y}",
        subtitle=f"All feeds, {day:%A} from midnight to midnight ({time_zone})",
        blocks=tuple(blocks),
        running_head=("Nika \u00b7 Daily digest", day.isoformat()),
        foot=(f"made {made_at:%Y-%m-%d %H:%M} UTC",),
        subject=f"Files of {day.isoformat()}",
        keywords=("digest", day.isoformat()),
    )


def _verdict(uploads: list[DigestEntry], errors: list[dict[str, Any]]) -> Note:
    if not uploads:
        text = "No file arrived on this day."
        if errors:
            return Note(f"{text} {plural(len(errors), 'error')} of the machinery.", "bad", "Look")
        return Note(text, "neutral", "Quiet day")
    counts = Counter(entry.group for entry in uploads)
    critical = sum(entry.anomalies.get("critical", 0) for entry in uploads)
    said = [f"{plural(len(uploads), 'file')} arrived; {_listed(counts)}."]
    if critical:
        said.append(f"{plural(critical, 'critical finding')} should be looked at first.")
    elif not counts["failed"] + counts["quarantined"]:
        said.append("Nothing needs to be done.")
    if counts["failed"] or errors:
        return Note(" ".join(said), "bad", "Something failed")
    if counts["quarantined"] or critical:
        return Note(" ".join(said), "attention", "Needs attention")
    return Note(" ".join(said), "good", "All went through")


def _listed(counts: Counter[str]) -> str:
    present = [f"{number(counts[group])} {group}" for group in _GROUPS if counts[group]]
    return ", ".join(present)


def _kpis(uploads: list[DigestEntry]) -> KpiStrip:
    counts = Counter(entry.group for entry in uploads)
    spent = [entry.processing_seconds for entry in uploads if entry.processing_seconds is not None]
    scores = [entry.quality_score for entry in uploads if entry.quality_score is not None]
    quarantined: Tone = "attention" if counts["quarantined"] else "neutral"
    failed: Tone = "bad" if counts["failed"] else "neutral"
    return KpiStrip(
        (
            Kpi(number(len(uploads)), "files"),
            Kpi(number(counts["ready"]), "reports ready"),
            Kpi(number(counts["quarantined"]), "quarantined", quarantined),
            Kpi(number(counts["failed"]), "failed", failed),
            Kpi(number(sum(entry.rows or 0 for entry in uploads)), "rows"),
            Kpi(number(_mean(scores), 3), "mean quality"),
            Kpi(seconds(_mean(spent)), "mean time"),
        )
    )


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _arrivals(uploads: list[DigestEntry]) -> Table:
    """Files by feed and state, with rows, rejects and findings."""
    feeds = Counter(entry.feed for entry in uploads).most_common(_MOST_FEEDS)
    rows = [
        _arrival_row(feed, [entry for entry in uploads if entry.feed == feed]) for feed, _ in feeds
    ]
    if len(feeds) > 1:
        rows.append(_arrival_row("all feeds", uploads))
    names = ("files", *_GROUPS, "rows", "rejected", "findings")
    columns = (TableColumn("Feed"), *(TableColumn(n.capitalize(), "right") for n in names))
    left_out = len({entry.feed for entry in uploads}) - len(feeds)
    return Table(
        columns, tuple(rows), f"{left_out} more feeds are in the sum." if left_out else None
    )


def _arrival_row(feed: str, entries: list[DigestEntry]) -> TableRow:
    counts = Counter(entry.group for entry in entries)
    rows = sum(entry.rows or 0 for entry in entries)
    rejected = sum(entry.rejected or 0 for entry in entries)
    findings = sum(sum(entry.anomalies.values()) for entry in entries)
    share = percent(rejected, rows + rejected)
    numbers = (len(entries), *(counts[group] for group in _GROUPS), rows)
    return TableRow(
        (
            shown(feed, _NAME_LIMIT),
            *(Number(number(value), value) for value in numbers),
            Number(f"{number(rejected)} ({share})" if rejected else "0", rejected),
            Number(number(findings), findings),
        )
    )


def _problems(problems: list[DigestEntry]) -> Table:
    # A failure is ours, a quarantined file is the sender's: failures first.
    ordered = sorted(problems, key=lambda entry: (entry.group != "failed", entry.received_at))
    rows = tuple(
        TableRow(
            (
                stamp(entry.received_at)[11:16],
                shown(entry.filename, _NAME_LIMIT),
                entry.group,
                entry.error_code or "\u2013",
            ),
            note=shown(entry.message, _MESSAGE_LIMIT),
            reference=entry.upload_id,
            brief=True,
        )
        for entry in ordered[:_MOST_PROBLEMS]
    )
    columns = (
        TableColumn("Time (UTC)"),
        TableColumn("File", wrap=True),
        TableColumn("State"),
        TableColumn("Code"),
    )
    return Table(columns, rows, _left_out(len(ordered), len(rows), "`nika list` shows them"))


def _worst(uploads: Iterable[DigestEntry]) -> list[DigestEntry]:
    """Files with findings, those with the worst first."""
    found = [entry for entry in uploads if entry.worst_severity]
    return sorted(found, key=_badness, reverse=True)


def _badness(entry: DigestEntry) -> tuple[int, ...]:
    severity = _SEVERITIES.index(Severity.of(entry.worst_severity))
    return (-severity, *(entry.anomalies.get(name.value, 0) for name in _SEVERITIES))


def _worst_table(worst: list[DigestEntry]) -> Table:
    rows = tuple(
        TableRow(
            (
                Severity.of(entry.worst_severity),
                shown(entry.filename, _NAME_LIMIT),
                Number(number(sum(entry.anomalies.values()))),
                Number(number(entry.anomalies.get("critical", 0))),
                Number(number(entry.quality_score, 3), entry.quality_score),
            ),
            note=shown(entry.worst_finding, _MESSAGE_LIMIT),
            reference=entry.upload_id,
            brief=True,
        )
        for entry in worst[:_MOST_FINDINGS]
    )
    columns = (
        TableColumn("Worst"),
        TableColumn("File", wrap=True),
        TableColumn("Findings", "right"),
        TableColumn("Critical", "right"),
        TableColumn("Quality", "right"),
    )
    return Table(columns, rows, _left_out(len(worst), len(rows), "`nika list` shows them"))


def _errors(errors: list[dict[str, Any]]) -> Table:
    rows = tuple(
        TableRow(
            (
                stamp(error.get("at"))[:16],
                shown(error.get("where"), _NAME_LIMIT),
                shown(error.get("message"), _MESSAGE_LIMIT),
            )
        )
        for error in errors[:_MOST_ERRORS]
    )
    columns = (TableColumn("Time (UTC)"), TableColumn("Where"), TableColumn("Message"))
    return Table(columns, rows, _left_out(len(errors), len(rows), "the run logs hold them"))


def _left_out(total: int, listed: int, where: str) -> str | None:
    return f"{total - listed:,} more; {where}." if total > listed else None
