"""Where what lies in blob storage: the containers, and the names of the blobs of a run."""

from batchimg_worker.contract import Attachment

INPUTS = "inputs"
OUTPUTS = "outputs"
RUNS = "runs"


def run_path(run: str) -> str:
    """Where `RunSpec` lies, in the container of runs."""
    return f"{run}/run.json"


def deleting_path(run: str) -> str:
    """Where it is noted that a deletion of the run was begun, in the container of runs."""
    return f"{run}/deleting"


def manifest_path(run: str, chunk: int) -> str:
    """Where a chunk's manifest lies, in the container of runs."""
    return f"{run}/manifests/{chunk:05d}.jsonl"


def result_path(run: str, chunk: int) -> str:
    """Where a chunk's result lies, in the container of runs. The chunk is done if and only if it exists."""
    return f"{run}/results/{chunk:05d}.jsonl"


def part_path(run: str, chunk: int) -> str:
    """Where the records of a chunk lie that is not done yet, in the container of runs."""
    return f"{run}/parts/{chunk:05d}.jsonl"


def band_path(chunk: int, number: int) -> str:
    """Where a band of one result lies until it is joined, below ``runs/<run>/``; ``number`` counts the results."""
    return f"{bands_prefix(chunk)}{number:03d}"


def bands_prefix(chunk: int) -> str:
    """Below what the bands lie that a chunk's task has made, below ``runs/<run>/``."""
    return f"bands/{chunk:05d}/"


def hand_path(run: str, chunk: int) -> str:
    """Where a careful task writes the image in hand before it begins, in the container of runs."""
    return f"{run}/hands/{chunk:05d}"


def ledger_path(run: str) -> str:
    """Where the merged results lie, in the container of runs."""
    return f"{run}/ledger.parquet"


def rejected_path(run: str) -> str:
    """Where the records of images lie that were never sent, in the container of runs."""
    return f"{run}/rejected.jsonl"


def heartbeat_path(run: str, chunk: int) -> str:
    """Where a chunk's heartbeat lies, in the container of runs."""
    return f"{run}/heartbeats/{chunk:05d}"


def attachment_path(run: str, attachment: Attachment) -> str:
    """Where a file that the run brings along lies, in the container of runs."""
    if attachment.kind == "operations":
        return f"{run}/operations/{attachment.sha256}.py"
    return f"{run}/files/{attachment.sha256}"


def log_path(run: str, chunk: int, name: str) -> str:
    """Where what a task printed lies, in the container of runs; ``name`` is stdout.txt or stderr.txt."""
    return f"{run}/logs/{chunk:05d}/{name}"


def output_path(run: str, variant: str, path: str) -> str:
    """Where one picture lies, in the container of outputs."""
    return f"{run}/{variant}/{path}"
