"""Backups by the CronJob, into a claim and into a bucket, and memories restored from them in another release."""

from __future__ import annotations

import gzip
import json
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chart_cluster import TOOLS, Release, apply, delete_pod, eventually, get, kubectl, pod_manifest, run, start_pod

TEXTS = [f"Memory number {number}, ärgerlich “quoted”\nand on a second line" for number in range(12)]


@pytest.fixture(scope="module")
def release(new_release: Callable[..., Release]) -> Iterator[Release]:
    release = new_release(
        "memory", mode="sidecar", **{"backup.enabled": True, "backup.keep": 2, "backup.schedule": "0 0 1 1 *"}
    )
    release.install()
    lines = "\n".join(json.dumps({"content": text, "tags": ["kept"], "metadata": {"n": 1}}) for text in TEXTS)
    release.memory("import", "-", stdin=lines.encode())
    yield release
    release.uninstall()


def back_up(release: Release, name: str) -> str:
    """Run the CronJob's job now; what it said."""
    asked = ("--namespace", release.namespace)
    kubectl(*asked, "create", "job", f"--from=cronjob/{release.full}-backup", name)
    kubectl(*asked, "wait", f"job/{name}", "--for=condition=Complete", "--timeout=180s")
    return kubectl(*asked, "logs", f"job/{name}")


def files(release: Release) -> list[str]:
    asked = ("--namespace", release.namespace, "exec", "reader", "--")
    return sorted(kubectl(*asked, "ls", "-A", "/claim").split())


def test_backups_are_complete_and_the_oldest_goes(release: Release) -> None:
    start_pod(release.namespace, pod_manifest("reader", ["sleep", "infinity"], claim=f"{release.full}-backup"))
    for number in range(3):
        said = back_up(release, f"by-hand-{number}")
        assert f"{len(TEXTS)} memories" in said
    found = [name for name in files(release) if name != "lost+found"]  # the first one, of the install, went too
    assert len(found) == 2
    assert all(name.startswith("memories-") and name.endswith(".jsonl.gz") for name in found)


def test_a_backup_is_restored_into_another_release(release: Release, new_release: Callable[..., Release]) -> None:
    newest = files(release)[-1]
    packed = subprocess.run(
        ["kubectl", "--namespace", release.namespace, "exec", "reader", "--", "cat", f"/claim/{newest}"],
        capture_output=True,
        check=True,
    ).stdout
    second = new_release("restored", mode="embedded")
    second.install()
    second.memory("import", "-", stdin=gzip.decompress(packed))
    assert second.count() == len(TEXTS)
    exported = [json.loads(line) for line in release.memory("export", "-").splitlines()]
    restored = [json.loads(line) for line in second.memory("export", "-").splitlines()]
    by_hash = {one["content_hash"]: one for one in exported}
    assert {one["content_hash"]: one for one in restored} == by_hash
    second.uninstall()
    delete_pod(release.namespace, "reader")


def test_a_backup_that_breaks_off_leaves_nothing(release: Release) -> None:
    """With a wrong key the job fails, says why, and no half backup is there."""
    asked = ("--namespace", release.namespace)
    job = json.loads(
        kubectl(*asked, "create", "job", f"--from=cronjob/{release.full}-backup", "wrong", "--dry-run=client", "-ojson")
    )
    job["spec"]["backoffLimit"] = 0
    volume = next(one for one in job["spec"]["template"]["spec"]["volumes"] if one["name"] == "key")
    volume["secret"]["items"][0]["key"] = "metrics-key"
    apply(release.namespace, job)
    kubectl(*asked, "wait", "job/wrong", "--for=condition=Failed", "--timeout=120s")
    assert "the service answered 401" in kubectl(*asked, "logs", "job/wrong")
    start_pod(release.namespace, pod_manifest("reader", ["sleep", "infinity"], claim=f"{release.full}-backup"))
    assert [name for name in files(release) if name.endswith(".part")] == []
    delete_pod(release.namespace, "reader")


def test_backups_go_into_a_bucket_and_the_oldest_goes(release: Release, tmp_path: Path) -> None:
    program = TOOLS / "versitygw"
    if not program.exists():
        pytest.skip("versitygw, an S3 server, is not built: make test-chart-cluster builds it")
    host = node_address()
    if run("hostname", "--all-ip-addresses").split().count(host) == 0:
        pytest.skip("the cluster's node is not this machine: pods would not reach an S3 server here")
    bucket = tmp_path / "backups"
    bucket.mkdir()
    key, secret = "test-access", secrets.token_urlsafe(24)
    server = subprocess.Popen(
        [str(program), "--port", f"{host}:17070", "--access", key, "--secret", secret, "posix", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: answers(f"http://{host}:17070/"), seconds=30, what="the S3 server")
        keys = {"access-key-id": key, "secret-access-key": secret}
        apply(
            release.namespace,
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "stringData": keys},
        )
        s3 = {"bucket": "backups", "endpoint": f"http://{host}:17070", "existingSecret": "s3"}
        release.upgrade(**{f"backup.s3.{name}": value for name, value in s3.items()})
        for number in range(3):
            assert f"{len(TEXTS)} memories" in back_up(release, f"to-s3-{number}")
            time.sleep(1.1)  # names hold the second
        found = sorted(bucket.rglob("*.jsonl.gz"))
        assert len(found) == 2
        assert found[0].parent == bucket / release.namespace / release.name
        lines = gzip.decompress(found[-1].read_bytes()).splitlines()
        assert {json.loads(line)["content"] for line in lines} == set(TEXTS)
    finally:
        server.terminate()
        server.wait(20)


def node_address() -> str:
    nodes = json.loads(kubectl("get", "nodes", "--output", "json"))["items"]
    return next(one["address"] for one in nodes[0]["status"]["addresses"] if one["type"] == "InternalIP")


def answers(url: str) -> None:
    try:
        urllib.request.urlopen(url, timeout=2)
    except urllib.error.HTTPError:
        return
    except OSError as error:
        raise AssertionError(str(error)) from error


def test_uninstalling_keeps_the_backups(release: Release) -> None:
    annotations = get("pvc", f"{release.full}-backup", release.namespace)["metadata"]["annotations"]
    assert annotations["helm.sh/resource-policy"] == "keep"
