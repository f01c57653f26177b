"""Names of the original's tools that ours have no counterpart for under one name, each with the meaning that it had there.

None of them deletes more than it did: they reach the default store alone, a tag is one tag, and days are whole days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.legacy_answers import found
from mcp_memory.mcp.schemas import JsonSchema
from mcp_memory.mcp.tool import Run, Tool, ToolAnswer
from mcp_memory.mcp.tools.delete import MEMORY_CLEANUP, MEMORY_DELETE
from mcp_memory.mcp.tools.figures import MEMORY_STATS
from mcp_memory.mcp.tools.legacy import RETRIEVE_MEMORY, how_many
from mcp_memory.mcp.tools.update import MEMORY_UPDATE
from mcp_memory.memories.requests import Conditions, SearchRequest
from mcp_memory.memories.service import Memories

_MOST = 100
_MOST_NAMED = 20
_OLD = "Name of an older release: prefer "
_TAGS = {"tags": schemas.texts("Tags"), "tag": schemas.text("One tag, in place of tags")}
_TAG = schemas.text("Only memories with this tag")
_N_RESULTS = schemas.integer("How many at most", minimum=1, default=5)


def _deleting(name: str, parameters: dict[str, JsonSchema], required: Sequence[str], run: Run) -> Tool:
    return Tool(
        name=name,
        title=f"{name.replace('_', ' ').capitalize()} (old name)",
        description=f"{_OLD}memory_delete.",
        parameters={**parameters, "dry_run": schemas.flag("Only say what would be deleted", default=False)},
        output=schemas.mapping(
            {name: MEMORY_DELETE.output["properties"][name] for name in ("message", "deleted_count", "deleted_hashes")}
        ),
        run=run,
        required=tuple(required),
        destructive=True,
    )


def _finding(name: str, parameters: dict[str, JsonSchema], required: str, run: Run) -> Tool:
    return replace(
        RETRIEVE_MEMORY,
        name=name,
        title=f"{name.replace('_', ' ').capitalize()} (old name)",
        description=f"{_OLD}memory_search.",
        parameters=parameters,
        accepted={},
        required=(required,),
        run=run,
    )


async def _forget(memories: Memories, arguments: Arguments, conditions: Conditions) -> ToolAnswer:
    dry_run = arguments.flag("dry_run")
    answer = await memories.forget(conditions, dry_run=dry_run)
    text = f"{'Would delete' if dry_run else 'Successfully deleted'} {answer.count} memories"
    named = answer.hashes[:_MOST_NAMED]
    more = [f"... and {answer.count - len(named)} more"] if answer.count > len(named) else []
    return ToolAnswer(
        "\n".join([text, *named, *more]),
        {"message": text, "deleted_count": answer.count, "deleted_hashes": list(answer.hashes)},
    )


def _by_tags(match: str) -> Run:
    async def run(memories: Memories, arguments: Arguments) -> ToolAnswer:
        tags, tag = arguments.tags("tags"), arguments.tags("tag")
        if tags and tag:
            raise InvalidInputError("Give tags or tag, not both.", field="tag")
        if not tags and not tag:
            raise InvalidInputError("The argument tags is required.", field="tags")
        # As in the original, a text of several tags is split in `tags`, and nowhere else.
        one = [tag] if isinstance(tag, str) and not tag.lstrip().startswith("[") else tag
        return await _forget(memories, arguments, Conditions(tags=tags or one, tag_match=match))

    return run


def _day(arguments: Arguments, name: str) -> date:
    value = arguments.required(name).strip()
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise InvalidInputError(f"{name} must be a day as in 2025-01-31, got {value!r:.80}.", field=name) from None


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00"


def _timeframe(arguments: Arguments) -> tuple[str, str]:
    """From the first day's midnight to the end of the last, as in the original."""
    start, end = _day(arguments, "start_date"), _day(arguments, "end_date")
    if end < start:
        raise InvalidInputError("end_date must not be before start_date.", field="end_date")
    return _midnight(start), _midnight(end + timedelta(days=1))


def _one_tag(arguments: Arguments) -> list[str] | None:
    tag = arguments.text("tag")
    return None if tag is None else [tag]


async def _in_timeframe(memories: Memories, arguments: Arguments) -> ToolAnswer:
    after, before = _timeframe(arguments)
    return await _forget(memories, arguments, Conditions(tags=_one_tag(arguments), after=after, before=before))


async def _before_date(memories: Memories, arguments: Arguments) -> ToolAnswer:
    before = _midnight(_day(arguments, "before_date"))
    return await _forget(memories, arguments, Conditions(tags=_one_tag(arguments), before=before))


async def _recalled(memories: Memories, arguments: Arguments) -> ToolAnswer:
    if arguments.filled("end_date") is None:
        conditions = Conditions(after=_midnight(_day(arguments, "start_date")))
    else:
        after, before = _timeframe(arguments)
        conditions = Conditions(after=after, before=before)
    limit, capped = how_many(arguments)
    return found(await memories.search(SearchRequest(conditions=conditions, limit=limit)), capped=capped)


async def _exactly(memories: Memories, arguments: Arguments) -> ToolAnswer:
    request = SearchRequest(query=arguments.required("content"), mode="exact", limit=_MOST)
    return found(await memories.search(request))


async def _debugged(memories: Memories, arguments: Arguments) -> ToolAnswer:
    limit, capped = how_many(arguments)
    request = SearchRequest(
        query=arguments.required("query"),
        mode="semantic",
        limit=limit,
        similarity_threshold=arguments.number("similarity_threshold"),
    )
    return found(await memories.search(request), capped=capped)


_FRAME = {"start_date": schemas.text("First day, 2025-01-01"), "end_date": schemas.text("Last day, 2025-01-31")}
_QUESTION = {"query": schemas.text("What to look for"), "n_results": _N_RESULTS}
_THRESHOLD = schemas.number("Only memories at least this similar", minimum=0, maximum=1)

OLDER_TOOLS: tuple[Tool, ...] = (
    _deleting("delete_by_tag", _TAGS, (), _by_tags("any")),
    _deleting("delete_by_tags", _TAGS, (), _by_tags("any")),
    _deleting("delete_by_all_tags", _TAGS, (), _by_tags("all")),
    _deleting("delete_by_timeframe", {**_FRAME, "tag": _TAG}, ("start_date", "end_date"), _in_timeframe),
    _deleting(
        "delete_before_date", {"before_date": schemas.text("2025-01-01"), "tag": _TAG}, ("before_date",), _before_date
    ),
    _finding("recall_by_timeframe", {**_FRAME, "n_results": _N_RESULTS}, "start_date", _recalled),
    _finding("exact_match_retrieve", {"content": schemas.text("Text that occurs literally")}, "content", _exactly),
    _finding("debug_retrieve", {**_QUESTION, "similarity_threshold": _THRESHOLD}, "query", _debugged),
    replace(
        _finding("retrieve_with_quality_boost", _QUESTION, "query", _debugged),
        accepted={"quality_weight": schemas.number(schemas.WITHOUT_EFFECT)},
    ),
    replace(MEMORY_UPDATE, name="update_memory_metadata", description=f"{_OLD}memory_update."),
    replace(MEMORY_CLEANUP, name="cleanup_duplicates", description=f"{_OLD}memory_cleanup."),
    replace(MEMORY_STATS, name="get_cache_stats", description=f"{_OLD}memory_stats."),
)
