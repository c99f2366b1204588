"""Whole files of every kind that the worker reads, small, and made by code: what the fuzzer mutates.

The same names always give the same bytes. Sides are 64 pixels and more where a reader treats smaller images otherwise.
"""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from color_profiles import color_profile

HEIGHT, WIDTH = 80, 96
ODD = Path(__file__).parents[1] / "unit" / "worker" / "odd"
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
ORIENTATION = 0x0112


def colours(height: int = HEIGHT, width: int = WIDTH, channels: int = 3) -> np.ndarray:
    """Smooth colours with some noise, so that every part of a codec has something to do."""
    y, x = np.mgrid[0:height, 0:width]
    random = np.random.default_rng(height * width)
    smooth = np.stack([x * 2, y * 3, 255 - x - y, (x + y) % 256], axis=2)[..., :channels]
    return np.clip(smooth + random.integers(-9, 9, smooth.shape), 0, 255).astype(np.uint8)


def grey(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return colours(height, width)[..., 0].copy()


def deep(array: np.ndarray) -> np.ndarray:
    """Of 16 bits."""
    return array.astype(np.uint16) * 257


def saved(image: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


@cache
def exif() -> bytes:
    found = Image.Exif()
    found[ORIENTATION] = 6
    found[0x010F], found[0x0110] = "Maker", "Model"
    return found.tobytes()


def frames(mode: str = "RGB", number: int = 4) -> list[Image.Image]:
    pictures = [Image.fromarray(np.roll(colours(48, 64), 5 * shift, axis=1)) for shift in range(number)]
    return [picture.convert(mode) for picture in pictures]


def animated(kind: str, mode: str = "RGB", **options: object) -> bytes:
    first, *others = frames(mode)
    return saved(first, kind, save_all=True, append_images=others, duration=40, loop=2, **options)


def tiff(array: np.ndarray, pages: int = 1, **options: object) -> bytes:
    options = {"metadata": None, "software": False, **options}
    container = {name: options.pop(name) for name in ("bigtiff", "byteorder") if name in options}
    target = io.BytesIO()
    with tifffile.TiffWriter(target, **container) as file:
        for shift in range(pages):
            file.write(np.roll(array, shift, axis=1), **options)
    return target.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def interlaced(array: np.ndarray) -> bytes:
    """Adam7, which Pillow does not write."""
    height, width = array.shape[:2]
    kind = 2 if array.ndim > 2 else 0
    rows = b""
    for left, top, across, down in ADAM7:
        rows += b"".join(b"\0" + row.tobytes() for row in array[top::down, left::across])
    head = struct.pack(">IIBBBBB", width, height, 8 * array.itemsize, kind, 0, 0, 1)
    parts = png_chunk(b"IHDR", head), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def mpo() -> bytes:
    first, second, *_ = frames()
    return saved(first, "MPO", save_all=True, append_images=[second])


def _jpeg() -> dict[str, Callable[[], bytes]]:
    return {
        "420.jpg": lambda: saved(colours(), "JPEG", quality=90, subsampling=2),
        "422.jpg": lambda: saved(colours(), "JPEG", quality=90, subsampling=1),
        "444.jpg": lambda: saved(colours(), "JPEG", quality=75, subsampling=0),
        "odd-sides.jpg": lambda: saved(colours(71, 67), "JPEG", subsampling=0),
        "grey.jpg": lambda: saved(grey(), "JPEG"),
        "progressive.jpg": lambda: saved(colours(), "JPEG", progressive=True),
        "restarts.jpg": lambda: saved(colours(), "JPEG", restart_marker_blocks=3),
        "exif-icc.jpg": lambda: saved(colours(), "JPEG", exif=exif(), icc_profile=color_profile()),
        "cmyk.jpg": lambda: saved(Image.fromarray(colours(channels=4), "CMYK"), "JPEG"),
        "ycck.jpg": lambda: imagecodecs.jpeg8_encode(colours(channels=4), colorspace="CMYK", outcolorspace="YCCK"),
        "arithmetic.jpg": lambda: (ODD / "arithmetic.jpg").read_bytes(),
        "arithmetic-progressive.jpg": lambda: (ODD / "arithmetic-progressive.jpg").read_bytes(),
        "12-bit.jpg": lambda: imagecodecs.jpeg_encode(colours().astype(np.uint16) << 4, bitspersample=12),
        "lossless.jpg": lambda: imagecodecs.ljpeg_encode(grey()),
        "mpo.jpg": mpo,
    }


def _png() -> dict[str, Callable[[], bytes]]:
    palette = Image.fromarray(colours()).convert("P", palette=Image.Palette.ADAPTIVE, colors=40)
    return {
        "rgb.png": lambda: saved(colours(), "PNG", icc_profile=color_profile(), exif=exif()),
        "rgba.png": lambda: saved(colours(channels=4), "PNG"),
        "grey.png": lambda: saved(grey(), "PNG"),
        "grey-alpha.png": lambda: saved(Image.fromarray(colours(channels=4)).convert("LA"), "PNG"),
        "palette.png": lambda: saved(palette, "PNG", transparency=bytes(range(40))),
        "1-bit.png": lambda: saved(Image.fromarray(grey()).convert("1"), "PNG"),
        "16-bit.png": lambda: imagecodecs.png_encode(deep(colours())),
        "16-bit-grey.png": lambda: imagecodecs.png_encode(deep(grey())),
        "interlaced.png": lambda: interlaced(colours()),
        "interlaced-16-bit.png": lambda: interlaced(deep(grey()).astype(">u2")),
        "animated.png": lambda: animated("PNG"),
    }


def _tiff() -> dict[str, Callable[[], bytes]]:
    floats = grey().astype(np.float32) / 255
    return {
        "strips.tif": lambda: tiff(colours(), rowsperstrip=16, photometric="rgb"),
        "big-endian.tif": lambda: tiff(deep(grey()), rowsperstrip=7, byteorder=">"),
        "tiled.tif": lambda: tiff(colours(), tile=(32, 32), compression="zlib", predictor=True, photometric="rgb"),
        "bigtiff-lzw.tif": lambda: tiff(deep(colours()), bigtiff=True, tile=(32, 48), compression="lzw"),
        "lzw.tif": lambda: tiff(colours(), compression="lzw", predictor=True, rowsperstrip=20),
        "deflate.tif": lambda: tiff(colours(channels=4), compression="zlib", extrasamples=("unassalpha",)),
        "premultiplied.tif": lambda: tiff(colours(channels=4), extrasamples=("assocalpha",), photometric="rgb"),
        "packbits.tif": lambda: tiff(grey(), compression="packbits"),
        "jpeg.tif": lambda: tiff(colours(), compression="jpeg", tile=(64, 64), photometric="rgb"),
        "ycbcr.tif": lambda: tiff(colours(), compression="jpeg", photometric="ycbcr", rowsperstrip=32),
        "float.tif": lambda: tiff(floats, compression="zlib", predictor=3, rowsperstrip=25),
        "half.tif": lambda: tiff(floats.astype(np.float16)),
        "int32.tif": lambda: tiff(grey().astype(np.int32) - 100),
        "planar.tif": lambda: tiff(np.moveaxis(colours(), 2, 0).copy(), planarconfig="separate", photometric="rgb"),
        "pages.tif": lambda: tiff(colours(40, 48), pages=5, compression="zlib", photometric="rgb"),
        "white-is-zero.tif": lambda: tiff(grey(), photometric="miniswhite"),
        "palette.tif": lambda: saved(Image.fromarray(colours()).convert("P"), "TIFF"),
        "fax.tif": lambda: saved(Image.fromarray(grey()).convert("1"), "TIFF", compression="group4"),
        "cmyk.tif": lambda: saved(Image.fromarray(colours(channels=4), "CMYK"), "TIFF", icc_profile=color_profile()),
        "lab.tif": lambda: saved(Image.fromarray(colours(), "LAB"), "TIFF"),
        "12-bit.tif": lambda: tiff(grey().astype(np.uint16) << 4, bitspersample=12),
        "turned.tif": lambda: tiff(colours(), extratags=[(ORIENTATION, 3, 1, 8, True)], photometric="rgb"),
        "pyramid.tif": pyramid,
    }


def pyramid() -> bytes:
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as file:
        file.write(colours(), tile=(32, 32), subifds=1, photometric="rgb", metadata=None)
        file.write(colours(40, 48), tile=(32, 32), subfiletype=1, photometric="rgb", metadata=None)
    return target.getvalue()


def _others() -> dict[str, Callable[[], bytes]]:
    rgb, inked = Image.fromarray(colours()), Image.fromarray(colours(channels=4), "RGBA")
    return {
        "lossy.webp": lambda: saved(rgb, "WEBP", exif=exif(), icc_profile=color_profile()),
        "lossless.webp": lambda: saved(rgb, "WEBP", lossless=True),
        "alpha.webp": lambda: saved(inked, "WEBP"),
        "animated.webp": lambda: animated("WEBP"),
        "still.gif": lambda: saved(rgb, "GIF", interlace=1),
        "animated.gif": lambda: animated("GIF"),
        "transparent.gif": lambda: animated("GIF", "RGBA", disposal=2, optimize=False),
        "24.bmp": lambda: saved(rgb, "BMP"),
        "palette.bmp": lambda: saved(rgb.convert("P"), "BMP"),
        "1-bit.bmp": lambda: saved(rgb.convert("1"), "BMP"),
        "colours.ppm": lambda: saved(rgb, "PPM"),
        "grey.pgm": lambda: saved(rgb.convert("L"), "PPM"),
        "bits.pbm": lambda: saved(rgb.convert("1"), "PPM"),
        "16-bit.pgm": lambda: b"P5\n96 80\n65535\n" + deep(grey()).astype(">u2").tobytes(),
        "16-bit.ppm": lambda: b"P6\n96 80\n65535\n" + deep(colours()).astype(">u2").tobytes(),
        "text.ppm": lambda: b"P3\n8 4\n255\n" + b" ".join(b"%d" % n for n in colours(4, 8).ravel()),
        "still.avif": lambda: saved(rgb, "AVIF", speed=9, icc_profile=color_profile(), exif=exif()),
        "animated.avif": lambda: animated("AVIF", speed=9),
        "alpha.avif": lambda: saved(inked, "AVIF", speed=9),
        "10-bit.avif": lambda: imagecodecs.avif_encode(deep(colours()) >> 6, bitspersample=10, speed=9),
    }


def _rare() -> dict[str, Callable[[], bytes]]:
    """Kinds that nobody promised and Pillow reads."""
    rgb, small = Image.fromarray(colours()), Image.fromarray(colours(32, 32, 4), "RGBA")
    return {
        "rare.jp2": lambda: saved(rgb, "JPEG2000"),
        "deep.jp2": lambda: imagecodecs.jpeg2k_encode(deep(colours(channels=4))),
        "rare.tga": lambda: saved(small, "TGA", compression="tga_rle"),
        "rare.ico": lambda: saved(small, "ICO", sizes=[(16, 16), (32, 32)]),
        "rare.pcx": lambda: saved(rgb, "PCX"),
        "rare.sgi": lambda: saved(rgb, "SGI"),
        "rare.dds": lambda: saved(small, "DDS"),
        "rare.qoi": lambda: saved(rgb, "QOI"),
        "rare.eps": lambda: saved(rgb, "EPS"),
        "rare.xbm": lambda: saved(rgb.convert("1"), "XBM"),
    }


@cache
def seeds() -> dict[str, bytes]:
    """Name to content."""
    makers = _jpeg() | _png() | _tiff() | _others() | _rare()
    return {name: bytes(make()) for name, make in makers.items()}
