"""Folders that QdrantClient(path=...) wrote are read without its locks, without writing, and without running pickles."""

from __future__ import annotations

import base64
import json
import os
import pickle
import sqlite3
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from mcp_memory.domain.foreign_notes import IMPORTED_KEY, Note
from mcp_memory.migration.sources.base import (
    BATCH_BYTES,
    Fingerprint,
    SourceError,
    SourceKind,
    SourceMemory,
    SourceReport,
    Unreadable,
)
from mcp_memory.migration.sources.pickled_points import UnsafePickleError, read_key, read_point
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


def add(folder: Path, *payloads: dict[str, Any], vector: Any = None) -> None:
    """Points behind those that the folder has, in order, as qdrant-client writes them."""
    with sqlite3.connect(folder / "collection/memories/storage.sqlite") as connection:
        for number, one in enumerate(payloads, start=1000):
            point = models.PointStruct(id=number, vector=[] if vector is None else vector, payload=one)
            key = base64.b64encode(pickle.dumps(number, protocol=3)).decode()
            connection.execute("INSERT INTO points VALUES (?, ?)", (key, pickle.dumps(point)))
    connection.close()


@pytest.mark.parametrize("named", [False, True], ids=["one vector", "named and sparse vectors"])
def test_the_report_counts_points_stores_and_vectors(tmp_path: Path, named: bool) -> None:
    folder = build(tmp_path / "qdrant", 3, named=named)
    add(folder, {**payload(3), "store": "work"}, {**payload(4), "store": "work"})
    with QdrantLocalSource(folder) as source:
        report = source.inspect()

    assert isinstance(report.fingerprint, Fingerprint)
    assert report == SourceReport(
        kind=SourceKind.QDRANT_LOCAL,
        path=folder,
        schema="qdrant-client local collection 'memories'",
        columns=(*payload(0), "store"),
        dimensions=16,
        distance="Cosine",
        model="e5-small",
        total=5,
        live=5,
        tombstones=0,
        superseded=0,
        without_embedding=2,
        stores={"default": 3, "work": 2},
        fingerprint=report.fingerprint,
        private_copy=False,
    )


def test_every_field_of_a_point_arrives(tmp_path: Path) -> None:
    folder = build(tmp_path / "qdrant", 0)
    times = {"created_at": None, "created_at_iso": "2023-11-14T22:13:20Z", "updated_at_iso": "2023-11-14T22:13:21Z"}
    other = {"memory_type": "Decision", "store": "work", "content_hash": "theirs", "tags": ["Work"], "updated_at": None}
    add(folder, {**payload(1), **times, **other, "summary": ""}, {"content": "only a text"})

    whole, bare = read_all(folder)

    memory = whole.memory
    assert (memory.content_hash, memory.memory_type, memory.store, memory.tags) == (
        "theirs",
        "decision",
        "work",
        ("work",),
    )
    assert (memory.created_at, memory.updated_at) == (1_700_000_000.0, 1_700_000_001.0)
    assert memory.metadata[IMPORTED_KEY] == {"tags": ["Work"], "memory_type": "Decision", "salience_score": 0.5}
    assert Note.HASH_KEPT in whole.notes
    assert (bare.memory.store, bare.memory.memory_type, bare.memory.metadata) == ("default", None, {})
    stored = folder / "collection/memories/storage.sqlite"
    assert bare.memory.created_at == pytest.approx(stored.stat().st_mtime)


def test_a_point_without_a_usable_vector_is_noted_as_what_it_is(tmp_path: Path) -> None:
    folder = build(tmp_path / "qdrant", 1)
    add(folder, {"content": "none"})
    with sqlite3.connect(folder / "collection/memories/storage.sqlite") as connection:
        point = models.PointStruct(id=1, vector=[0.0] * 16, payload={"content": "zero"})
        key = base64.b64encode(pickle.dumps(2000, protocol=3)).decode()
        connection.execute("INSERT INTO points VALUES (?, ?)", (key, pickle.dumps(point)))
    connection.close()

    found = {item.memory.content: item for item in read_all(folder)}

    vectors = {Note.NO_VECTOR, Note.VECTOR_UNUSABLE}
    assert {text: vectors.intersection(item.notes) for text, item in found.items()} == {
        "Memory number 0": set(),
        "none": {Note.NO_VECTOR},
        "zero": {Note.VECTOR_UNUSABLE},
    }
    assert [item.vector is None for item in found.values()] == [False, True, True]


def test_a_batch_ends_at_its_size_or_with_long_texts_and_knows_where(tmp_path: Path) -> None:
    folder = build(tmp_path / "qdrant", 0)  # one point, which is no memory
    long = "x" * (BATCH_BYTES // 2)
    add(
        folder,
        {"content": "", "content_hash": "named"},
        {"content": " "},
        {"content": "one"},
        {"content": long},
        {"content": long + "y"},
        {"content": "last"},
    )
    with QdrantLocalSource(folder) as source:
        by_count, by_size, last = source.read(batch_size=3)

    assert by_count.unreadable == (
        Unreadable("named", 2, "its content is empty"),
        Unreadable("", 3, "its content is empty"),
    )
    assert [[item.cursor for item in batch.memories] for batch in (by_count, by_size, last)] == [[4], [5, 6], [7]]
    assert [batch.cursor for batch in (by_count, by_size, last)] == [4, 6, 7]
    assert (by_size.unreadable, last.unreadable) == ((), ())


@pytest.mark.parametrize("vectors", [None, {}, [], "vectors"])
def test_a_collection_that_says_nothing_of_its_vectors_is_read_all_the_same(tmp_path: Path, vectors: Any) -> None:
    folder = build(tmp_path / "qdrant", 2)
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    meta["collections"]["memories"]["vectors"] = vectors
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    with QdrantLocalSource(folder) as source:
        report = source.inspect()

    assert (report.schema, report.dimensions, report.distance) == (
        "qdrant-client local collection 'memories'",
        None,
        None,
    )
    assert len(read_all(folder)) == 2


def test_of_several_named_vectors_the_dense_one_is_taken(tmp_path: Path) -> None:
    folder = build(tmp_path / "qdrant", 2, named=True)
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    named = meta["collections"]["memories"]["vectors"]
    meta["collections"]["memories"]["vectors"] = {"image": {"size": 4, "distance": "Dot"}, **named}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    with QdrantLocalSource(folder) as source:
        report = source.inspect()

    assert (report.dimensions, report.distance) == (16, "Cosine")
    assert [item.vector is None for item in read_all(folder)] == [False, False]


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


def test_beside_others_the_collection_of_the_name_is_read_or_what_its_alias_means(tmp_path: Path) -> None:
    build(tmp_path / "named", 3)
    build(tmp_path / "named", 1, name="another")
    build(tmp_path / "alias", 2, name="memories_v2", alias="memories")
    build(tmp_path / "alias", 1, name="memories_v1")
    assert [len(read_all(tmp_path / name)) for name in ("named", "alias")] == [3, 2]


def test_a_folder_without_any_collection_says_so(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text('{"collections": {}}', encoding="utf-8")
    with pytest.raises(SourceError, match=r"no collection 'memories' \(found: none\)"):
        read_all(tmp_path)


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
    assert [(row.content_hash, row.cursor) for row in batch.unreadable] == [("", 5), ("", 6)]
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


@pytest.mark.parametrize(("id_", "plain"), [(7, 7), (point_id(3).upper(), point_id(3)), ("not-a-uuid", "not-a-uuid")])
def test_ids_are_compared_in_one_spelling(id_: int | str, plain: int | str) -> None:
    assert read_key(base64.b64encode(pickle.dumps(id_, protocol=3)).decode()) == plain


@pytest.mark.parametrize("key", ["%%%", base64.b64encode(pickle.dumps([1])).decode()])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="its key is no"):
        read_key(key)


def test_a_sparse_vector_alone_is_no_vector_and_a_payload_of_another_kind_none() -> None:
    sparse = models.SparseVector(indices=[1], values=[0.5])
    point = models.PointStruct.model_construct(id=1, vector=sparse, payload=["x"])
    found = read_point(pickle.dumps(point))
    assert (found.vector, found.payload) == (None, {})


def test_metadata_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text(json.dumps([1]), encoding="utf-8")

    with pytest.raises(SourceError, match="isn't what qdrant-client writes"):
        read_all(tmp_path)


@pytest.mark.parametrize("name", ["..", ".", "", "../elsewhere", "/etc", "a/b"])
def test_a_collection_whose_name_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "storage.sqlite").write_bytes(b"SQLite format 3\0")
    (tmp_path / "meta.json").write_text(json.dumps({"collections": {name: {}}}), encoding="utf-8")
    with pytest.raises(SourceError, match="which can't be a folder"):
        read_all(tmp_path)


def test_a_collection_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "collection").mkdir()
    (tmp_path / "collection" / "memories").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "meta.json").write_text(json.dumps({"collections": {"memories": {}}}), encoding="utf-8")
    with pytest.raises(SourceError, match="symbolic link"):
        read_all(tmp_path)


def test_a_meta_file_with_an_alias_of_another_kind_is_refused_in_words(tmp_path: Path) -> None:
    meta = {"collections": {"memories": {}}, "aliases": {"memories": ["x"]}}
    (tmp_path / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    with pytest.raises(SourceError, match="isn't what qdrant-client writes"):
        read_all(tmp_path)


def test_a_folder_of_mcp_server_qdrant_is_read_and_points_without_a_text_are_told(tmp_path: Path) -> None:
    name = "fast-all-minilm-l6-v2"
    client = QdrantClient(path=str(tmp_path / "qdrant"))
    try:
        size = models.VectorParams(size=16, distance=models.Distance.COSINE)
        client.create_collection("notes", vectors_config={name: size})
        payloads: list[dict[str, Any]] = [
            {"document": "The boiler is in the cellar", "metadata": {"tags": ["House"], "deep": {"a": [1, None]}}},
            {"document": "No metadata", "metadata": None},
            {"text": "of something else"},
        ]
        points = [
            models.PointStruct(id=uuid4().hex, vector={name: [1.0] + [0.0] * 15}, payload=one) for one in payloads
        ]
        client.upsert("notes", points)
    finally:
        client.close()
    with QdrantLocalSource(tmp_path / "qdrant") as source:
        report = source.inspect()
        (batch,) = source.read()
    assert (report.total, report.dimensions, report.any_vectors) == (3, 16, True)
    assert "mcp-server-qdrant" in report.schema
    boiler = next(item for item in batch.memories if "boiler" in item.memory.content)
    assert boiler.memory.content_hash == original_hash("The boiler is in the cellar")
    assert boiler.memory.tags == ("house",)
    assert boiler.memory.metadata["deep"] == {"a": [1, None]}
    assert boiler.vector is not None
    assert len(batch.memories) == 2
    assert [row.reason for row in batch.unreadable] == ["it holds neither `content` nor `document`"]


@pytest.mark.parametrize("far", [b"r\xff\xff\xff\x05", b"p100663295\n"])
def test_a_pickle_of_a_few_bytes_can_not_ask_for_gigabytes(far: bytes) -> None:
    with pytest.raises(UnsafePickleError, match="100,663,295 places"):
        read_point(b"\x80\x04N" + far + b".")
