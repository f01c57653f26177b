"""`python -m mcp_memory_service.mcp_server`: MCP on stdin and stdout."""

from mcp_memory.cli.entry import memory_server

if __name__ == "__main__":
    memory_server()
