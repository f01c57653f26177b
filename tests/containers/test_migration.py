"""Moving in and on with the image: the original's databases, read-only, onto a real Qdrant; a second model beside the first.

The second model is the default one cut to its first 256 dimensions and normalised again (`embedding_endpoint`): real vectors of
another size, which find nearly what the first finds. It isn't a model of its own.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest

from containers.points import count, dense_vector, points
from containers.report import Figures
from containers.service import Service
from containers.world import World
from mcp_memory.migration.same_vectors import SAMPLE_READ
from model_vectors import vectors_of
from original_databases import Generation, OriginalRow, build, unit_vector
from service_answers import error_of, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SUBJECTS = (
    "The release goes out on Tuesday",
    "Tea is in the left cupboard",
    "The disk of host {n} is full",
    "Call Anna back about the garden",
)
A_GENERATION = 24
"""Memories in each generation's database."""
INTERRUPTED, INTERRUPTED_EMULATED = 12_000, 300
"""Memories in the one whose migration is killed: some seconds of work, with a checkpoint every second."""
RE_EMBEDDED = 300
OLD, NEW_DIMENSIONS = "all-MiniLM-L6-v2", 256
NEW = f"{OLD}-first-{NEW_DIMENSIONS}"


def rows(number: int) -> list[OriginalRow]:
    """Rows with the vectors that the service's own model gives."""
    texts = [f"{SUBJECTS[n % 4]}, note {n}".format(n=n) for n in range(number)]
    return [
        OriginalRow(text, vector, tags="note,work", created_at=1_700_000_000.25 + n)
        for n, (text, vector) in enumerate(zip(texts, vectors_of(texts), strict=True))
    ]


def many_rows(number: int) -> list[OriginalRow]:
    """Rows of which the first, where a migration looks whose vectors they are, have the model's."""
    others = [OriginalRow(f"Note {n} of many", unit_vector(n)) for n in range(min(number, SAMPLE_READ), number)]
    return rows(number - len(others)) + others


def same(world: World, volume: str) -> str:
    """Names and checksums of a volume's files: a journal that appears would be a change too."""
    return world.in_volume(volume, "sha256sum *")


def test_a_database_of_every_generation_moves_in_from_a_read_only_mount(
    world: World, figures: Figures, tmp_path: Path
) -> None:
    stored = rows(A_GENERATION)
    sources = world.volume_with(
        *(build(tmp_path / f"{generation.name}.db", generation, stored) for generation in Generation)
    )
    before = same(world, sources)
    qdrant = world.qdrant()
    began = time.monotonic()
    for generation in Generation:
        done = world.memory(
            *("migrate", "sqlite", "--source", f"/source/{generation.name}.db"),
            qdrant=(qdrant,),
            mounts={sources: "/source:ro"},
            MCP_QDRANT_COLLECTION=generation.name,
        )
        assert done.exit_code == 0, f"{generation.name}: {done.output}"
        assert f"Validation: {A_GENERATION} memories verified, 0 errors" in done.output, generation.name
        there = {point["payload"]["content"]: dense_vector(point) for point in points(qdrant, generation.name)}
        assert there.keys() == {row.content for row in stored}, generation.name
        for row in stored:
            assert np.dot(there[row.content], row.vector) > 0.9999, (generation.name, row.content)
    figures(f"each of {len(Generation)} generations", (time.monotonic() - began) / len(Generation), "s")
    assert same(world, sources) == before

    service = world.service(qdrant, MCP_QDRANT_COLLECTION=Generation.V5.name)
    with service.client() as http:
        assert http.get("/api/storage/stats").json()["vectors_count"] == A_GENERATION
        query = {"query": "what to drink", "n_results": 1, "mode": "semantic"}
        (hit,) = http.post("/api/search", json=query).json()["results"]
    assert hit["memory"]["content"].startswith("Tea is in the left cupboard")


def recorded(migration: Service) -> int:
    """Memories that its checkpoint counts, which is written once a second."""
    return int(json.loads(migration.run_inside("cat", "/data/migration_checkpoint.json"))["migrated_count"])


def test_a_migration_killed_in_the_middle_goes_on_where_it_was(world: World, figures: Figures, tmp_path: Path) -> None:
    total = INTERRUPTED if world.on.service.native else INTERRUPTED_EMULATED
    stored = many_rows(total)
    sources = world.volume_with(build(tmp_path / "original.db", Generation.V12_4, stored))
    before = same(world, sources)
    qdrant, data = world.qdrant(), world.volume()
    command = ("migrate", "sqlite", "--source", "/source/original.db", "--batch-size", "10")

    victim = world.begin(*command, qdrant=(qdrant,), data=data, mounts={sources: "/source:ro"})
    until(lambda: not victim.running or (count(qdrant) >= total // 4 and recorded(victim) > 0), seconds=600)
    assert victim.running, victim.log
    victim.kill()
    assert victim.exit_code == 137, victim.log
    arrived = count(qdrant)
    assert total // 4 <= arrived < total
    checkpoint = json.loads(world.in_volume(data, "cat migration_checkpoint.json"))
    assert 0 < checkpoint["migrated_count"] <= arrived

    began = time.monotonic()
    done = world.memory(*command, "--resume", qdrant=(qdrant,), data=data, mounts={sources: "/source:ro"})
    assert done.exit_code == 0, done.output
    assert "0 errors" in done.output, done.output
    figures("memories there at the kill", arrived, f"of {total:,}")
    figures("the rest, from start to report", time.monotonic() - began, "s")
    found = points(qdrant)
    assert sorted(point["payload"]["content"] for point in found) == sorted(row.content for row in stored)
    assert same(world, sources) == before


@dataclass
class Visitor:
    """Stores and searches without pause, and notes the answers."""

    acknowledged: list[str] = field(default_factory=list)
    found: int = 0
    refusals: list[httpx.Response] = field(default_factory=list)
    answered_after_refusal: bool = False

    def run(self, service: Service, stop: threading.Event) -> None:
        with service.client() as http:
            while not stop.is_set():
                text = f"Written meanwhile, number {len(self.acknowledged)}"
                self._note(http.post("/api/memories", json={"content": text}), text)
                self._note(http.post("/api/search", json={"query": "tea", "n_results": 3}), None)

    def _note(self, answer: httpx.Response, text: str | None) -> None:
        if answer.status_code != httpx.codes.OK:
            self.refusals.append(answer)
            return
        self.answered_after_refusal |= bool(self.refusals)
        if text is None:
            assert answer.json()["results"], answer.text
            self.found += 1
        else:
            self.acknowledged.append(text)


@contextmanager
def visited(service: Service) -> Iterator[Visitor]:
    """While somebody uses the service."""
    visitor, stop = Visitor(), threading.Event()
    thread = threading.Thread(target=visitor.run, args=(service, stop))
    thread.start()
    try:
        yield visitor
    finally:
        stop.set()
        thread.join()


def contents(service: Service) -> list[str]:
    """Everything that a service lists, in order."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    with service.client() as http:
        while True:
            page = http.get("/api/memories", params={"page_size": 100, **cursor}).raise_for_status().json()
            found += [memory["content"] for memory in page["memories"]]
            if page["next_cursor"] is None:
                return sorted(found)
            cursor = {"cursor": page["next_cursor"]}


def test_a_service_answers_until_the_swap_to_another_model_and_after_the_way_back(
    world: World, figures: Figures
) -> None:
    qdrant, endpoint = world.qdrant(), world.embedding_endpoint()
    patience = {"MCP_QDRANT_TIMEOUT": "5"}
    old = world.service(qdrant, **endpoint.settings(), **patience)
    stored = [f"{SUBJECTS[n % 4]}, note {n}".format(n=n) for n in range(RE_EMBEDDED)]
    with old.client() as http:
        for start in range(0, RE_EMBEDDED, 100):
            batch = [{"content": text} for text in stored[start : start + 100]]
            assert http.post("/api/memories/bulk", json={"memories": batch}).json()["stored"] == 100

    to_the_new = endpoint.settings(dimensions=NEW_DIMENSIONS) | patience
    began = time.monotonic()
    with visited(old) as visitor:
        until(lambda: visitor.found >= 1)
        changed = world.memory(
            *("migrate", "model", "--old-model", OLD, "--new-model", NEW), qdrant=(qdrant,), **to_the_new
        )
        assert changed.exit_code == 0, changed.output
        until(lambda: len(visitor.refusals) >= 1)
    figures("the change, from start to end", time.monotonic() - began, "s")
    figures("writes and searches answered during it", len(visitor.acknowledged) + visitor.found)
    assert f"Creating new collection with {NEW_DIMENSIONS}-dim vectors" in changed.output
    assert not visitor.answered_after_refusal
    for refusal in visitor.refusals:
        status, _, message = error_of(refusal)
        assert status == 503
        assert f"Embedding model changed: {NEW} → {OLD}" in message

    everything = sorted(stored + visitor.acknowledged)
    new = world.service(qdrant, alias="new", **to_the_new)
    assert contents(new) == everything
    with new.client() as http:
        assert http.get("/api/health").json()["storage"]["vector_dimensions"] == NEW_DIMENSIONS
        query = {"query": "what to drink", "n_results": 1, "mode": "semantic"}
        (hit,) = http.post("/api/search", json=query).json()["results"]
    assert hit["memory"]["content"].startswith("Tea is in the left cupboard")

    back = world.memory(
        "migrate", "rollback", "--backup-collection", f"memories_backup_{OLD}", qdrant=(qdrant,), **patience
    )
    assert back.exit_code == 0, back.output
    with old.client() as http:  # without a restart
        until(lambda: http.post("/api/search", json=query).status_code == 200)
        assert http.get("/api/health").json()["storage"]["vector_dimensions"] == 384
    assert contents(old) == everything
