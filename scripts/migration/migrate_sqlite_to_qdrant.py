"""Bring the memories of an original database into Qdrant: `memory migrate sqlite` by the user guide's name."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from environment import enter

enter()

from mcp_memory.cli.migrate import run_script, sqlite  # noqa: E402

if __name__ == "__main__":
    run_script(sqlite, "scripts/migration/migrate_sqlite_to_qdrant.py")
