"""The contract between laptop and node: what lies in blob storage for a run, and where.

The worker owns it, because it consumes it. Every document starts with ``schema_version``; a reader that meets
a version or a field that it does not know stops with `ContractVersionError` before it touches a pixel: whatever is
added is a field that is absent where it is not used. Golden files under ``tests/contract`` are added, never edited.

=================================  =========================================================
``runs/<run>/run.json``            `RunSpec`
``runs/<run>/operations/SHA.py``   `Attachment`, a user's own operations
``runs/<run>/files/SHA``           `Attachment`, a file that a step reads
``runs/<run>/manifests/00042``     `ManifestHeader`, then one `ImageEntry` a line
``runs/<run>/results/00042``       `ResultHeader`, then one `ImageResult` a line
``runs/<run>/parts/00042``         `PartHeader`, then the `ImageResult` lines so far of a chunk without a result
``runs/<run>/hands/00042``         the path of the image in hand, of a task whose last attempt vanished
``runs/<run>/heartbeats/00042``    `Heartbeat`, also as metadata of the blob
``runs/<run>/logs/00042/NAME``     the last part of the task's stdout.txt and stderr.txt
``runs/<run>/bands/00042/000``     `BandHeader`, then the encoded pieces of a band, until the image's task of joining
``runs/<run>/ledger.parquet``      all results of the run, one row an image: `batchimg_worker.ledger`
``runs/<run>/deleting``            that a deletion of the run was begun; it goes just before ``run.json``
``outputs/<run>/<variant>/<path>`` the pictures
=================================  =========================================================
"""

from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from batchimg_worker.paths import unsafe_path
from batchimg_worker.recipe import Recipe

SCHEMA_VERSION: Final = 1
TRUNCATED = "truncated: "  # how the note of an image begins that was kept although its end is missing
HEARTBEAT_METADATA = "heartbeat"  # the metadata of heartbeats and results: a listing shows them all at once

RUN_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"  # what a job's id may be, and a folder anywhere


def _safe(path: str) -> str:
    fault = unsafe_path(path)
    if fault is not None:
        raise ValueError(f"{path[:200]!r} is no safe path: {fault}")
    return path


def _safe_prefix(prefix: str) -> str:
    return prefix if not prefix else f"{_safe(prefix.removesuffix('/'))}/" if prefix.endswith("/") else _safe(prefix)


RunName = Annotated[str, Field(pattern=RUN_NAME)]
RelativePath = Annotated[str, Field(min_length=1), AfterValidator(_safe)]
Prefix = Annotated[str, AfterValidator(_safe_prefix)]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
ETag = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Tiles = Literal["auto", "always", "off"] | Annotated[int, Field(ge=16, le=65_536)]
"""When an image is worked on in tiles: where it would not fit as a whole, always, never, or always and of this side."""

Split = Annotated[int, Field(ge=2, le=1_000)]
"""Over how many tasks an image that is done in tiles is split."""

Seconds = Annotated[float, Field(ge=0)]


class Document(BaseModel):
    """A value of the contract: frozen, and without a field that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(Document):
    """What one task may use; an image beyond it is recorded as failed. ``tiles`` is None for auto.

    ``split`` is over how many tasks each image goes that is done in tiles, None for one.
    """

    max_megapixels: Annotated[float, Field(gt=0)] = 200.0
    memory_mb: Annotated[int, Field(ge=512)] = 2048
    image_seconds: Annotated[float, Field(gt=0)] | None = None
    allow_truncated: Literal[True] | None = None
    tiles: Tiles | None = None
    split: Split | None = None


class Source(Document):
    """Where the originals lie. ``account_url`` is None for the run's own storage account."""

    container: str
    prefix: Prefix
    account_url: str | None = None


class Attachment(Document):
    """A file of the user's that a run brings along: its own operations, or what a step reads, a logo say.

    ``name`` is what the user typed, or the recipe says.
    """

    kind: Literal["operations", "file"]
    name: Annotated[str, Field(min_length=1)]
    size: Count
    sha256: Sha256


class RunSpec(Document):
    """A run: what a task has to know, and what a person wants to read about it later.

    The recipe is read as it was written: a reader that runs it calls `Recipe.bound`, after it has loaded the run's own
    operations.

    ``parent`` is the run that this one goes on from: what it had done is not done again.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    run: RunName
    plan_hash: str
    dataset: str
    created: datetime
    client_version: str
    source: Source
    recipe: Recipe
    limits: Limits
    images: Count
    bytes: Count
    chunks: Count
    rejected: Count
    parent: str | None = None
    attachments: tuple[Attachment, ...] | None = None


class ManifestHeader(Document):
    """The first line of a manifest."""

    schema_version: Literal[1] = SCHEMA_VERSION
    run: RunName
    chunk: Count
    images: Count
    bytes: Count


class Band(Document):
    """Some rows of every result of a huge image: band ``number`` of ``of``, from the top, counted from 0."""

    number: Count
    of: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.number >= self.of:
            raise ValueError(f"there is no band {self.number} of {self.of}")
        return self

    def share(self, total: int) -> range:
        """Which of so many strips are this band's: all bands together have each of them once."""
        return range(self.number * total // self.of, (self.number + 1) * total // self.of)


class ImageEntry(Document):
    """One image of a chunk; ``path`` is relative to the source's prefix, with forward slashes.

    ``apart``: the results of another original of the run could get this one's name (see `naming.output_name`).
    With ``band`` only that part of its results is made; with ``joins`` they are joined from the bands that the tasks
    of these chunks have made, from top to bottom. ``etag`` is that of a blob without a checksum, as it was submitted.
    """

    path: RelativePath
    size: Count
    md5: Md5 | None = None
    etag: ETag | None = None
    apart: Literal[True] | None = None
    band: Band | None = None
    joins: Annotated[tuple[Count, ...], Field(min_length=1)] | None = None


class BandHeader(Document):
    """The first line of one result's band: the whole result as far as it is known, and which rows follow.

    ``pixels``: the rows follow as they are, for a small result that is encoded as a whole; else encoded by ``format``.
    ``notes`` is what was decided while its pixels were fitted into the format, ``icc_profile`` is in base64.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    format: str
    pixels: bool
    height: Count
    width: Count
    channels: Annotated[int, Field(ge=1, le=4)]
    value_bytes: Literal[1, 2, 4]
    rows: tuple[Count, Count]
    icc_profile: str | None = None
    notes: tuple[str, ...] = ()


class Output(Document):
    """One picture that was written, below ``outputs/<run>/<variant>/``; of a band, one file below ``runs/<run>/``."""

    variant: str
    path: RelativePath
    size: Count
    md5: Md5
    width: Count
    height: Count


class StageSeconds(Document):
    """Where an image's time went, in seconds; waiting for a turn is not counted."""

    fetch: Seconds = 0.0
    decode: Seconds = 0.0
    compute: Seconds = 0.0
    encode: Seconds = 0.0
    put: Seconds = 0.0


Measure = float | int | str | None | list[float] | dict[str, float | int | str | None]


class ImageResult(Document):
    """The final record of one image in one run. One that is not done has ``error_type`` and ``message``.

    A record with a ``band`` is that of a part of an image: only the task that joins the bands reads it.

    A quarantined image ended its worker twice, or took longer than the limit. ``attempt`` is the task's attempt
    that made the record, ``peak_memory_bytes`` the most that its worker had held by then.
    ``operations`` are the SHA-256 of the user's own files of operations that the run had loaded.
    """

    path: str
    size: Count
    md5: Md5 | None = None
    etag: ETag | None = None
    status: Literal["done", "failed", "quarantined"]
    error_type: str | None = None
    message: str | None = None
    width: Count | None = None
    height: Count | None = None
    outputs: tuple[Output, ...] = ()
    measures: dict[str, Measure] = {}
    notes: tuple[str, ...] = ()
    seconds: StageSeconds = StageSeconds()
    attempt: Count | None = None
    peak_memory_bytes: Count | None = None
    operations: tuple[Sha256, ...] | None = None
    band: Band | None = None

    @property
    def kept_truncated(self) -> bool:
        """Whether the original is truncated, and was done with what there is of it."""
        return self.status == "done" and any(note.startswith(TRUNCATED) for note in self.notes)


class Attempt(Document):
    """One time that a chunk's task was begun, counted from 1 over all jobs of the run; ``job`` is the Batch job."""

    number: Count
    job: str | None = None
    node: str
    worker_version: str
    started: datetime


class PartHeader(Document):
    """The first line of a part: what a chunk without a result has so far. The last attempt is the one that wrote it."""

    schema_version: Literal[1] = SCHEMA_VERSION
    run: str
    chunk: Count
    attempts: tuple[Attempt, ...]


class ResultHeader(Document):
    """The first line of a result. ``failed`` counts the quarantined too; ``attempts`` made the records."""

    schema_version: Literal[1] = SCHEMA_VERSION
    run: RunName
    chunk: Count
    worker_version: str
    node: str
    started: datetime
    finished: datetime
    done: Count
    failed: Count
    bytes_in: Count
    bytes_out: Count
    peak_memory_bytes: Count
    attempts: tuple[Attempt, ...] | None = None


class Heartbeat(Document):
    """How far a task is. The last one, in the result's metadata, has ``state`` finished.

    ``causes`` counts the failed images by ``error_type``. ``truncated`` counts those of ``done`` that were kept
    although their end is missing; None for none.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    chunk: Count
    state: Literal["running", "finished", "stopped"]
    done: Count
    failed: Count
    total: Count
    bytes_in: Count
    bytes_out: Count
    node: str
    started: datetime
    updated: datetime
    attempt: Count | None = None
    causes: dict[str, Count] | None = None
    truncated: Count | None = None
