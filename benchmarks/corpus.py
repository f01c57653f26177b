"""Real texts of this machine as memories: paragraphs of docstrings, manual pages and package documentation.

usage: python -m benchmarks.corpus N > memories.jsonl

The lines are REST memory objects, ready for `memory import`. The order is a fixed shuffle: the same N texts wherever the same
packages are installed.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

DAY = 86_400.0
START = 1_704_067_200.0
"""2024-01-01T00:00:00Z: created_at of the oldest text; the others follow within the two years after."""

PAGES_A_PROGRAM = 50
"""Some programs install thousands of pages that differ in a word: a person's memories don't."""


class Text(NamedTuple):
    content: str
    source: str
    topic: str


def docstrings(folder: Path) -> Iterator[Text]:
    """First paragraphs and longer descriptions of every documented module, class and function below the folder."""
    for path in sorted(folder.rglob("*.py")):
        module = path.relative_to(folder).with_suffix("").as_posix().replace("/", ".")
        if module.startswith("site-packages."):
            continue  # packages have a folder of their own, given apart
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError):
            continue  # test data of packages, broken on purpose
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = getattr(node, "name", module)
                for paragraph in paragraphs(ast.get_docstring(node) or ""):
                    yield Text(f"{name}: {paragraph}", "docstring", module.split(".", 1)[0].lower())


def manual_pages(folder: Path) -> Iterator[Text]:
    """Paragraphs of manual pages, with the formatter's requests taken out."""
    pages: Counter[str] = Counter()
    for path in sorted(folder.glob("man[1-8]/*.gz")):
        program = re.split(r"[-_.]", path.name, maxsplit=1)[0]
        pages[program] += 1
        if pages[program] > PAGES_A_PROGRAM:
            continue
        try:
            source = gzip.decompress(path.read_bytes()).decode("utf-8")
        except (OSError, EOFError, UnicodeDecodeError):
            continue  # dangling links, other encodings
        plain = re.sub(r"(?m)^[.'].*$", "\n", source)
        plain = re.sub(r"\\f[A-Z]|\\f\(..|\\-|\\&|\\\"[^\n]*", lambda found: "-" if found[0] == r"\-" else "", plain)
        name = path.name.split(".", 1)[0]
        for paragraph in paragraphs(plain):
            yield Text(f"{name}: {paragraph}", "manual", name.lower())


def documentation(folder: Path) -> Iterator[Text]:
    """Paragraphs of the plain-text files that packages install."""
    for path in sorted(folder.glob("*/*")):
        if path.suffix.lower() in {".txt", ".md", ".rst"} or path.name in {"README", "NEWS", "FAQ"}:
            try:
                source = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            for paragraph in paragraphs(source):
                yield Text(paragraph, "documentation", path.parent.name.lower())


def paragraphs(text: str) -> Iterator[str]:
    """Paragraphs of 40 to 1,200 characters that read like prose."""
    for block in re.split(r"\n\s*\n", text):
        paragraph = " ".join(block.split())
        letters = sum(character.isalpha() or character == " " for character in paragraph)
        if 40 <= len(paragraph) <= 1_200 and letters >= 0.75 * len(paragraph):
            yield paragraph


def real_texts(count: int) -> list[Text]:
    """`count` distinct texts in a fixed order. Raises ValueError when the machine has fewer."""
    paths = sysconfig.get_paths()
    found: dict[bytes, Text] = {}
    for text in (
        *docstrings(Path(paths["stdlib"])),
        *docstrings(Path(paths["purelib"])),
        *manual_pages(Path("/usr/share/man")),
        *documentation(Path("/usr/share/doc")),
    ):
        found.setdefault(hashlib.sha256(text.content.strip().lower().encode()).digest(), text)
    if len(found) < count:
        raise ValueError(f"this machine has {len(found):,} distinct texts, {count:,} were asked for")
    return [found[key] for key in islice(sorted(found), count)]


def memories(count: int) -> Iterator[dict[str, object]]:
    """The texts as REST memory objects, spread evenly over two years."""
    step = 2 * 365 * DAY / count
    for number, text in enumerate(real_texts(count)):
        created = START + number * step
        yield {
            "content": text.content,
            "tags": [text.source, re.sub(r"[^a-z0-9._-]", "-", text.topic)],
            "memory_type": "reference",
            "metadata": {"number": number},
            "created_at": created,
            "updated_at": created,
        }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for memory in memories(int(sys.argv[1])):
        print(json.dumps(memory, ensure_ascii=False))
