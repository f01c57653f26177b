"""The real server on a disk that fills up: what callers are told, what goes on, and what is there when space returns."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from integration.memory_server import MemoryServer, environment, free_port, memory_server
from reliability.small_disk import MEBIBYTE, fill, small_disk

pytestmark = [pytest.mark.slow]

FILLER = {"filler": "of the disk, which costs no embedding " * 1_300}
"""50 KB of metadata."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 240 MB."""
    with small_disk(tmp_path / "disk", 240) as folder:
        yield folder


def settings(disk: Path, reserve_megabytes: int) -> dict[str, str]:
    return {
        "MCP_QDRANT_STORAGE_PATH": str(disk / "qdrant"),
        "MCP_QDRANT_DISK_RESERVE_BYTES": str(reserve_megabytes * MEBIBYTE),
        "MCP_BREAKER_SECONDS": "1",
    }


def write(client: httpx.Client, content: str) -> httpx.Response:
    return client.post("/api/memories", json={"content": content})


def write_until_refused(client: httpx.Client, acknowledged: set[str], *, at_most: int = 3_000) -> httpx.Response:
    """Writes large memories; the first answer that isn't 200. Adds what was acknowledged to the set."""
    for number in range(at_most):
        answer = client.post("/api/memories", json={"content": f"large memory {number}", "metadata": FILLER})
        if answer.status_code != 200:
            return answer
        acknowledged.add(answer.json()["content_hash"])
    raise AssertionError(f"{at_most} writes and the disk isn't full")


def write_when_room_returned(client: httpx.Client, content: str) -> str:
    """Writes until the breaker has let it through, as a client that heeds Retry-After would."""
    for _ in range(200):
        answer = write(client, content)
        if answer.status_code == 200:
            return str(answer.json()["content_hash"])
        assert answer.status_code in {503, 507}, answer.text
        time.sleep(0.1)
    raise AssertionError(f"space is back, writes are still refused: {answer.text}")


def stored(client: httpx.Client) -> set[str]:
    page = client.get("/api/memories/hashes", params={"limit": 5000}).raise_for_status().json()
    assert not page["has_more"]
    return set(page["hashes"])


def run(base: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mcp_memory.cli", *arguments],
        env=environment(base, free_port(), **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def breaker(client: httpx.Client, operations: str) -> float:
    metrics = client.get("/metrics").text
    found = re.search(rf'circuit_breaker_state{{operations="{operations}"}} (\S+)', metrics)
    assert found, metrics
    return float(found[1])


def reads_go_on(server: MemoryServer, client: httpx.Client, hash_: str) -> None:
    assert client.get(f"/api/memories/{hash_}").status_code == 200
    hits = client.post("/api/search", json={"query": "the kept one", "n_results": 1}).raise_for_status().json()
    assert hits["results"][0]["memory"]["content_hash"] == hash_
    assert client.get("/api/memories").status_code == 200
    assert client.get("/api/health").json()["status"] == "ok"
    assert httpx.get(f"{server.url}/readyz", timeout=60).status_code == 200


def test_writes_are_refused_with_507_before_the_disk_is_full_and_reads_go_on(disk: Path, tmp_path: Path) -> None:
    with memory_server(tmp_path / "base", **settings(disk, 64)) as server, server.client() as client:
        kept = write(client, "The kept one").json()["content_hash"]
        acknowledged = {kept}
        ballast = fill(disk, leave=70 * MEBIBYTE)
        refused = write_until_refused(client, acknowledged)
        assert refused.status_code == 507
        error = refused.json()["error"]
        assert error["code"] == "storage_full"
        assert str(disk / "qdrant") in error["message"]
        assert "MCP_QDRANT_STORAGE_PATH" in error["message"]
        reads_go_on(server, client, kept)

        answers = [write(client, f"one too many {number}") for number in range(10)]
        assert [answer.status_code for answer in answers] == [507] * 4 + [503] * 6
        assert answers[-1].json()["error"]["code"] == "circuit_open"
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert (breaker(client, "reads"), breaker(client, "writes")) == (0.0, 2.0)
        reads_go_on(server, client, kept)
        assert stored(client) == acknowledged
        gone = next(iter(acknowledged - {kept}))
        assert client.delete(f"/api/memories/{gone}").status_code == 200  # that is how people get out of it
        acknowledged.remove(gone)
        assert stored(client) == acknowledged

        ballast.unlink()
        acknowledged.add(write_when_room_returned(client, "room again"))
        assert breaker(client, "writes") == 0.0
        assert stored(client) == acknowledged


def test_an_engine_killed_by_the_full_disk_is_named_and_nothing_acknowledged_is_lost(
    disk: Path, tmp_path: Path
) -> None:
    with memory_server(tmp_path / "base", **settings(disk, 0)) as server, server.client() as client:
        kept = write(client, "The kept one").json()["content_hash"]
        acknowledged = {kept}
        ballast = fill(disk, leave=3 * MEBIBYTE)
        refused = write_until_refused(client, acknowledged)
        assert refused.status_code == 507, refused.text
        assert refused.json()["error"]["code"] == "storage_full"
        assert "No space left on device" in refused.json()["error"]["message"]
        assert "SIGBUS" in server.log
        assert httpx.get(f"{server.url}/livez", timeout=60).status_code == 200

        ballast.unlink()
        acknowledged.add(write_when_room_returned(client, "room again"))
        # The write that the engine died of wasn't acknowledged: it may be there or not.
        assert acknowledged <= stored(client)
        assert len(stored(client) - acknowledged) <= 1
        reads_go_on(server, client, kept)


@pytest.mark.parametrize("reserve", [0, 64])
def test_a_store_that_was_closed_on_a_full_disk_is_served_for_reading_exported_and_backed_up(
    disk: Path, tmp_path: Path, reserve: int
) -> None:
    base, given = tmp_path / "base", settings(disk, reserve)
    with memory_server(base, **given) as server, server.client() as client:
        kept = write(client, "The kept one").json()["content_hash"]
        other = write(client, "another").json()["content_hash"]
    ballast = fill(disk, leave=0)
    with memory_server(base, **given) as server, server.client() as client:
        reads_go_on(server, client, kept)
        assert write(client, "one too many").status_code == 507
        made = run(base, "backup", str(tmp_path / "backup"), **given)
        assert made.stdout.startswith("2 memories backed up"), made.stderr
        assert run(base, "export", str(tmp_path / "export.jsonl"), **given).returncode == 0
        assert len((tmp_path / "export.jsonl").read_bytes().splitlines()) == 2
        reads_go_on(server, client, kept)
        # What was set aside while there was room is what a deletion takes; where nothing was, it is refused by name.
        assert client.delete(f"/api/memories/{other}").status_code == (200 if reserve else 507)
        assert stored(client) == ({kept} if reserve else {kept, other})
        more = fill(
            disk, leave=256 * 1024, name="more"
        )  # a backup's holes take no room: two memories take less than 2 MB
        refused = run(base, "backup", str(disk / "backup"), **given)
        assert (refused.returncode, "No space left on device" in refused.stderr) == (1, True), refused.stderr
        assert not (disk / "backup").exists()
        ballast.unlink()
        more.unlink()
        write_when_room_returned(client, "room again")
        assert len(stored(client)) == (2 if reserve else 3)


def test_a_store_with_room_to_open_but_not_to_write_serves_reads_from_the_start(disk: Path, tmp_path: Path) -> None:
    with memory_server(tmp_path / "base", **settings(disk, 100)) as server, server.client() as client:
        kept = write(client, "The kept one").json()["content_hash"]
    fill(disk, leave=90 * MEBIBYTE)
    with memory_server(tmp_path / "base", **settings(disk, 100)) as server, server.client() as client:
        reads_go_on(server, client, kept)
        assert write(client, "one too many").status_code == 507
