"""Blob storage as far as one worker needs it: in memory, on loopback, answering after a given time.

`python benchmarks/blob_server.py SECONDS [MB_A_SECOND]` prints its port. What is written to ``outputs`` is forgotten.
Accounts share their blobs; each has a network of its own of that bandwidth, for all its connections together. What it
has brought is told in bytes by ``GET /account?bytes``.
"""

import asyncio
import re
import sys
import time
from collections import Counter
from contextlib import suppress
from urllib.parse import parse_qs

ABOUT = 'ETag: "0x1"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nx-ms-blob-type: BlockBlob\r\n'
CREATED = f"HTTP/1.1 201 Created\r\n{ABOUT}Content-Length: 0\r\n\r\n".encode()
SLICE = 256 << 10
MISSING = b"HTTP/1.1 404 Not Found\r\nx-ms-error-code: BlobNotFound\r\nContent-Length: 0\r\n\r\n"


class Blobs:
    """Path to content."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._blocks: dict[str, dict[str, bytes]] = {}

    def put(self, path: str, query: str, content: bytes) -> bytes:
        """Keep a blob, or a block of one, or put its blocks together as their list says."""
        if "comp=block&" in query:
            self._blocks.setdefault(path, {})[parse_qs(query)["blockid"][0]] = content
            return CREATED
        blocks = self._blocks.pop(path, {})
        if "comp=blocklist" in query:
            content = b"".join(blocks[name] for name in re.findall(r"<Latest>([^<]+)</Latest>", content.decode()))
        if not path.startswith("/outputs/"):
            self._blobs[path] = content
        return CREATED

    def get(self, path: str, *, head: bool, part: str) -> tuple[bytes, memoryview]:
        """The answer's head and body; ``part`` is the range that is wanted, empty for all."""
        content = self._blobs.get(path)
        if content is None:
            return MISSING, memoryview(b"")
        if head or not part:
            size = f"Content-Length: {len(content)}\r\n"
            return f"HTTP/1.1 200 OK\r\n{ABOUT}{size}\r\n".encode(), memoryview(b"" if head else content)
        first, _, last = part.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last or len(content)) + 1, len(content))
        whole = f"Content-Range: bytes {start}-{stop - 1}/{len(content)}\r\nContent-Length: {stop - start}\r\n"
        return f"HTTP/1.1 206 Partial Content\r\n{ABOUT}{whole}\r\n".encode(), memoryview(content)[start:stop]


class Networks:
    """What each account's network has brought, no faster than so many bytes a second; 0 for as fast as it goes."""

    def __init__(self, bandwidth: float) -> None:
        self._bandwidth = bandwidth
        self._free: dict[str, float] = {}
        self.brought = Counter[str]()

    async def bring(self, account: str, writer: asyncio.StreamWriter, body: memoryview) -> None:
        """Send a body, slice by slice."""
        for start in range(0, len(body), SLICE):
            part = body[start : start + SLICE]
            if self._bandwidth:
                now = time.monotonic()
                self._free[account] = max(now, self._free.get(account, now)) + len(part) / self._bandwidth
                await asyncio.sleep(self._free[account] - now)
            writer.write(part)
            await writer.drain()
            self.brought[account] += len(part)


async def request(reader: asyncio.StreamReader) -> tuple[str, str, str, bytes]:
    """Method, path with its query, which part is wanted, body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return method, path, headers.get("x-ms-range", ""), body


async def serve(latency: float, bandwidth: float) -> None:
    """Until it is ended."""
    blobs, networks = Blobs(), Networks(bandwidth)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                method, target, part, body = await request(reader)
                path, _, query = target.partition("?")
                _, account, *rest = path.split("/")
                path = f"/{'/'.join(rest)}"
                if query == "bytes":
                    told = str(networks.brought[account]).encode()
                    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(told)}\r\n\r\n".encode() + told)
                    continue
                await asyncio.sleep(latency)
                if method == "PUT":
                    writer.write(blobs.put(path, query, body))
                else:
                    head, content = blobs.get(path, head=method == "HEAD", part=part)
                    writer.write(head)
                    await networks.bring(account, writer, content)
                await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1 << 20)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), float(sys.argv[2]) * 1e6 if len(sys.argv) > 2 else 0.0))
