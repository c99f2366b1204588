"""The default recipe as users of each library write it: bytes in, five files out.

Each function takes a file's bytes and returns the bytes of five results in the file's own format, JPEG with quality
90 and 4:2:0. Libraries are imported when a contender is chosen; one that is missing raises ImportError.
"""

import io
import math
from collections.abc import Callable

Contender = Callable[[bytes], list[bytes]]
ANGLE = 30
BLURS = (0.25, 0.5)
FULL_BLUR = 0.02
QUALITY = 90
SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"II": ".tif"}


def suffix_of(data: bytes) -> str:
    return SUFFIXES[data[:2]]


def floor() -> Contender:
    """Decode once, encode five times, nothing between: what no recipe can beat with these codecs."""
    import imagecodecs
    import simplejpeg

    from batchimg_worker.codec import decode, encode

    def run(data: bytes) -> list[bytes]:
        if suffix_of(data) == ".jpg":
            array = simplejpeg.decode_jpeg(data)
            return [bytes(imagecodecs.jpeg8_encode(array, level=QUALITY, subsampling="420")) for _ in range(5)]
        picture = decode(data)
        return [encode(picture, picture.format).data for _ in range(5)]

    return run


def batchimg() -> Contender:
    from batchimg_worker.apply import process
    from batchimg_worker.codec import DecodeLimits
    from batchimg_worker.memory import keep_freed_memory
    from batchimg_worker.recipe import load_recipe

    keep_freed_memory()
    recipe, limits = load_recipe("augment"), DecodeLimits(1000, 1 << 34)
    return lambda data: [output.encoded.data for output in process(data, recipe, limits).outputs]


def batchimg_by_rgb() -> Contender:
    """The path of every other format: no planes."""
    from batchimg_worker import planes

    planes.read = lambda *_: None
    return batchimg()


def scikit_image() -> Contender:
    import imageio.v3 as iio
    import numpy as np
    import tifffile
    from skimage import filters, transform

    def run(data: bytes) -> list[bytes]:
        image = tifffile.imread(io.BytesIO(data)) if suffix_of(data) == ".tif" else iio.imread(data)
        channels = -1 if image.ndim == 3 else None
        results = [image[:, ::-1], image[::-1], transform.rotate(image, ANGLE)]
        for part in BLURS:
            sigma = part * FULL_BLUR * min(image.shape[:2])
            results.append(filters.gaussian(image, sigma, channel_axis=channels))
        suffix = suffix_of(data)
        options = {".jpg": {"quality": QUALITY}, ".tif": {"compression": "zlib"}}.get(suffix, {})
        return [iio.imwrite("<bytes>", levels(result, image), extension=suffix, **options) for result in results]

    def levels(result: np.ndarray, image: np.ndarray) -> np.ndarray:
        if result.dtype == image.dtype:
            return np.ascontiguousarray(result)
        return np.rint(np.clip(result, 0, 1) * np.iinfo(image.dtype).max).astype(image.dtype)

    return run


def pillow() -> Contender:
    from PIL import Image, ImageFilter

    def run(data: bytes) -> list[bytes]:
        image = Image.open(io.BytesIO(data))
        results = [
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
            image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
            image.rotate(ANGLE, Image.Resampling.BILINEAR),
            *(image.filter(ImageFilter.GaussianBlur(part * FULL_BLUR * min(image.size))) for part in BLURS),
        ]
        return [saved(result, image.format) for result in results]

    def saved(image: Image.Image, kind: str) -> bytes:
        target = io.BytesIO()
        image.save(target, kind, **({"quality": QUALITY, "subsampling": "4:2:0"} if kind == "JPEG" else {}))
        return target.getvalue()

    return run


def opencv() -> Contender:
    import cv2
    import numpy as np

    cv2.setNumThreads(1)

    def run(data: bytes) -> list[bytes]:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        height, width = image.shape[:2]
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), ANGLE, 1)
        results = [cv2.flip(image, 1), cv2.flip(image, 0), cv2.warpAffine(image, turn, (width, height))]
        for part in BLURS:
            sigma = part * FULL_BLUR * min(height, width)
            size = 2 * int(4 * sigma + 0.5) + 1
            results.append(cv2.GaussianBlur(image, (size, size), sigma, borderType=cv2.BORDER_REPLICATE))
        suffix = suffix_of(data)
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if suffix == ".jpg" else []
        return [cv2.imencode(suffix, result, options)[1].tobytes() for result in results]

    return run


def pyvips() -> Contender:
    import pyvips as vips

    vips.concurrency_set(1)

    def run(data: bytes) -> list[bytes]:
        image = vips.Image.new_from_buffer(data, "").copy_memory()
        results = [
            image.fliphor(),
            image.flipver(),
            turned(image),
            *(image.gaussblur(part * FULL_BLUR * min(image.width, image.height)) for part in BLURS),
        ]
        suffix = suffix_of(data)
        options = {"Q": QUALITY, "subsample_mode": "on"} if suffix == ".jpg" else {}
        return [result.write_to_buffer(suffix, **options) for result in results]

    def turned(image: vips.Image) -> vips.Image:
        radians, x, y = math.radians(ANGLE), image.width / 2, image.height / 2
        cosine, sine = math.cos(radians), math.sin(radians)
        frame = [0, 0, image.width, image.height]
        return image.affine([cosine, sine, -sine, cosine], idx=-x, idy=-y, odx=x, ody=y, oarea=frame)

    return run


CONTENDERS: dict[str, Callable[[], Contender]] = {
    "floor": floor,
    "batchimg": batchimg,
    "batchimg by RGB": batchimg_by_rgb,
    "scikit-image": scikit_image,
    "Pillow": pillow,
    "OpenCV": opencv,
    "pyvips": pyvips,
}
EQUAL = {
    "floor": "",
    "batchimg": "yes",
    "batchimg by RGB": "yes",
    "scikit-image": "is the reference",
    "Pillow": "no",
    "OpenCV": "no",
    "pyvips": "no",
}
"""Whether results are within 1 grey level of scikit-image's on 99.9 % of the pixels."""
