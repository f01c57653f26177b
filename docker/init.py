"""What has to be there before Qdrant and the service start: random keys, made once, and folders that only they can open.

    python3 -I init.py --keys FOLDER --qdrant-config FOLDER --qdrant FOLDER... [--metrics-key FOLDER]
    python3 -I init.py [--qdrant-key FILE --qdrant-config FOLDER --qdrant FOLDER] [--data FOLDER]

each where a volume is mounted:
    --keys           gets api-key (the clients'), qdrant-api-key, metrics-key: the service reads them
    --qdrant-config  gets qdrant.yaml, with Qdrant's key: Qdrant is started with --config-path
    --qdrant         gets a folder `private` (0700) that Qdrant's paths point below; Qdrant has it at /qdrant/storage
    --metrics-key    gets metrics-key alone, readable for a group that this process is in (METRICS_GID): Prometheus's
The second form is the chart's, where keys come from a Secret:
    --qdrant-key     the file with Qdrant's key
    --qdrant-host    the address that Qdrant listens on (all, if not given)
    --data           gets `private/memory` (0700), the service's own folder; may be the same volume as Qdrant's

QDRANT_API_KEY replaces Qdrant's key; QDRANT_CLUSTER=true adds what nodes of a cluster need. Runs as the user of the service
and of Qdrant, needs no network, changes nothing when it runs again. Ends with 78 where a person has to do something.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from pathlib import Path

EX_CONFIG = 78
KEY_BYTES = 32
QDRANT_STORAGE = "/qdrant/storage/private"


class NeedsPersonError(Exception):
    """Something that another start won't mend."""


def prepare(keys: Path, qdrant_config: Path, qdrant_volumes: list[Path], metrics: Path | None) -> None:
    """Compose's volumes: keys are made here."""
    os.umask(0o077)
    for volume in [keys, qdrant_config, *qdrant_volumes, *([metrics] if metrics else [])]:
        require_writable(volume)
    for volume in qdrant_volumes:
        refuse_foreign_data(volume)
    for volume in (keys, qdrant_config):
        volume.chmod(0o700)
    for volume in qdrant_volumes:
        make_private(volume / "private")

    kept(keys / "api-key")
    kept(keys / "metrics-key")
    qdrant_key = kept(keys / "qdrant-api-key", given=os.environ.get("QDRANT_API_KEY", "").strip())
    replace(qdrant_config / "qdrant.yaml", qdrant_yaml(qdrant_key, cluster=os.environ.get("QDRANT_CLUSTER") == "true"))
    if metrics is not None:
        share(keys / "metrics-key", metrics, int(os.environ["METRICS_GID"]))
    print("keys and folders are ready")


def prepare_pod(
    qdrant_key: Path | None, qdrant_config: Path | None, qdrant_volumes: list[Path], data: Path | None, host: str
) -> None:
    """The volumes of a pod: keys are there, and volumes belong to root and the pod's group."""
    os.umask(0o077)
    for volume in dict.fromkeys([*qdrant_volumes, *([data] if data else [])]):
        require_writable(volume)
        refuse_foreign_data(volume)
        make_private(volume / "private")
    if data is not None:
        make_private(data / "private" / "memory")
    if qdrant_key is not None and qdrant_config is not None:
        key = qdrant_key.read_text("ascii").strip()
        if not key:
            raise NeedsPersonError(f"{qdrant_key} is empty: Qdrant would be open to all. Give its Secret a key.")
        replace(qdrant_config / "qdrant.yaml", qdrant_yaml(key, cluster=False, host=host))
    print("folders are ready")


def make_private(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)  # exactly: a volume may hand its setgid bit to new folders


def require_writable(volume: Path) -> None:
    if not os.access(volume, os.R_OK | os.W_OK | os.X_OK):
        owner = volume.stat().st_uid
        raise NeedsPersonError(
            f"The volume at {volume} belongs to user {owner}, and this runs as user {os.getuid()}. {how_to_adopt()}"
        )


def refuse_foreign_data(volume: Path) -> None:
    """Data that Qdrant wrote into the volume itself, as another user or before it had a folder of its own there."""
    found = sorted(path.name for path in volume.iterdir() if path.name not in {"private", "lost+found"})
    if found:
        shown = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        raise NeedsPersonError(
            f"Qdrant's volume holds data outside the folder `private` ({shown}), probably written by root. {how_to_adopt()}"
        )


def how_to_adopt() -> str:
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return 'Nothing was changed. docs/kubernetes.md, "A volume that root wrote", has the one Job that moves it.'
    return (
        "Nothing was changed. Move its data to where this installation keeps it, once, with everything stopped:\n"
        "  docker compose down\n"
        "  docker compose --profile adopt run --rm adopt\n"
        "  docker compose up"
    )


def kept(path: Path, given: str = "") -> str:
    """The key in this file: the one given, the one that is there, or a new random one. Never an empty one."""
    if not given and path.exists():
        key = path.read_text("ascii").strip()
        if not key:
            raise NeedsPersonError(f"{path} is empty. Remove it, and a new key is made at the next start.")
        return key
    key = given or secrets.token_urlsafe(KEY_BYTES)
    if not path.exists() or path.read_text("ascii").strip() != key:
        replace(path, key + "\n")
    return key


def replace(path: Path, text: str, *, mode: int = 0o600, group: int = -1) -> None:
    """Old or new, whole, whatever happens."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        os.fchown(file.fileno(), -1, group)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def qdrant_yaml(key: str, *, cluster: bool, host: str = "") -> str:
    lines = [
        "# Made by the init step at every start: see docs/install.md before you change it.",
        "log_level: INFO,actix_web::middleware::logger=WARN",  # the health check asks without a key, every few seconds
        "telemetry_disabled: true",
        "service:",
        f"  api_key: {json.dumps(key)}",
        "  enable_cors: false",
        "  enable_static_content: false",
        "  enable_snapshot_url_recovery: false",
    ]
    if host:
        lines.append(f"  host: {json.dumps(host)}")
    if cluster:
        lines.append("  enforce_internal_auth: true")
    lines += [
        "storage:",
        f"  storage_path: {QDRANT_STORAGE}/data",
        f"  snapshots_path: {QDRANT_STORAGE}/snapshots",
    ]
    if cluster:
        lines += ["cluster:", "  enabled: true"]
    return "\n".join(lines) + "\n"


def share(key: Path, folder: Path, group: int) -> None:
    os.chown(folder, -1, group)
    folder.chmod(0o750)
    replace(folder / "metrics-key", key.read_text("ascii"), mode=0o640, group=group)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=Path)
    parser.add_argument("--qdrant-config", type=Path)
    parser.add_argument("--qdrant", type=Path, nargs="+", default=[])
    parser.add_argument("--metrics-key", type=Path)
    parser.add_argument("--qdrant-key", type=Path)
    parser.add_argument("--qdrant-host", default="")
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    if (options.qdrant_config is None) != (not options.qdrant) or (options.keys is not None and not options.qdrant):
        parser.error("--qdrant-config and --qdrant go together, and --keys needs them")
    try:
        if options.keys is not None:
            prepare(options.keys, options.qdrant_config, options.qdrant, options.metrics_key)
        else:
            prepare_pod(options.qdrant_key, options.qdrant_config, options.qdrant, options.data, options.qdrant_host)
    except NeedsPersonError as problem:
        print(problem, file=sys.stderr)
        sys.exit(EX_CONFIG)
