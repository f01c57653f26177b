"""`python -m mcp_memory_service.mcp_server`: MCP on stdin and stdout."""

from mcp_memory.cli.entry import stdio

if __name__ == "__main__":
    stdio()
