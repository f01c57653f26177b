"""The path parameter `{content_hash:hash}`: the rest of the path, since an id of another store may hold a slash."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from starlette.convertors import Convertor, register_url_convertor


class HashConvertor(Convertor[str]):
    """At least one character, whichever: `/api/memories/` with nothing behind it stays another address."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("hash", HashConvertor())

Hash = Annotated[
    str,
    Path(
        description="64 hexadecimal digits, or the id that a memory brought along from another store",
        examples=["a" * 64],
    ),
]
