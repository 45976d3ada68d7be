"""Every setting of Nika Pipelines: its type, unit, default and environment variable.

Belongs here: a value that a user may want to change. Does not belong here: a constant of an
algorithm (it stays beside the algorithm, with its source), or anything secret.

The environment variable of a setting is its name in capitals after ``NIKA_``
(``settle_seconds`` -> ``NIKA_SETTLE_SECONDS``). ``nika config`` prints the settings in force and
``docs/settings.md`` is generated from this module.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from nika_pipelines.cron import cron_problem

PROJECT_ROOT = Path(__file__).resolve().parents[1]
"""The folder with ``dagster.yaml``; in a checkout, the checkout."""


def _setting(default: Any, unit: str, description: str, **limits: Any) -> Any:
    """Declare one setting with its unit, which the generated documentation shows."""
    return Field(
        default=default, description=description, json_schema_extra={"unit": unit}, **limits
    )


class Settings(BaseSettings):
    """The settings in force; read once per process by `load_settings`."""

    model_config = SettingsConfigDict(env_prefix="NIKA_", frozen=True, extra="ignore")

    # Where things are
    data: Path = _setting(
        PROJECT_ROOT / "data", "path", "Folder of everything that is stored: inbox, lake, reports."
    )
    samples: Path = _setting(
        PROJECT_ROOT / "data" / "samples", "path", "Sample files that `nika demo` processes."
    )

    # Intake
    settle_seconds: float = _setting(
        2.0, "s", "A file is taken once nothing about it has changed for this long.", ge=0
    )
    stale_partial_hours: float = _setting(
        24.0, "h", "An unfinished copy (`.part`, `.tmp`, ...) older than this gets a notice.", gt=0
    )
    unstable_minutes: float = _setting(
        30.0, "min", "A file still being written after this long is quarantined UNSTABLE.", gt=0
    )
    max_file_bytes: int = _setting(3_000_000_000, "bytes", "Largest file taken.", gt=0)
    max_rows: int = _setting(50_000_000, "rows", "Most data rows in one table.", gt=0)
    max_columns: int = _setting(2_000, "columns", "Most columns in one table.", gt=0)
    max_field_bytes: int = _setting(1_000_000, "bytes", "Longest single cell.", gt=0)
    max_line_bytes: int = _setting(8_000_000, "bytes", "Longest record.", gt=0)
    max_header_characters: int = _setting(
        200, "characters", "Longest column name kept whole.", gt=0
    )
    max_bad_row_share: float = _setting(
        0.20, "share", "A file with more rejected rows than this is quarantined.", ge=0, le=1
    )
    broken_columns: Literal["quarantine", "warn"] = _setting(
        "quarantine",
        "quarantine or warn",
        "What becomes of a file whose columns are not those of its contract.",
    )
    few_rejects_share: float = _setting(
        0.01,
        "share",
        "More rejected rows than this make the check `rejects_are_few` warn.",
        ge=0,
        le=1,
    )
    type_vote_share: float = _setting(
        0.98,
        "share",
        "Share of non-empty cells that must fit for a column to get a type.",
        gt=0,
        le=1,
    )
    max_preamble_rows: int = _setting(50, "rows", "Most lines skipped above the header.", ge=0)
    file_timeout_seconds: float = _setting(
        300.0,
        "s",
        "Time allowed to read one file, plus one second for every MB of it; then TIMEOUT.",
        gt=0,
    )
    zip_max_total_bytes: int = _setting(
        200_000_000, "bytes", "Most bytes a workbook may unpack to.", gt=0
    )
    zip_max_ratio: float = _setting(
        100.0, "ratio", "Highest compression ratio of a workbook.", gt=1
    )
    zip_max_entries: int = _setting(1_000, "entries", "Most parts inside a workbook.", gt=0)
    packed_max_ratio: float = _setting(
        200.0, "ratio", "Highest compression ratio of a gzip or zstd file over 10 MB.", gt=1
    )
    spreadsheet_memory_mb: int = _setting(
        1_024, "MB", "Memory allowed to the child process that reads a workbook.", gt=0
    )
    spreadsheet_seconds: float = _setting(
        60.0, "s", "Time allowed to the child process that reads a workbook.", gt=0
    )

    # Privacy
    mask_personal_data: bool = _setting(
        True,
        "yes or no",
        "Mask e-mail addresses, phone numbers, names and id numbers wherever people look: in "
        "reports, results, the web UI, logs and on the command line. Stored tables stay as they are.",
    )

    # Orchestration
    sensor_interval_seconds: int = _setting(
        3,
        "s",
        "Shortest time between two looks at the inbox (5 would skip every second one).",
        gt=0,
    )
    single_run_files: int = _setting(
        3, "files", "Up to this many new files get a run each; more are batched.", ge=0
    )
    batch_files: int = _setting(50, "files", "Most files in one batch run.", gt=0)
    batches_per_look: int = _setting(
        4, "runs", "Most runs requested by one look at the inbox.", gt=0
    )
    max_live_runs: int = _setting(
        4, "runs", "No new run is requested while this many are queued or running.", gt=0
    )
    max_attempts: int = _setting(
        3, "attempts", "A file whose worker died alone this often is quarantined INTERNAL.", gt=0
    )

    freshness_days: float = _setting(
        7.0, "days", "The raw uploads count as stale when none has arrived for this long.", gt=0
    )

    # Engine
    duckdb_memory_mb: int = _setting(192, "MB", "DuckDB's memory limit in one worker.", gt=0)
    duckdb_threads: int = _setting(2, "threads", "DuckDB's threads in one worker.", gt=0)

    # Anomalies
    z_score_threshold: float = _setting(3.0, "sigma", "Floor of the z-score detector.", gt=0)
    iqr_multiplier: float = _setting(1.5, "IQR", "Floor of the interquartile-range detector.", gt=0)
    mad_threshold: float = _setting(
        3.5, "robust sigma", "Floor of the median-absolute-deviation detector.", gt=0
    )
    expected_false_flags: float = _setting(
        0.1, "flags per file", "False flags expected in a file without anomalies.", gt=0
    )
    min_samples: int = _setting(30, "rows", "Fewest values for a column to be judged.", gt=1)
    max_anomalies_per_report: int = _setting(
        50, "findings", "Most findings listed in a report.", gt=0
    )

    # Comparison with earlier files
    drift_baselines: int = _setting(
        3, "versions", "Earlier versions of a dataset that a new one is compared with.", ge=0
    )

    # Serving and reports
    web_port: int = _setting(
        3000, "port", "Dagster's web UI; if taken, the next free from +2.", ge=0
    )
    reports_port: int = _setting(
        3001, "port", "Charts and reports; fixed, because links to it are stored.", ge=0
    )
    digest_cron: str = _setting("0 6 * * *", "cron", "When yesterday's digest is made.")
    digest_time_zone: str = _setting("UTC", "IANA zone", "Time zone of the digest's day and cron.")

    @field_validator("data", "samples")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("digest_cron")
    @classmethod
    def _schedule(cls, text: str) -> str:
        problem = cron_problem(text)
        if problem is not None:
            raise ValueError(problem)
        return text

    @field_validator("digest_time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError("must be an IANA time zone, such as Europe/Berlin") from None
        return name


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Read the settings from the environment, once.

    Raises:
        pydantic.ValidationError: a variable holds a value outside its limits.
    """
    return Settings()
