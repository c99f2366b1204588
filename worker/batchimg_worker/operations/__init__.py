"""Every operation and measure, by name: `OPERATIONS.get("rotate").run(image, {"angle": 30.0})`.

Importing this package imports neither numpy nor scikit-image.
"""

from batchimg_worker.operations import color, filters, framing, geometry, measures, noise, plugins, structure, tones
from batchimg_worker.operations.acceleration import accelerate
from batchimg_worker.operations.attached import attach, attached
from batchimg_worker.operations.plugins import (
    LoadedOperations,
    load_entry_points,
    load_operations,
    load_operations_file,
)
from batchimg_worker.operations.regions import Block, Region
from batchimg_worker.operations.registry import (
    MEASURES,
    OPERATIONS,
    Kernel,
    Operation,
    Parameter,
    Registry,
    Scalar,
    Shape,
    measure,
    nearest,
    operation,
)
from batchimg_worker.operations.tiling import Survey, Tiling, declare

__all__ = [
    "MEASURES",
    "OPERATIONS",
    "Block",
    "Kernel",
    "LoadedOperations",
    "Operation",
    "Parameter",
    "Region",
    "Registry",
    "Scalar",
    "Shape",
    "Survey",
    "Tiling",
    "attach",
    "attached",
    "color",
    "filters",
    "framing",
    "geometry",
    "load_entry_points",
    "load_operations",
    "load_operations_file",
    "measure",
    "measures",
    "nearest",
    "noise",
    "operation",
    "plugins",
    "structure",
    "tones",
]

accelerate()
declare()
