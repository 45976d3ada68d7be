"""Write `requirements.lock`: every package for every system, with exact versions and hashes.

The lock names no package index and no path, so that it says the same on every machine.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
COMMAND = [
    *("uv", "pip", "compile", "pyproject.toml", "--extra", "dev"),
    *("--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-header"),
]


def main() -> int:
    """Resolve, clean and replace the lock; newer versions are taken only with ``--upgrade``."""
    draft = LOCK.with_suffix(".draft")
    draft.write_bytes(LOCK.read_bytes() if LOCK.exists() else b"")
    command = [sys.executable, "-m", *COMMAND, *sys.argv[1:], "-o", draft.name, "--quiet"]
    try:
        subprocess.run(command, cwd=ROOT, check=True)
        lines = draft.read_text(encoding="utf-8").splitlines()
    finally:
        draft.unlink(missing_ok=True)
    kept = [line for line in lines if not line.startswith("-")]
    LOCK.write_text("\n".join(kept) + "\n", encoding="utf-8")
    packages = sum("==" in line and not line.startswith((" ", "#")) for line in kept)
    print(f"requirements.lock: {packages} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
