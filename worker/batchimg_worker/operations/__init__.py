"""Every operation and measure, by name: `OPERATIONS.get("rotate").run(image, {"angle": 30.0})`.

Importing this package imports neither numpy nor scikit-image.
"""

from batchimg_worker.operations import color, filters, geometry, measures
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

__all__ = [
    "MEASURES",
    "OPERATIONS",
    "Kernel",
    "Operation",
    "Parameter",
    "Registry",
    "Scalar",
    "Shape",
    "color",
    "filters",
    "geometry",
    "measure",
    "measures",
    "nearest",
    "operation",
]
