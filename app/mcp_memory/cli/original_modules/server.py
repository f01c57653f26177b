"""`python -m mcp_memory_service.server`: MCP on stdin and stdout, as `memory-server`."""

from mcp_memory.cli.entry import memory_server

if __name__ == "__main__":
    memory_server()
