"""What to do about the inbox: which files to take now, and which uploads to offer to a run.

Pure functions of what was seen; the sensor around them only looks and acts. Times are ISO 8601
UTC text, as in the ledger, and sort as time does.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

from nika_pipelines.intake.listing import Entry
from nika_pipelines.intake.states import Upload
from nika_pipelines.settings import Settings

LARGE_BYTES = 100_000_000
"""Files from this size run alone and one at a time (run tag ``nika/size=large``)."""


@dataclass(frozen=True)
class Seen:
    """Since when a file in the inbox has not changed."""

    path: str
    fingerprint: str
    unchanged_since: float
    first_seen: float


@dataclass
class ClaimPlan:
    """Files to take now, and what to remember of those that are still settling."""

    take: list[Entry] = field(default_factory=list)
    settling: list[Seen] = field(default_factory=list)

    def settling_longer_than(self, settings: Settings, now: datetime) -> list[str]:
        """Paths of files that have not come to rest for ``unstable_minutes``."""
        limit = now.timestamp() - settings.unstable_minutes * 60
        return [one.path for one in self.settling if one.first_seen < limit]


@dataclass(frozen=True)
class Offer:
    """Uploads for one run, in order of registration."""

    batch_id: str
    upload_ids: tuple[str, ...]
    attempt: int
    large: bool = False

    @property
    def run_key(self) -> str:
        """Unique per attempt, because Dagster never launches the same run key twice."""
        return f"{self.batch_id}:{self.attempt}"


def plan_claims(
    entries: Iterable[Entry], seen: Mapping[str, Seen], now: datetime, settings: Settings
) -> ClaimPlan:
    """Decide which files are stable.

    A file is stable when nothing about it and its companions has changed since a look at least
    ``settle_seconds`` ago, or when their change times are that old by the local clock. The
    modification time is no witness: copying tools set it to the past.

    Args:
        entries: what lies in the inbox now.
        seen: what was remembered of the last look, by path.
        now: present time with a zone.
        settings: ``settle_seconds``.
    """
    plan = ClaimPlan()
    moment = now.timestamp()
    for entry in entries:
        before = seen.get(entry.path)
        same = before is not None and before.fingerprint == entry.fingerprint
        unchanged_since = before.unchanged_since if before is not None and same else moment
        changed_ns = max(entry.ctime_ns, entry.changed_ns)
        quiet = max(moment - unchanged_since, moment - changed_ns / 1e9)
        if quiet >= settings.settle_seconds:
            plan.take.append(entry)
        else:
            first_seen = before.first_seen if before is not None else moment
            plan.settling.append(Seen(entry.path, entry.fingerprint, unchanged_since, first_seen))
    return plan


def plan_offers(
    unfinished: Sequence[Upload],
    *,
    live_batches: Set[str],
    live_runs: Set[str],
    queue_length: int,
    registered: Mapping[str, int],
    now: str,
    settings: Settings,
) -> list[Offer]:
    """Decide which uploads to offer to new runs.

    Up to ``single_run_files`` new uploads get a run each, more are batched. Uploads whose run was
    lost are offered again, those that were in work when a worker died each alone. A run covers a
    contiguous range of partition keys, so uploads offered again are cut where the range has gaps.
    A file that came twice is offered once its first upload is final: then it is a duplicate.

    Args:
        unfinished: claimed uploads without a final state, in order of arrival.
        live_batches: batches with a queued or running run.
        live_runs: runs that are queued or running, or whose lock is held.
        queue_length: how many runs that were offered before are queued or running.
        registered: place of each known partition key in the order of registration.
        now: ISO 8601 UTC text.
        settings: sizes of batches and limits per look.
    """
    budget = min(settings.batches_per_look, settings.max_live_runs - queue_length)
    if budget <= 0:
        return []
    idle = [
        upload
        for upload in unfinished
        if upload.batch_id not in live_batches
        and upload.run_id not in live_runs
        and (upload.not_before is None or upload.not_before <= now)
    ]
    repeats = _repeats(unfinished)
    groups = [
        *_again(idle, registered, settings),
        *_fresh([upload for upload in idle if upload.upload_id not in repeats], settings),
    ]
    return [_offer(group) for group in groups[:budget]]


def backoff_seconds(attempt: int) -> float:
    """How long to wait before the next attempt: none before the second, then doubling to 5 min."""
    return 0.0 if attempt <= 1 else min(300.0, 5.0 * 2.0 ** (attempt - 2))


def _repeats(unfinished: Sequence[Upload]) -> set[str]:
    """Uploads that look like an earlier one that is not final yet: same name and size."""
    first: dict[tuple[str, str | None, int], str] = {}
    for upload in unfinished:
        if upload.size_bytes is not None:
            look = (upload.original_name, upload.tag, upload.size_bytes)
            first.setdefault(look, upload.upload_id)
    firsts = set(first.values())
    return {
        upload.upload_id
        for upload in unfinished
        if upload.size_bytes is not None and upload.upload_id not in firsts
    }


def _fresh(idle: Sequence[Upload], settings: Settings) -> Iterator[list[Upload]]:
    fresh = [upload for upload in idle if upload.attempt == 0]
    small = [upload for upload in fresh if not _is_large(upload)]
    size = 1 if len(small) <= settings.single_run_files else settings.batch_files
    for start in range(0, len(small), size):
        yield small[start : start + size]
    for upload in fresh:
        if _is_large(upload):
            yield [upload]


def _again(
    idle: Sequence[Upload], registered: Mapping[str, int], settings: Settings
) -> Iterator[list[Upload]]:
    again = [upload for upload in idle if upload.attempt > 0]
    block: list[Upload] = []
    end = len(registered)
    for upload in sorted(again, key=lambda one: registered.get(one.upload_id, end)):
        alone = upload.worker_deaths > 0 or _is_large(upload)
        full = len(block) == settings.batch_files
        if block and (alone or full or not _follows(block[-1], upload, registered)):
            yield block
            block = []
        if alone:
            yield [upload]
        else:
            block.append(upload)
    if block:
        yield block


def _follows(last: Upload, upload: Upload, registered: Mapping[str, int]) -> bool:
    """Whether two uploads are neighbours; unregistered ones are registered together, in order."""
    place, next_place = registered.get(last.upload_id), registered.get(upload.upload_id)
    if place is None or next_place is None:
        return place is None and next_place is None
    return next_place == place + 1


def _offer(group: Sequence[Upload]) -> Offer:
    ids = tuple(upload.upload_id for upload in group)
    attempt = max(upload.attempt for upload in group) + 1
    # The time of the last change makes the id new for every offer: a spent run key stays spent.
    changes = "\n".join(f"{upload.upload_id} {upload.updated_at}" for upload in group)
    digest = hashlib.sha256(changes.encode()).hexdigest()[:16]
    return Offer(digest, ids, attempt, large=any(_is_large(upload) for upload in group))


def _is_large(upload: Upload) -> bool:
    return (upload.size_bytes or 0) >= LARGE_BYTES
