"""Modules of the original that configurations start with `python -m`, under `mcp_memory_service`. Nothing else."""
