"""memory_search."""

from __future__ import annotations

from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.render import fitting, hit_object, hits_text
from mcp_memory.mcp.tool import Tool, ToolAnswer
from mcp_memory.mcp.tools import filters
from mcp_memory.memories.requests import Conditions, SearchAnswer, SearchRequest
from mcp_memory.memories.service import Memories

MODES = ("hybrid", "semantic", "keyword", "exact", "ranked")
MAX_CHARS = schemas.integer("Longest answer in characters; memories that don't fit are left out", minimum=0)


async def search(memories: Memories, arguments: Arguments) -> ToolAnswer:
    tags, tag_match = filters.tag_filter(arguments)
    mode = (arguments.filled("mode") or "hybrid").strip().lower()
    answer = await memories.search(
        SearchRequest(
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
            ),
            limit=arguments.integer("limit", 10),
            similarity_threshold=arguments.number("similarity_threshold"),
        )
    )
    return found(answer, arguments.integer("max_response_chars", 0))


def found(answer: SearchAnswer, max_chars: int = 0) -> ToolAnswer:
    """The answer of every tool that searches."""
    total = len(answer.hits)
    shown = fitting(answer.hits, max_chars)
    about = f"(mode: {answer.mode})" + (f" for query: '{answer.query}'" if answer.query else "")
    headline = f"Found {total} memories {about}" if total else f"No memories found {about}"
    return ToolAnswer(
        hits_text(headline, shown, left_out=total - len(shown)),
        {
            "memories": [hit_object(hit) for hit in shown],
            "total": total,
            "mode": answer.mode,
            "query": answer.query,
            "milliseconds": round(answer.milliseconds, 3),
        },
    )


OUTPUT = schemas.mapping(
    {
        "memories": schemas.objects(
            "Best first",
            schemas.memory(
                "A memory and how well it fits",
                {
                    "similarity_score": schemas.number(
                        "0.0 to 1.0, unrelated is about 0.5; only where a text was compared"
                    ),
                    "score": schemas.number("What orders the answer; its scale depends on the mode"),
                },
            ),
        ),
        "total": schemas.integer("How many were found"),
        "mode": schemas.text("How they were found; tag or time where no text took part"),
        "query": schemas.text("The text that was searched for"),
        "milliseconds": schemas.number("Time it took"),
    },
    required=("memories", "total", "mode", "query"),
)

MEMORY_SEARCH = Tool(
    name="memory_search",
    title="Search memories",
    description=(
        "Find memories by meaning, words, tags or time. Use it before answering anything that earlier conversations may "
        "have settled. Ask in natural language; leave query out to get the newest that meet the filters. Examples: "
        '{"query": "when do we deploy Atlas"}; {"query": "error E1234", "mode": "exact"}; '
        '{"time_expr": "last week", "tags": ["decision"]}'
    ),
    parameters={
        "query": schemas.text("What to look for, in natural language"),
        "mode": schemas.text(
            "hybrid: meaning and words; semantic: meaning; keyword: words; exact: the text occurs literally "
            "(case-insensitive); ranked: same as hybrid",
            choices=MODES,
            default="hybrid",
        ),
        "time_expr": filters.TIME_EXPR,
        "after": filters.AFTER,
        "before": filters.BEFORE,
        "tags": filters.TAGS,
        "tag_match": filters.TAG_MATCH,
        "memory_type": filters.MEMORY_TYPE,
        "limit": schemas.integer("How many at most", minimum=1, maximum=100, default=10),
        "similarity_threshold": schemas.number(
            "Only memories at least this similar; unrelated texts have about 0.5", minimum=0, maximum=1
        ),
        "max_response_chars": MAX_CHARS,
        "agent_id": filters.AGENT_ID,
        "store": filters.STORE,
    },
    accepted={
        "quality_boost": schemas.number(schemas.WITHOUT_EFFECT),
        "rerank": schemas.flag(schemas.WITHOUT_EFFECT),
        "ranking_weights": schemas.mapping({}, description=schemas.WITHOUT_EFFECT, open_ended=True),
        "include_debug": schemas.flag(f"Scores are always given. {schemas.WITHOUT_EFFECT}"),
        "include_superseded": schemas.flag(schemas.WITHOUT_EFFECT),
        "include_beliefs": schemas.flag(schemas.WITHOUT_EFFECT),
        "entity": schemas.text(schemas.WITHOUT_EFFECT),
        "fallback": schemas.flag(schemas.WITHOUT_EFFECT),
        "summarize": schemas.flag(schemas.WITHOUT_EFFECT),
    },
    output=OUTPUT,
    run=search,
    read_only=True,
)
