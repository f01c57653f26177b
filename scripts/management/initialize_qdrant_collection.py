"""Create the collection that the settings name, or check the one that is there: `memory init` by the user guide's name."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from environment import enter

enter()

from mcp_memory.cli.entry import main  # noqa: E402

if __name__ == "__main__":
    sys.argv[1:1] = ["init"]
    main()
