"""`python -m mcp_memory.cli`: the same as the `memory` command."""

from mcp_memory.cli.entry import main

main()
