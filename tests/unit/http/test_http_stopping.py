"""The end of the service, while requests are in work that take longer than it waits."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from served import served
from starlette.responses import PlainTextResponse

pytestmark = pytest.mark.anyio
ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_a_request_that_outlasts_the_end_is_answered_with_503_and_no_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arrived = asyncio.Event()

    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        arrived.set()
        await asyncio.Event().wait()

    caplog.set_level(logging.WARNING)
    async with served(stuck, tmp_path, graceful_seconds=0.2) as service:
        answer = asyncio.create_task(service.ask(ASK))
        await arrived.wait()
        service.server.stop()
        head, _, body = (await answer).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in head.lower()
    assert json.loads(body)["error"]["code"] == "stopping"
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []


async def test_an_answer_that_had_begun_stays_without_its_end_and_no_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arrived = asyncio.Event()

    async def streaming(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"line\n", "more_body": True})
        arrived.set()
        await asyncio.Event().wait()

    caplog.set_level(logging.WARNING)
    async with served(streaming, tmp_path, graceful_seconds=0.2) as service:
        reader, writer = await service.connect()
        writer.write(ASK)
        await arrived.wait()
        service.server.stop()
        try:
            answer = await reader.read()
        except ConnectionResetError:
            answer = b""
        writer.close()
    assert b"0\r\n\r\n" not in answer
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []


async def test_a_request_that_ends_in_time_is_finished(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        arrived.set()
        await asyncio.sleep(0.2)
        await PlainTextResponse("done")(scope, receive, send)

    async with served(slow, tmp_path, graceful_seconds=5) as service:
        answer = asyncio.create_task(service.ask(ASK))
        await arrived.wait()
        service.server.stop()
        assert (await answer).endswith(b"done")
