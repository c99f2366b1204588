"""What commands make of runs whose documents are damaged, half deleted or without a job."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from batchimg.deletion import is_being_deleted
from batchimg.download import Folder, download
from batchimg.errors import InputError
from batchimg.ledger import batches, states
from batchimg.retry import Wanted, plan_retry
from batchimg.runs import cancel, delete, find_name, find_run
from batchimg.snapshot import take
from batchimg.watch import follow, status
from batchimg.why import Verdict, reason_of
from batchimg_worker.blob_names import (
    deleting_path,
    heartbeat_path,
    ledger_path,
    manifest_path,
    part_path,
    rejected_path,
    run_path,
)
from batchimg_worker.contract import HEARTBEAT_METADATA, ImageEntry, ManifestHeader
from batchimg_worker.documents import dump
from batchimg_worker.errors import ContractError

from damage import GOLDEN, halved, with_result, written
from in_process import ended, placed, told_of
from made_images import noise


@pytest.fixture(scope="module")
def grown(services, tmp_path_factory):
    """A folder that was done in two runs, the second of which goes on from the first, and that has grown again."""
    folder = noise(tmp_path_factory.mktemp("line") / "grown", 2)
    first = placed(services, folder, chunk_images=1).spec
    ended(services, first)
    noise(folder, 1, name="second-{}.png")
    second = placed(services, folder).spec
    ended(services, second)
    noise(folder, 1, name="third-{}.png")
    return folder, first, second


def test_a_damaged_latest_run_is_known_again_by_its_hash_and_nothing_is_done_twice(services, grown):
    folder, first, second = grown
    halved(services, run_path(second.run))
    events: list = []
    third = placed(services, folder, observer=events.append)
    assert (third.spec.images, third.known, third.spec.parent) == (1, 3, second.run)
    assert f"{second.run}/run.json was damaged: it is written anew" in told_of(events)
    mended = find_run(services, second.run)
    assert mended.model_copy(update={"created": second.created}) == second
    assert first.created < mended.created < third.spec.created
    ended(services, third.spec)
    delete(services, third.spec.run)


def test_a_damaged_run_that_cannot_be_known_again_is_told_and_what_it_did_is_done_again(services, grown):
    folder, first, second = grown
    written_before = services.runs.read(manifest_path(second.run, 0))
    halved(services, run_path(second.run))
    services.runs.write(manifest_path(second.run, 0), b"{")
    events: list = []
    third = placed(services, folder, observer=events.append)
    assert (third.spec.images, third.known, third.spec.parent) == (2, 2, first.run)
    assert f"batchimg delete {second.run}" in told_of(events)
    assert "done again" in told_of(events)
    ended(services, third.spec)
    delete(services, third.spec.run)
    services.runs.write(run_path(second.run), dump(second))
    services.runs.write(manifest_path(second.run, 0), written_before)


def test_a_run_is_not_deleted_while_a_damaged_one_needs_it_or_may_need_it(services):
    parent = written(services, "kept-0123456789", chunks=1)
    with_result(services, parent)
    child = written(services, "kept-r1-0123456789", parent=parent.run)
    whole = services.runs.read(run_path(child.run))
    newer = json.dumps(json.loads(whole) | {"schema_version": 2}).encode()
    deep = b"[" * 100_000  # no reader goes so far down
    named, unnamed = (newer, whole + b"}", deep + whole), (whole[:100], deep)
    cases = [*((one, "goes on from") for one in named), *((one, "may go on from") for one in unnamed)]
    for content, says in cases:
        services.runs.write(run_path(child.run), content)
        with pytest.raises(InputError, match=f"{child.run} {says}") as caught:
            delete(services, parent.run)
        assert f"batchimg delete {child.run}" in caught.value.hint
    stranger = written(services, "stranger-0123456789")
    assert delete(services, stranger.run).blobs == 1
    services.runs.write(run_path(child.run), whole[:100])
    assert find_name(services, child.run) == child.run
    assert not cancel(services, child.run)
    halved(services, run_path(parent.run))
    assert delete(services, find_name(services, child.run)).blobs == 1
    assert delete(services, parent.run).blobs == 2


def interrupted_deletion(services, run: str) -> None:
    """Interrupted when the results are gone."""

    def stop(_event: object) -> None:
        if not list(services.runs.list(f"{run}/results/")):
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        delete(services, run, stop)


def test_a_half_deleted_run_says_so_and_a_submit_makes_all_of_it_anew(services, tmp_path):
    folder = noise(tmp_path / "halfway", 2)
    (folder / "bad\udcff.png").write_bytes(b"")
    spec = placed(services, folder).spec
    ended(services, spec)
    interrupted_deletion(services, spec.run)
    assert is_being_deleted(services, spec.run)
    now = status(services, spec)
    assert (now.state, now.is_over, now.all_done) == ("deleting", True, False)
    assert "delete" in (now.note or "")
    reason = reason_of(take(services, spec)).finding
    assert (reason.name, reason.verdict) == ("deleting", Verdict.INCOMPLETE)
    with pytest.raises(InputError, match="being deleted"):
        plan_retry(services, spec, Wanted())
    for blob in services.outputs.list(f"{spec.run}/"):
        services.outputs.delete(blob.path)
    services.runs.delete(rejected_path(spec.run))
    again = placed(services, folder).spec
    assert again.run == spec.run
    assert ended(services, again).state == "completed"
    assert len(list(services.outputs.list(f"{spec.run}/"))) == 2
    assert services.runs.stat(rejected_path(spec.run)) is not None
    delete(services, spec.run)
    assert not list(services.runs.list(f"{spec.run}/"))


def test_a_deletion_leaves_the_description_of_a_run_that_is_submitted_anew_meanwhile(services):
    spec = written(services, "anew-0123456789", chunks=1)
    with_result(services, spec)
    with pytest.raises(InputError, match="submitted anew") as caught:
        delete(services, spec.run, lambda _event: services.runs.delete(deleting_path(spec.run)))
    assert f"batchimg delete {spec.run}" in caught.value.hint
    assert find_run(services, spec.run) == spec
    assert delete(services, spec.run).blobs == 1


def test_two_deletions_at_once_both_come_to_their_end(services):
    spec = written(services, "twice-0123456789", chunks=1)
    with_result(services, spec)
    others: list[int] = []

    def again(_event: object) -> None:
        if not others:
            others.append(delete(services, spec.run).blobs)

    assert delete(services, spec.run, again).blobs == 1
    assert others == [1]
    assert not list(services.runs.list(f"{spec.run}/"))


def test_a_deletion_takes_results_before_pictures(services):
    spec = written(services, "order-0123456789", chunks=1)
    with_result(services, spec)
    services.runs.write(part_path(spec.run, 1), b"")
    services.outputs.write(f"{spec.run}/flip/a.png", b"pixels")
    left: list[int] = []

    def look(_event: object) -> None:
        records = [*services.runs.list(f"{spec.run}/results/"), *services.runs.list(f"{spec.run}/parts/")]
        left.append(len(records) if not list(services.outputs.list(f"{spec.run}/")) else 0)

    delete(services, spec.run, look)
    assert set(left) == {0}


def test_a_run_whose_job_was_deleted_is_over_and_its_rest_can_be_retried(services):
    spec = written(services, "jobless-0123456789", chunks=2, images=2)
    beat = json.loads((GOLDEN / "heartbeat-v1.json").read_text()) | {"chunk": 1, "state": "running"}
    text = json.dumps(beat)
    services.runs.write(heartbeat_path(spec.run, 1), text.encode(), metadata={HEARTBEAT_METADATA: text})
    fresh = json.dumps(beat | {"chunk": 0, "updated": datetime.now(UTC).isoformat()})
    services.runs.write(heartbeat_path(spec.run, 0), b"", metadata={HEARTBEAT_METADATA: fresh})
    assert status(services, spec).state == "running"
    services.runs.delete(heartbeat_path(spec.run, 0))
    final = [one.state for one in follow(services, spec)]
    assert final == ["failed"]
    reason = reason_of(take(services, spec)).finding
    assert (reason.name, reason.verdict) == ("job-gone", Verdict.INCOMPLETE)
    with pytest.raises(InputError, match=r"2 images of run .* have no record"):
        plan_retry(services, spec, Wanted())
    for chunk in range(2):
        header = ManifestHeader(run=spec.run, chunk=chunk, images=1, bytes=1)
        entry = ImageEntry(path=f"{chunk}.png", size=1)
        services.runs.write(manifest_path(spec.run, chunk), dump(header) + b"\n" + dump(entry) + b"\n")
    assert plan_retry(services, spec, Wanted()).plan.dataset.paths == ["0.png", "1.png"]
    delete(services, spec.run)


def test_a_result_without_its_metadata_counts_as_done(services):
    spec = written(services, "bare-0123456789", chunks=1, images=3)
    record = (GOLDEN / "result-v1.jsonl").read_bytes().splitlines()[1]
    with_result(services, spec, record, metadata=False)
    now = status(services, spec)
    assert (now.state, now.chunks.done, now.done) == ("completed", 1, 1)
    delete(services, spec.run)


def test_a_download_tells_of_pictures_that_are_gone(services, tmp_path):
    spec = written(services, "vanished-0123456789", chunks=1, images=1)
    record = (GOLDEN / "result-v1.jsonl").read_bytes().splitlines()[1]
    with_result(services, spec, record)
    outputs = json.loads(record)["outputs"]
    assert download(services, spec, Folder(tmp_path / "all")).missing == len(outputs) > 0
    for one in outputs:
        services.outputs.write(f"{spec.run}/{one['variant']}/{one['path']}", b"pixels")
    assert download(services, spec, Folder(tmp_path / "all")).missing == 0
    delete(services, spec.run)


def test_a_damaged_ledger_is_merged_anew(services):
    spec = written(services, "torn-0123456789", chunks=1, images=1)
    with_result(services, spec, (GOLDEN / "result-v1.jsonl").read_bytes().splitlines()[1])
    before = states(services, spec)
    whole, carried = services.runs.read(ledger_path(spec.run)), services.runs.stat(ledger_path(spec.run)).metadata
    services.runs.write(ledger_path(spec.run), whole[: len(whole) // 2], metadata=carried)
    assert states(services, spec) == before
    torn = bytearray(whole)
    torn[4:200] = bytes(196)
    services.runs.write(ledger_path(spec.run), bytes(torn), metadata=carried)
    with pytest.raises(ContractError, match=r"ledger\.parquet is damaged") as caught:
        list(batches(services, (spec,), ["path", "status", "message"]))
    assert "merged anew" in caught.value.hint
    delete(services, spec.run)
