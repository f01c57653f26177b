"""What a model folder's configuration files say: layers, pooling, window, prompts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mcp_memory.domain.errors import EmbeddingError
from mcp_memory.embedding.models import Prompts, known_prompts

WEIGHTS_NAME = "model.safetensors"
TOKENIZER_NAME = "tokenizer.json"
_PLAIN_MODULES = {"Transformer", "Pooling", "Normalize"}
_ACTIVATIONS = {"gelu", "gelu_new", "gelu_pytorch_tanh"}
DEFAULT_WINDOW = 512


class UnsupportedModelError(EmbeddingError):
    """The model can't be given a graph by this package; the message says which part of it, and what runs it."""


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """A BERT-type sentence encoder. `window` counts tokens, special ones included."""

    layers: int
    heads: int
    epsilon: float
    activation: str
    dimensions: int
    pooling: Literal["mean", "cls"]
    window: int
    prompts: Prompts


def read_encoder(folder: Path, model: str) -> EncoderConfig:
    """The configuration of the model in this folder (files as on the Hub).

    Raises UnsupportedModelError for another architecture than BERT with mean or CLS pooling, EmbeddingError for missing files.
    """
    config = _json(folder / "config.json")
    for name in (WEIGHTS_NAME, TOKENIZER_NAME):
        if not (folder / name).is_file():
            raise UnsupportedModelError(_unsupported(model, f"{folder} holds no {name}"))
    if config.get("model_type") != "bert" or config.get("position_embedding_type", "absolute") != "absolute":
        raise UnsupportedModelError(
            _unsupported(model, f"its architecture is {config.get('model_type')!r}, not 'bert'")
        )
    if config["hidden_act"] not in _ACTIVATIONS:
        raise UnsupportedModelError(_unsupported(model, f"its activation is {config['hidden_act']!r}"))
    if extra := module_kinds(folder) - _PLAIN_MODULES:
        raise UnsupportedModelError(_unsupported(model, f"it has further modules: {', '.join(sorted(extra))}"))
    sentence = _json(folder / "sentence_bert_config.json", optional=True)
    pooling = read_pooling(folder)
    if pooling not in ("mean", "cls"):
        raise UnsupportedModelError(_unsupported(model, f"its pooling is {pooling!r}"))
    if sentence.get("do_lower_case"):
        raise UnsupportedModelError(_unsupported(model, "it lower-cases texts outside its tokenizer"))
    positions = int(config["max_position_embeddings"])
    return EncoderConfig(
        layers=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        epsilon=float(config["layer_norm_eps"]),
        activation=str(config["hidden_act"]),
        dimensions=int(config["hidden_size"]),
        pooling="cls" if pooling == "cls" else "mean",
        window=min(int(sentence.get("max_seq_length") or DEFAULT_WINDOW), positions),
        prompts=read_prompts(folder, model),
    )


def module_kinds(folder: Path) -> set[str]:
    """The last parts of the class names in modules.json; empty where there is none."""
    path = folder / "modules.json"
    modules: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.is_file() else []
    return {str(module["type"]).rsplit(".", 1)[-1] for module in modules}


def read_pooling(folder: Path) -> str:
    """mean, cls, or the name of another mode. sentence-transformers takes the mean where nothing is said."""
    config = _json(folder / "1_Pooling" / "config.json", optional=True)
    if "pooling_mode" in config:  # the form that sentence-transformers 5 writes
        return str(config["pooling_mode"])
    prefix = "pooling_mode_"
    modes = [key.removeprefix(prefix) for key, on in config.items() if key.startswith(prefix) and on is True]
    return (
        {"mean_tokens": "mean", "cls_token": "cls"}.get(modes[0], modes[0])
        if len(modes) == 1
        else "mean"
        if not modes
        else "+".join(modes)
    )


def read_prompts(folder: Path, model: str) -> Prompts:
    """The prompts that the model's own configuration names, else those of its family."""
    named = _json(folder / "config_sentence_transformers.json", optional=True).get("prompts") or {}
    query, document = named.get("query") or "", named.get("document") or named.get("passage") or ""
    return Prompts(query, document) if query or document else known_prompts(model)


def _json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    if optional and not path.is_file():
        return {}
    try:
        loaded = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise EmbeddingError(f"The model's {path.name} can't be read at {path}: {error}") from error
    if not isinstance(loaded, dict):
        raise EmbeddingError(f"The model's {path} isn't a JSON object.")
    return loaded


def _unsupported(model: str, reason: str) -> str:
    return (
        f"The model {model} can't run on ONNX Runtime here: {reason}. sentence-transformers runs it: "
        "install the extra 'torch' and set MCP_EMBEDDING_PROVIDER=sentence-transformers."
    )
