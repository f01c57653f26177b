"""The graph computes BERT: compared with the formulas in numpy, for every variant of a configuration that is accepted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mcp_memory.domain.errors import EmbeddingError
from mcp_memory.embedding.base import TextKind
from mcp_memory.embedding.encoder import UnsupportedModelError, read_encoder, read_pooling, read_prompts
from mcp_memory.embedding.models import Prompts
from mcp_memory.embedding.options import EmbeddingOptions
from mcp_memory.embedding.safetensors import read_safetensors
from mcp_memory.embedding.select import build_embedder, build_provider
from mcp_memory.embedding.windows import plain_tokenizer
from tiny_model import LAYERS, tiny_tensors, write_safetensors, write_tiny_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS = ["", "the cat sat on the mat.", "a dog", "the small cat sat on the dog on the mat on the cat!"]


def reference(tokens: list[int], tensors: dict[str, NDArray[Any]], *, activation: str, pooling: str) -> NDArray[Any]:
    """BERT (Devlin et al. 2019) for one text, in float64, one head after the other."""
    weights = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def linear(x: NDArray[Any], name: str) -> NDArray[Any]:
        return np.asarray(x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

    def norm(x: NDArray[Any], name: str) -> NDArray[Any]:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return np.asarray(scaled * weights[f"{name}.LayerNorm.weight"] + weights[f"{name}.LayerNorm.bias"])

    def gelu(x: NDArray[Any]) -> NDArray[Any]:
        if activation == "gelu":
            return np.asarray(x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))))
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))

    x = weights["embeddings.word_embeddings.weight"][tokens]
    x = x + weights["embeddings.position_embeddings.weight"][: len(tokens)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings")
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        query, key, value = (linear(x, f"{layer}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = []
        for start in range(0, 16, 4):
            part = slice(start, start + 4)
            scores = query[:, part] @ key[:, part].T / 2
            odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
            heads.append(odds / odds.sum(axis=-1, keepdims=True) @ value[:, part])
        attended = linear(np.concatenate(heads, axis=-1), f"{layer}.attention.output.dense")
        x = norm(attended + x, f"{layer}.attention.output")
        inner = gelu(linear(x, f"{layer}.intermediate.dense"))
        x = norm(linear(inner, f"{layer}.output.dense") + x, f"{layer}.output")
    pooled = x[0] if pooling == "cls" else x.mean(axis=0)
    return np.asarray(pooled / np.linalg.norm(pooled))


@pytest.mark.parametrize("prefix", ["", "bert."])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_the_graph_agrees_with_the_formulas(tmp_path: Path, activation: str, pooling: str, prefix: str) -> None:
    folder = write_tiny_model(tmp_path / "model", pooling=pooling, prefix=prefix)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": activation}))
    provider = build_provider(EmbeddingOptions("tiny", model_path=folder, cache_dir=tmp_path / "cache", threads=1))
    tokenizer = plain_tokenizer((folder / "tokenizer.json").read_text("utf-8"))
    expected = [
        reference(tokenizer.encode(text).ids, tiny_tensors(), activation=activation, pooling=pooling) for text in TEXTS
    ]
    assert np.abs(provider.embed(TEXTS, TextKind.DOCUMENT) - np.array(expected)).max() < 2e-6
    assert provider.embed([], TextKind.DOCUMENT).shape == (0, 16)


def test_query_and_document_prompts_are_put_before_the_texts(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    e5 = build_provider(EmbeddingOptions("e5-small", model_path=folder, cache_dir=tmp_path / "cache", threads=1))
    plain = build_provider(EmbeddingOptions("tiny", model_path=folder, cache_dir=tmp_path / "cache", threads=1))
    for kind, prompt in ((TextKind.QUERY, "query: "), (TextKind.DOCUMENT, "passage: ")):
        assert np.allclose(e5.embed(["cat"], kind), plain.embed([prompt + "cat"], kind), atol=1e-6)
    assert e5.identity.fingerprint != plain.identity.fingerprint


def test_a_text_longer_than_the_model_can_read_is_an_error_in_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only a caller that goes round the windows gets here."""
    folder = write_tiny_model(tmp_path / "model")
    provider = build_provider(EmbeddingOptions("tiny", model_path=folder, cache_dir=tmp_path / "cache", threads=1))
    with pytest.raises(EmbeddingError, match="ONNX Runtime failed on the model tiny"):
        provider.embed(["cat " * 100], TextKind.DOCUMENT)
    assert capfd.readouterr().err == ""


@pytest.mark.anyio
async def test_even_a_small_window_is_never_exceeded(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model", window=8)
    embedder = build_embedder(EmbeddingOptions("tiny", model_path=folder, cache_dir=tmp_path / "cache", threads=1))
    text = "the cat sat on the mat on the dog"
    long, first, second = await embedder.embed_documents([text, "the cat sat on the mat", "on the dog"])
    assert np.allclose(long, (first + second) / np.linalg.norm(first + second), atol=1e-6)
    await embedder.close()


def test_a_model_that_gives_nan_is_an_error_not_a_vector(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    tensors = tiny_tensors()
    tensors["encoder.layer.1.output.LayerNorm.bias"][3] = np.nan
    write_safetensors(folder / "model.safetensors", tensors)
    provider = build_provider(EmbeddingOptions("tiny", model_path=folder, cache_dir=tmp_path / "cache", threads=1))
    with pytest.raises(EmbeddingError, match="isn't finite"):
        provider.embed(["a cat"], TextKind.DOCUMENT)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "xlm-roberta"}, "architecture is 'xlm-roberta'"),
        ({"position_embedding_type": "relative_key"}, "architecture"),
        ({"hidden_act": "relu"}, "activation is 'relu'"),
    ],
)
def test_what_the_graph_can_not_compute_is_refused_with_the_way_out(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    folder = write_tiny_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UnsupportedModelError, match=rf"{reason}.*MCP_EMBEDDING_PROVIDER=sentence-transformers"):
        read_encoder(folder, "tiny")


def test_further_modules_and_other_poolings_are_refused(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(UnsupportedModelError, match="pooling is 'max_tokens'"):
        read_encoder(folder, "tiny")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([*modules, {"type": "sentence_transformers.models.Dense"}]))
    with pytest.raises(UnsupportedModelError, match="further modules: Dense"):
        read_encoder(folder, "tiny")


@pytest.mark.parametrize(
    ("text", "pooling"),
    [
        ('{"pooling_mode": "cls"}', "cls"),
        ('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}', "cls"),
        ('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}', "cls_token+mean_tokens"),
        ("{}", "mean"),
    ],
)
def test_every_form_of_a_pooling_configuration_is_read(tmp_path: Path, text: str, pooling: str) -> None:
    folder = write_tiny_model(tmp_path / "model")
    (folder / "1_Pooling" / "config.json").write_text(text)
    assert read_pooling(folder) == pooling


def test_prompts_of_the_models_own_configuration_go_before_those_of_its_family(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    assert read_prompts(folder, "BAAI/bge-small-en-v1.5").query.startswith("Represent this sentence")
    assert read_prompts(folder, "all-MiniLM-L6-v2") == Prompts()
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "Q: ", "document": "D: "}}')
    assert read_prompts(folder, "BAAI/bge-small-en-v1.5") == Prompts("Q: ", "D: ")


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32"])
def test_weights_of_any_width_are_read(tmp_path: Path, kind: str) -> None:
    values = np.array([[1.0, -0.5], [3.140625, 0.0]], np.float32)
    stored: NDArray[Any] = values if kind == "float32" else values.astype(np.float16)
    if kind == "bfloat16":
        stored = (values.view(np.uint32) >> 16).astype(np.uint16)
    write_safetensors(tmp_path / "w.safetensors", {"x": stored})
    assert np.array_equal(read_safetensors(tmp_path / "w.safetensors")["x"], values)


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 100, (10**9).to_bytes(8, "little") + b"{}", b"\x02" + b"\0" * 7 + b"[]"]
)
def test_a_file_that_is_no_safetensors_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(EmbeddingError, match=r"w\.safetensors isn't a readable safetensors file"):
        read_safetensors(tmp_path / "w.safetensors")


def test_a_truncated_weights_file_is_named(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EmbeddingError, match=r"model\.safetensors isn't a readable"):
        build_provider(EmbeddingOptions("tiny", model_path=folder, cache_dir=tmp_path / "cache"))
