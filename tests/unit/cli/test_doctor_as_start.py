"""`doctor` says of settings what a start says of them: the same words, the same exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def memory(base: Path, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"MCP_MEMORY_BASE_DIR": str(base)} | given
    command = [sys.executable, "-m", "mcp_memory.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


@pytest.mark.parametrize(
    "given",
    [
        {"MCP_TIMEZONE": "Mars/Phobos"},
        {"TZ": "Mars/Phobos"},
        {"MCP_QDRANT_URL": "localhost:6333"},
        {"MCP_HTTP_HOST": "0.0.0.0"},
        {"MCP_HTTP_HOST": "no.such.host.invalid"},
        {"MCP_OAUTH_ENABLED": "true"},
        {"MCP_EMBEDDING_PROVIDER": "openai"},
        {"MCP_EMBEDDING_MODEL": "text-embedding-3-small"},
        {"MCP_EMBEDDING_MODEL_PATH": "/nowhere/at/all"},
        {"MCP_QDRANT_URL": "http://127.0.0.1:9", "SSL_CERT_FILE": "/nowhere/ca.pem"},
        {"MCP_QDRANT_URL": "https://127.0.0.1:9", "MCP_QDRANT_CA_FILE": "/nowhere/ca.pem"},
        {"MCP_QDRANT_URL": "http://127.0.0.1:9", "HTTP_PROXY": "http://user:hunter/2@127.0.0.1:9"},
        {"MCP_EXTERNAL_EMBEDDING_URL": "http://user:hunter2@127.0.0.1:9"},
    ],
    ids="-".join,
)
def test_what_ends_the_start_fails_in_doctor_in_the_same_words(tmp_path: Path, given: dict[str, str]) -> None:
    start = memory(tmp_path, "server", "--http", **given)
    assert start.returncode == 78
    assert "Traceback" not in start.stderr
    assert "hunter" not in start.stderr
    doctor = memory(tmp_path, "doctor", **given)
    assert doctor.returncode == 78
    assert "Traceback" not in doctor.stderr
    assert "failed  Settings" in doctor.stdout
    assert "ok      Settings" not in doctor.stdout
    for line in start.stderr.strip().splitlines():
        assert line.strip() in doctor.stdout


def test_what_has_no_effect_is_a_warning_in_doctor(tmp_path: Path) -> None:
    done = memory(
        tmp_path, "doctor", "--offline", MCP_SEMANTIC_DEDUP_TIME_WINDOW_HOURS="24", MCP_QDRANT_STORAGE_PTH="x"
    )
    assert done.returncode == 0
    assert "warning Settings   MCP_SEMANTIC_DEDUP_TIME_WINDOW_HOURS has no effect here" in done.stdout
    assert "did you mean MCP_QDRANT_STORAGE_PATH?" in done.stdout


def test_no_password_of_an_address_is_shown(tmp_path: Path) -> None:
    done = memory(tmp_path, "doctor", "--offline", MCP_EXTERNAL_EMBEDDING_URL="http://127.0.0.1:9/v1?key=hunter2")
    assert "MCP_EXTERNAL_EMBEDDING_URL=http://127.0.0.1:9/v1" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
