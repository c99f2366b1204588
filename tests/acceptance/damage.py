"""Runs that nobody made, and what is done to their documents."""

import json
from pathlib import Path

from batchimg_worker.blob_names import manifest_path, result_path, run_path
from batchimg_worker.contract import HEARTBEAT_METADATA, ImageEntry, ManifestHeader, RunSpec
from batchimg_worker.documents import dump, parse

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"


def halved(services, path: str) -> None:
    content = services.runs.read(path)
    services.runs.write(path, content[: len(content) // 2])


def written(services, run: str, **changes: object) -> RunSpec:
    """A run that nobody made: its description alone."""
    golden = json.loads((GOLDEN / "run-v1.json").read_text())
    spec = parse(RunSpec, json.dumps(golden | {"run": run, "rejected": 0} | changes), run)
    services.runs.write(run_path(run), dump(spec))
    return spec


def with_result(services, spec: RunSpec, *lines: bytes, metadata: bool = True, chunk: int = 0) -> None:
    """A result of one of its chunks, with these lines for records."""
    header = json.loads((GOLDEN / "result-v1.jsonl").read_text().splitlines()[0])
    header |= {"run": spec.run, "chunk": chunk, "done": len(lines), "failed": 0}
    beat = json.loads((GOLDEN / "heartbeat-v1.json").read_text())
    beat |= {"chunk": chunk, "state": "finished", "done": len(lines), "failed": 0, "causes": None}
    services.runs.write(
        result_path(spec.run, chunk),
        b"\n".join([json.dumps(header).encode(), *lines]) + b"\n",
        metadata={HEARTBEAT_METADATA: json.dumps(beat)} if metadata else None,
    )


def with_manifest(services, spec: RunSpec, chunk: int, *paths: str) -> None:
    """A manifest of one of its chunks."""
    header = ManifestHeader(run=spec.run, chunk=chunk, images=len(paths), bytes=len(paths))
    entries = [ImageEntry(path=path, size=1) for path in paths]
    services.runs.write(manifest_path(spec.run, chunk), b"\n".join(map(dump, (header, *entries))) + b"\n")


def record(path: str) -> bytes:
    """The record of an image that is done."""
    return json.dumps({"path": path, "size": 1, "status": "done"}).encode()
