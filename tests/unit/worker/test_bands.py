"""One huge image over several tasks: bands that are joined are what one task makes of the whole image."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from batchimg_worker.bands import undone
from batchimg_worker.codec import DecodeLimits, decode
from batchimg_worker.contract import Band, ImageEntry, ImageResult, Output
from batchimg_worker.errors import DecodeError, InputError
from batchimg_worker.recipe import parse_recipe, recipe_from_ops
from batchimg_worker.tiles.joining import Joined
from batchimg_worker.tiles.original import look
from batchimg_worker.tiles.plan import STRIP_ROWS, make_plan
from batchimg_worker.tiles.process import Room, process_any, process_band

from color_profiles import color_profile

HEIGHT, WIDTH = 900, 96
SIDE = 128
SEAMS = [
    "flip=horizontal", "flip=vertical", "rotate=30", "rotate=angle:17,resize:true", "blur=sigma:9", "blur=100%",
    "resize=40%", "resize=scale:1.7,order:3", "thumbnail=300", "crop=x:3,y:333,width:90,height:500", "pad=30",
    "sharpen=amount:2,radius:3", "denoise=method:median", "rotate=10 | blur=sigma:3 | crop=90x700",
]  # fmt: skip
FIRST_PASSES = ["normalize", "threshold", "blur=sigma:4 | equalize=histogram", "flip=vertical | threshold | pad=3"]


def picture(channels=3, dtype=np.uint8):
    """Waves and noise."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    waves = (np.sin(rows / 29) * np.cos(columns / 13))[..., None]
    values = 0.5 + 0.3 * waves + 0.2 * np.random.default_rng(1).random((HEIGHT, WIDTH, channels))
    values = values if channels > 1 else values[..., 0]
    return values.astype(np.float32) if dtype is np.float32 else (values * np.iinfo(dtype).max).astype(dtype)


def tiff(array, **options):
    target = io.BytesIO()
    colours = "rgb" if array.ndim > 2 else "minisblack"
    tifffile.imwrite(target, array, **({"photometric": colours} | options))
    return target.getvalue()


def bands_of(data, recipe, folder, number, room):
    """The records of all bands; their files lie in the folder."""
    records = []
    for band in (Band(number=one, of=number) for one in range(number)):
        work, outputs = process_band(data, recipe, room, band), []
        for made in work.outputs:
            path = f"{band.number}-{len(outputs)}"
            made.encoded.data.rename(folder / path)
            md5 = made.encoded.md5.hex()
            size = made.encoded.size
            outputs.append(
                Output(variant=made.variant, path=path, size=size, md5=md5, width=made.width, height=made.height)
            )
        found = {"width": work.width, "height": work.height, "measures": work.measures, "notes": work.notes}
        records.append(
            ImageResult.model_validate({"path": "a", "size": 1, "status": "done", "outputs": tuple(outputs), **found})
        )
    return records


def files_of(work):
    """Variant to bytes."""
    made = ((output.variant, output.encoded.data) for output in work.outputs)
    return {variant: data.read_bytes() if isinstance(data, Path) else data for variant, data in made}


def joined(data, recipe, folder, number=3, room=None):
    room = room or Room(DecodeLimits(), SIDE, folder)
    records = bands_of(data, recipe, folder, number, room)
    work = Joined(records, recipe, lambda output: folder / output.path, folder)
    return files_of(work), work, records


def unsplit(data, recipe, folder, room=None):
    return files_of(process_any(data, recipe, room or Room(DecodeLimits(), SIDE, folder)))


ORIGINALS = {
    "tiff in tiles": lambda: tiff(picture(), tile=(64, 64), compression="zlib"),
    "tiff in rows": lambda: tiff(picture(), rowsperstrip=70),
    "tiff in planes": lambda: tiff(
        picture().transpose(2, 0, 1).copy(), rowsperstrip=70, planarconfig="separate", compression="lzw"
    ),
    "16 bits": lambda: tiff(picture(dtype=np.uint16), rowsperstrip=70),
    "jpeg": lambda: bytes(imagecodecs.jpeg8_encode(picture(), level=90)),
    "png": lambda: bytes(imagecodecs.png_encode(picture())),
    "grey png": lambda: bytes(imagecodecs.png_encode(picture(1))),
}


def test_joined_bands_are_byte_for_byte_the_file_of_one_task(tmp_path):
    data, recipe = tiff(picture(), rowsperstrip=70), recipe_from_ops([*SEAMS, *FIRST_PASSES])
    files, work, records = joined(data, recipe, tmp_path)
    assert files == unsplit(data, recipe, tmp_path)
    assert [record.outputs[0].height for record in records] == [256, 256, 388]
    assert work.notes == ("in tiles", "joined from 3 bands")


@pytest.mark.parametrize("kind", ORIGINALS)
@pytest.mark.parametrize("ops", [["blur=sigma:4"], ["flip=vertical", "rotate=10 | sharpen=amount:1,radius:2"]])
def test_originals_of_every_kind_are_read_by_rows(kind, ops, tmp_path):
    data, recipe = ORIGINALS[kind](), recipe_from_ops(ops)
    assert joined(data, recipe, tmp_path)[0] == unsplit(data, recipe, tmp_path)


@pytest.mark.parametrize("kind", ["tiff", "jpeg", "png"])
def test_where_strips_get_smaller_for_the_bands_pixels_are_the_same(kind, tmp_path):
    recipe = parse_recipe(f"variants: {{blurred: [{{blur: {{sigma: 5}}}}]}}\noutput: {{format: {kind}}}", "r")
    room = Room(DecodeLimits(), "always", tmp_path)
    data = tiff(picture(), rowsperstrip=70)
    files, whole = joined(data, recipe, tmp_path, 2, room)[0], unsplit(data, recipe, tmp_path, room)
    assert np.array_equal(decode(files["blurred"]).array, decode(whole["blurred"]).array)


@pytest.mark.parametrize("number", [2, 4, 7])
def test_a_result_with_fewer_strips_than_bands_is_whole(number, tmp_path):
    data, recipe = tiff(picture()), recipe_from_ops(["crop=90x300", "invert"])
    assert joined(data, recipe, tmp_path, number)[0] == unsplit(data, recipe, tmp_path)


def test_a_small_result_of_any_format_is_put_together_from_pixels(tmp_path):
    data = tiff(picture(), rowsperstrip=70)
    recipe = parse_recipe("variants: {small: [{thumbnail: 90}], grey: [{grayscale: }]}\noutput: {format: webp}", "r")
    room = Room(DecodeLimits(), "auto", tmp_path)
    files, _, records = joined(data, recipe, tmp_path, 3, room)
    assert files == files_of(process_any(data, recipe, room))
    assert [record.outputs[1].height for record in records] == [256, 256, 388]


def test_a_pyramid_is_that_of_one_task(tmp_path):
    recipe = parse_recipe("variants: {same: [{invert: }]}\noutput: {format: tiff, pyramid: true}", "r")
    files = joined(tiff(picture()), recipe, tmp_path)[0]
    assert files == unsplit(tiff(picture()), recipe, tmp_path)
    with tifffile.TiffFile(io.BytesIO(files["same"])) as file:
        assert [level.shape[0] for level in file.series[0].levels] == [900, 450, 225]


def test_profile_orientation_and_measures_are_those_of_one_task(tmp_path):
    target, exif = io.BytesIO(), PillowImage.Exif()
    exif[0x0112] = 6
    profile = color_profile()
    PillowImage.fromarray(picture()).save(target, "jpeg", icc_profile=profile, exif=exif)
    recipe = parse_recipe("variants: {same: [], bare: [{strip_metadata: }]}\nmeasures: [size]", "r")
    files, work, _ = joined(target.getvalue(), recipe, tmp_path)
    whole = process_any(target.getvalue(), recipe, Room(DecodeLimits(), SIDE, tmp_path))
    assert files == files_of(whole)
    assert decode(files["same"]).icc_profile == profile
    assert (work.width, work.height, work.measures) == (whole.width, whole.height, whole.measures)
    assert work.notes == (*whole.notes, "joined from 3 bands")


def rows_read(tmp_path, ops, number, of=3, orientation=None):
    extra = [(274, "H", 1, orientation, True)] if orientation else []
    (tmp_path / "a.tif").write_bytes(tiff(picture(), rowsperstrip=70, extratags=extra))
    seen = look(tmp_path / "a.tif")
    extent = make_plan(seen, recipe_from_ops(ops), DecodeLimits(), SIDE, Band(number=number, of=of)).extent
    return range(extent.top, extent.bottom)


@pytest.mark.parametrize(
    ("ops", "rows"),
    [
        (["invert"], [range(256), range(256, 512), range(512, 900)]),
        (["sharpen=amount:1,radius:2"], [range(264), range(248, 520), range(504, 900)]),
        (["flip=vertical"], [range(900), range(388, 644), range(900)]),
        (["crop=x:0,y:100,width:96,height:700"], [range(356), range(356, 612), range(612, 900)]),
        (["normalize"], [range(900)] * 3),
        (["invert", "threshold"], [range(900)] * 3),
    ],
)
def test_a_band_reads_the_rows_it_needs_and_together_they_read_all(ops, rows, tmp_path):
    assert [rows_read(tmp_path, ops, number) for number in range(3)] == rows


def test_a_turned_original_is_read_as_a_whole(tmp_path):
    assert rows_read(tmp_path, ["invert"], 1, orientation=6) == range(900)


def test_a_band_reads_nothing_of_a_damaged_tile_that_is_another_s(tmp_path):
    data = bytearray(tiff(picture(), tile=(64, 64), compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        place, count = file.pages.first.dataoffsets[-1], file.pages.first.databytecounts[-1]
    data[place : place + count] = bytes(count)
    room = Room(DecodeLimits(), SIDE, tmp_path)
    first = process_band(bytes(data), recipe_from_ops(["invert"]), room, Band(number=0, of=3))
    assert [made.height for made in first.outputs] == [256]
    with pytest.raises(DecodeError, match="damaged"):
        list(process_band(bytes(data), recipe_from_ops(["invert"]), room, Band(number=2, of=3)).outputs)


def test_an_original_without_its_end_fails_though_no_result_needs_it(tmp_path):
    data = bytes(imagecodecs.jpeg8_encode(picture(), level=90))[:-2000]
    last = process_band(
        data,
        recipe_from_ops(["crop=x:0,y:0,width:90,height:90"]),
        Room(DecodeLimits(), SIDE, tmp_path),
        Band(number=2, of=3),
    )
    with pytest.raises(DecodeError, match="truncated"):
        list(last.outputs)


def test_bands_in_another_order_or_too_few_are_no_image(tmp_path):
    recipe, room = recipe_from_ops(["invert"]), Room(DecodeLimits(), SIDE, tmp_path)
    first, second, third = bands_of(tiff(picture()), recipe, tmp_path, 3, room)
    with pytest.raises(InputError, match="band 2 of 3 does not fit"):
        list(Joined([first, third, second], recipe, lambda output: tmp_path / output.path, tmp_path).outputs)
    again = bands_of(tiff(picture()), recipe, tmp_path, 3, room)
    with pytest.raises(InputError, match="the bands end at row 512 of 900"):
        list(Joined(again[:2], recipe, lambda output: tmp_path / output.path, tmp_path).outputs)


def test_what_is_left_of_a_band_is_deleted(tmp_path):
    room = Room(DecodeLimits(), SIDE, tmp_path / "room")
    room.folder.mkdir()
    records = bands_of(tiff(picture()), recipe_from_ops(["invert", "flip=vertical"]), tmp_path, 3, room)
    fetched = Joined(
        records, recipe_from_ops(["invert", "flip=vertical"]), lambda one: tmp_path / one.path, room.folder
    )
    for made in fetched.outputs:
        made.encoded.data.unlink()
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def band_record(number, **changes):
    given = {"path": "a.tif", "size": 7, "status": "done", "band": Band(number=number, of=3)}
    return ImageResult.model_validate(given | changes)


def test_an_image_fails_as_its_first_band_that_could_not_be_made():
    entry = ImageEntry(path="a.tif", size=7, joins=(0, 1, 2))
    late = {"status": "quarantined", "error_type": "TimeLimitExceeded", "message": "it took longer"}
    bad = {"status": "failed", "error_type": "DecodeError", "message": "damaged"}
    record = undone(entry, (band_record(0), band_record(1, **late), band_record(2, **bad)))
    told = (record.status, record.error_type, record.message)
    assert told == ("quarantined", "TimeLimitExceeded", "band 2 of 3: it took longer")
    assert (record.band, record.outputs) == (None, ())


def test_a_cause_that_all_bands_have_is_told_as_if_there_were_none():
    bad = {"status": "failed", "error_type": "DecodeError", "message": "damaged"}
    entry = ImageEntry(path="a.tif", size=7, joins=(0, 1, 2))
    assert undone(entry, tuple(band_record(number, **bad) for number in range(3))).message == "damaged"
    assert undone(entry, tuple(band_record(number) for number in range(3))) is None


@pytest.mark.parametrize("strips", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("bands", [2, 3, 7, 64])
def test_bands_share_out_every_strip_once_and_evenly(strips, bands):
    shares = [Band(number=number, of=bands).share(strips) for number in range(bands)]
    assert [strip for share in shares for strip in share] == list(range(strips))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_strips_get_smaller_where_they_do_not_share_out_evenly(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff(np.zeros((12_000, 64), np.uint8), rowsperstrip=100))
    seen, recipe = look(tmp_path / "a.tif"), recipe_from_ops(["invert"])
    strips = [
        make_plan(seen, recipe, DecodeLimits(), "always", Band(number=0, of=bands)).results[0].every_strip
        for bands in (1, 3, 4, 8, 100)
    ]
    assert strips == [6, 6, 24, 47, -(-12_000 // STRIP_ROWS)]
