"""Go back to the model before: `memory migrate rollback` by the user guide's name."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from environment import enter

enter()

from mcp_memory.cli.migrate import rollback, run_script  # noqa: E402

if __name__ == "__main__":
    run_script(rollback, "scripts/migration/rollback_model_migration.py")
