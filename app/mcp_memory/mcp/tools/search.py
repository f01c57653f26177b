"""memory_search."""

from __future__ import annotations

from mcp_memory.domain.memory import ScoredMemory
from mcp_memory.mcp import floor, schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.render import MAX_CHARS, Shown, blocks, fitting, hit_object, one_line, shown_object
from mcp_memory.mcp.tool import Tool, ToolAnswer
from mcp_memory.mcp.tools import filters
from mcp_memory.memories.requests import Conditions, SearchAnswer, SearchRequest
from mcp_memory.memories.service import Memories

MODES = ("hybrid", "semantic", "keyword", "exact", "ranked")
RESPONSE_CHARS = schemas.integer("Longest answer in characters", minimum=0, default=MAX_CHARS)
MAX_LIMIT = 100


async def search(memories: Memories, arguments: Arguments) -> ToolAnswer:
    tags, tag_match = filters.tag_filter(arguments)
    mode = (arguments.filled("mode") or "hybrid").strip().lower()
    threshold = arguments.number("similarity_threshold")
    limit, capped = arguments.at_most("limit", 10, MAX_LIMIT)
    request = SearchRequest(
        query=arguments.filled("query"),
        # The original's "ranked" weighed several scores, as hybrid does.
        mode="hybrid" if mode == "ranked" else mode,
        conditions=Conditions(
            tags=tags,
            tag_match=tag_match,
            memory_type=arguments.filled("memory_type"),
            after=arguments.time("after"),
            before=arguments.time("before"),
            time_expr=arguments.filled("time_expr"),
            store=filters.store_choice(arguments),
            include_superseded=arguments.flag("include_superseded"),
        ),
        limit=limit,
        similarity_threshold=threshold,
    )
    answer = await memories.search(request)
    max_chars = arguments.integer("max_response_chars", MAX_CHARS)
    hits = answer.hits
    fits = threshold is not None or floor.fits(answer, memories.marks.floor)
    if not fits:
        hits = hits[: floor.NEAREST]
    if hits:
        headline = f"Found {len(hits)} memories {_about(answer)}" if fits else "Nothing fits well. Nearest:"
    else:
        headline = await _nothing(memories, request, answer)
    headline += capped
    shown = fitting(
        [Shown(hit.memory, hit.memory.content, _similarity(hit, answer.mode)) for hit in hits], max_chars, answer.query
    )
    debug = arguments.flag("include_debug")
    return ToolAnswer(
        blocks(headline, shown, left_out=len(hits) - len(shown)),
        {
            "message": headline,
            "memories": [hit_object(hit) for hit in hits[: len(shown)]]
            if debug
            else [shown_object(one) for one in shown],
            "total": len(hits),
            "mode": answer.mode,
        },
    )


def _similarity(hit: ScoredMemory, mode: str) -> float | None:
    """Only where it is what orders the answer: beside another order it would contradict it."""
    return hit.similarity_score if mode in ("semantic", "similar") else None


def _about(answer: SearchAnswer) -> str:
    """In the original's words, which its clients know."""
    return f"(mode: {answer.mode})" + (f" for query: '{one_line(answer.query)}'" if answer.query else "")


async def _nothing(memories: Memories, request: SearchRequest, answer: SearchAnswer) -> str:
    """What was looked for, and where else there is something."""
    headline = f"No memories found {_about(answer)}. Looked in: {filters.described(request.conditions)}."
    stores = await memories.stores()
    others = [f"{name} ({count})" for name, count in stores.items() if name != request.conditions.store]
    if others and request.conditions.store not in (None, "all"):
        headline += f" Other stores: {', '.join(others[:10])}; store=all looks in every one."
    return headline


OUTPUT = schemas.mapping(
    {
        "message": schemas.text("What was found, in words"),
        "memories": schemas.shown_memories("Best first"),
        "total": schemas.integer("How many were found"),
        "mode": schemas.text("How; tag or time where no text took part"),
    },
    required=("message", "memories", "total", "mode"),
)

MEMORY_SEARCH = Tool(
    name="memory_search",
    title="Search memories",
    description=(
        "Find memories by meaning, words, tags or time. Use it before answering anything that earlier conversations may "
        "have settled. Ask in natural language, in the language it was written in too; leave query out to get the newest "
        'that meet the filters. Examples: {"query": "when do we deploy Atlas"}; {"query": "error E1234", "mode": "exact"}; '
        '{"time_expr": "last week", "tags": ["decision"]}'
    ),
    parameters={
        "query": schemas.text("What to look for"),
        "mode": schemas.text(
            "hybrid: meaning and words; semantic: meaning; keyword: words; exact: the text occurs literally",
            choices=MODES[:-1],
            default="hybrid",
        ),
        "time_expr": filters.TIME_EXPR,
        "after": filters.AFTER,
        "before": filters.BEFORE,
        "tags": filters.TAGS,
        "tag_match": filters.TAG_MATCH,
        "memory_type": filters.MEMORY_TYPE,
        "limit": schemas.integer("How many at most", minimum=1, maximum=MAX_LIMIT, default=10),
        "store": filters.STORE,
    },
    accepted={
        "similarity_threshold": schemas.number(
            "Only memories at least this similar; unrelated texts have about 0.5", minimum=0, maximum=1
        ),
        "max_response_chars": RESPONSE_CHARS,
        "agent_id": filters.AGENT_ID,
        "include_superseded": filters.INCLUDE_SUPERSEDED,
        "include_debug": schemas.flag("Every field of each memory, with scores"),
        "quality_boost": schemas.number(schemas.WITHOUT_EFFECT),
        "rerank": schemas.flag(schemas.WITHOUT_EFFECT),
        "ranking_weights": schemas.free_object(schemas.WITHOUT_EFFECT),
        "include_beliefs": schemas.flag(schemas.WITHOUT_EFFECT),
        "entity": schemas.text(schemas.WITHOUT_EFFECT),
        "fallback": schemas.flag(schemas.WITHOUT_EFFECT),
        "summarize": schemas.flag(schemas.WITHOUT_EFFECT),
    },
    aliases={
        **filters.GUESSED_TAGS,
        **dict.fromkeys(("n_results", "top_k", "k", "max_results", "num_results", "count"), "limit"),
        **dict.fromkeys(("q", "text", "question", "search", "content"), "query"),
        "time": "time_expr",
        "since": "after",
        "until": "before",
    },
    output=OUTPUT,
    run=search,
    read_only=True,
)
