"""The graph cache: made once, whole, private, repaired, shared by processes; and graph folders that are shipped."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcp_memory.domain.errors import ConfigurationError, EmbeddingError
from mcp_memory.embedding import graph_cache as cache_module
from mcp_memory.embedding.base import EmbeddingProvider, TextKind
from mcp_memory.embedding.graph_cache import GraphCache
from mcp_memory.embedding.graph_folder import DamagedGraphError, Manifest, check_files, read_manifest
from mcp_memory.embedding.options import DEFAULT_MODEL, EmbeddingOptions
from mcp_memory.embedding.prebuild import prebuild
from mcp_memory.embedding.select import build_provider
from tiny_model import write_tiny_model

TEXTS = ["a small cat", "the dog sat on the mat"]


def checked(folder: Path, manifest: Manifest) -> tuple[Path, Manifest]:
    check_files(folder, manifest)
    return folder, manifest


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


def embed(options: EmbeddingOptions) -> np.ndarray:
    return build_provider(options).embed(TEXTS, TextKind.DOCUMENT)


def test_a_graph_is_made_once_and_only_its_user_can_read_it(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "new" / "cache"
    before = os.umask(0)
    try:
        first, _ = GraphCache(cache).load(tiny, "tiny", checked)
    finally:
        os.umask(before)
    again, _ = GraphCache(cache).load(tiny, "tiny", checked)
    assert again == first
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    for path in cache.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("name", ["weights.bin", "model.onnx", "tokenizer.json", "manifest.json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(path.read_bytes()[:-9] + b"\x00\xff" + path.read_bytes()[-7:]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
    ],
    ids=["truncated", "changed", "empty", "gone"],
)
def test_a_damaged_graph_is_made_again_and_gives_the_same_vectors(
    tiny: Path, tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    options = EmbeddingOptions(model="tiny", model_path=tiny, cache_dir=tmp_path / "cache", threads=1)
    vectors = embed(options)
    (folder,) = (path for path in (tmp_path / "cache" / "graphs").iterdir() if path.is_dir())
    damage(folder / name)
    assert np.array_equal(embed(options), vectors)
    assert np.array_equal(embed(options), vectors)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"folder": 7}', '{"folder": "../../elsewhere"}', '{"folder": "gone"}']
)
def test_a_damaged_pointer_or_note_is_written_again(tiny: Path, tmp_path: Path, text: str) -> None:
    GraphCache(tmp_path / "cache").load(tiny, "tiny", checked)
    for note in (tmp_path / "cache").glob("*/*.json"):
        note.write_text(text)
    folder, _ = GraphCache(tmp_path / "cache").load(tiny, "tiny", checked)
    assert folder.parent == tmp_path / "cache" / "graphs"


def test_a_build_that_fails_leaves_nothing_behind(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(cache_module, "_replace", full)
    with pytest.raises(ConfigurationError, match=r"No space left.*MCP_EMBEDDING_CACHE_DIR"):
        GraphCache(tmp_path / "cache").load(tiny, "tiny", checked)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_changed_weights_get_a_graph_and_an_identity_of_their_own(tiny: Path, tmp_path: Path) -> None:
    _, first = GraphCache(tmp_path / "cache").load(tiny, "tiny", checked)
    write_tiny_model(tiny, seed=1)
    _, second = GraphCache(tmp_path / "cache").load(tiny, "tiny", checked)
    assert first.fingerprint != second.fingerprint


def test_a_leftover_is_removed_when_it_is_old_enough_not_to_be_in_use(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    old, _ = GraphCache(cache).load(tiny, "tiny", checked)
    for path in (cache / "graphs").glob("*.json"):
        path.unlink()
    kept, _ = GraphCache(cache).load(tiny, "tiny", checked)
    assert old.is_dir(), "another process may be reading it"
    os.utime(old, (0, 0))
    for path in (cache / "graphs").glob("*.json"):
        path.unlink()
    GraphCache(cache).load(tiny, "tiny", checked)
    assert not old.exists()
    assert kept.is_dir()


def test_processes_that_start_at_once_all_get_a_whole_graph(tiny: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from mcp_memory.embedding.base import TextKind\n"
        "from mcp_memory.embedding.select import EmbeddingOptions, build_provider\n"
        "options = EmbeddingOptions('tiny', model_path=Path(sys.argv[1]), cache_dir=Path(sys.argv[2]), threads=1)\n"
        "print(build_provider(options).embed(['a small cat'], TextKind.DOCUMENT).tobytes().hex())\n"
    )
    command = [sys.executable, "-c", program, str(tiny), str(tmp_path / "cache")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [process.communicate()[0].splitlines()[-1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert len(set(answers)) == 1


def test_a_shipped_graph_needs_neither_the_model_nor_onnx_nor_a_folder_to_write(tiny: Path, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    prebuild(shipped, "tiny", source=tiny)
    expected = embed(EmbeddingOptions("tiny", model_path=tiny, cache_dir=tmp_path / "cache", threads=1))
    for path in [*shipped.iterdir(), shipped]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.stat().st_mtime_ns for path in [*shipped.iterdir(), shipped]}
    program = (
        "import sys; from pathlib import Path\n"
        "sys.modules['onnx'] = None\n"
        "from mcp_memory.embedding.base import TextKind\n"
        "from mcp_memory.embedding.select import EmbeddingOptions, build_provider\n"
        "provider = build_provider(EmbeddingOptions('tiny', model_path=Path(sys.argv[1]), threads=1))\n"
        "print(provider.embed(sys.argv[2:], TextKind.DOCUMENT).tobytes().hex())\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    command = [sys.executable, "-c", program, str(shipped), *TEXTS]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert bytes.fromhex(answer.split()[-1]) == expected.tobytes()
    assert list(home.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in [*shipped.iterdir(), shipped]} == before
    shipped.chmod(0o755)


def test_a_damaged_shipped_graph_is_named_and_left_alone(tiny: Path, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    prebuild(shipped, "tiny", source=tiny)
    with (shipped / "weights.bin").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff\xff")
    with pytest.raises(DamagedGraphError, match=r"shipped is damaged: weights\.bin"):
        build_provider(EmbeddingOptions("tiny", model_path=shipped))


def test_a_graph_of_another_version_is_refused_by_name(tiny: Path, tmp_path: Path) -> None:
    prebuild(tmp_path / "old", "tiny", source=tiny)
    manifest = json.loads((tmp_path / "old" / "manifest.json").read_text())
    (tmp_path / "old" / "manifest.json").write_text(json.dumps(manifest | {"graph_version": 999}))
    with pytest.raises(DamagedGraphError, match=r"version 999.*prebuild"):
        read_manifest(tmp_path / "old")


def test_weights_that_are_not_the_published_ones_are_refused_by_their_hash(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match=r"isn't the published all-MiniLM-L6-v2.*53aa51172d14"):
        build_provider(EmbeddingOptions(DEFAULT_MODEL, model_path=tiny, cache_dir=tmp_path / "cache"))


def test_the_service_never_imports_onnx_once_the_graph_is_there(minilm: EmbeddingProvider, graph_cache: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from mcp_memory.embedding.select import EmbeddingOptions, build_provider\n"
        "build_provider(EmbeddingOptions(cache_dir=Path(sys.argv[1])))\n"
        "print(sorted({'onnx', 'torch', 'huggingface_hub', 'httpx', 'transformers'} & set(sys.modules)))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(graph_cache)], capture_output=True, text=True, check=True
    ).stdout
    assert answer.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", ["..", ".", "", "../../elsewhere", "/etc", 7, None, "elsewhere"])
def test_a_pointer_to_a_folder_that_was_not_made_for_the_model_is_not_followed(
    tiny: Path, tmp_path: Path, name: object
) -> None:
    folder, _ = GraphCache(tmp_path / "cache").load(tiny, "tiny", checked)
    (pointer,) = (tmp_path / "cache" / "graphs").glob("*.json")
    (folder.parent / "elsewhere").mkdir()
    pointer.write_text(json.dumps({"folder": name}))
    loaded: list[Path] = []
    GraphCache(tmp_path / "cache").load(tiny, "tiny", lambda path, _: loaded.append(path))
    assert [path.name.startswith(pointer.stem) for path in loaded] == [True]


def test_a_pointer_to_a_link_is_not_followed(tiny: Path, tmp_path: Path) -> None:
    folder, _ = GraphCache(tmp_path / "cache").load(tiny, "tiny", checked)
    (pointer,) = (tmp_path / "cache" / "graphs").glob("*.json")
    link = folder.with_name(f"{pointer.stem}-linked")
    link.symlink_to(folder.rename(tmp_path / "elsewhere"))
    pointer.write_text(json.dumps({"folder": link.name}))
    again, _ = GraphCache(tmp_path / "cache").load(tiny, "tiny", checked)
    assert again != link


@pytest.mark.parametrize("sha256", ["../../../x", "/etc/x", "A" * 64, 7, None])
def test_a_noted_hash_that_is_none_becomes_no_name_in_the_cache(tiny: Path, tmp_path: Path, sha256: object) -> None:
    cache = tmp_path / "cache"
    first, _ = GraphCache(cache).load(tiny, "tiny", checked)
    (note,) = (cache / "sources").glob("*.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"sha256": sha256}))
    again, _ = GraphCache(cache).load(tiny, "tiny", checked)
    assert again == first


@pytest.mark.parametrize(
    "changed",
    [{"weights_sha256": "../x"}, {"dimensions": "384"}, {"dimensions": 10**12}, {"window": -1}, {"pooling": "max"}],
)
def test_a_graphs_manifest_with_what_we_never_write_is_damaged(
    tiny: Path, tmp_path: Path, changed: dict[str, object]
) -> None:
    folder, _ = GraphCache(tmp_path / "cache").load(tiny, "tiny", checked)
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(DamagedGraphError, match="no usable manifest"):
        read_manifest(folder)
