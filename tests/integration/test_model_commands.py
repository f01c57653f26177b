"""The guide's commands for another model, run as a person runs them: a server of the old model goes on until the swap."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from integration.memory_server import memory_server
from tiny_model import write_tiny_model

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts/migration"
STAMP = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] "
OLD = "all-MiniLM-L6-v2"


class Person:
    """Types commands, with the variables of a tiny second model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MCP_", "QDRANT_"))}
        tiny = write_tiny_model(folder / "tiny")
        self._environment = kept | {
            "MCP_MEMORY_BASE_DIR": str(folder / "data"),
            "MCP_EMBEDDING_MODEL": "tiny",
            "MCP_EMBEDDING_MODEL_PATH": str(tiny),
        }

    def types(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            env=self._environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    def changes(self, *more: str) -> subprocess.CompletedProcess[str]:
        storage = str(self.folder / "data" / "qdrant")
        script = str(SCRIPTS / "migrate_to_new_model.py")
        return self.types(script, "--old-model", OLD, "--new-model", "tiny", "--storage", storage, *more)


@pytest.mark.slow
def test_the_guides_workflow_beside_a_running_server(tmp_path: Path) -> None:
    person = Person(tmp_path)
    with memory_server(tmp_path / "data", MCP_QDRANT_DISK_RESERVE_BYTES="0") as server, server.client() as client:
        for number in range(120):
            client.post("/api/memories", json={"content": f"note {number} about gardens"}).raise_for_status()

        dry = person.changes("--dry-run")

        assert (dry.returncode, [line for line in dry.stderr.splitlines() if "graph made" not in line]) == (0, [])
        lines = [line for line in dry.stdout.splitlines() if "graph made" not in line]
        assert lines[0] == "Found 120 memories with old model"
        assert lines[1].startswith("Estimated re-embedding time: ~1 second")
        assert lines[2] == "Note: Re-embedding is CPU/GPU intensive"

        done = person.changes("--checkpoint", str(tmp_path / "c.json"), "--batch-size", "50")

        assert done.returncode == 0, done.stderr
        expected = [
            STAMP + "Creating new collection with 16-dim vectors",
            STAMP + r"Re-embedded 50/120 \(41\.7%\) - [\d.]+ms avg",
            STAMP + r"Re-embedded 100/120 \(83\.3%\) - [\d.]+ms avg",
            STAMP + r"Re-embedding complete! 120/120 \(100%\)",
            STAMP
            + r"Swapping collections: memories → memories_backup_all-MiniLM-L6-v2_\d{8}T\d{6}Z, "
            + r"memories_new_[0-9a-f]{8} → memories",
        ]
        for line, pattern in zip(done.stdout.splitlines(), expected, strict=False):
            assert re.fullmatch(pattern, line), line
        assert re.search(
            r"^To go back: memory migrate rollback --backup-collection memories_backup_\S+ --storage /\S+$",
            done.stdout,
            re.M,
        )
        fields = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
        assert (fields["total_memories"], fields["migrated_count"], fields["failed_hashes"]) == (120, 120, [])

        refused = client.post("/api/search", json={"query": "gardens"})
        assert refused.status_code == 503
        assert f"Embedding model changed: tiny → {OLD}" in refused.json()["error"]["message"]

        wrong = person.types(str(SCRIPTS / "rollback_model_migration.py"), "--backup-collection", "nothing")
        assert wrong.returncode != 0
        assert "memories_backup_all-MiniLM-L6-v2_" in wrong.stderr
        back = person.types(
            str(SCRIPTS / "rollback_model_migration.py"), "--backup-collection", "memories_backup_all-MiniLM-L6-v2_2"
        )
        assert back.returncode == 0, back.stderr
        assert client.post("/api/search", json={"query": "gardens"}).status_code == 200, "without a restart"

    assert re.search(r"^  memory migrate rollback --backup-collection memories_backup_tiny_\S+", back.stdout, re.M)
    assert "memory import since.jsonl" in back.stdout
    asked = person.types("-m", "mcp_memory.cli", "migrate", "prune", "memories_backup_tiny")
    assert asked.returncode != 0, "nobody answers"
    assert "nothing that the collection in use lacks" in asked.stdout
    pruned = person.types("-m", "mcp_memory.cli", "migrate", "prune", "memories_backup_tiny", "--yes")
    assert "\nDeleted: memories_backup_tiny_" in pruned.stdout
    listed = person.types("-m", "mcp_memory.cli", "migrate", "prune")
    assert listed.stdout.startswith("There are no backups")


@pytest.mark.parametrize(
    "script", ["migrate_to_new_model.py", "rollback_model_migration.py", "migrate_sqlite_to_qdrant.py"]
)
def test_a_script_shows_its_own_name(tmp_path: Path, script: str) -> None:
    shown = Person(tmp_path).types(str(SCRIPTS / script), "--help")
    assert shown.returncode == 0
    assert " ".join(shown.stdout.split()).startswith(f"Usage: python scripts/migration/{script} [OPTIONS]")


def test_a_change_of_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    person = Person(tmp_path)
    nothing = person.changes()
    assert nothing.returncode != 0
    assert "There is no memory store in" in nothing.stderr
    assert "Traceback" not in nothing.stderr
    missing = person.types(
        str(SCRIPTS / "migrate_to_new_model.py"), "--old-model", OLD, "--new-model", "text-embedding-ada-002"
    )
    assert missing.returncode != 0
    assert "Traceback" not in missing.stderr
