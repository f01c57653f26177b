"""Folders that QdrantClient(path=...) wrote are read without its locks, without writing, and without running pickles."""

from __future__ import annotations

import base64
import json
import os
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from mcp_memory.domain.foreign_notes import IMPORTED_KEY
from mcp_memory.migration.sources.base import SourceError, SourceMemory
from mcp_memory.migration.sources.pickled_points import UnsafePickleError, read_point
from mcp_memory.migration.sources.qdrant_local import QdrantLocalSource
from original_databases import original_hash, unit_vector


def payload(number: int) -> dict[str, Any]:
    content = f"Memory number {number}"
    return {
        "content": content,
        "content_hash": original_hash(content),
        "tags": ["work"],
        "metadata": {"number": number},
        "created_at": 1_700_000_000.25 + number,
        "updated_at": "2023-11-14T22:13:20.500Z",
        "memory_type": "",
        "salience_score": 0.5,
        "summary": None,
    }


def point_id(number: int) -> str:
    return f"{number:08d}-0000-4000-8000-000000000000"


def build(
    folder: Path, count: int = 20, *, name: str = "memories", named: bool = False, alias: str | None = None
) -> Path:
    client = QdrantClient(path=str(folder))
    try:
        vectors = models.VectorParams(size=16, distance=models.Distance.COSINE)
        client.create_collection(
            name,
            vectors_config={"dense_abc": vectors} if named else vectors,
            sparse_vectors_config={"bm25": models.SparseVectorParams()} if named else None,
        )
        points = [
            models.PointStruct(
                id=1, vector={"dense_abc": [0.0] * 16} if named else [0.0] * 16, payload={"embedding_model": "e5-small"}
            )
        ]
        for number in range(count):
            vector: Any = unit_vector(number, 16).tolist()
            if named:
                vector = {"dense_abc": vector, "bm25": models.SparseVector(indices=[1], values=[0.5])}
            points.append(models.PointStruct(id=point_id(number), vector=vector, payload=payload(number)))
        client.upsert(name, points)
        if alias:
            operation = models.CreateAlias(collection_name=name, alias_name=alias)
            client.update_collection_aliases([models.CreateAliasOperation(create_alias=operation)])
    finally:
        client.close()
    return folder


def read_all(folder: Path, after: int = 0) -> list[SourceMemory]:
    with QdrantLocalSource(folder) as source:
        return [item for batch in source.read(after=after, batch_size=6) for item in batch.memories]


@pytest.mark.parametrize("named", [False, True], ids=["one vector", "named and sparse vectors"])
def test_every_point_that_is_a_memory_is_read(tmp_path: Path, named: bool) -> None:
    found = read_all(build(tmp_path / "qdrant", named=named))

    assert [item.memory.content for item in found] == [f"Memory number {number}" for number in range(20)]
    for number, item in enumerate(found):
        np.testing.assert_allclose(item.vector, unit_vector(number, 16), rtol=1e-6)
        assert item.memory.created_at == 1_700_000_000.25 + number
        assert item.memory.updated_at == 1_700_000_000.5
        assert item.memory.metadata["number"] == number
        assert item.memory.metadata[IMPORTED_KEY]["salience_score"] == 0.5
    assert [item.memory.content_hash for item in read_all(tmp_path / "qdrant", after=found[14].cursor)] == [
        item.memory.content_hash for item in found[15:]
    ]


def test_the_report_tells_model_and_dimensions(tmp_path: Path) -> None:
    with QdrantLocalSource(build(tmp_path / "qdrant")) as source:
        report = source.inspect()

    assert (report.total, report.live, report.dimensions, report.distance) == (20, 20, 16, "Cosine")
    assert report.model == "e5-small"
    assert report.without_embedding == 0


def test_reading_leaves_the_folder_as_it_was_even_while_a_client_has_it_open(tmp_path: Path) -> None:
    folder = build(tmp_path / "qdrant")
    client = QdrantClient(path=str(folder))
    try:
        before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
        assert len(read_all(folder)) == 20
        assert before == {
            path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()
        }
    finally:
        client.close()


def test_the_latest_row_of_a_point_wins(tmp_path: Path) -> None:
    """Older versions of qdrant-client left a row for each spelling of an id."""
    folder = build(tmp_path / "qdrant", 2)
    point = models.PointStruct(
        id=point_id(0).upper(), vector=[1.0] + [0.0] * 15, payload={**payload(0), "content": "Newer"}
    )
    key = pickle.dumps(point_id(0), protocol=3)
    with sqlite3.connect(folder / "collection/memories/storage.sqlite") as connection:
        connection.execute("INSERT INTO points VALUES (?, ?)", (base64.b64encode(key).decode(), pickle.dumps(point)))
    connection.close()

    assert [item.memory.content for item in read_all(folder)] == ["Memory number 1", "Newer"]


@pytest.mark.parametrize(("name", "alias"), [("memories_v2", "memories"), ("only_one", None)])
def test_an_alias_or_the_only_collection_is_found(tmp_path: Path, name: str, alias: str | None) -> None:
    assert len(read_all(build(tmp_path / "qdrant", 3, name=name, alias=alias))) == 3


def test_a_folder_without_the_collection_names_those_it_has(tmp_path: Path) -> None:
    build(tmp_path / "qdrant", 1, name="one")
    build(tmp_path / "qdrant", 1, name="two")

    with pytest.raises(SourceError, match=r"no collection 'memories' \(found: one, two\)"):
        read_all(tmp_path / "qdrant")


class Payback:
    """What an attacker would put into a pickle."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.witness}",)


def test_a_pickle_that_would_run_something_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    folder, witness = build(tmp_path / "qdrant", 3), tmp_path / "witness"
    with sqlite3.connect(folder / "collection/memories/storage.sqlite") as connection:
        connection.execute("INSERT INTO points VALUES ('evil', ?)", (pickle.dumps(Payback(witness)),))
        connection.execute("INSERT INTO points VALUES ('rubbish', x'00ff')")
    connection.close()

    with pytest.raises(UnsafePickleError, match="system"):
        read_point(pickle.dumps(Payback(witness)))
    with QdrantLocalSource(folder) as source:
        report = source.inspect()
        (batch,) = source.read()

    assert len(batch.memories) == 3
    assert ["no use for" in batch.unreadable[0].reason, "can't be unpickled" in batch.unreadable[1].reason] == [
        True,
        True,
    ]
    assert (report.total, report.without_embedding) == (5, 2)
    assert not witness.exists()


def test_a_point_of_pydantic_1_is_read_too() -> None:
    """qdrant-client before 1.7 could run on pydantic 1, which pickles other attributes besides."""
    state = {
        "__dict__": {"id": 5, "vector": [1.0, 2.0], "payload": {"content": "old"}},
        "__fields_set__": {"id", "vector"},
        "__private_attribute_values__": {},
    }
    opcodes = pickle.dumps(state, protocol=2)[2:-1]  # without the protocol's mark and the final stop
    pickled = b"\x80\x02cqdrant_client.http.models.models\nPointStruct\n)\x81" + opcodes + b"b."

    point = read_point(pickled)

    assert (point.id, point.vector, point.payload) == (5, [1.0, 2.0], {"content": "old"})


def test_metadata_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text(json.dumps([1]), encoding="utf-8")

    with pytest.raises(SourceError, match="isn't what qdrant-client writes"):
        read_all(tmp_path)
