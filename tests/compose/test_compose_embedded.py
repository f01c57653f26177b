"""compose/embedded.yaml: one container, no preparation."""

from __future__ import annotations

from pathlib import Path

import pytest
from project import Start

pytestmark = pytest.mark.slow

EMBEDDED = "compose/embedded.yaml"


def test_memories_and_key_survive_down_and_up(start: Start) -> None:
    project = start(EMBEDDED)
    project.up()
    key = project.key()
    with project.client(key) as http:
        stored = http.post("/api/memories", json={"content": "Anna drinks green tea"}).json()
    project.down()
    project.up()
    assert project.key() == key
    with project.client(key) as http:
        assert http.get(f"/api/memories/{stored['content_hash']}").json()["content"] == "Anna drinks green tea"


def test_given_key_replaces_the_random_one(start: Start) -> None:
    project = start(EMBEDDED, MCP_API_KEY="given-in-the-env-file-42")
    project.up()
    with project.client("given-in-the-env-file-42") as http:
        assert http.get("/api/memories").status_code == 200
    with project.client("something-else") as http:
        assert http.get("/api/memories").status_code == 401


def test_key_can_come_from_a_compose_secret(start: Start, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-compose-secret-17\n")
    tmp_path.chmod(0o755)
    override = tmp_path / "compose.override.yaml"
    override.write_text(
        "services: {memory: {secrets: [client-key], environment: {MCP_API_KEY_FILE: /run/secrets/client-key}}}\n"
        f"secrets: {{client-key: {{file: {tmp_path}/key}}}}\n"
    )
    project = start(EMBEDDED, str(override))
    project.up()
    with project.client("from-a-compose-secret-17") as http:
        assert http.get("/api/memories").status_code == 200
    with project.client("something-else") as http:
        assert http.get("/api/memories").status_code == 401


def test_anonymous_access_is_an_opt_in(start: Start) -> None:
    project = start(EMBEDDED, MCP_ALLOW_ANONYMOUS_ACCESS="true")
    project.up()
    with project.client("none") as http:
        assert http.get("/api/memories").status_code == 200


def test_port_in_use_is_named(start: Start) -> None:
    first = start(EMBEDDED)
    first.up()
    second = start(EMBEDDED)
    second.port = first.port
    done = second.up(check=False)
    assert done.returncode != 0
    assert str(first.port) in done.stderr
