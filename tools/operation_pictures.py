"""Make docs/pictures/operations anew from the samples: each operation before (left) and after (right)."""

import sys
from pathlib import Path

import numpy as np

from batchimg_worker.codec import Picture, decode, encode
from batchimg_worker.operations import OPERATIONS
from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.catalogue import EXAMPLES
from batchimg_worker.operations.reference.frames import pad, to_bits, to_mode
from batchimg_worker.recipe import recipe_from_ops

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples" / "images"
PICTURES = ROOT / "docs" / "pictures" / "operations"
PHOTO = "animals/chelsea.jpg"
OTHERS = {"normalize": "science/cell.png", "threshold": "science/cell.png", "equalize": "places/china.jpg"}
NOISY = ("denoise",)
WIDTH, HEIGHT, GAP = 300, 200, 8
QUALITY = 80


def main() -> int:
    PICTURES.mkdir(parents=True, exist_ok=True)
    for stale in set(PICTURES.iterdir()) - {PICTURES / f"{name}.jpg" for name in EXAMPLES}:
        stale.unlink()
    for name, example in EXAMPLES.items():
        before = original(name)
        step = recipe_from_ops([example]).variants[0].steps[0]
        after = OPERATIONS.get(name).run(before, step.parameters)
        both = np.hstack([panel(before), np.full((HEIGHT, GAP, 3), 255, np.uint8), panel(after)])
        (PICTURES / f"{name}.jpg").write_bytes(encode(Picture(both, "jpeg", 8), "jpeg", quality=QUALITY).data)
    return 0


def original(name: str) -> Image:
    """A sample, as large as a panel; with noise where an operation is to take it away."""
    photo = decode((SAMPLES / OTHERS.get(name, PHOTO)).read_bytes()).array
    resize = OPERATIONS.get("resize")
    image = resize.run(photo, resize.bind({"width": WIDTH, "height": HEIGHT}))
    if name in NOISY:
        noise = np.random.default_rng(0).normal(0, 20, image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return image


def panel(image: Image) -> Image:
    """In the middle of a white panel, made smaller where it does not fit."""
    image = to_mode(to_bits(image, 8), "rgb")
    scale = min(WIDTH / image.shape[1], HEIGHT / image.shape[0], 1.0)
    if scale < 1:
        resize = OPERATIONS.get("resize")
        image = resize.run(image, resize.bind({"scale": scale}))
    down, across = HEIGHT - image.shape[0], WIDTH - image.shape[1]
    return pad(image, (down // 2, down - down // 2), (across // 2, across - across // 2), "constant", 1.0)


if __name__ == "__main__":
    sys.exit(main())
