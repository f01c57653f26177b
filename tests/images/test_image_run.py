"""An image as it is run: without preparation, without network, with a read-only root; its keys, its end, its full disk."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import datetime
from pathlib import Path

import httpx
import pytest

import release_data
from engine import Container, Engine, docker
from mcp_memory import __version__

pytestmark = pytest.mark.slow

PUBLISH = ("--publish", "127.0.0.1::8000")
LOCKED_DOWN = (
    "--read-only",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges:true",
    "--tmpfs",
    "/tmp:mode=1777",
)
ABOUT_THE_MACHINE = ("Unknown CPU vendor",)
"""Warnings at start that come from emulation: ONNX Runtime doesn't know QEMU's processor."""


def client(container: Container, key: str | None = None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=container.url(), headers=headers, timeout=60)


def key_of(container: Container) -> str:
    return container.execute("memory", "key").strip()


def test_plain_run_starts_closed_and_opens_with_the_key_that_it_made(engine: Engine) -> None:
    container = engine.run(options=[*PUBLISH, "--volume", f"{engine.volume()}:/data"])
    container.wait_healthy()
    key = key_of(container)
    assert len(key) >= 40
    assert container.execute("stat", "-c", "%a %u:%g", "/data/api-key", "/data").split() == [
        "600",
        "1000:1000",
        "700",
        "1000:1000",
    ]
    with client(container) as nobody, client(container, "not-the-key") as stranger, client(container, key) as friend:
        assert nobody.get("/api/memories").status_code == 401
        assert stranger.get("/api/memories").status_code == 401
        assert friend.get("/api/memories").status_code == 200
        assert nobody.get("/api/health").status_code == 200
    assert key not in container.logs()


def test_keys_stay_over_restarts_and_differ_between_installations(engine: Engine) -> None:
    volume = engine.volume()
    first = engine.run(options=["--volume", f"{volume}:/data"])
    first.wait_healthy()
    key = key_of(first)
    docker("restart", first.name)
    first.wait_healthy()
    assert key_of(first) == key
    docker("rm", "--force", first.name)
    again = engine.run(options=["--volume", f"{volume}:/data"])
    other = engine.run()
    again.wait_healthy()
    other.wait_healthy()
    assert key_of(again) == key
    assert key_of(other) != key


def test_works_offline_with_a_read_only_root_and_no_capability(engine: Engine) -> None:
    container = engine.run(options=[*LOCKED_DOWN, "--network", "none"])
    container.wait_healthy()
    container.execute("memory", "store", "Anna drinks green tea every morning", "--tag", "drinks")
    container.execute("memory", "store", "Bob bought an electric car in May")
    found = json.loads(container.execute("memory", "search", "hot beverages", "--json"))
    assert "green tea" in json.dumps(found["results"][0])


def test_answers_within_three_seconds_of_its_start(engine: Engine) -> None:
    if os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1):
        pytest.skip(
            "this machine is busy with other work: a time measured now says nothing; run it again when it is idle"
        )
    limit = 3.0 if engine.image.native else 60.0
    taken: list[float] = []
    while len(taken) < 3 and (
        not taken or min(taken) >= limit
    ):  # what else the machine does now and then isn't the image's
        taken.append(_seconds_to_serve(engine))
    assert min(taken) < limit, taken


def _seconds_to_serve(engine: Engine) -> float:
    container = engine.run()
    container.wait_healthy()
    serving = next(json.loads(line) for line in container.logs().splitlines() if '"serving"' in line)
    started = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", container.state["StartedAt"]))
    docker("rm", "--force", "--volumes", container.name)
    return (datetime.fromisoformat(serving["timestamp"]) - started).total_seconds()


def test_log_of_start_and_stop_is_json_without_a_warning(engine: Engine) -> None:
    container = engine.run()
    container.wait_healthy()
    docker("stop", container.name)
    for line in container.logs().splitlines():
        if any(known in line for known in ABOUT_THE_MACHINE):
            continue
        assert json.loads(line)["level"] == "info", line


def test_sigterm_ends_it_in_time_with_code_0(engine: Engine) -> None:
    container = engine.run(options=PUBLISH)
    container.wait_healthy()
    began = time.monotonic()
    docker("stop", "--time", "60", container.name)
    assert time.monotonic() - began < (10 if engine.image.native else 40)
    assert container.state["ExitCode"] == 0


def test_nothing_is_written_outside_data_and_tmp(engine: Engine) -> None:
    container = engine.run()
    container.wait_healthy()
    container.execute("memory", "store", "Where does this go?")
    changed = [line.split(maxsplit=1)[1] for line in docker("diff", container.name).splitlines()]
    assert not [path for path in changed if not path.startswith(("/tmp", "/data"))]
    assert "telemetry" not in container.logs()
    assert container.execute("find", "/data", "-iname", "*microsoft*") == ""


def test_health_check_takes_at_most_100_ms_of_processor(engine: Engine) -> None:
    container = engine.run()
    container.wait_healthy()
    measure = (
        "import resource, subprocess\n"
        "for _ in range(5): subprocess.run(['/usr/bin/python3', '-I', '-S', '/app/healthcheck.py'], check=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print((used.ru_utime + used.ru_stime) / 5)"
    )
    seconds = float(container.execute("/usr/bin/python3", "-c", measure).splitlines()[-1])
    assert seconds < (0.1 if engine.image.native else 2.0)


def test_health_check_fails_where_the_service_does_not_answer(engine: Engine) -> None:
    container = engine.run("60", entrypoint="sleep", options=["--stop-signal", "KILL"])
    done = container.execute("/usr/bin/python3", "-I", "-S", "/app/healthcheck.py", check=False)
    assert "doesn't answer yet" in done


def test_port_in_use_is_said_in_words(engine: Engine) -> None:
    first = engine.run()
    first.wait_healthy()
    second = engine.run(options=["--network", f"container:{first.name}"])
    assert second.wait_ended() == 78
    assert "Port 8000 on 0.0.0.0 is in use by another program" in second.logs()
    assert "Traceback" not in second.logs()


def test_given_key_is_used_and_none_is_made(engine: Engine) -> None:
    container = engine.run(options=[*PUBLISH, "--env", "MCP_API_KEY=given-in-the-environment-1"])
    container.wait_healthy()
    assert key_of(container) == "given-in-the-environment-1"
    assert container.execute("ls", "/data").split().count("api-key") == 0


@pytest.mark.parametrize("state", ["empty", "unreadable"])
def test_lost_key_closes_the_service_instead_of_opening_it(engine: Engine, state: str) -> None:
    volume = engine.volume()
    spoil = {
        "empty": "install -m 600 /dev/null /data/api-key",
        "unreadable": "install -m 0 /etc/hostname /data/api-key",
    }
    engine.output("-c", spoil[state], options=["--volume", f"{volume}:/data"], entrypoint="/bin/sh")
    container = engine.run(options=["--volume", f"{volume}:/data"])
    assert container.wait_ended() == 78
    assert "MCP_GENERATED_KEY_FILE" in container.logs()
    assert "Traceback" not in container.logs()


def test_volume_that_root_made_is_refused_and_readable_after_the_documented_command(engine: Engine) -> None:
    volume = engine.volume()
    mount = ["--volume", f"{volume}:/data"]
    first = engine.run(options=mount)
    first.wait_healthy()
    first.execute("memory", "store", "Root took this away")
    docker("rm", "--force", first.name)
    engine.output("-R", "root:root", "/data", options=[*mount, "--user", "0"], entrypoint="/usr/bin/chown")

    refused = engine.run(options=mount)
    assert refused.wait_ended() == 78
    assert "/data, which belongs to user root, is not writable" in refused.logs()
    assert "A volume that root made" in refused.logs()

    one_shot = ["--user", "0", "--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "DAC_READ_SEARCH", *mount]
    engine.output("-I", "/app/adopt.py", "--data", "/data", options=one_shot, entrypoint="/usr/bin/python3")
    second = engine.run(options=mount)
    second.wait_healthy()
    assert "Root took this away" in second.execute("memory", "list")


def test_full_disk_refuses_writes_loses_nothing_and_recovers(engine: Engine) -> None:
    disk = ["--tmpfs", "/data:size=256m,uid=1000,gid=1000,mode=0700"]
    container = engine.run(options=[*PUBLISH, *disk])
    container.wait_healthy()
    with client(container, key_of(container)) as http:
        acknowledged = [_store(http, f"memory number {number}") for number in range(20)]
        container.execute("sh", "-c", "dd if=/dev/zero of=/data/filler bs=1M 2>/dev/null || true")
        refused = http.post("/api/memories", json={"content": "no room for this one"})
        assert refused.status_code == 507, refused.text
        assert http.get("/api/memories", params={"page_size": 100}).status_code == 200
        container.execute("rm", "/data/filler")
        deadline = time.monotonic() + 90
        while (answer := http.post("/api/memories", json={"content": "room again"})).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.5)
        for content_hash in acknowledged:
            assert http.get(f"/api/memories/{content_hash}").status_code == 200
    assert container.state["Running"]


@pytest.mark.parametrize(
    "archive", sorted(release_data.DATA.glob("release-*-embedded.tar.gz")), ids=lambda path: path.name
)
def test_volume_of_an_earlier_release_is_read_whole_on_every_architecture(engine: Engine, archive: Path) -> None:
    volume = engine.volume()
    release_data.unpack(engine.image, archive, {"data": volume})
    container = engine.run(options=[*PUBLISH, "--volume", f"{volume}:/data"])
    container.wait_healthy()
    with client(container, key_of(container)) as http:
        release_data.expect(http)
        _store(http, "written by this release")


def test_this_release_has_archives_of_its_volumes() -> None:
    names = {path.name for path in release_data.DATA.glob("release-*.tar.gz")}
    wanted = {f"release-{__version__}-{kind}.tar.gz" for kind in ("embedded", "server")}
    assert wanted <= names, "run tests/data/make_release_data.py and commit its files"


def _store(http: httpx.Client, content: str) -> str:
    answer = http.post("/api/memories", json={"content": content})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["content_hash"])


def test_first_text_works_on_an_older_processor(engine: Engine) -> None:
    """A Raspberry Pi 4's has no half precision, no dot product: a library built for newer ones ends there with SIGILL."""
    if engine.image.platform != "linux/arm64" or engine.image.native:
        pytest.skip("needs ARM64 under emulation, where the processor can be chosen")
    container = engine.run(cpu="cortex-a72")
    container.wait_healthy()
    container.execute("memory", "store", "The quick brown fox")
    assert "quick brown fox" in container.execute("memory", "search", "a fast animal")
    assert container.state["Running"]
