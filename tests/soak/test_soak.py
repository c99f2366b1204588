"""The fast slice of `make soak`: one worker's data path over 1,500 tiny images, and its scales."""

import threading
from random import Random

from batchimg_worker.contract import Attempt, ImageEntry, Limits, PartHeader, RunSpec, Source
from batchimg_worker.documents import dump
from batchimg_worker.journal import Journal
from batchimg_worker.pipeline import FETCHERS, WRITERS, Pipeline, Places
from batchimg_worker.recipe import recipe_from_ops

from processes import Held, Life
from residue import allocated_bytes, sample
from soak import tiny_png

IMAGES, WARM = 1500, 500
MOST_BYTES_AN_IMAGE, MOST_OBJECTS_AN_IMAGE = 1000, 5
"""Less than a picture here, or its record: what is kept of each shows, what is in flight does not."""


class InMemory:
    """The same few originals again and again; what is written is forgotten."""

    def __init__(self, files):
        self._files = files

    def read(self, path):
        return self._files[int(path.removesuffix(".png")) % len(self._files)]

    def write(self, _path, _content, *, md5=None):
        assert md5


def test_a_worker_holds_no_more_after_1500_images_than_after_500(tmp_path):
    random = Random(1)
    files = [tiny_png(random, number) for number in range(50)]
    spec = RunSpec(
        run="run", plan_hash="0", dataset="x", created="2026-01-01T00:00:00Z", client_version="0", images=IMAGES,
        bytes=1, chunks=1, rejected=0, source=Source(container="inputs", prefix=""), limits=Limits(),
        recipe=recipe_from_ops(["thumbnail=12", "size"]),
    )  # fmt: skip
    attempt = Attempt(number=1, node="n", worker_version="0", started="2026-01-01T00:00:00Z")
    file = tmp_path / "journal.jsonl"
    file.write_bytes(dump(PartHeader(run="run", chunk=0, attempts=(attempt,))) + b"\n")
    journal = Journal(file, PartHeader(run="run", chunk=0, attempts=(attempt,)))
    entries = (ImageEntry(path=f"{n}.png", size=len(files[n % len(files)])) for n in range(IMAGES))
    container, seen, before = InMemory(files), [], sample(0)
    for number, record in enumerate(
        Pipeline(spec, Places(container, container), threading.Event()).run(entries), start=1
    ):
        journal.add(record)
        if number in (WARM, IMAGES - 1):
            seen.append(sample(number))
    journal.close()
    assert journal.count == IMAGES
    assert [record.path for record in journal.records()] == [f"{n}.png" for n in range(IMAGES)]
    warm, end = seen
    assert end.allocated_mb - warm.allocated_mb < (IMAGES - WARM) * MOST_BYTES_AN_IMAGE / 2**20
    assert end.objects - warm.objects < (IMAGES - WARM) * MOST_OBJECTS_AN_IMAGE
    assert end.descriptors <= warm.descriptors
    assert end.threads - before.threads <= FETCHERS + WRITERS


def test_what_malloc_gave_out_is_counted():
    before = allocated_bytes()
    held = [bytes(5000) for _ in range(1000)]
    assert allocated_bytes() - before > 4_000_000 * (before > 0)
    assert len(held) == 1000


def test_growth_is_told_from_a_level():
    def life(megabytes, descriptors):
        samples = [Held(float(n), 50 + megabytes * n / 100, 60.0, 9 + descriptors * n // 100) for n in range(101)]
        return Life("worker", 1, samples)

    assert life(0.0, 0).growth() == ""
    assert life(5.0, 0).growth() == ""
    assert life(80.0, 0).growth() == "worker: 90 MB in the middle, 124 MB at the end"
    assert "open files" in life(0.0, 40).growth()
