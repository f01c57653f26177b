"""The way to a server: clients made once and reused, a deadline on every request, retries, one node after another."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx
import tenacity

from mcp_memory.addresses import check_proxies, shown_url
from mcp_memory.domain.errors import ConfigurationError, StorageBusyError, StorageUnavailableError
from mcp_memory.storage.qdrant_server.failures import NodeSilentError, WriteUnfinishedError, passing, refusal, to_error
from mcp_memory.storage.qdrant_server.nodes import Nodes, answer_of_a_living_node

if TYPE_CHECKING:
    from pathlib import Path

    from qdrant_client import AsyncQdrantClient
    from qdrant_client.models import UpdateResult

    from mcp_memory.storage.qdrant_server.options import ServerOptions

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_SECONDS: Final = 3.0
IDLE_SECONDS: Final = 4.0
"""Idle connections are dropped before the server drops them (5 s by default)."""
PLAIN: Final = {"Accept-Encoding": "identity"}
"""A compressed answer comes in pieces, and so does one of more than 32 KB; on a connection that is reused, each waits 40 ms for
the acknowledgement that our kernel delays. A search took 50 ms compressed, 5 ms plain (docs/decisions/qdrant-server.md)."""
CONCURRENT: Final = 32
"""Requests under way at once, each on a connection that is kept. More would share the same server and our one event loop, and
each would look slower than Qdrant is: with 200 clients at once, reads of one memory ended in time-outs of 10 s."""
_RETRY_FIRST: Final = 0.05
_RETRY_LONGEST: Final = 0.5


class Connection:
    """Requests to one server or cluster. Made after fork; a client's connections are kept and shared by all requests."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._clients: list[AsyncQdrantClient] = []
        self._nodes = Nodes(options.urls)
        self._slots = asyncio.Semaphore(CONCURRENT)

    def open(self) -> None:
        """Make the clients; nothing is sent. Raises ConfigurationError for an address or a CA file that can't be used."""
        if not self._clients:
            self._clients = [_client(url, self._options) for url in self._options.urls]

    async def close(self) -> None:
        clients, self._clients = self._clients, []
        for client in clients:
            await client.close()

    @property
    def address(self) -> str:
        """The node that requests go to."""
        return self._nodes.address

    async def run(
        self, request: Callable[[AsyncQdrantClient], Awaitable[T]], what: str, *, seconds: float | None = None
    ) -> T:
        """The request's answer; sent again where that may help, to another node where this one is silent, until the deadline.

        Raises StorageUnavailableError after `seconds`, StorageBusyError where it had no turn in as long, and what
        `failures.to_error` makes of a refusal.
        """
        if not self._clients:
            raise StorageUnavailableError("The storage is closed.")
        limit = self._options.timeout if seconds is None else seconds
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(passing),
            stop=_enough(min(limit, self._options.retry_seconds), attempts=len(self._clients) + 1),
            wait=tenacity.wait_random_exponential(multiplier=_RETRY_FIRST, max=_RETRY_LONGEST),
            before_sleep=lambda state: self._turn(node, state),
            reraise=True,
        )
        node = self._nodes.current
        try:
            async with self._slot(limit, what), asyncio.timeout(limit):
                async for attempt in retrying:
                    node = self._nodes.current
                    with attempt:
                        return await self._ask(request, node)
        except TimeoutError:
            self._nodes.leave(node)
            raise StorageUnavailableError(
                f"Qdrant at {self._options.where} did not answer within {limit:g} s for {what} (MCP_QDRANT_TIMEOUT)."
            ) from None
        except _driver_errors() as error:
            raise to_error(error, what, self._options) from error
        raise AssertionError("tenacity ends with an answer or an error")

    @asynccontextmanager
    async def _slot(self, limit: float, what: str) -> AsyncIterator[None]:
        """A turn. What waits for it waits for us, not for Qdrant: its time is another, and no failure of the server's."""
        try:
            async with asyncio.timeout(limit):
                await self._slots.acquire()
        except TimeoutError:
            raise StorageBusyError(
                f"Too many requests to Qdrant at {self._options.where} wait: no turn within {limit:g} s for {what}. "
                "Try again in a moment."
            ) from None
        try:
            yield
        finally:
            self._slots.release()

    async def write(
        self,
        request: Callable[[AsyncQdrantClient], Awaitable[UpdateResult]],
        what: str,
        *,
        seconds: float | None = None,
    ) -> None:
        """A write that has been applied, not only logged, by as many replicas as the collection asks for."""

        async def applied(client: AsyncQdrantClient) -> None:
            result = await request(client)
            if str(result.status.value) != "completed":
                raise WriteUnfinishedError

        await self.run(applied, what, seconds=seconds)

    async def get_json(self, path: str, what: str, **path_params: str) -> Any:
        """The `result` of a REST route that the client has no method for, whichever protocol is preferred."""

        async def ask(client: AsyncQdrantClient) -> Any:
            answer: dict[str, Any] = await client.http.client.request(
                type_=dict[str, Any], method="GET", url=path, path_params=path_params
            )
            return answer["result"]

        return await self.run(ask, what)

    async def _ask(self, request: Callable[[AsyncQdrantClient], Awaitable[T]], node: int) -> T:
        client = self._clients[node]
        if len(self._clients) == 1:
            return await request(client)
        return await answer_of_a_living_node(request, client, self._options.urls[node])

    def _turn(self, node: int, state: tenacity.RetryCallState) -> None:
        """Before a request is sent again: to the same node where that one has refused it once, to another where it is silent.

        A node that has just found out that another one is away does without it from then on; the next would have to find out.
        """
        error = state.outcome.exception() if state.outcome else None
        log.debug("request to Qdrant at %s failed, trying again: %s", self._options.urls[node], error)
        answered = error is not None and refusal(error) is not None
        if not answered or state.attempt_number % 2 == 0:
            self._nodes.leave(node, silent=not answered)


def _enough(seconds: float, *, attempts: int) -> Callable[[tenacity.RetryCallState], bool]:
    """Whether a request was sent often enough: for so long behind its first failure, and to every node. A cluster that has lost
    a node may take ten seconds for the refusal of what it then does at once."""
    failures: list[float] = []

    def enough(state: tenacity.RetryCallState) -> bool:
        failures.append(state.outcome_timestamp or 0.0)
        return len(failures) >= attempts and failures[-1] - failures[0] >= seconds

    return enough


def _driver_errors() -> tuple[type[Exception], ...]:
    import grpc  # type: ignore[import-untyped]  # noqa: PLC0415
    from qdrant_client.common.client_exceptions import QdrantException  # noqa: PLC0415
    from qdrant_client.http.exceptions import ApiException  # noqa: PLC0415

    return (ApiException, QdrantException, grpc.RpcError, WriteUnfinishedError, NodeSilentError, ssl.SSLError)


def _client(url: str, options: ServerOptions) -> AsyncQdrantClient:
    from qdrant_client import AsyncQdrantClient  # noqa: PLC0415  (a second and 78 MB: only where a server is used)

    secure = url.startswith("https://")
    if not secure and not url.startswith("http://"):
        raise ConfigurationError(
            f"MCP_QDRANT_URL={shown_url(url)} is not an address: begin it with http:// or https://."
        )
    check_proxies()
    extra: dict[str, Any] = {}
    if secure and options.ca_file is not None:
        extra["verify"] = trust(options.ca_file)
        if options.prefer_grpc:
            extra["grpc_options"] = {"root_certificates": options.ca_file.read_bytes()}
    with warnings.catch_warnings():
        # A key over plain http is what a private network between two containers does; docs/operations tells when not to.
        warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        return AsyncQdrantClient(
            url=url,
            api_key=options.api_key,
            prefer_grpc=options.prefer_grpc,
            grpc_port=options.grpc_port,
            timeout=math.ceil(options.timeout),
            check_compatibility=False,  # done by `versions`, with a message that says what to do
            headers={} if options.prefer_grpc else PLAIN,
            limits=httpx.Limits(
                max_connections=100, max_keepalive_connections=CONCURRENT, keepalive_expiry=IDLE_SECONDS
            ),
            **extra,
        )


def trust(ca_file: Path) -> ssl.SSLContext:
    """Certificates of these authorities and no others. Raises ConfigurationError for a file that can't be used."""
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"MCP_QDRANT_CA_FILE={ca_file} can't be used: {error}") from None
