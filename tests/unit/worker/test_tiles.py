"""Images in tiles: the pixels of the whole-image path, seams included, and a plan that says beforehand what fits."""

import errno
import hashlib
import io
import zlib
from dataclasses import replace
from itertools import pairwise

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from batchimg_worker.apply import process
from batchimg_worker.codec import DecodeLimits, decode
from batchimg_worker.errors import DecodeError, EncodeError, ImageTooLarge, InputError, OperationFailed, TilingRefused
from batchimg_worker.operations import OPERATIONS, tiling
from batchimg_worker.recipe import parse_recipe, recipe_from_ops
from batchimg_worker.tiles.files import fetch, room_on_disk
from batchimg_worker.tiles.original import look
from batchimg_worker.tiles.plan import check_disk, make_plan
from batchimg_worker.tiles.process import Room, process_any, process_file
from batchimg_worker.tiles.writers import PngWriter, adler_of_both

HEIGHT, WIDTH = 97, 131
SIDE = 37
EXACT = [
    "flip=horizontal", "flip=vertical", "crop=31x17", "crop=x:3,y:5,width:50,height:60",
    "resize=50%", "resize=150%", "resize=scale:0.3,order:3", "resize=scale:1.7,order:0", "thumbnail=40",
    "blur=sigma:1", "blur=sigma:5", "blur=sigma:11", "blur=100%", "gamma=0.7", "brightness=1.3", "contrast=1.2",
    "contrast=method:sigmoid", "invert", "normalize", "threshold", "threshold=50%", "threshold=local",
    "pad=7", "pad=top:5,left:50,mode:edge", "sharpen=amount:2,radius:3", "morphology=method:open,radius:3",
    "denoise=method:median", "equalize=histogram", "convert=rgba", "convert=16", "convert=32", "strip_metadata",
]  # fmt: skip
WITHIN_ONE = [
    "rotate=30", "rotate=90", "rotate=angle:17,resize:true", "rotate=angle:30,mode:edge",
    "grayscale", "edges", "denoise=method:bilateral",
]  # fmt: skip
CHAINS = [
    "rotate=10 | blur=sigma:3 | crop=60x50",
    "pad=9 | sharpen | threshold | flip=vertical",
    "resize=60% | normalize",
    "crop=x:3,y:45,width:50,height:50",
]
NOT_FLOAT = ("threshold", "normalize", "equalize=histogram", "resize=scale:1.7,order:0")
TYPES = [np.uint8, np.uint16, np.float32]


def picture(channels, dtype, height=HEIGHT, width=WIDTH):
    """Waves and noise."""
    random = np.random.default_rng(channels).random((height, width, channels))
    rows, columns = np.mgrid[:height, :width]
    waves = np.sin(rows / 9)[..., None] * np.cos(columns / 13)[..., None]
    values = np.clip(random * 0.3 + 0.35 + 0.35 * waves, 0, 1)
    values = values if channels > 1 else values[..., 0]
    return values.astype(np.float32) if dtype is np.float32 else (values * np.iinfo(dtype).max).astype(dtype)


def tiff(array, **options):
    channels = array.shape[2] if array.ndim > 2 else 1
    target = io.BytesIO()
    usual = {
        "photometric": "rgb" if channels > 2 else "minisblack",
        "planarconfig": "contig" if channels > 1 else None,
        "extrasamples": ("unassalpha",) if channels in (2, 4) else None,
    }
    tifffile.imwrite(target, array, **(usual | options))
    return target.getvalue()


def in_tiles(data, recipe, folder, tiles=SIDE):
    """Variant to bytes."""
    found = process_any(data, recipe, Room(DecodeLimits(), tiles, folder))
    return {output.variant: output.encoded.data.read_bytes() for output in found.outputs}


def as_whole(data, recipe):
    return {output.variant: output.encoded.data for output in process(data, recipe).outputs}


def assert_equal(tiled, whole, levels=0):
    assert (tiled.shape, tiled.dtype) == (whole.shape, whole.dtype)
    scale = 255 if whole.dtype.kind == "f" else 1
    different = np.abs(tiled.astype(np.float64) - whole) * scale
    assert different.max() <= levels
    if levels and whole.dtype == np.uint8:
        assert (different > 0).mean() < 0.005


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_tiles_give_what_the_whole_image_gives(channels, dtype, tmp_path):
    data = tiff(picture(channels, dtype))
    refused = [op for op in EXACT if dtype is np.float32 and op in NOT_FLOAT]
    recipe = recipe_from_ops([op for op in [*EXACT, *WITHIN_ONE] if op not in refused])
    whole, tiled = as_whole(data, recipe), in_tiles(data, recipe, tmp_path)
    exact = len(EXACT) - len(refused)
    for number, variant in enumerate(recipe.variants):
        levels = 0 if number < exact else 1 if dtype is not np.uint16 else 9
        assert_equal(decode(tiled[variant.name]).array, decode(whole[variant.name]).array, levels)


@pytest.mark.parametrize("op", CHAINS)
def test_steps_after_each_other_have_no_seams(op, tmp_path):
    data = tiff(picture(3, np.uint8))
    (whole,), (tiled,) = (
        as_whole(data, recipe_from_ops([op])).values(),
        in_tiles(data, recipe_from_ops([op]), tmp_path).values(),
    )
    assert_equal(decode(tiled).array, decode(whole).array, 1)


@pytest.mark.parametrize(
    ("sigma", "dtype"),
    [
        *((sigma, np.uint8) for sigma in (25, 6.2, 6.1, 4, 0.8)),
        *((sigma, np.uint16) for sigma in (25, 13, 6.2)),
        *((sigma, np.float32) for sigma in (25, 6.2)),
    ],
)
def test_a_blur_has_no_seams_in_a_picture_of_several_strips(sigma, dtype, tmp_path):
    data = tiff(picture(3, dtype, 700, 301))
    recipe = recipe_from_ops([f"blur=sigma:{sigma}"])
    (whole,), (tiled,) = as_whole(data, recipe).values(), in_tiles(data, recipe, tmp_path, 101).values()
    assert_equal(decode(tiled).array, decode(whole).array)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_equalized_levels_are_those_of_the_whole_image_whatever_they_are(channels, tmp_path):
    values = np.random.default_rng(channels).integers(0, 256, (3, 90, channels), np.uint8)
    data, recipe = tiff(values if channels > 1 else values[..., 0]), recipe_from_ops(["equalize=histogram"])
    for variant, tiled in in_tiles(data, recipe, tmp_path).items():
        assert_equal(tifffile.imread(io.BytesIO(tiled)), tifffile.imread(io.BytesIO(as_whole(data, recipe)[variant])))


@pytest.mark.parametrize("name", OPERATIONS.names())
def test_every_operation_says_whether_it_can_be_tiled(name):
    found = OPERATIONS.get(name).tiling
    assert found is None or found.kind in ("local", "halo", "geometry", "global")
    assert found is not None or name == "watermark"


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        ("equalize=clahe", "clahe"),
        ("edges=canny", "canny"),
        ("denoise=tv", "tv"),
        ("rotate=angle:5,mode:wrap", "mode wrap"),
        ("rotate=angle:5,order:3", "order 3"),
        ("pad=top:5,mode:reflect", "mode reflect"),
        ("watermark=text:hello", "whole image"),
    ],
)
def test_a_step_that_cannot_be_tiled_is_named_with_its_reason(op, reason, tmp_path):
    with pytest.raises(TilingRefused, match=rf"step 2: {op.partition('=')[0]} cannot be tiled: .*{reason}"):
        in_tiles(tiff(picture(1, np.uint8)), recipe_from_ops([f"invert | {op}"]), tmp_path)


@pytest.mark.parametrize("op", ["threshold", "normalize", "equalize=histogram"])
def test_floats_cannot_be_counted(op, tmp_path):
    with pytest.raises(TilingRefused, match="float"):
        in_tiles(tiff(picture(1, np.float32)), recipe_from_ops([op]), tmp_path)


def test_a_measure_of_all_pixels_is_refused_and_the_size_is_taken(tmp_path):
    data = tiff(picture(3, np.uint8))
    with pytest.raises(TilingRefused, match="measure entropy cannot be tiled"):
        in_tiles(data, recipe_from_ops(["invert", "entropy"]), tmp_path)
    recipe = recipe_from_ops(["invert", "size"])
    found = process_any(data, recipe, Room(DecodeLimits(), SIDE, tmp_path))
    assert found.measures == process(data, recipe).measures
    assert len(list(found.outputs)) == 1


def test_what_an_operation_refuses_is_told_as_ever(tmp_path):
    with pytest.raises(OperationFailed, match="crop: a crop of 500x500 centred does not fit"):
        in_tiles(tiff(picture(1, np.uint8)), recipe_from_ops(["crop=500x500"]), tmp_path)
    negative = tiff(picture(1, np.float32) - 1)
    with pytest.raises(OperationFailed, match="gamma: negative values have no gamma"):
        in_tiles(negative, recipe_from_ops(["gamma=2"]), tmp_path)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowsperstrip": 13},
        {"rowsperstrip": 13, "compression": "zlib", "predictor": True},
        {"tile": (32, 48), "compression": "lzw"},
        {"tile": (32, 48), "bigtiff": True, "byteorder": ">"},
        {"byteorder": ">", "rowsperstrip": 20},
        {"ome": True, "tile": (64, 64), "compression": "zlib"},
    ],
)
def test_tiff_of_every_layout_is_read(options, channels, dtype, tmp_path):
    data = tiff(picture(channels, dtype), **options)
    recipe = parse_recipe("variants: {same: []}\noutput: {format: tiff}", "r")
    assert_equal(decode(in_tiles(data, recipe, tmp_path)["same"]).array, decode(data).array)


@pytest.mark.parametrize("options", [{}, {"tile": (32, 32), "compression": "zlib"}, {"rowsperstrip": 11}])
def test_tiff_in_planes_is_read(options, tmp_path):
    planes = np.moveaxis(picture(3, np.uint16), -1, 0)
    target = io.BytesIO()
    tifffile.imwrite(target, planes, photometric="rgb", planarconfig="separate", **options)
    recipe = parse_recipe("variants: {same: []}", "r")
    assert_equal(decode(in_tiles(target.getvalue(), recipe, tmp_path)["same"]).array, decode(target.getvalue()).array)


def test_tiff_of_jpeg_tiles_is_read_as_libtiff_reads_it(tmp_path):
    data = tiff(picture(3, np.uint8), tile=(64, 64), compression="jpeg")
    recipe = parse_recipe("variants: {same: []}", "r")
    assert_equal(decode(in_tiles(data, recipe, tmp_path)["same"]).array, decode(data).array, 2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["jpeg", "png", "tiff"])
def test_an_orientation_is_applied(orientation, format_, tmp_path):
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    target = io.BytesIO()
    PillowImage.fromarray(picture(3, np.uint8)).save(target, format_, exif=exif)
    recipe = parse_recipe("variants: {same: []}\noutput: {format: png}", "r")
    assert_equal(decode(in_tiles(target.getvalue(), recipe, tmp_path)["same"]).array, decode(target.getvalue()).array)


@pytest.mark.parametrize("sampling", ["444", "422", "420"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_in_strips_has_the_pixels_of_a_whole_one(channels, sampling, tmp_path):
    data = bytes(imagecodecs.jpeg8_encode(picture(channels, np.uint8, 603, 397), level=95, subsampling=sampling))
    output = f"output: {{format: jpeg, quality: 80, subsampling: '{':'.join(sampling)}'}}"
    recipe = parse_recipe(f"variants: {{same: []}}\n{output}", "r")
    tiled = in_tiles(data, recipe, tmp_path)["same"]
    assert_equal(decode(tiled).array, decode(as_whole(data, recipe)["same"]).array)
    assert b"\xff\xd0" in tiled


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_in_strips_is_read_by_everybody(channels, dtype, tmp_path):
    array = picture(channels, dtype, 603, 97)
    data = bytes(imagecodecs.png_encode(array))
    made = in_tiles(data, parse_recipe("variants: {same: []}", "r"), tmp_path)["same"]
    assert_equal(decode(made).array, array)
    with PillowImage.open(io.BytesIO(made)) as image:
        image.verify()


def test_a_profile_stays_or_becomes_srgb(tmp_path):
    profile = bytes(imagecodecs.cms_profile("adobergb"))
    data = tiff(picture(3, np.uint8), iccprofile=profile)
    kept = in_tiles(data, parse_recipe("variants: {same: []}\noutput: {format: jpeg}", "r"), tmp_path)["same"]
    assert decode(kept).icc_profile == profile
    recipe = parse_recipe("variants: {same: []}\ncolors: srgb", "r")
    tiled, whole = decode(in_tiles(data, recipe, tmp_path)["same"]), decode(as_whole(data, recipe)["same"])
    assert tiled.icc_profile is None
    assert_equal(tiled.array, whole.array)


@pytest.mark.parametrize(("height", "width", "versions"), [(700, 1301, 3), (256, 256, 0), (257, 40, 1)])
@pytest.mark.parametrize("tiles", [SIDE, "off"])
def test_a_pyramid_has_a_smaller_version_of_each_version(height, width, versions, tiles, tmp_path):
    array = picture(3, np.uint8, height, width)
    recipe = parse_recipe("variants: {same: []}\noutput: {format: tiff, pyramid: true}", "r")
    data = tiff(array)
    made = as_whole(data, recipe)["same"] if tiles == "off" else in_tiles(data, recipe, tmp_path)["same"]
    with tifffile.TiffFile(io.BytesIO(made)) as file:
        levels = [page.asarray() for page in file.series[0].levels]
        assert len(file.pages) == 1
    assert np.array_equal(levels[0], array)
    assert len(levels) == versions + 1
    for larger, smaller in pairwise(levels):
        assert smaller.shape[:2] == (-(-larger.shape[0] // 2), -(-larger.shape[1] // 2))
        whole = larger[: larger.shape[0] // 2 * 2, : larger.shape[1] // 2 * 2].astype(np.float64)
        means = (whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]) / 4
        assert np.abs(smaller[: means.shape[0], : means.shape[1]] - means).max() <= 0.5


def test_auto_tiles_only_what_does_not_fit(tmp_path):
    data = tiff(picture(3, np.uint8, 2400, 3000), tile=(256, 256), compression="zlib")
    recipe = recipe_from_ops(["invert"])
    wide = Room(DecodeLimits(), "auto", tmp_path)
    assert "in tiles" not in process_any(data, recipe, wide).notes
    narrow = replace(wide, limits=DecodeLimits(memory_bytes=64 << 20))
    with pytest.raises(ImageTooLarge, match="the limit is"):
        process_any(data, recipe, replace(narrow, tiles="off"))
    found = process_any(data, recipe, narrow)
    assert "in tiles" in found.notes
    (tiled,) = found.outputs
    (whole,) = as_whole(data, recipe).values()
    assert_equal(decode(tiled.encoded.data.read_bytes()).array, decode(whole).array)


def _looked(data, folder):
    (folder / "looked").write_bytes(data)
    return look(folder / "looked")


def test_what_does_not_fit_even_in_tiles_says_so(tmp_path):
    room = Room(DecodeLimits(memory_bytes=1 << 20), "always", tmp_path)
    with pytest.raises(ImageTooLarge, match="MB of memory even in tiles"):
        process_any(tiff(picture(3, np.uint8)), recipe_from_ops(["blur=sigma:2"]), room)


def pages(count):
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as file:
        for _ in range(count):
            file.write(picture(1, np.uint8), photometric="minisblack")
    return target.getvalue()


def test_all_frames_cannot_be_done_in_tiles_and_one_can(tmp_path):
    recipe = parse_recipe("variants: {same: [invert]}\nframes: all", "r")
    with pytest.raises(TilingRefused, match="has 3 pages, and only the first can be done in tiles") as refused:
        in_tiles(pages(3), recipe, tmp_path)
    assert "frames: all" in refused.value.hint
    assert len(in_tiles(pages(1), recipe, tmp_path)) == 1
    first = in_tiles(pages(3), recipe_from_ops(["invert"]), tmp_path)
    assert len(first) == 1


def test_a_truncated_original_is_not_kept_in_tiles_even_where_that_is_allowed(tmp_path):
    target = io.BytesIO()
    PillowImage.fromarray(picture(3, np.uint8, 400, 400)).save(target, "png")
    cut, recipe = target.getvalue()[: target.tell() // 2], recipe_from_ops(["invert"])
    limits = DecodeLimits(allow_truncated=True)
    assert list(process_any(cut, recipe, Room(limits, "auto", tmp_path)).outputs)
    with pytest.raises(DecodeError, match="truncated"):
        list(process_any(cut, recipe, Room(limits, SIDE, tmp_path)).outputs)


def test_the_limit_of_megapixels_holds_in_tiles_too(tmp_path):
    room = Room(DecodeLimits(max_megapixels=0.001), "always", tmp_path)
    with pytest.raises(ImageTooLarge, match=r"over the limit of 0\.001 megapixels"):
        process_any(tiff(picture(3, np.uint8)), recipe_from_ops(["invert"]), room)


def test_a_format_that_cannot_be_written_in_tiles_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(EncodeError, match="variant same: webp cannot be written in tiles"):
        in_tiles(
            tiff(picture(3, np.uint8)), parse_recipe("variants: {same: []}\noutput: {format: webp}", "r"), tmp_path
        )


@pytest.mark.parametrize("kind", ["webp", "avif", "bmp"])
def test_a_small_result_is_written_in_any_format_where_all_images_go_in_tiles(kind, tmp_path):
    data, recipe = (
        tiff(picture(3, np.uint8)),
        parse_recipe(f"variants: {{a: [invert]}}\noutput: {{format: {kind}}}", "r"),
    )
    (output,) = process_any(data, recipe, Room(DecodeLimits(), "always", tmp_path)).outputs
    assert output.encoded.data == as_whole(data, recipe)["a"]


def test_a_jpeg_that_would_be_too_wide_is_refused_before_anything_is_read(tmp_path):
    data = tiff(np.zeros((1, 65_501), np.uint8), compression="zlib")
    with pytest.raises(EncodeError, match=r"variant same: 65501x1 is too large for jpeg, which ends at 65,500"):
        in_tiles(data, parse_recipe("variants: {same: []}\noutput: {format: jpeg}", "r"), tmp_path)


@pytest.mark.parametrize("sample", ["palette.gif", "cmyk.jpg"])
def test_an_original_that_cannot_be_read_in_parts_says_so(sample, tmp_path):
    target = io.BytesIO()
    image = PillowImage.fromarray(picture(3, np.uint8))
    image.convert("CMYK").save(target, "jpeg") if sample == "cmyk.jpg" else image.quantize(8).save(target, "gif")
    with pytest.raises(DecodeError, match=r"would have to be read in parts: .* cannot"):
        in_tiles(target.getvalue(), recipe_from_ops(["invert"]), tmp_path)


@pytest.mark.parametrize("suffix", ["jpeg", "png", "tiff"])
def test_a_truncated_original_is_told_and_leaves_nothing_behind(suffix, tmp_path):
    target = io.BytesIO()
    PillowImage.fromarray(picture(3, np.uint8, 400, 400)).save(target, suffix)
    with pytest.raises(DecodeError, match="truncated"):
        in_tiles(target.getvalue()[: target.tell() // 2], recipe_from_ops(["invert"]), tmp_path)
    assert [file.name for file in tmp_path.rglob("*") if file.name == "original.raw"] == []


def test_a_wrong_checksum_of_a_png_is_seen(tmp_path):
    data = bytearray(imagecodecs.png_encode(picture(3, np.uint8)))
    place = data.index(b"IDAT") + 100
    data[place] ^= 1
    with pytest.raises(DecodeError, match="checksum"):
        in_tiles(bytes(data), recipe_from_ops(["invert"]), tmp_path)


def test_files_that_were_fetched_are_gone_afterwards_and_a_users_own_stays(tmp_path):
    own = tmp_path / "own.tif"
    own.write_bytes(tiff(picture(3, np.uint8)))
    work = tmp_path / "work"
    work.mkdir()
    (output,) = process_file(own, recipe_from_ops(["invert"]), Room(DecodeLimits(), SIDE, work)).outputs
    assert own.exists()
    assert [file for file in work.rglob("*") if file.is_file()] == [output.encoded.data]
    fetched = work / "fetched"
    fetched.write_bytes(own.read_bytes())
    list(process_any(fetched, recipe_from_ops(["invert"]), Room(DecodeLimits(), SIDE, work)).outputs)
    assert not fetched.exists()


def test_a_declaration_can_be_asked_without_an_image():
    assert tiling.refusal("blur", {"sigma": 3.0}) == ""
    assert "clahe" in tiling.refusal("equalize", {"method": "clahe"})
    assert tiling.refusal("watermark", {}) == "it looks at the whole image at once"


def test_memory_does_not_grow_with_the_image(tmp_path):
    recipe = recipe_from_ops(["blur=sigma:5", "rotate=30", "resize=50%"])
    seen = replace(_looked(tiff(picture(3, np.uint8)), tmp_path), held=0)
    plans = [
        make_plan(
            replace(seen, header=replace(seen.header, width=side, height=side)), recipe, DecodeLimits(1e6), "always"
        )
        for side in (20_000, 60_000)
    ]
    assert plans[0].held < 256 << 20
    assert plans[1].held < 3 * plans[0].held
    assert plans[0].disk >= 2 * 20_000**2 * 3


@pytest.mark.parametrize(
    ("ops", "through"),
    [
        (["blur=sigma:5"], True),
        (["resize=50% | sharpen"], True),
        (["flip=vertical"], False),
        (["threshold"], False),
        (["invert", "gamma=2"], False),
    ],
)
def test_what_is_read_once_from_top_to_bottom_needs_no_file(ops, through, tmp_path):
    seen = replace(_looked(tiff(picture(3, np.uint8)), tmp_path), held=0)
    seen = replace(seen, header=replace(seen.header, width=8_000, height=8_000))
    plan = make_plan(seen, recipe_from_ops(ops), DecodeLimits(), "always")
    assert (0 < plan.window < 4_000) is through
    assert (plan.disk >= plan.results[0].bytes + 8_000**2 * 3) is not through


def test_a_disk_without_room_is_told_before_anything_is_read(tmp_path):
    plan = make_plan(_looked(tiff(picture(3, np.uint8)), tmp_path), recipe_from_ops(["invert"]), DecodeLimits(), SIDE)
    check_disk(plan, tmp_path)
    with pytest.raises(ImageTooLarge, match=r"131x97 in tiles needs .* MB of disk"):
        check_disk(replace(plan, disk=1 << 60), tmp_path)


def test_a_disk_that_gets_full_is_an_error_of_the_image_and_others_are_not(tmp_path):
    with pytest.raises(ImageTooLarge, match="is full"), room_on_disk(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError), room_on_disk(tmp_path):
        raise PermissionError(errno.EACCES, "no")


def test_a_fetched_original_is_held_against_its_checksum_and_the_disk(tmp_path):
    pieces, digest = [b"one", b"two"], hashlib.md5(b"onetwo").hexdigest()
    assert fetch(pieces, tmp_path, 6, digest).read_bytes() == b"onetwo"
    with pytest.raises(InputError, match="has changed since it was submitted"):
        fetch(pieces, tmp_path, 6, "0" * 32)
    with pytest.raises(ImageTooLarge, match="does not fit into"):
        fetch(pieces, tmp_path, 1 << 60, digest)
    with pytest.raises(ZeroDivisionError):
        fetch((bytes(1 // number) for number in (1, 0)), tmp_path, 6, digest)
    assert len(list(tmp_path.iterdir())) == 1


def test_checksums_of_parts_make_the_checksum_of_the_whole():
    first, second = bytes(range(256)) * 300, b"\xff" * 70_001
    assert adler_of_both(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(first + second)


def test_what_a_writer_s_library_raises_is_an_error_of_this_image(monkeypatch, tmp_path):
    def refuse(_, __):
        raise ValueError("invalid strides")

    monkeypatch.setattr(PngWriter, "encode", refuse)
    target = io.BytesIO()
    PillowImage.fromarray(picture(3, np.uint8)).save(target, "PNG")
    with pytest.raises(EncodeError, match=r"^variant invert: cannot be written as png: invalid strides$"):
        in_tiles(target.getvalue(), recipe_from_ops(["invert"]), tmp_path)
