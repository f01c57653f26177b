"""What two collections don't have in common, and the list of what one held."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_memory.domain.memory import EmbeddedMemory, point_id
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.migration.copied import Copied, write_copied
from mcp_memory.migration.differences import differences
from mcp_memory.migration.errors import MigrationRefusedError
from mcp_memory.storage.base import UpsertMode
from mcp_memory.storage.succession import backup_name, new_name
from reference_storage import ReferenceStorage
from storage_samples import DIMENSIONS, memory

pytestmark = pytest.mark.anyio


async def holding(versions: dict[int, int]) -> ReferenceStorage:
    """A storage with memories of these numbers and revisions."""
    storage = ReferenceStorage(DIMENSIONS)
    await storage.upsert([numbered(number, revision) for number, revision in versions.items()], mode=UpsertMode.COPY)
    return storage


def numbered(number: int, revision: int) -> EmbeddedMemory:
    made = memory(f"memory {number}")
    object.__setattr__(made.memory, "revision", revision)
    return made


VERSIONS = st.dictionaries(st.integers(0, 30), st.integers(1, 3), max_size=20)


@settings(max_examples=60, deadline=None)
@given(old=VERSIONS, new=VERSIONS)
async def test_differences_are_those_that_a_dictionary_shows(old: dict[int, int], new: dict[int, int]) -> None:
    names = {numbered(number, 1).memory.id: number for number in range(31)}
    found = {}
    async for one in differences(await holding(old), await holding(new)):
        either = one.old or one.new
        assert either is not None
        found[names[either.id]] = (one.old and one.old.revision, one.new and one.new.revision)
    expected = {number: (old.get(number), new.get(number)) for number in old.keys() | new.keys()}
    assert found == {number: pair for number, pair in expected.items() if pair[0] != pair[1]}


async def test_the_list_of_what_was_copied_knows_every_revision_and_nothing_else(tmp_path: Path) -> None:
    versions = {number: number + 2**52 for number in range(100)}
    path = tmp_path / "c.json.copied"

    assert await write_copied(path, await holding(versions)) == 100

    copied = Copied(path)
    assert len(copied) == 100
    assert all(copied.revision(numbered(number, 1).memory.id) == revision for number, revision in versions.items())
    assert copied.revision(point_id("0" * 64)) is None
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_list_of_several_batches_is_counted_whole(tmp_path: Path) -> None:
    path = tmp_path / "copied"
    assert await write_copied(path, await holding(dict.fromkeys(range(1_001), 1))) == 1_001
    assert len(Copied(path)) == 1_001
    assert len(Copied(path)[1:]) == 1_000


async def test_a_disk_that_takes_a_part_of_the_list_is_an_error(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of a process are POSIX's: run this on Linux or macOS")
    storage = await holding(dict.fromkeys(range(100), 1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            await write_copied(tmp_path / "copied", storage)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_an_empty_list_knows_nothing_and_a_missing_one_says_what_that_means(tmp_path: Path) -> None:
    path = tmp_path / "copied"
    await write_copied(path, await holding({}))
    assert Copied(path).revision(point_id("0" * 64)) is None
    with pytest.raises(MigrationRefusedError, match="The new collection answers"):
        Copied(tmp_path / "nowhere")


def test_names_of_collections_are_the_guides() -> None:
    model = ModelIdentity("sentence-transformers/all-MiniLM-L6-v2", 384, "fdee0976aabb")
    moment = datetime(2025, 1, 16, 11, 30, 5, tzinfo=UTC)
    assert new_name("memories", model) == "memories_new_fdee0976"
    assert backup_name("memories", model, moment) == "memories_backup_all-MiniLM-L6-v2_20250116T113005Z"
    assert backup_name("m", ModelIdentity("ü/∂", 1, "0123456789"), moment) == "m_backup_01234567_20250116T113005Z"
