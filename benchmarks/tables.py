"""Tables to measure with: seeded, with a time column, measures, categories and a few outliers."""

from datetime import datetime, timedelta
from pathlib import Path
from random import Random

HEADER = "measured_at,site,status,temperature,pressure,flow,energy_kwh,quality,amount_eur"
_SITES = ("north", "south", "east", "harbour")
_STATES = ("ok", "ok", "ok", "idle", "service")
_PADDING_COLUMN = ",note"


def write_table(path: Path, rows: int, seed: int) -> Path:
    """Write a table of about 65 bytes a row."""
    return _write(path, rows, Random(seed), HEADER, "")


def write_wide_table(path: Path, rows: int, seed: int) -> Path:
    """Write a table of about 100 bytes a row: a text column more."""
    note = ",checked by the second shift of line"
    return _write(path, rows, Random(seed), HEADER + _PADDING_COLUMN, note)


def _write(path: Path, rows: int, draw: Random, header: str, ending: str) -> Path:
    start = datetime(2024, 1, 1) + timedelta(days=draw.randrange(300))  # noqa: DTZ001 - local time
    outliers = set(draw.sample(range(rows), 3))
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(header + "\n")
        for row in range(rows):
            factor = 6 if row in outliers else 1
            stream.write(
                f"{start + timedelta(minutes=15 * row):%Y-%m-%d %H:%M:%S},"
                f"{draw.choice(_SITES)},{draw.choice(_STATES)},"
                f"{20 + 5 * draw.random() * factor:.2f},{1013 + 20 * draw.random():.1f},"
                f"{draw.expovariate(0.2):.3f},{40 * factor + draw.random():.2f},"
                f"{draw.randrange(60, 100)},{draw.random() * 900:.2f}{ending}\n"
            )
    return path
