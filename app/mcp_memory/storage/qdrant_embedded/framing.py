"""Frames on a non-blocking socket, as the engine's loop needs them."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import msgspec

from mcp_memory.storage.qdrant_embedded.protocol import HEADER, MAX_FRAME, Request, Response, frame, request_decoder

RECEIVE = 256 * 1024
UNSENT_LIMIT = 8 * 1024 * 1024


class ProtocolError(Exception):
    """The other side doesn't speak this protocol; the connection is closed."""


class Connection:
    """One client of the engine."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.greeted = False
        self.left = False
        """This client has said that it goes."""
        self.builder = False
        """This client builds the next generation (it subscribed to the journal)."""
        self._received = bytearray()
        self._unsent = bytearray()

    @property
    def waiting_to_send(self) -> bool:
        return bool(self._unsent)

    @property
    def clogged(self) -> bool:
        """The client doesn't read its answers: nothing more is read from it meanwhile."""
        return len(self._unsent) > UNSENT_LIMIT

    def receive(self) -> Iterator[tuple[int, Request]]:
        """Complete requests. Raises ConnectionError at the end of the stream, ProtocolError for what isn't a request."""
        try:
            data = self.sock.recv(RECEIVE)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionResetError("closed by the client")
        self._received += data
        while len(self._received) >= HEADER.size:
            length, number = HEADER.unpack_from(self._received)
            if length > MAX_FRAME:
                raise ProtocolError(f"a frame of {length:,} bytes")
            end = HEADER.size + length
            if len(self._received) < end:
                return
            body = bytes(memoryview(self._received)[HEADER.size : end])
            del self._received[:end]
            try:
                yield number, request_decoder.decode(body)
            except msgspec.MsgspecError as error:
                raise ProtocolError(str(error)) from error

    def answer(self, number: int, response: Response) -> None:
        self._unsent += frame(number, response)

    def answer_with(self, number: int, response: Response, descriptors: list[int]) -> None:
        """Answer at once, open files along. Only where nothing else is on its way to this client."""
        self.sock.setblocking(True)
        if descriptors:
            socket.send_fds(self.sock, [frame(number, response)], descriptors)
        else:
            self.sock.sendall(frame(number, response))
        self.sock.setblocking(False)

    def send(self) -> None:
        """Send what the socket takes now. Raises ConnectionError or BrokenPipeError where the client is gone."""
        while self._unsent:
            try:
                sent = self.sock.send(memoryview(self._unsent)[:RECEIVE])
            except BlockingIOError:
                return
            del self._unsent[:sent]

    def close(self) -> None:
        self.sock.close()
