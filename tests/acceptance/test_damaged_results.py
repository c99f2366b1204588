"""What becomes of a run when a result or a manifest of it is damaged: told, counted as not done, and done again."""

from collections import Counter
from dataclasses import replace

import pytest

from batchimg.collect import records
from batchimg.cost import run_cost
from batchimg.damaged_results import damaged_results, remove_damaged_results
from batchimg.download import Folder, download
from batchimg.gallery import write_gallery
from batchimg.ledger import failures, states
from batchimg.order import Order
from batchimg.recipes import read_instructions
from batchimg.retry import Wanted, plan_retry
from batchimg.runs import all_runs, delete
from batchimg.settings import Settings
from batchimg.snapshot import take
from batchimg.upload import place_of
from batchimg.watch import status
from batchimg.why import Verdict, reason_of
from batchimg.why.job import standing_damaged
from batchimg_worker.blob_names import manifest_path, rejected_path, result_path, run_path
from batchimg_worker.contract import HEARTBEAT_METADATA
from batchimg_worker.results import DAMAGED

from command_line import until
from damage import halved, record, with_manifest, with_result, written
from in_process import ended, placed, rows_of, told_of
from made_images import noise


def first_cause(services, spec) -> tuple[str, str, int]:
    (cause,) = failures(services, spec)
    return cause.status, cause.error_type, cause.images


@pytest.mark.parametrize(
    "line",
    [b"{half", b"[1]", b'{"path": 5, "size": "x", "status": []}', b'{"status": "done"}', b'{"path": "b.png"}', b""],
)
@pytest.mark.parametrize("metadata", [True, False])
def test_images_of_which_a_damaged_result_tells_nothing_are_lost_and_can_be_retried(services, line, metadata, tmp_path):
    spec = written(services, "hurt-0123456789", chunks=2, images=3)
    with_manifest(services, spec, 0, "a.png", "b.png")
    with_manifest(services, spec, 1, "c.png")
    with_result(services, spec, record("a.png"), line, metadata=metadata)
    with_result(services, spec, record("c.png"), chunk=1)
    for _ in range(2):  # the second time from the ledger
        assert states(services, spec) == {"done": 2, "lost": 1}
    assert first_cause(services, spec) == ("lost", DAMAGED, 1)
    events: list = []
    assert [one.path for one in records(services, spec, events.append)] == ["a.png", "c.png"]
    assert result_path(spec.run, 0) in told_of(events)
    assert plan_retry(services, spec, Wanted()).plan.dataset.paths == ["b.png"]
    reason = reason_of(take(services, spec)).finding
    assert (reason.name, reason.verdict) == ("damaged", Verdict.INCOMPLETE)
    assert result_path(spec.run, 0) in reason.sentence
    assert status(services, spec).all_done is metadata  # which a listing shows
    assert run_cost(services, spec).images == 3
    assert download(services, spec, Folder(tmp_path / "all")).damaged == 1
    write_gallery(services, spec, tmp_path / "page.html")
    delete(services, spec.run)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null"])
def test_a_result_without_a_readable_header_is_as_good_as_none(services, content):
    spec = written(services, "headless-0123456789", chunks=1, images=1)
    with_manifest(services, spec, 0, "a.png")
    services.runs.write(result_path(spec.run, 0), content)
    now = status(services, spec)
    assert (now.chunks.done, now.done, now.all_done) == (0, 0, False)
    assert result_path(spec.run, 0) in (now.note or "")
    assert states(services, spec) == {"lost": 1}
    delete(services, spec.run)


def test_the_result_of_another_chunk_or_run_does_not_count(services):
    spec = written(services, "astray-0123456789", chunks=2, images=2)
    for chunk, path in enumerate(("a.png", "b.png")):
        with_manifest(services, spec, chunk, path)
    with_result(services, spec, record("a.png"))
    services.runs.write(result_path(spec.run, 1), services.runs.read(result_path(spec.run, 0)))
    assert [one.path for one in damaged_results(services, spec)] == [result_path(spec.run, 1)]
    assert status(services, spec).done == 1
    assert states(services, spec) == {"done": 1, "lost": 1}
    delete(services, spec.run)


def test_a_result_that_was_written_anew_meanwhile_is_not_taken_away(services):
    spec = written(services, "anew2-0123456789", chunks=1, images=1)
    with_result(services, spec, b"{")
    (one,) = damaged_results(services, spec)
    with_result(services, spec, record("a.png"))
    assert services.runs.delete(one.path, one.etag) is False
    remove_damaged_results(services, spec, lambda _event: None)
    assert services.runs.stat(result_path(spec.run, 0)) is not None
    delete(services, spec.run)


def test_the_same_submit_does_a_damaged_chunk_again_and_nothing_else(services, tmp_path):
    folder = noise(tmp_path / "again", 2, side=24)
    spec = placed(services, folder, chunk_images=1).spec
    assert ended(services, spec).all_done
    until(lambda: services.batch.jobs(spec.run)[-1].state == "completed", "the end of the job")
    whole = services.runs.stat(result_path(spec.run, 0))
    path = result_path(spec.run, 1)
    carried = services.runs.stat(path).metadata
    services.runs.write(path, services.runs.read(path)[:-9], metadata={HEARTBEAT_METADATA: carried[HEARTBEAT_METADATA]})
    assert status(services, spec).all_done  # a listing does not show it
    assert reason_of(take(services, spec)).finding.name == "damaged"
    events: list = []
    again = placed(services, folder, chunk_images=1, observer=events.append)
    assert (again.spec.run, again.ended) == (spec.run, False)
    assert f"{path}, line 2 is not JSON" in told_of(events)
    assert ended(services, spec).all_done
    assert services.runs.stat(result_path(spec.run, 0)).etag == whole.etag
    assert reason_of(take(services, spec)).finding.name == "done"
    assert placed(services, folder, chunk_images=1).ended
    grown(services, folder, spec)


def grown(services, folder, spec) -> None:
    """The next night, with an image more, after damage: planned and submitted alike."""
    services.runs.write(result_path(spec.run, 1), b"")
    noise(folder, 1, side=24, name="more-{}.png")
    before = [(blob.path, blob.etag) for blob in services.runs.list("again-")]
    order = Order.of(Settings(chunk_images=1), str(folder), read_instructions(None, ["flip=horizontal"], ()))
    whole = order.plan_folder()
    planned: list = []
    _, plan = order.foreseen(services, whole, place_of(whole.dataset), planned.append)
    assert (len(plan.dataset), plan.known) == (2, 1)
    assert [(blob.path, blob.etag) for blob in services.runs.list("again-")] == before
    events: list = []
    child = placed(services, folder, chunk_images=1, observer=events.append)
    assert (child.spec.images, child.known, child.spec.parent) == (2, 1, spec.run)
    for told in (planned, events):
        assert f"{result_path(spec.run, 1)} is not JSON" in told_of(told)
        assert "what became of 1 image is not known" in told_of(told)
    assert ended(services, child.spec).all_done
    rows = rows_of(services, child.spec.run)
    assert Counter(row["path"] for row in rows) == Counter(file.name for file in folder.iterdir())
    assert {row["status"] for row in rows} == {"done"}


def test_a_plan_tells_of_a_damaged_run_and_counts_as_the_submit_would(services, tmp_path):
    folder = noise(tmp_path / "foreseen", 1, side=24)
    spec = placed(services, folder).spec
    ended(services, spec)
    halved(services, run_path(spec.run))
    etag = services.runs.stat(run_path(spec.run)).etag
    noise(folder, 1, side=24, name="more-{}.png")
    order = Order.of(Settings(), str(folder), read_instructions(None, ["flip=horizontal"], ()))
    whole = order.plan_folder()
    events: list = []
    seen, plan = order.foreseen(services, whole, place_of(whole.dataset), events.append)
    assert f"{run_path(spec.run)} is damaged: without --plan it is written anew" in told_of(events)
    assert (len(plan.dataset), plan.known, plan.parent) == (1, 1, spec.run)
    assert [one.run for one in all_runs(seen) if one.run == spec.run]
    assert services.runs.stat(run_path(spec.run)).etag == etag
    assert placed(services, folder).spec.parent == spec.run


def test_a_damaged_description_in_the_midst_of_a_line_does_not_block_the_next_night(services, tmp_path):
    folder = noise(tmp_path / "midst", 1, side=24)
    first = placed(services, folder).spec
    ended(services, first)
    noise(folder, 1, side=24, name="second-{}.png")
    second = placed(services, folder).spec
    ended(services, second)
    assert second.parent == first.run
    services.runs.write(run_path(first.run), b"")
    services.runs.write(manifest_path(first.run, 0), b"")  # nobody can know what it was
    noise(folder, 1, side=24, name="third-{}.png")
    events: list = []
    third = placed(services, folder, observer=events.append).spec
    assert (third.parent, third.images) == (second.run, 2)
    assert "done again" in told_of(events)
    for spec in (third, second, first):
        delete(services, spec.run)


@pytest.mark.parametrize("manifest", [None, b"", b"{"])
def test_images_that_no_document_names_any_more_are_told(batchimg, services, manifest):
    spec = written(services, "nameless-0123456789", chunks=2, images=3)
    with_result(services, spec, record("a.png"))
    if manifest is not None:
        services.runs.write(manifest_path(spec.run, 1), manifest)
    gone: Counter[str] = Counter()
    assert not failures(services, spec, gone)
    assert gone == {spec.run: 2}
    if manifest is None:
        for command in ("failures", "ledger"):
            told = batchimg(command, spec.run, expect=1).stderr
            assert f"2 images of run {spec.run} have no record" in told
            assert "batchimg submit" in told
    delete(services, spec.run)


def test_images_that_no_document_names_and_that_a_later_run_has_are_not_missing(services):
    parent = written(services, "covered-0123456789", chunks=2, images=2)
    with_result(services, parent, record("a.png"))
    child = written(services, "covered-0123456780", chunks=1, images=1, parent=parent.run)
    with_result(services, child, record("b.png"))
    gone: Counter[str] = Counter()
    assert states(services, child, gone) == {"done": 2}
    assert not gone
    delete(services, child.run)
    delete(services, parent.run)


@pytest.mark.parametrize("content", [None, b"{"])
def test_unsent_images_whose_records_are_gone_are_told(services, content):
    spec = written(services, "unsent-0123456789", chunks=1, images=2, rejected=1)
    with_result(services, spec, record("a.png"))
    if content is not None:
        services.runs.write(rejected_path(spec.run), content)
    gone: Counter[str] = Counter()
    assert states(services, spec, gone) == {"done": 1}
    assert gone == {spec.run: 1}
    services.runs.write(rejected_path(spec.run), b'{"path": "b.png", "size": 1, "status": "failed"}\n')
    gone.clear()
    assert states(services, spec, gone) == {"done": 1, "failed": 1}
    assert not gone
    delete(services, spec.run)


def test_why_names_a_damaged_manifest_whether_its_run_is_over_or_stands_still(services):
    spec = written(services, "unreadable-0123456789", chunks=2, images=2)
    with_manifest(services, spec, 0, "a.png")
    with_result(services, spec, record("a.png"))
    services.runs.write(manifest_path(spec.run, 1), b"{")
    over = take(services, spec, replace(status(services, spec), state="failed"))
    assert over.damage[0].startswith(f"{manifest_path(spec.run, 1)} is not JSON")
    assert reason_of(over).finding.verdict is Verdict.INCOMPLETE
    standing = standing_damaged(replace(over, run=replace(over.run, state="running")))
    assert standing is not None
    assert standing.verdict is Verdict.BLOCKED
    assert f"batchimg cancel {spec.run}" in standing.todo
    delete(services, spec.run)
