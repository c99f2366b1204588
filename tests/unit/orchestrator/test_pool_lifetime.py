"""Why a run has no pool of its own: docs/adr/0014."""

import pytest
from azure.batch import models


@pytest.mark.parametrize("made", [models.BatchPoolSpecification, models.BatchPoolCreateOptions])
def test_a_pool_that_the_batch_service_makes_can_have_no_identity(made):
    """Where this fails, a run could have a pool of its own without a key."""
    assert "vm_size" in made.__annotations__
    assert "identity" in models.BatchPool.__annotations__
    assert not [name for name in made.__annotations__ if "identity" in name]
