"""The same submit every night: of what cannot be sent, of blobs without a checksum, after somebody's damage."""

import base64
from dataclasses import dataclass

import pyarrow.parquet as pq
import pytest

from batchimg.collect import rejected
from batchimg.errors import UnknownRun
from batchimg.events import Told
from batchimg.order import Order
from batchimg.plan import is_canary
from batchimg.recipes import read_instructions
from batchimg.retry import Wanted, plan_retry, start_retry
from batchimg.runs import find_run
from batchimg.settings import Settings
from batchimg.watch import status
from batchimg_worker.blob_names import ledger_path, result_path, run_path
from batchimg_worker.errors import ContractError

from command_line import until
from in_process import ended, placed, rows_of
from made_images import noise


def test_a_file_that_came_and_cannot_be_read_makes_the_night_fail_until_it_is_mended(services, tmp_path):
    folder = noise(tmp_path / "nights", 3, side=24)
    first = placed(services, folder).spec
    assert ended(services, first).all_done
    (folder / "gone.png").symlink_to(tmp_path / "not-there.png")
    for night in range(2):
        found = placed(services, folder, max_cost=5)
        seen = status(services, found.spec)
        assert (found.resumed, found.ended, found.spec.parent) == (night == 1, True, first.run)
        assert (seen.state, seen.failed, seen.all_done) == ("completed", 1, False)
        assert [record.path for record in rejected(services, find_run(services, found.spec.run))] == ["gone.png"]
    (folder / "gone.png").unlink()
    noise(folder, 1, side=28, name="gone.png")
    mended = placed(services, folder).spec
    assert (mended.images, ended(services, mended).all_done) == (1, True)
    assert {(row["path"], row["status"]) for row in rows_of(services, mended.run)} == {
        (file.name, "done") for file in folder.iterdir()
    }
    assert placed(services, folder).spec.run == mended.run


def test_a_folder_of_which_nothing_can_be_read_makes_a_run_with_its_records(batchimg, services, tmp_path):
    folder = tmp_path / "nothing"
    folder.mkdir()
    (folder / "gone.png").symlink_to(tmp_path / "not-there.png")
    done = batchimg("submit", "--dataset", folder, "--wait", expect=1)
    assert "has no task: 1 image cannot be sent" in done.stdout
    (row,) = rows_of(services, find_run(services, "nothing-").run)
    assert (row["path"], row["status"]) == ("gone.png", "failed")


@dataclass(frozen=True)
class Unsummed:
    """Blobs as tools write them that send blocks and no checksum."""

    services: object
    prefix: str = "unsummed/"

    @property
    def url(self) -> str:
        return f"{self.services.store.endpoint}/inputs/{self.prefix}"

    def write(self, name: str, content: bytes) -> None:
        blob = self.services.store._service.get_blob_client("inputs", self.prefix + name)
        block = base64.b64encode(b"0").decode()
        blob.stage_block(block, content)
        blob.commit_block_list([block])


def test_blobs_without_a_checksum_have_a_canary_and_only_what_was_written_anew_is_done_again(services, tmp_path):
    blobs = Unsummed(services)
    files = sorted(noise(tmp_path / "blobs", 8, side=24).iterdir())
    for file in files:
        blobs.write(file.name, file.read_bytes())
    inputs = services.store.container("inputs")
    assert [blob.md5 for blob in inputs.list(blobs.prefix)] == [None] * 8
    main = placed(services, blobs.url, canary=3).spec
    assert ended(services, main).all_done
    assert (is_canary(main.parent), main.images) == (True, 5)
    assert sorted(row["path"] for row in rows_of(services, main.run)) == [file.name for file in files]
    assert placed(services, blobs.url, canary=3).spec.run == main.run
    blobs.write(files[0].name, files[1].read_bytes())  # of the same size
    changed = placed(services, blobs.url, canary=3).spec
    assert (changed.parent, changed.images, ended(services, changed).all_done) == (main.run, 1, True)
    tags = {blob.path.removeprefix(blobs.prefix): blob.etag for blob in inputs.list(blobs.prefix)}
    assert {row["path"]: row["etag"] for row in rows_of(services, changed.run)} == tags


@pytest.fixture(scope="module")
def torn(services, tmp_path_factory):
    """A folder, and a run that has done it."""
    folder = noise(tmp_path_factory.mktemp("data") / "torn", 2, side=24)
    spec = placed(services, folder).spec
    assert ended(services, spec).all_done
    until(lambda: services.runs.stat(ledger_path(spec.run)), "the ledger")
    return folder, spec.run


def test_a_ledger_from_before_etags_were_kept_is_read(services, torn, tmp_path):
    _, run = torn
    expected = rows_of(services, run)
    there, file = services.runs.stat(ledger_path(run)), tmp_path / "ledger.parquet"
    file.write_bytes(services.runs.read(ledger_path(run)))
    pq.write_table(pq.read_table(file).drop_columns(["etag"]), file)
    services.runs.write(ledger_path(run), file.read_bytes(), metadata=there.metadata)
    assert rows_of(services, run) == expected
    assert services.runs.stat(ledger_path(run)).size == file.stat().st_size


def test_a_run_whose_description_is_damaged_says_what_to_type_and_that_mends_it(services, torn):
    folder, run = torn
    before = services.runs.stat(result_path(run, 0)).etag
    services.runs.write(run_path(run), b'{"schema_version": 1, "run"')
    with pytest.raises(ContractError, match="is not JSON") as refused:
        find_run(services, run)
    assert "The same `batchimg submit`" in refused.value.hint
    told: list[Told] = []
    with pytest.raises(UnknownRun):
        find_run(services, "torn-", told.append)
    assert any(event.text.startswith(f"Left out: {run}/run.json") for event in told)
    again = placed(services, folder)
    assert (again.ended, again.spec.run) == (True, run)
    assert status(services, find_run(services, run)).all_done
    assert services.runs.stat(result_path(run, 0)).etag == before


def test_what_a_retry_has_done_is_not_done_again_by_the_same_submit(services, tmp_path):
    folder = noise(tmp_path / ("retried-" + 40 * "x"), 3, side=24)  # a name that a retry's has to be cut for
    first = placed(services, folder, chunk_images=1).spec
    assert ended(services, first).all_done
    until(lambda: services.batch.jobs(first.run)[-1].state == "completed", "the end of the job")
    services.runs.delete(result_path(first.run, 1))
    retried = start_retry(services, plan_retry(services, first, Wanted())).spec
    assert (retried.images, ended(services, retried).all_done) == (1, True)
    again = placed(services, folder, chunk_images=1)
    assert (again.spec.run, again.ended, again.known) == (retried.run, True, 3)
    assert services.runs.stat(result_path(first.run, 1)) is None
    noise(folder, 1, side=24, name="more-{}.png")
    grown = placed(services, folder, chunk_images=1)
    assert (grown.spec.parent, grown.spec.images, grown.known) == (retried.run, 1, 3)
    assert ended(services, grown.spec).all_done


def test_a_plan_of_blobs_that_are_done_says_so(services, tmp_path):
    blobs = Unsummed(services, "planned/")
    for file in noise(tmp_path / "blobs", 2, side=24).iterdir():
        blobs.write(file.name, file.read_bytes())
    spec = placed(services, blobs.url).spec
    assert ended(services, spec).all_done
    order = Order.of(Settings(), blobs.url, read_instructions(None, ["flip=horizontal"], ()))
    _, plan = order.foreseen(services, *order.plan_blobs(services))
    assert (len(plan.dataset), plan.known, plan.parent) == (0, 2, spec.run)


def test_an_image_that_failed_before_makes_every_night_fail_until_it_is_mended(batchimg, services, tmp_path):
    folder = noise(tmp_path / "stubborn", 5, side=24)
    (folder / "0001.png").write_bytes(b"no image at all")
    first = placed(services, folder, canary=4, max_failures="50%")
    assert ended(services, first.spec).all_done  # the canary met it
    assert first.failed_before == 1
    noise(folder, 1, side=24, name="more-{}.png")
    done = batchimg("submit", "--dataset", folder, "--op", "flip=horizontal", "--wait", "--json", expect=1)
    assert "1 image of this dataset failed before" in done.stderr
    night = placed(services, folder)
    assert (night.ended, night.failed_before) == (True, 1)
    (folder / "0001.png").unlink()
    assert placed(services, folder).failed_before == 0
