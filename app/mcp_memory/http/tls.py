"""TLS on the TCP socket: certificate and key of the settings, renewed ones too, and the handshake of each connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mcp_memory.config import Settings
from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.loggers import structlog

if TYPE_CHECKING:
    from mcp_memory.http.protocol import BoundedProtocol

HANDSHAKE_SECONDS = 10.0
LOOK_SECONDS = 10.0
log = structlog.stdlib.get_logger("mcp_memory.http")


def certificate_of(settings: Settings) -> Certificate | None:
    """What MCP_HTTPS_ENABLED asks for; None where TLS is off. Raises ConfigurationError as `Certificate` does."""
    files = settings.tls_files
    return None if files is None else Certificate(*files)


class Certificate:
    """The certificate that clients are shown, of the files as they are now: who renews them needn't restart the service.

    Raises ConfigurationError where certificate or key is missing, can't be read, or doesn't fit the other. Later such files are
    logged, and the certificate before goes on being shown.
    """

    def __init__(self, certificate: Path, key: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._files = certificate, key
        self._clock = clock
        self._seen = self._stamps()
        self._looked = clock()
        self._context = _loaded(certificate, key)

    def context(self) -> ssl.SSLContext:
        """For the next handshake. The files are looked at every 10 s at most, and read when they have changed."""
        if self._clock() - self._looked >= LOOK_SECONDS:
            self._looked = self._clock()
            self._look()
        return self._context

    def _look(self) -> None:
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self._context = _loaded(*self._files)
        except ConfigurationError as error:
            log.warning("the certificate before is kept: the changed files can't be used", reason=error.message)
        else:
            log.info("the certificate was renewed", file=str(self._files[0]))

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(file) for file in self._files]


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """What differs once a file has been written or replaced, or a link to it points elsewhere; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _loaded(certificate: Path, key: Path) -> ssl.SSLContext:
    _refuse_unreadable("MCP_SSL_CERT_FILE", certificate)
    _refuse_unreadable("MCP_SSL_KEY_FILE", key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a password would ask for it on the terminal, where nobody may sit.
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else None
        raise ConfigurationError(
            f"TLS can't be served with MCP_SSL_CERT_FILE={certificate} and MCP_SSL_KEY_FILE={key}: "
            f"{(reason or str(error)).replace('_', ' ').lower()}.\n"
            "Both must be PEM files, the key without a password and of this very certificate: "
            f"openssl x509 -noout -pubkey -in {certificate}; openssl pkey -pubout -in {key}"
        ) from None
    return context


def _refuse_unreadable(name: str, file: Path) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise ConfigurationError(f"{name}={file} can't be read: {error.strerror}.") from None


def _no_password() -> str:
    raise ValueError("the key is protected by a password")


class TlsDoor(asyncio.Protocol):
    """Does the handshake of a TCP connection and then lets HTTP have it. The local socket needs no TLS and gets none.

    Done here and not by the listening socket, whose connections nobody would count or end while they shake hands.
    """

    def __init__(self, *, make: Callable[..., BoundedProtocol], tls: Certificate, **options: Any) -> None:
        self._http = make(**options)
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._encrypted: list[bytes] = []
        """What came before the handshake was looked for: uvloop reads from the first moment on."""
        self._early: list[bytes] = []
        """What came in the same packet as the end of the handshake."""
        self._handed_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        sock = transport.get_extra_info("socket")
        if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
            transport.set_protocol(self._http)
            self._http.connection_made(transport)
            return
        self._transport = transport
        if not self._http.tcp.enter(self):
            transport.abort()
            return
        self._task = asyncio.get_running_loop().create_task(self._shake_hands(transport), name="TLS handshake")

    async def _shake_hands(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        handshake = loop.create_task(
            loop.start_tls(
                transport, self, self._tls.context(), server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        )
        try:
            await asyncio.sleep(0)  # its first step makes TLS the transport's protocol
            self._hand_over(transport)
            secured = await handshake
        except (
            OSError,
            TimeoutError,
        ):  # no TLS, a client that trusts nobody here, one that went away: ssl.SSLError is one
            transport.abort()
            return
        finally:
            handshake.cancel()
            self._http.tcp.left(self)
        if secured is None or secured.is_closing():
            return
        secured.set_protocol(self._http)
        self._http.socket_transport = transport
        self._http.connection_made(secured)
        for data in self._early:
            self._http.data_received(data)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        self._handed_over = True
        protocol = cast("asyncio.BufferedProtocol", transport.get_protocol())  # uvloop's is one in all but name
        data = b"".join(self._encrypted)
        while data:
            buffer = memoryview(protocol.get_buffer(len(data)))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            protocol.buffer_updated(size)
            data = data[size:]

    def data_received(self, data: bytes) -> None:
        (self._early if self._handed_over else self._encrypted).append(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        self._http.tcp.left(self)

    def leave(self) -> None:
        """Close at once: the place is needed."""
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.abort()
