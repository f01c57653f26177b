"""Semantic memory for AI assistants: REST, MCP and a CLI over Qdrant."""

__version__ = "0.1.0"
