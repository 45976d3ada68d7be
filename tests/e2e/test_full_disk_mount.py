"""`nika run` on a real file system of a few megabytes that is full."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"]
SCRIPT = """
set -e
mount -t tmpfs -o size=24m tmpfs "$1"
cd "$2"
export NIKA_DATA="$1/data"
python="$3"
nika() { "$python" -m nika_pipelines.cli "$@"; }
nika run first.csv --json > first.json
free=$(df -k --output=avail "$1" | tail -1)
head -c $((free - 6300))K /dev/zero > "$1/filler"
set +e
nika run large.csv small.csv --json > full.json; echo $? > full.exit
find "$1/data" -name '*.part' > left.txt
find "$1/data/tmp" -type f >> left.txt
rm "$1/filler"
nika doctor --json > doctor.json
id=$("$python" -c 'import json; print(json.load(open("full.json"))[0]["upload_id"])')
nika retry "$id" --json > retry.json; echo $? > retry.exit
cp "$1/data/results/tables/$id/result.json" retried.json
nika run again.txt --json > again.json
id=$("$python" -c 'import json; print(json.load(open("again.json"))[0]["upload_id"])')
cp "$1/data/results/tables/$id/result.json" fresh.json
"""


def may_mount(folder: Path) -> bool:
    """Whether this user may mount a small file system of its own."""
    if shutil.which("unshare") is None:
        return False
    probe = [*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def write_table(path: Path, rows: int) -> None:
    lines = (f"{row},{row * 7919 % 10007}.5,{'ab'[row % 2]}\n" for row in range(rows))
    path.write_text("id,amount,kind\n" + "".join(lines), "utf-8")


@pytest.mark.timeout(300)
def test_a_full_disk_is_told_leaves_nothing_half_and_retry_succeeds(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not may_mount(disk):
        pytest.skip("this user may not mount a small file system (unshare, tmpfs)")
    for name, rows in (("first", 60), ("large", 260_000), ("small", 90)):
        write_table(tmp_path / f"{name}.csv", rows)
    shutil.copyfile(tmp_path / "large.csv", tmp_path / "again.txt")

    done = subprocess.run(
        [*UNSHARE, "bash", "-c", SCRIPT, "bash", disk, tmp_path, sys.executable],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ROOT), "HOME": "/"},
        capture_output=True,
        check=False,
    )

    def told(name: str) -> Any:
        path = tmp_path / name
        assert path.exists(), done.stderr.decode()[-2_000:]
        return json.loads(path.read_text("utf-8"))

    large, small = told("full.json")
    assert (large["state"], large["error_code"]) == ("failed", "INTERNAL")
    assert "no space left on the disk of" in large["message"]
    assert small["state"] == "report_ready"
    assert (tmp_path / "full.exit").read_text().strip() == "1"
    assert (tmp_path / "left.txt").read_text() == ""
    checks = {check["name"]: check["status"] for check in told("doctor.json")["checks"]}
    assert checks["balance"] == "ok"
    assert told("retry.json")["state"] == "report_ready"
    assert (tmp_path / "retry.exit").read_text().strip() == "0"
    for part in ("columns", "correlations", "anomalies"):
        mine, fresh = (comparable(told(name)[part]) for name in ("retried.json", "fresh.json"))
        assert mine == fresh


def comparable(value: Any) -> Any:
    """A part of a result without ids, and floats without what the order of a sum decides."""
    if isinstance(value, dict):
        return {key: comparable(one) for key, one in value.items() if key != "id"}
    if isinstance(value, list):
        return [comparable(one) for one in value]
    return round(float(f"{value:.10g}"), 10) if isinstance(value, float) else value
