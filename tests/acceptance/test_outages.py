"""Outages: blob storage goes away while somebody watches a run."""

from dataclasses import dataclass, field

import pytest

from batchimg.connect import Services
from batchimg.runs import delete
from batchimg.watch import follow
from batchimg_worker.errors import StorageError
from batchimg_worker.storage import BlobStore, Container, Patience

from damage import written
from in_process import services_of

NOWHERE = "http://127.0.0.1:1/devstoreaccount1"


@dataclass(frozen=True)
class Shaky(Services):
    """Services whose blob storage cannot be reached while there is something in ``gone``."""

    gone: list[str] = field(default_factory=list)

    @property
    def runs(self) -> Container:
        if self.gone:
            return BlobStore(NOWHERE, "MDAwMA==", patience=Patience(0, 0)).container("runs")
        return super().runs


def test_who_watches_is_told_that_storage_is_away_and_sees_the_run_again_after_it(batchimg):
    with services_of(batchimg) as found:
        shaky = Shaky(found.batch, found.store, found.settings, is_local=True)
        spec = written(shaky, "shaky-0123456789", chunks=1)
        seen = follow(shaky, spec, 0)
        before = next(seen)
        shaky.gone.append("storage")
        for _ in range(2):
            away = next(seen)
            assert (away.state, away.images) == (before.state, before.images)
            assert "no answer from blob storage" in (away.note or "")
            assert "asking again" in (away.note or "")
        shaky.gone.clear()
        assert next(seen).note == before.note
        shaky.gone.append("storage")
        with pytest.raises(StorageError, match="no answer"):
            next(follow(shaky, spec, 0))
        shaky.gone.clear()
        delete(found, spec.run)
