"""`python -m mcp_memory_service.server`: MCP on stdin and stdout."""

import sys

from mcp_memory import __version__
from mcp_memory.cli.entry import stdio

if __name__ == "__main__":
    if "--version" in sys.argv[1:]:
        print(f"memory {__version__}")
    else:
        stdio()
