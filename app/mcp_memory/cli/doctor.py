"""`memory doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_memory.cli import exits
from mcp_memory.cli.options import AsJson
from mcp_memory.cli.output import count, emit, print_json
from mcp_memory.cli.service import LONG_SECONDS, service
from mcp_memory.domain.errors import ConfigurationError, MemoryServiceError

if TYPE_CHECKING:
    from mcp_memory.cli.checks import Finding
    from mcp_memory.config import Settings

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


def doctor(
    recall: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Also measure recall@10 against exact search, over so many memories."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Look at the installation only; start nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the installation, the store and the service.

    Says what to do about what is wrong.
    """
    findings: list[Finding] = []
    report: dict[str, Any] = {}
    show = (lambda _: None) if as_json else _print
    for finding in _look():
        findings.append(finding)
        show(finding)
    if not offline and not any(finding.name == "Settings" and finding.verdict == "failed" for finding in findings):
        for finding in asyncio.run(_service(recall, report)):
            findings.append(finding)
            show(finding)
    worst = [finding for finding in findings if finding.verdict == "failed"]
    if as_json:
        print_json({"healthy": not worst, "checks": [asdict(finding) for finding in findings], **report})
    elif worst:
        print(f"\n{count(len(worst), 'check', 'checks')} failed.")
    if worst:
        bad_settings = any(finding.name == "Settings" for finding in worst)
        raise typer.Exit(exits.EX_CONFIG if bad_settings else exits.FAILURE)


def _look() -> Iterator[Finding]:
    from mcp_memory.cli import checks  # noqa: PLC0415 - for this command only
    from mcp_memory.config import load_settings  # noqa: PLC0415
    from mcp_memory.owner.identity import identify  # noqa: PLC0415
    from mcp_memory.owner.nearby import older_stores  # noqa: PLC0415

    yield checks.machine()
    yield checks.native_libraries()
    yield checks.engine_loads()
    try:
        settings = load_settings()
    except ConfigurationError as error:
        yield checks.Finding("Settings", checks.Verdict.FAILED, error.message)
        return
    yield checks.settings_given(settings)
    store = identify(settings)
    yield from checks.folder(settings, store)
    yield checks.owner(store)
    yield from checks.other_accounts(settings)
    if _never_used(settings):
        for notice in older_stores(settings):
            yield checks.Finding("Nearby", checks.Verdict.WARNING, notice)


def _never_used(settings: Settings) -> bool:
    return not (settings.qdrant_path / "manifest.json").exists()


async def _service(recall: int | None, report: dict[str, Any]) -> list[Finding]:
    """What only the running service can tell: model, storage, recall."""
    from mcp_memory.cli.checks import Finding, Verdict  # noqa: PLC0415
    from mcp_memory.config import load_settings  # noqa: PLC0415
    from mcp_memory.owner.nearby import older_stores  # noqa: PLC0415

    try:
        async with service() as remote:
            health = await remote.get("/api/health/detailed")
            model = await remote.get("/api/health/model")
            storage = health["storage"]
            good = storage["status"] == "healthy"
            detail = (
                f"{storage['backend']}, {count(storage['total_memories'] or 0)}" if good else str(storage["message"])
            )
            findings = [
                Finding("Model", Verdict.OK, f"{model['model']}, {model['dimensions']} dimensions"),
                Finding("Storage", Verdict.OK if good else Verdict.FAILED, detail),
            ]
            settings = load_settings()
            if good and not storage["total_memories"] and not _never_used(settings):
                findings += [Finding("Nearby", Verdict.WARNING, notice) for notice in older_stores(settings)]
            if recall is not None:
                measured = await remote.get("/internal/recall", {"samples": recall}, seconds=LONG_SECONDS)
                report["recall"] = measured
                findings.append(_recall(measured))
    except MemoryServiceError as error:
        return [Finding("Service", Verdict.FAILED, error.message)]
    return findings


def _recall(measured: dict[str, Any]) -> Finding:
    from mcp_memory.cli.checks import Finding, Verdict  # noqa: PLC0415

    detail = f"recall@{measured['k']} {measured['recall']:.4f} over {count(measured['samples'])}"
    good = measured["recall"] >= 0.9 or not measured["samples"]
    return Finding(
        "Recall", Verdict.OK if good else Verdict.WARNING, detail, None if good else "Rebuild:  memory optimize"
    )


def _print(finding: Finding) -> None:
    indent = 19
    text = finding.detail + (f"\n{finding.advice}" if finding.advice else "")
    text = text.replace("\n", "\n" + " " * indent)
    emit((f"{finding.verdict:<8}", _STYLES[finding.verdict]), (f"{finding.name:<10} {text}", ""), hang=indent)
