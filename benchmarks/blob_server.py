"""Blob storage as far as one worker needs it: in memory, on loopback, answering after a given time.

`python benchmarks/blob_server.py SECONDS` prints its port. What is written to ``outputs`` is forgotten.
"""

import asyncio
import sys
from contextlib import suppress

ABOUT = 'ETag: "0x1"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nx-ms-blob-type: BlockBlob\r\n'
CREATED = f"HTTP/1.1 201 Created\r\n{ABOUT}Content-Length: 0\r\n\r\n".encode()
MISSING = b"HTTP/1.1 404 Not Found\r\nx-ms-error-code: BlobNotFound\r\nContent-Length: 0\r\n\r\n"


class Blobs:
    """Path to content."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._blocks: dict[str, list[bytes]] = {}

    def put(self, path: str, query: str, content: bytes) -> bytes:
        """Keep a blob, or a block of one, or put its blocks together in the order that they came."""
        if "comp=block&" in query:
            self._blocks.setdefault(path, []).append(content)
        elif "/outputs/" not in path:
            together = "comp=blocklist" in query
            self._blobs[path] = b"".join(self._blocks.pop(path, [])) if together else content
        return CREATED

    def get(self, path: str, *, head: bool, part: bool) -> list[bytes]:
        """The answer's head and body."""
        content = self._blobs.get(path)
        if content is None:
            return [MISSING]
        size = f"Content-Length: {len(content)}\r\n"
        if head or not part:
            return [f"HTTP/1.1 200 OK\r\n{ABOUT}{size}\r\n".encode(), b"" if head else content]
        whole = f"Content-Range: bytes 0-{len(content) - 1}/{len(content)}\r\n"
        return [f"HTTP/1.1 206 Partial Content\r\n{ABOUT}{whole}{size}\r\n".encode(), content]


async def request(reader: asyncio.StreamReader) -> tuple[str, str, bool, bytes]:
    """Method, path with its query, whether a part is wanted, body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return method, path, "x-ms-range" in headers, body


async def serve(latency: float) -> None:
    """Until it is ended."""
    blobs = Blobs()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                method, target, part, body = await request(reader)
                path, _, query = target.partition("?")
                await asyncio.sleep(latency)
                if method == "PUT":
                    writer.write(blobs.put(path, query, body))
                else:
                    writer.writelines(blobs.get(path, head=method == "HEAD", part=part))
                await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1 << 20)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
