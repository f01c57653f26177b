"""Power goes: any page of the shard's files may be as at the last flush, its synced log is whole; nothing is lost."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mcp_memory.domain.memory import point_id
from mcp_memory.domain.query import EVERYTHING, FacetField, MemoryFilter
from mcp_memory.storage.qdrant_embedded.collection import Collection
from mcp_memory.storage.qdrant_embedded.log_sync import LOG_FOLDER
from mcp_memory.storage.qdrant_embedded.protocol import Record, Update
from mcp_memory.storage.qdrant_embedded.shard_config import TURBO

PAGE = 4_096
DIMENSIONS = 384


class Writer:
    """Writes at random, and knows what must be there: text, type and vector by id."""

    def __init__(self, collection: Collection, seed: int) -> None:
        self.collection = collection
        self.random = random.Random(seed)
        self._numbers = np.random.default_rng(seed)
        self.expected: dict[str, tuple[str, str, bytes]] = {}
        self.hashes: dict[str, str] = {}
        """By id, which follows from the hash."""

    def write(self, operations: int) -> None:
        for _ in range(operations):
            draw = self.random.random()
            if draw < 0.6 or not self.expected:
                self._upsert([f"{self.random.getrandbits(256):064x}" for _ in range(self._some())])
            elif draw < 0.7:
                self._upsert([self.hashes[self._stored()]])
            elif draw < 0.85:
                id_, kind = self._stored(), f"kind-{self.random.random()}"
                self.collection.update(Update(id_, tags=None, memory_type=kind, metadata=None, updated_at=None))
                content, _, vector = self.expected[id_]
                self.expected[id_] = (content, kind, vector)
            else:
                id_ = self._stored()
                self.collection.delete([id_])
                del self.expected[id_]

    def _some(self) -> int:
        return self.random.choice([1, 1, 5, 40])

    def _stored(self) -> str:
        return self.random.choice(list(self.expected))

    def _upsert(self, hashes: list[str]) -> None:
        records = []
        for hash_ in hashes:
            id_ = point_id(hash_)
            self.hashes[id_] = hash_
            vector = self._numbers.normal(size=DIMENSIONS).astype("<f4")
            vector /= np.linalg.norm(vector)
            content = f"the text of {self.random.random()}"
            payload = {
                "content": content,
                "content_hash": hash_,
                "tags": ["a"],
                "memory_type": "note",
                "store": "default",
                "created_at": self.random.randrange(10**15),
                "updated_at": 10**15,
                "revision": 1,
            }
            records.append(Record(id_, payload, vector.tobytes()))
            self.expected[id_] = (content, "note", vector.tobytes())
        self.collection.upsert(records, insert_only=False)


def after_power_loss(flushed: Path, running: Path, target: Path, dice: random.Random, share: float) -> None:
    """Each page of each file from the running shard with that probability, else from the flushed one; the log as it runs."""
    names = {path.relative_to(folder) for folder in (flushed, running) for path in folder.rglob("*") if path.is_file()}
    for name in sorted(names):
        before, now, result = flushed / name, running / name, target / name
        result.parent.mkdir(parents=True, exist_ok=True)
        if name.parts[0] == LOG_FOLDER:
            if now.exists():
                shutil.copy(now, result)
        elif not now.exists():
            if dice.random() >= share:
                shutil.copy(before, result)  # its removal hasn't reached the disk
        elif before.exists() or dice.random() < share:
            result.write_bytes(_mixed(before.read_bytes() if before.exists() else b"", now.read_bytes(), dice, share))


def _mixed(before: bytes, now: bytes, dice: random.Random, share: float) -> bytes:
    size = dice.choice([len(before), len(now)]) if before else len(now)
    before, now = before.ljust(size, b"\0"), now.ljust(size, b"\0")
    pages = (
        (now if dice.random() < share else before)[start : min(start + PAGE, size)] for start in range(0, size, PAGE)
    )
    return b"".join(pages)


def everything(collection: Collection) -> dict[str, tuple[str, str, bytes]]:
    found: dict[str, tuple[str, str, bytes]] = {}
    after = None
    while records := collection.scroll(EVERYTHING, limit=500, after=after):
        found |= {
            record.id: (record.payload["content"], record.payload["memory_type"], record.vector) for record in records
        }
        after = records[-1].id
    return found


@pytest.mark.parametrize("seed", range(8))
def test_a_synced_log_makes_up_for_files_that_lag_behind(seed: int, tmp_path: Path) -> None:
    shard = tmp_path / "shard"
    collection = Collection.create(shard, vector_name="dense", dimensions=DIMENSIONS, quantization=TURBO)
    writer = Writer(collection, seed)
    writer.write(writer.random.randrange(1, 60))
    collection.flush()
    shutil.copytree(shard, tmp_path / "flushed")
    writer.write(writer.random.randrange(1, 60))
    shutil.copytree(shard, tmp_path / "running")
    collection.close()

    share = (0.0, 0.1, 0.5, 0.9)[seed % 4]
    after_power_loss(tmp_path / "flushed", tmp_path / "running", tmp_path / "found", writer.random, share)
    again = Collection.load(
        tmp_path / "found",
        vector_name="dense",
        dimensions=DIMENSIONS,
        quantization=TURBO,
        graph=None,
        on_disk_payload=True,
    )
    found = everything(again)
    assert found.keys() == writer.expected.keys()
    assert again.count(EVERYTHING) == len(found)
    # The indexes too: a filter finds what a scroll finds.
    kinds = Counter(kind for _, kind, _ in writer.expected.values())
    assert again.facet(FacetField.MEMORY_TYPE, EVERYTHING) == kinds
    assert {kind: again.count(MemoryFilter(memory_type=kind)) for kind in kinds} == kinds
    assert again.count(MemoryFilter(tags=("a",), created_from=0.0)) == len(found)
    for id_, (content, kind, vector) in writer.expected.items():
        assert found[id_][:2] == (content, kind)
        assert np.frombuffer(found[id_][2], "<f4") @ np.frombuffer(vector, "<f4") > 0.999
    again.close()
