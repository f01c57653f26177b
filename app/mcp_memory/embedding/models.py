"""What is known of models by their names: where they live on the Hub, their prompts, and the sizes of OpenAI's vectors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256

from mcp_memory.embedding.base import TextKind


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is put before a text. Sources: the models' cards."""

    query: str = ""
    document: str = ""

    def of(self, kind: TextKind) -> str:
        return self.query if kind is TextKind.QUERY else self.document

    @property
    def longest(self) -> str:
        return max(self.query, self.document, key=len)


NO_PROMPTS = Prompts()
_E5 = Prompts("query: ", "passage: ")
_BGE_EN = Prompts("Represent this sentence for searching relevant passages: ")
_FAMILIES: tuple[tuple[str, str, Prompts], ...] = (
    ("all-minilm-", "sentence-transformers", NO_PROMPTS),
    ("all-mpnet-", "sentence-transformers", NO_PROMPTS),
    ("multi-qa-", "sentence-transformers", NO_PROMPTS),
    ("paraphrase-", "sentence-transformers", NO_PROMPTS),
    ("e5-", "intfloat", _E5),
    ("multilingual-e5-", "intfloat", _E5),
    ("bge-small-en", "BAAI", _BGE_EN),
    ("bge-base-en", "BAAI", _BGE_EN),
    ("bge-large-en", "BAAI", _BGE_EN),
    ("bge-", "BAAI", NO_PROMPTS),
    ("gte-", "thenlper", NO_PROMPTS),
)
"""Beginning of a name, the Hub organisation that publishes it, its prompts. The first that fits counts."""

OPENAI_DIMENSIONS: Mapping[str, int] = {
    "text-embedding-ada-002": 1536,
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
}
WEIGHTS_SHA256: Mapping[str, str] = {
    "sentence-transformers/all-MiniLM-L6-v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
"""model.safetensors as published on the Hub."""


def hub_name(model: str) -> str:
    """`organisation/name` on the Hub; a bare name of a known family gets its organisation."""
    if "/" in model:
        return model
    for beginning, organisation, _ in _FAMILIES:
        if model.lower().startswith(beginning):
            return f"{organisation}/{model}"
    return f"sentence-transformers/{model}"


def known_prompts(model: str) -> Prompts:
    """The prompts of a model family, by the last part of the name."""
    name = model.rstrip("/").rsplit("/", 1)[-1].lower()
    return next((prompts for beginning, _, prompts in _FAMILIES if name.startswith(beginning)), NO_PROMPTS)


def weights_fingerprint(weights_sha256: str, *, pooling: str, window: int, prompts: Prompts) -> str:
    """What vectors depend on, as 64 hex digits: the same for every provider that runs the same weights."""
    parts = {"weights": weights_sha256, "pooling": pooling, "window": window, "prompts": asdict(prompts)}
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def endpoint_fingerprint(url: str, model: str, dimensions: int) -> str:
    """An endpoint's weights can't be seen: its address, its model's name and the vectors' size stand for them."""
    parts = {"url": url.rstrip("/"), "model": model, "dimensions": dimensions}
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
