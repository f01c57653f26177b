"""Embed every memory anew with another model: `memory migrate model` by the user guide's name."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from environment import enter

enter()

from mcp_memory.cli.migrate import model, run_script  # noqa: E402

if __name__ == "__main__":
    run_script(model, "scripts/migration/migrate_to_new_model.py")
