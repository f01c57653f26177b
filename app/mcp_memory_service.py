"""The original's module names, for configurations that start `python -m mcp_memory_service.server`.

A module beside the packages, not a package: where the original itself is installed, its package of this name goes first, and
neither installation touches the other's files. Its own names lie in `mcp_memory/cli/original_modules`.
"""

from pathlib import Path

import mcp_memory

__path__ = [str(Path(mcp_memory.__file__).parent / "cli" / "original_modules")]
