"""Makes samples/images from pictures that scikit-image and scikit-learn carry in their wheels.

    python samples/make_samples.py [path/to/scikit_learn.whl]

Without a scikit-learn wheel (`pip download --no-deps scikit-learn`), its two photos are left as they are.
"""

import io
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import skimage
import tifffile
from PIL import Image
from skimage.transform import rescale

TARGET = Path(__file__).parent / "images"
SOURCE = Path(skimage.__file__).parent / "data"
NEEDS_TURNING_RIGHT = 6
ORIENTATION = 0x0112


def opened(name: str) -> Image.Image:
    with Image.open(SOURCE / name) as image:
        image.load()
        return image


def target(name: str) -> Path:
    path = TARGET / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def save(image: Image.Image, name: str, **options: Any) -> None:
    image.save(target(name), **options)


def copies() -> None:
    for source, name in {
        "astronaut.png": "people/astronaut.png",
        "brick.png": "textures/brick.png",
        "cell.png": "science/cell.png",
        "hubble_deep_field.jpg": "space/hubble.jpg",
        "retina.jpg": "science/retina.jpg",
        "rocket.jpg": "space/rocket.jpg",
    }.items():
        shutil.copyfile(SOURCE / source, target(name))


def ordinary() -> None:
    save(opened("chelsea.png").convert("RGB"), "animals/chelsea.jpg", quality=92)
    save(opened("coffee.png").convert("RGB"), "food/coffee cup.jpg", quality=92)
    save(opened("coffee.png").convert("RGB"), "food/coffee.webp", quality=85)
    save(opened("gravel.png").convert("L"), "textures/gravel.jpg", quality=85)
    hubble = opened("hubble_deep_field.jpg")
    large = hubble.resize((hubble.width * 2, hubble.height * 2), Image.Resampling.BICUBIC)
    save(large, "space/hubble-large.jpg", quality=80)


def turned() -> None:
    """Stored lying on its side, as a phone held upright does."""
    exif = Image.Exif()
    exif[ORIENTATION] = NEEDS_TURNING_RIGHT
    lying = opened("chelsea.png").convert("RGB").transpose(Image.Transpose.ROTATE_90)
    save(lying, "animals/chelsea-turned.jpg", quality=92, exif=exif)


def with_alpha() -> None:
    """An oval with soft edges."""
    image = opened("chelsea.png").convert("RGB")
    y, x = np.mgrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    alpha = np.clip((1 - np.hypot(x, y)) * 4, 0, 1) * 255
    image.putalpha(Image.fromarray(np.rint(alpha).astype(np.uint8)))
    save(image, "animals/chelsea-alpha.png", optimize=True)


def sixteen_bits() -> None:
    """Halving in floating point gives values between the 8-bit ones."""
    for source, name in {"camera.png": "odd/camera-16bit.png", "rocket.jpg": "odd/rocket-16bit.png"}.items():
        array = np.asarray(opened(source))
        half = rescale(array, 0.5, anti_aliasing=True, channel_axis=-1 if array.ndim > 2 else None)
        levels = np.rint(half * 65535).astype(np.uint16)
        target(name).write_bytes(imagecodecs.png_encode(levels, level=9))
    cell = rescale(np.asarray(opened("cell.png").convert("L")), 0.5, anti_aliasing=True)
    tifffile.imwrite(
        target("science/cell-16bit.tif"),
        np.rint(cell * 65535).astype(np.uint16),
        compression="zlib",
        predictor=True,
        metadata=None,
        software=False,
    )


def odd() -> None:
    save(opened("coffee.png").convert("CMYK"), "odd/coffee-cmyk.jpg", quality=85)
    rocket = opened("rocket.jpg").resize((320, 214))
    palette = rocket.quantize(63)
    palette.info["transparency"] = palette.getpixel((0, 0))
    save(palette, "odd/rocket-palette.gif", transparency=palette.getpixel((0, 0)))
    whole = io.BytesIO()
    opened("chelsea.png").convert("RGB").save(whole, "JPEG", quality=92)
    target("odd/truncated.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    text = "This is a text file with the name of a picture. batchimg reports it and goes on with the others.\n"
    target("odd/not-a-picture.jpg").write_text(text)


def from_scikit_learn(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in ("china.jpg", "flower.jpg"):
            target(f"places/{name}").write_bytes(archive.read(f"sklearn/datasets/images/{name}"))


def main() -> None:
    for make in (copies, ordinary, turned, with_alpha, sixteen_bits, odd):
        make()
    if len(sys.argv) > 1:
        from_scikit_learn(Path(sys.argv[1]))
    files = [path for path in TARGET.rglob("*") if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB in {TARGET}")


if __name__ == "__main__":
    main()
