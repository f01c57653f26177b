"""`memory init`, `drop`, `backup` and `restore` against a Qdrant server, as a person types them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qdrant_server import QdrantServer, own_server

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-that-no-message-shows"
Memory = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QdrantServer]:
    with own_server(tmp_path / "qdrant", api_key=KEY) as server:
        yield server


@pytest.fixture
def memory(server: QdrantServer, tmp_path: Path) -> Memory:
    """Runs a command (by default `memory`) with the server's settings; `key` replaces the right one."""

    def run(
        *arguments: str, key: str = KEY, typed: str = "", script: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        program = [str(script)] if script else ["-m", "mcp_memory.cli"]
        environment = os.environ | {
            "MCP_QDRANT_URL": server.url,
            "MCP_QDRANT_API_KEY": key,
            "MCP_MEMORY_BASE_DIR": str(tmp_path / "base"),
        }
        done = subprocess.run(
            [sys.executable, *program, *arguments],
            env=environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert KEY not in done.stdout + done.stderr
        return done

    return run


def test_a_collection_is_made_kept_dropped_and_restored(memory: Memory, tmp_path: Path) -> None:
    script = ROOT / "scripts" / "management" / "initialize_qdrant_collection.py"
    for done in (memory("init"), memory(script=script)):
        assert (done.returncode, done.stderr) == (0, "")
        assert "Collection 'memories' is ready" in done.stdout
    assert "0 memories backed up" in memory("backup", str(tmp_path / "backup")).stdout
    assert (tmp_path / "backup" / "manifest.json").exists()

    refused = memory("drop", typed="no\n")
    assert refused.stdout == "", "questions are asked on stderr"
    assert refused.returncode == 1
    assert "Nothing was deleted" in refused.stderr
    assert "'memories' on http" in refused.stderr
    assert ": 0 memories." in refused.stderr
    assert "memories_state" in memory("drop", typed="memories\n").stdout
    assert "There was no collection" in memory("drop", "--yes").stdout
    restored = memory("restore", str(tmp_path / "backup"))
    assert "0 memories restored" in restored.stdout, restored.stderr


def test_a_wrong_key_ends_with_words_and_the_code_for_unavailable(memory: Memory) -> None:
    done = memory("init", key="wrong")
    assert done.returncode == 69
    assert "refused the API key" in done.stderr
    assert "Traceback" not in done.stderr
