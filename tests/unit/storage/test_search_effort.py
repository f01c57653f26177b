"""Searches of the embedded engine look as hard as the vectors that are stored ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.payload import to_payload
from mcp_memory.storage.qdrant_embedded.collection import Collection
from mcp_memory.storage.qdrant_embedded.effort import WANTED, is_due, measure_at_once
from mcp_memory.storage.qdrant_embedded.manifest import Quantization
from mcp_memory.storage.qdrant_embedded.protocol import Record
from mcp_memory.storage.qdrant_embedded.shard_config import BINARY, TURBO
from storage_samples import memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSIONS = 96


def filled(path: Path, quantization: Quantization, vectors: NDArray[np.float32]) -> tuple[Collection, list[str]]:
    collection = Collection.create(path, vector_name="dense", dimensions=DIMENSIONS, quantization=quantization)
    items = [memory(f"text {number}") for number in range(len(vectors))]
    records = [
        Record(item.memory.id, to_payload(item.memory), row.tobytes(), b"", b"")
        for item, row in zip(items, vectors, strict=True)
    ]
    for start in range(0, len(records), 500):
        collection.upsert(records[start : start + 500], insert_only=False)
    return collection, [record.id for record in records]


def spread(count: int, seed: int = 0) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float32)
    unit: NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def few_texts_with_many_variations(count: int) -> NDArray[np.float32]:
    noisy = spread(12)[np.arange(count) % 12] + 0.045 * spread(count, 1) * np.sqrt(DIMENSIONS)
    unit: NDArray[np.float32] = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
    return unit


def recall(collection: Collection, ids: list[str], vectors: NDArray[np.float32], limit: int) -> float:
    found = 0
    for row in range(0, len(ids), 7):
        near = collection.near(vectors[row].tobytes(), EVERYTHING, limit=limit, without=ids[row])
        cosine = vectors @ vectors[row]
        cosine[row] = -2.0
        found += sum(cosine[ids.index(id_)] >= np.sort(cosine)[-limit] - 1e-4 for id_ in near)
    return found / (limit * len(range(0, len(ids), 7)))


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_short_answer_holds_the_best_and_not_the_second_best(tmp_path: Path, limit: int) -> None:
    vectors = spread(1_200)
    collection, _ = filled(tmp_path / "shard", TURBO, vectors)
    for seed in range(400):
        query = spread(1, 1_000 + seed)[0]
        near = collection.near(query.tobytes(), EVERYTHING, limit=limit)
        best = np.sort(vectors @ query)[::-1][:limit]
        assert sorted(near.values(), reverse=True) == pytest.approx(best.tolist(), abs=1e-3)
    collection.close()


@pytest.mark.parametrize(("kind", "promised"), [(TURBO, 0.99), (BINARY, 0.95)])
def test_measured_effort_keeps_the_promised_recall_on_hard_data(
    tmp_path: Path, kind: Quantization, promised: float
) -> None:
    vectors = few_texts_with_many_variations(3_000)
    collection, ids = filled(tmp_path / "shard", kind, vectors)
    before = collection.quantization
    effort = measure_at_once(collection)
    assert collection.quantization == before
    assert effort.measured == 3_000
    collection.quantization = effort
    assert recall(collection, ids, vectors, 10) >= promised
    collection.close()


def test_a_binary_store_too_small_to_measure_compares_everything(tmp_path: Path) -> None:
    vectors = few_texts_with_many_variations(600)
    collection, ids = filled(tmp_path / "shard", BINARY, vectors)
    assert recall(collection, ids, vectors, 10) == 1.0
    collection.close()


def test_effort_is_measured_again_when_a_store_has_grown_or_shrunk_by_half() -> None:
    measured = Quantization("turbo4", 2.0, measured=10_000)
    assert [is_due(measured, count) for count in (900, 6_000, 7_000, 14_000, 16_000)] == [
        False,
        True,
        False,
        False,
        True,
    ]
    assert is_due(TURBO, 1_000)
    assert not is_due(TURBO, 999)


def test_where_no_index_reaches_the_recall_every_vector_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WANTED, "turbo4", 1.01)
    vectors = few_texts_with_many_variations(1_000)
    collection, ids = filled(tmp_path / "shard", TURBO, vectors)
    collection.quantization = measure_at_once(collection)
    assert collection.quantization.exact
    assert recall(collection, ids, vectors, 10) == 1.0
    collection.close()
