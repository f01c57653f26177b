"""`python -m mcp_memory_service.cli.main`: the `memory` command."""

from mcp_memory.cli.entry import main

if __name__ == "__main__":
    main()
