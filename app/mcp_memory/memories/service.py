"""Memories: the use cases, one method each. REST, MCP and the CLI call nothing else."""
