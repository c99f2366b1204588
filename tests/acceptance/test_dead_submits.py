"""A submit that died in its midst, and a folder that has grown when the next one comes."""

import pytest

from batchimg.batch import Batch
from batchimg.connect import Services
from batchimg.order import Order
from batchimg.recipes import Instructions
from batchimg.runs import delete
from batchimg.settings import Settings
from batchimg_worker.recipe import recipe_from_ops
from batchimg_worker.storage import BlobStore

from made_images import noise

IMAGES = 3


@pytest.fixture
def services(batchimg):
    stack = batchimg.stack()["stack"]
    batch = Batch(stack["batch_endpoint"], stack["batch_account"], stack["batch_key"])
    connected = Services(batch, BlobStore(stack["blob_endpoint"], stack["storage_key"]), Settings(), is_local=True)
    yield connected
    batch.close()
    connected.store.close()


def order(folder) -> Order:
    return Order.of(Settings(), str(folder), Instructions(recipe_from_ops(["flip=horizontal"], None), ()))


def died(services, folder, stage: str) -> None:
    def interrupt(event):
        if getattr(event, "stage", None) == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        order(folder).place(services, interrupt)


def test_images_of_a_submit_that_died_before_its_job_are_done_by_the_next_one(services, tmp_path):
    folder = noise(tmp_path / "unborn", IMAGES)
    died(services, folder, "manifests")
    noise(folder, 1, name="new-{}.png")
    submitted = order(folder).place(services)
    assert (submitted.spec.images, submitted.known) == (IMAGES + 1, 0)
    delete(services, submitted.spec.run)


def test_a_job_whose_submit_died_gets_its_end_from_the_next_one(services, tmp_path):
    folder = noise(tmp_path / "endless", IMAGES)
    died(services, folder, "submit")
    noise(folder, 1, name="new-{}.png")
    submitted = order(folder).place(services)
    assert (submitted.spec.images, submitted.known) == (1, IMAGES)
    assert [job.has_all_tasks for job in services.batch.jobs(submitted.spec.parent)] == [True]
    for run in (submitted.spec.run, submitted.spec.parent):
        delete(services, run)
