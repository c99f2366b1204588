"""JPEG to JPEG in planes: which images and recipes take that way, and how good the files are that it writes.

A file is as good as it is near to the ideal result: scikit-image's, in floating point, of the decoded original. What
is compared with is the file that the path by RGB would write with scikit-image and the same codec.
"""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from skimage import filters, transform

from batchimg_worker import planes
from batchimg_worker.apply import process
from batchimg_worker.codec import Picture, encode, inspect
from batchimg_worker.operations.kernels import libjpeg, native
from batchimg_worker.recipe import load_recipe, parse_recipe, recipe_from_ops

from color_profiles import color_profile

pytestmark = pytest.mark.skipif(not libjpeg.available(), reason="no C kernels, or no libjpeg in Pillow's wheel")

SAMPLES = Path(__file__).resolve().parents[3] / "samples" / "images"
PHOTOS = ("places/china.jpg", "places/flower.jpg", "food/coffee cup.jpg", "space/rocket.jpg", "textures/gravel.jpg")
STEPS = ("flip=horizontal", "flip=vertical", "rotate=30", "rotate=angle:-7,cval:1", "blur=50%", "blur=sigma:2")
MOST_LOST = 0.1  # dB
ROUNDED, MOST_LUCK = 47, 0.5  # dB: from there hardly more is left than whole grey levels, and which of them is luck


def jpeg(array, subsampling="4:2:0", quality=90, **options):
    target = io.BytesIO()
    PillowImage.fromarray(array).save(target, "JPEG", quality=quality, subsampling=subsampling, **options)
    return target.getvalue()


def pixels(data):
    return np.asarray(PillowImage.open(io.BytesIO(data)))


def ideal(image, step):
    """The result of one step in floating point, from 0 to 255."""
    values, given = image / 255, step.parameters
    channels = -1 if image.ndim == 3 else None
    if step.operation == "flip":
        return 255 * (values[:, ::-1] if given["direction"] == "horizontal" else values[::-1])
    if step.operation == "rotate":
        turned = transform.rotate(
            values, given["angle"], resize=given["resize"], mode=given["mode"], cval=given["cval"]
        )
        return 255 * turned
    sigma = given.get("sigma") or given["percent"] / 100 * 0.02 * min(image.shape[:2])
    return 255 * filters.gaussian(values, sigma, mode="nearest", channel_axis=channels)


def decibels(written, wanted):
    return 10 * np.log10(255**2 / max(np.mean((pixels(written) - wanted) ** 2), 1e-6))


def lost(data, op, subsampling="4:2:0"):
    """How much worse our file is than that of scikit-image, in dB; negative where it is better."""
    return compared(data, op, subsampling)[0]


def compared(data, op, subsampling="4:2:0"):
    """What is `lost`, and how near scikit-image's file is to the ideal, in dB."""
    recipe = recipe_from_ops([op])
    ours = one(data, recipe)
    wanted = ideal(pixels(data), recipe.variants[0].steps[0])
    naive = jpeg(np.rint(wanted.clip(0, 255)).astype(np.uint8), subsampling)
    near = decibels(naive, wanted)
    return near - decibels(ours, wanted), near


def one(data, recipe):
    (output,) = process(data, recipe).outputs
    return output.encoded.data


def in_planes(data, recipe):
    return planes.read(data, inspect(data), recipe) is not None


def generated(kind, height=192, width=288):
    random = np.random.default_rng(11)
    rows, columns = np.mgrid[:height, :width]
    slopes = np.stack([columns * 255 // width, rows * 255 // height, (rows + columns) // 2], 2)
    waves = 25 * np.sin(columns / 9) * np.cos(rows / 7) + random.normal(0, 4, (height, width))
    checkers = ((rows // 2 + columns // 2) % 2 * 255).astype(np.uint8)
    return {
        "noise": random.integers(0, 256, (height, width, 3), np.uint8),
        "soft noise": random.normal(128, 20, (height, width, 3)).clip(0, 255).astype(np.uint8),
        "checkers": np.stack([checkers] * 3, 2),
        "coloured checkers": np.stack([checkers, 255 - checkers, checkers // 2], 2),
        "gradient": slopes.astype(np.uint8),
        "waves": (slopes * 0.6 + 50 + waves[..., None]).clip(0, 255).astype(np.uint8),
        "red": np.full((height, width, 3), (200, 20, 20), np.uint8),
        "grey noise": random.integers(0, 256, (height, width), np.uint8),
    }[kind]


@pytest.mark.parametrize("op", STEPS)
@pytest.mark.parametrize("name", PHOTOS)
def test_a_written_photo_is_as_near_to_the_ideal_as_the_naive_one(name, op):
    data = (SAMPLES / name).read_bytes()
    rows, columns = (np.array(pixels(data).shape[:2]) // 16) * 16
    even = jpeg(np.ascontiguousarray(pixels(data)[:rows, :columns]), quality=92)
    assert lost(even, op) <= MOST_LOST


@pytest.mark.parametrize("op", STEPS)
@pytest.mark.parametrize(
    "kind", ["noise", "soft noise", "checkers", "coloured checkers", "gradient", "red", "grey noise"]
)
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
def test_an_extreme_image_is_as_near_to_the_ideal_as_the_naive_one(kind, subsampling, op):
    if kind == "grey noise" and subsampling != "4:2:0":
        pytest.skip("grey has no chroma")
    assert lost(jpeg(generated(kind), subsampling, quality=95), op) <= MOST_LOST


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 8), (63, 64), (64, 64), (65, 97), (64, 65), (77, 64), (200, 66)])
@pytest.mark.parametrize("op", ["flip=horizontal", "rotate=30", "blur=sigma:2"])
def test_small_and_odd_sizes_are_as_near_to_the_ideal(size, op):
    assert lost(jpeg(generated("gradient", *size), quality=95), op) <= MOST_LOST


def test_the_default_recipe_takes_the_planes_for_usual_photos():
    for subsampling in ("4:2:0", "4:2:2", "4:4:4"):
        assert in_planes(jpeg(generated("waves"), subsampling), load_recipe("augment"))
    assert in_planes(jpeg(generated("grey noise")), load_recipe("augment"))
    assert in_planes(jpeg(generated("waves"), progressive=True), load_recipe("augment"))


@pytest.mark.parametrize(
    "recipe",
    [
        recipe_from_ops(["resize=50%"]),
        recipe_from_ops(["rotate=angle:30,order:3"]),
        recipe_from_ops(["flip=horizontal", "flip=horizontal | gamma=2"]),
        parse_recipe("variants: {a: [{flip: horizontal}]}\nmeasures: [mean_pixel]", "test"),
        parse_recipe("variants: {a: [{flip: horizontal}]}\noutput: {format: png}", "test"),
        parse_recipe("variants: {a: [{flip: horizontal}]}\noutput: {subsampling: '4:4:4'}", "test"),
    ],
)
def test_recipes_that_planes_do_not_suit_go_by_rgb(recipe):
    assert not in_planes(jpeg(generated("waves")), recipe)


def test_images_that_planes_do_not_suit_go_by_rgb():
    recipe = load_recipe("augment")
    data = jpeg(generated("waves"))
    cmyk = io.BytesIO()
    PillowImage.fromarray(generated("waves")).convert("CMYK").save(cmyk, "JPEG")
    png = encode(Picture(generated("waves"), "png", 8), "png").data
    odd, small = jpeg(generated("waves", 161, 224)), jpeg(generated("waves", 48, 224))
    saturated = jpeg(generated("coloured checkers"))
    for other in (cmyk.getvalue(), png, odd, small, saturated):
        assert not in_planes(other, recipe)
    assert libjpeg.read(data[:-500], libjpeg.layout_of(data)) is None  # truncated: Pillow decides
    assert libjpeg.layout_of(b"nothing") is None


def test_colours_outside_of_rgb_matter_only_where_they_are_mixed():
    shades = np.random.default_rng(0).uniform(0, 1, (8, 12, 1)).repeat(24, 0).repeat(24, 1)
    image = (generated("coloured checkers") * shades).astype(np.uint8)
    saturated = jpeg(image)
    assert in_planes(saturated, recipe_from_ops(["flip=horizontal"]))
    assert not in_planes(saturated, recipe_from_ops(["blur=50%"]))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
def test_an_image_is_turned_upright_as_by_rgb(orientation, subsampling, monkeypatch):
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    data = jpeg(generated("waves"), subsampling, exif=exif)
    recipe = recipe_from_ops(["flip=horizontal"])
    assert in_planes(data, recipe)
    ours = process(data, recipe)
    (written,) = ours.outputs
    monkeypatch.setattr(libjpeg, "available", lambda: False)
    other = process(data, recipe)
    (expected,) = other.outputs
    assert (ours.notes, ours.width, ours.height) == (other.notes, other.width, other.height)
    assert (written.width, written.height) == (expected.width, expected.height)
    difference = pixels(written.encoded.data).astype(int) - pixels(expected.encoded.data)
    assert np.mean(difference**2) < 4


def test_a_profile_is_kept_and_strip_metadata_drops_it():
    profile = color_profile()
    data = jpeg(generated("waves"), icc_profile=profile)
    recipe = recipe_from_ops(["flip=horizontal", "strip_metadata | flip=vertical"])
    assert in_planes(data, recipe)
    kept, dropped = (PillowImage.open(io.BytesIO(one.encoded.data)).info for one in process(data, recipe).outputs)
    assert kept["icc_profile"] == profile
    assert "icc_profile" not in dropped


def test_a_profile_of_other_colours_is_dropped_with_a_note():
    profile = color_profile()
    data = jpeg(generated("grey noise"), icc_profile=profile)
    (output,) = process(data, recipe_from_ops(["flip=horizontal"])).outputs
    assert output.encoded.notes == ("ICC profile dropped: its colours do not fit",)


def test_quality_and_subsampling_are_those_of_the_output():
    recipe = parse_recipe("variants: {a: [{flip: horizontal}]}\noutput: {quality: 35, subsampling: '4:2:2'}", "test")
    data = jpeg(generated("waves"), "4:4:4")
    assert in_planes(data, recipe)
    ours = PillowImage.open(io.BytesIO(one(data, recipe)))
    wanted = PillowImage.open(io.BytesIO(jpeg(generated("waves"), "4:2:2", quality=35)))
    assert ours.quantization == wanted.quantization
    assert ours.layer == wanted.layer


@pytest.mark.parametrize(("across", "down"), [(2, 2), (2, 1), (1, 2)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 8), (16, 65)])
def test_halved_planes_are_means(size, across, down):
    plane = np.random.default_rng(5).integers(0, 256, size, np.uint8)
    padded = np.pad(plane, ((0, size[0] % 2), (0, size[1] % 2)), mode="edge").astype(float)
    padded = padded[: -(-size[0] // down) * down, : -(-size[1] // across) * across]
    rows, columns = padded.shape[0] // down, padded.shape[1] // across
    means = padded.reshape(rows, down, columns, across).mean(axis=(1, 3))
    assert np.abs(native.halve(plane, across, down) - means).max() <= 0.75


@pytest.mark.parametrize("size", [(64, 64), (33, 130), (5, 1030)])
def test_what_is_clipped_is_measured_in_blocks(size):
    random = np.random.default_rng(6)
    luma, blue, red = (random.integers(0, 256, size, np.uint8) for _ in range(3))
    b, r = blue.astype(float) - 128, red.astype(float) - 128
    colours = np.stack([luma + 1.402 * r, luma - 0.344136 * b - 0.714136 * r, luma + 1.772 * b])
    excess = np.clip(colours, 0, 255) - colours
    total = 0.0
    for top in range(0, size[0], 4):
        for left in range(0, size[1], 4):
            block = excess[:, top : top + 4, left : left + 4]
            total += float((block.mean(axis=(1, 2)) ** 2).sum()) * block[0].size
    assert native.clipped((luma, blue, red), 1, 1) == pytest.approx(total / 3 / luma.size, rel=0.01)
    assert native.clipped((np.full_like(luma, 128), *[np.full_like(luma, 128)] * 2), 1, 1) == 0


STEEP = ("rotate=90", "rotate=angle:-90,resize:true", "rotate=angle:80,resize:true", "rotate=angle:45,resize:true")
WIDE = ("blur=sigma:0.4", "blur=sigma:1", "blur=sigma:3", "blur=sigma:5", "blur=sigma:7", "blur=sigma:30")
ANY = ("flip=horizontal", "flip=vertical", "rotate=30", "rotate=angle:3,mode:edge", *STEEP, *WIDE)


def slopes(seed, grain, height=128, width=160):
    """Colours from one to another, in another direction each, with the grain of a camera."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    planes_ = []
    for _ in range(3):
        along = random.uniform(-1, 1, 2)
        values = along[0] * columns / width + along[1] * rows / height
        low, high = np.sort(random.uniform(0, 255, 2))
        planes_.append(low + (values - values.min()) / np.ptp(values) * (high - low))
    return (np.stack(planes_, 2) + random.normal(0, grain, (height, width, 3))).clip(0, 255).astype(np.uint8)


FILES = [("4:2:0", 75), ("4:2:0", 90), ("4:2:2", 85), ("4:4:4", 95)]


@pytest.mark.parametrize(("subsampling", "quality"), FILES)
def test_no_parameters_of_any_step_lose_more_of_a_slope(subsampling, quality):
    found = {}
    for seed in (0, 6, 7):
        data = jpeg(slopes(seed, 0), subsampling, quality=quality)
        found |= {(seed, op): lost(data, op) for op in ANY}
    assert {case: loss for case, loss in found.items() if loss > MOST_LOST} == {}


@pytest.mark.parametrize("grain", [0, 2, 5])
@pytest.mark.parametrize(("subsampling", "quality"), FILES)
def test_no_parameters_of_any_step_lose_more_of_a_texture(subsampling, quality, grain):
    rows, columns = np.mgrid[:128, :160]
    found = {}
    for seed, height in ((0, 3), (1, 8), (2, 25)):
        waves = height * np.sin(columns / 9 + seed) * np.cos(rows / 7)
        data = jpeg(
            (slopes(seed, grain) + waves[..., None]).clip(0, 255).astype(np.uint8), subsampling, quality=quality
        )
        found |= {(height, op): compared(data, op) for op in ANY}
    most = {case: MOST_LOST if near < ROUNDED else MOST_LUCK for case, (_, near) in found.items()}
    assert {case: loss for case, loss in found.items() if loss[0] > most[case]} == {}


def test_smooth_images_go_by_rgb_with_grain_or_without():
    recipe = load_recipe("augment")
    for seed in range(4):
        assert not in_planes(jpeg(slopes(seed, 0), quality=95), recipe)
        assert not in_planes(jpeg(slopes(seed, 5), quality=95), recipe)
    assert in_planes(jpeg(generated("waves"), quality=95), recipe)
    assert in_planes(jpeg(np.full((96, 96), 128, np.uint8)), recipe)  # grey has no other way to be near


def test_rotations_that_leave_chroma_in_parts_go_by_rgb():
    data = {subsampling: jpeg(generated("waves"), subsampling) for subsampling in ("4:2:0", "4:2:2", "4:4:4")}
    odd = recipe_from_ops(["rotate=angle:45,resize:true"])
    steep = recipe_from_ops(["rotate=90"])
    assert {name: in_planes(one, odd) for name, one in data.items()} == {"4:2:0": False, "4:2:2": False, "4:4:4": True}
    assert {name: in_planes(one, steep) for name, one in data.items()} == {"4:2:0": True, "4:2:2": False, "4:4:4": True}
