"""A BERT of a few kilobytes with random weights, in the files of a Hub repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?:-"
WORDS = ["the", "cat", "dog", "sat", "on", "mat", "small", "query", "passage"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), *WORDS]
WIDTH, INNER, LAYERS, POSITIONS = 16, 32, 2, 40


def write_tiny_model(folder: Path, *, seed: int = 0, pooling: str = "mean", window: int = 32, prefix: str = "") -> Path:
    """Write config, weights (all names begin with `prefix`), tokenizer and pooling; returns the folder."""
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "num_attention_heads": 4,
        "num_hidden_layers": LAYERS,
        "type_vocab_size": 2,
        "vocab_size": len(VOCABULARY),
    }
    _json(folder / "config.json", config)
    _json(folder / "sentence_bert_config.json", {"max_seq_length": window, "do_lower_case": False})
    _json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": WIDTH,
            "pooling_mode_cls_token": pooling == "cls",
            "pooling_mode_mean_tokens": pooling == "mean",
        },
    )
    modules = ["Transformer", "Pooling", "Normalize"]
    _json(
        folder / "modules.json",
        [{"idx": n, "type": f"sentence_transformers.models.{name}"} for n, name in enumerate(modules)],
    )
    _json(folder / "tokenizer.json", _tokenizer())
    write_safetensors(
        folder / "model.safetensors", {prefix + name: tensor for name, tensor in tiny_tensors(seed).items()}
    )
    return folder


def tiny_tensors(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(seed)

    def draw(*shape: int) -> NDArray[np.float32]:
        return random.standard_normal(shape).astype(np.float32) / 2

    def norm(name: str) -> dict[str, NDArray[np.float32]]:
        return {f"{name}.LayerNorm.weight": 1 + draw(WIDTH) / 5, f"{name}.LayerNorm.bias": draw(WIDTH)}

    def linear(name: str, into: int, out: int) -> dict[str, NDArray[np.float32]]:
        return {f"{name}.weight": draw(out, into), f"{name}.bias": draw(out)}

    tensors = {
        "embeddings.word_embeddings.weight": draw(len(VOCABULARY), WIDTH),
        "embeddings.position_embeddings.weight": draw(POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": draw(2, WIDTH),
        **norm("embeddings"),
    }
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            tensors |= linear(f"{layer}.attention.self.{part}", WIDTH, WIDTH)
        tensors |= linear(f"{layer}.attention.output.dense", WIDTH, WIDTH) | norm(f"{layer}.attention.output")
        tensors |= linear(f"{layer}.intermediate.dense", WIDTH, INNER)
        tensors |= linear(f"{layer}.output.dense", INNER, WIDTH) | norm(f"{layer}.output")
    return tensors


def write_safetensors(path: Path, tensors: dict[str, NDArray[Any]]) -> None:
    names = {"float32": "F32", "float16": "F16", "uint16": "BF16", "int64": "I64"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": names[str(tensor.dtype)], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(tensor.tobytes() for tensor in tensors.values()))


def _tokenizer() -> dict[str, Any]:
    special = [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for number, token in enumerate(VOCABULARY[:5])
    ]
    ends = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {
        "version": "1.0",
        "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": None,
        "added_tokens": special,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [*ends, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [*ends, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "special_tokens": {
                token: {"id": token, "ids": [VOCABULARY.index(token)], "tokens": [token]}
                for token in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {token: number for number, token in enumerate(VOCABULARY)},
        },
    }


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), "utf-8")
