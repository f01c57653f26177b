"""Options that several commands share, with one wording each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", "-t", help="A tag; again for more, or several separated by commas.")
]
AllTags = Annotated[bool, typer.Option("--all-tags", help="Only memories that carry every tag given (else: any).")]
Type = Annotated[str | None, typer.Option("--type", help="Only memories of this type.")]
After = Annotated[str | None, typer.Option(help='From this time on: a date, UTC seconds, or words ("2 days ago").')]
Before = Annotated[str | None, typer.Option(help="Before this time.")]
When = Annotated[str | None, typer.Option(help='A time in words: "yesterday", "last week", "in March".')]
Store = Annotated[str, typer.Option(help="Named store; `all` for every one.")]
Superseded = Annotated[
    bool, typer.Option("--superseded", help="Also memories that a newer one replaced, which are left out else.")
]
Whole = Annotated[bool, typer.Option("--full", help="Print whole texts, not their first lines.")]


def conditions(
    *,
    tags: list[str] | None,
    all_tags: bool,
    memory_type: str | None,
    after: str | None,
    before: str | None,
    when: str | None,
    store: str,
) -> Mapping[str, object]:
    """The conditions of a search or deletion, in the words of the REST API."""
    return {
        "tags": split(tags),
        "tag_match": "all" if all_tags else "any",
        "memory_type": memory_type,
        "after": after,
        "before": before,
        "time_expr": when,
        "store": store,
    }


def query_of(where: Mapping[str, object]) -> dict[str, object]:
    """The same as query parameters, where tags are one string."""
    tags = where["tags"]
    rest = {name: value for name, value in where.items() if name != "tags"}
    return rest | {"tag": ",".join(tags) if isinstance(tags, list) else None}


def split(tags: list[str] | None) -> list[str] | None:
    """`-t a,b -t c` as [a, b, c]; None for none."""
    return [part for tag in tags or [] for part in tag.split(",") if part.strip()] or None
