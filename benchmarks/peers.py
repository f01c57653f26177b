"""The list of tools of other memory servers, as an assistant gets it: each started as its own README has it, over stdio.

Each runs in an environment of its own, which uv or npx makes (wheels only, nothing is built; none of them brings torch). One that
can't be had or started here is left out in words. The original's environment is the one of `make test-original`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError

SECONDS = 240.0
ROOT = Path(__file__).resolve().parents[1]
ORIGINAL = ROOT / ".uv" / "original" / "bin" / "memory-server"


@dataclass(frozen=True)
class Peer:
    """A server and the command that starts it; `variables` may name the {folder} that is its own."""

    name: str
    command: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)


def peers(uv: str) -> Iterator[Peer]:
    run = (uv, "tool", "run", "--quiet", "--python", ">=3.12", "--no-build", "--from")
    yield Peer(
        "mcp-memory-service 12.4.0",
        (str(ORIGINAL),),
        {"MCP_MEMORY_BASE_DIR": "{folder}", "MCP_MEMORY_STORAGE_BACKEND": "sqlite_vec", "MCP_MEMORY_USE_ONNX": "true"},
    )
    yield Peer("basic-memory 0.24.1", (*run, "basic-memory==0.24.1", "basic-memory", "mcp"))
    yield Peer(
        "mcp-server-qdrant 0.8.1",
        (*run, "mcp-server-qdrant==0.8.1", "mcp-server-qdrant"),
        {"QDRANT_LOCAL_PATH": "{folder}/qdrant", "COLLECTION_NAME": "memories"},
    )
    yield Peer(
        "@modelcontextprotocol/server-memory 2026.8.31",
        ("npx", "--yes", "@modelcontextprotocol/server-memory@2026.8.31"),
        {"MEMORY_FILE_PATH": "{folder}/memory.json"},
    )


async def tools_of(peer: Peer) -> list[dict[str, Any]] | str:
    """Its tools as `tools/list` has them, or why there is no answer here."""
    if shutil.which(peer.command[0]) is None:
        return f"left out: {Path(peer.command[0]).name} is not here"
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as folder:
        own = {name: value.replace("{folder}", folder) for name, value in peer.variables.items()}
        home = {"HOME": folder, "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))}
        errors = Path(folder) / "stderr.txt"
        command = f'exec "$@" 2>{errors}'
        server = StdioServerParameters(
            command="sh", args=["-c", command, "sh", *peer.command], env=os.environ | home | own
        )
        try:
            async with asyncio.timeout(SECONDS), Client(server, mode="legacy") as client:
                return [tool.model_dump(by_alias=True, exclude_none=True) for tool in (await client.list_tools()).tools]
        except (OSError, RuntimeError, MCPError, ExceptionGroup) as error:  # a TimeoutError is an OSError
            said = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines() if errors.exists() else []
            return f"left out: it did not answer ({(said or [repr(error)])[-1][:160]})"
