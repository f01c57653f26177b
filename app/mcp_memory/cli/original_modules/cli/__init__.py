"""`mcp_memory_service.cli`."""
