"""`frames: all`: every frame of an animation and every page of a TIFF."""

import io
import tracemalloc

import numpy as np
import pytest
import tifffile
from PIL import Image

from batchimg_worker import naming
from batchimg_worker.apply import process
from batchimg_worker.codec import DecodeLimits, decode
from batchimg_worker.errors import DecodeError, EncodeError, ImageTooLarge, RecipeError
from batchimg_worker.naming import Which, result_name
from batchimg_worker.recipe import Output, parse_recipe

SHOWN = [50, 100, 150, 200]
ALLOWED = DecodeLimits(allow_truncated=True)


def frame(number, height=40, width=60):
    """Noise in few colours, so that a GIF keeps it exactly; another one for each number."""
    return np.random.default_rng(number).choice(np.array([0, 60, 160, 255], np.uint8), (height, width, 3))


def animation(kind, frames=4, **options):
    pictures = [Image.fromarray(frame(number)) for number in range(frames)]
    target = io.BytesIO()
    shown = {"save_all": True, "append_images": pictures[1:], "duration": SHOWN[:frames], "loop": 3}
    pictures[0].save(target, kind, **(shown | ({"lossless": True} if kind == "WEBP" else {}) | options))
    return target.getvalue()


def pages(*arrays, **options):
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as file:
        for array in arrays:
            file.write(array, photometric="rgb" if array.ndim == 3 else "minisblack", **options)
    return target.getvalue()


def made(data, output="{format: png}", steps="[]", limits=None, more=""):
    recipe = parse_recipe(f"frames: all\nvariants: {{a: {steps}}}\noutput: {output}\n{more}", "x")
    processed = process(data, recipe, limits)
    return processed, list(processed.outputs)


def read_frames(data):
    """Every frame with its duration, and the loops."""
    with Image.open(io.BytesIO(data)) as image:
        found = []
        for number in range(image.n_frames):
            image.seek(number)
            found.append((np.array(image), image.info.get("duration")))
        return found, image.info.get("loop")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_stays_one_with_its_durations_and_loops(kind):
    processed, (output,) = made(animation(kind), "{format: png}", "[{flip: horizontal}]")
    assert processed.notes == ("all of 4 frames",)
    assert (output.encoded.format, output.frame, output.width, output.height) == ("png", None, 60, 40)
    found, loops = read_frames(output.encoded.data)
    assert ([shown for _, shown in found], loops) == (SHOWN, 3)
    for number, (array, _) in enumerate(found):
        np.testing.assert_array_equal(array, frame(number)[:, ::-1])


def test_an_animation_is_written_as_webp():
    _, (output,) = made(animation("GIF"), "{format: webp, quality: 100}")
    found, loops = read_frames(output.encoded.data)
    assert ([shown for _, shown in found], loops) == (SHOWN, 3)
    still = process(animation("PNG", 1), parse_recipe("variants: {a: []}\noutput: {format: webp, quality: 100}", "x"))
    np.testing.assert_array_equal(found[0][0], decode(next(still.outputs).encoded.data).array)


def test_same_keeps_a_webp_a_webp_and_makes_a_gif_a_png():
    assert made(animation("WEBP"), "{format: same}")[1][0].encoded.format == "webp"
    assert made(animation("GIF"), "{format: same}")[1][0].encoded.format == "png"


def test_a_gif_without_loops_is_played_once():
    data = animation("GIF", loop=None)
    assert read_frames(made(data)[1][0].encoded.data)[1] == 1


def test_alpha_that_a_frame_needs_is_kept_and_one_that_is_always_full_is_not():
    clear = np.dstack([frame(1), np.full((40, 60), 255, np.uint8)])
    clear[:20, :, 3] = 0
    pictures = [Image.fromarray(np.dstack([frame(0), np.full((40, 60), 255, np.uint8)])), Image.fromarray(clear)]
    target = io.BytesIO()
    pictures[0].save(target, "PNG", save_all=True, append_images=pictures[1:], duration=9, blend=0)
    found, _ = read_frames(made(target.getvalue())[1][0].encoded.data)
    assert [array.shape for array, _ in found] == [(40, 60, 4)] * 2
    assert not found[1][0][:20, :, 3].any()
    opaque, _ = read_frames(made(animation("GIF"))[1][0].encoded.data)
    assert {array.shape for array, _ in opaque} == {(40, 60, 3)}


def test_where_the_format_holds_one_picture_each_frame_becomes_a_file():
    _, outputs = made(animation("PNG"), "{format: bmp}")
    assert [output.frame for output in outputs] == [1, 2, 3, 4]
    for number, output in enumerate(outputs):
        np.testing.assert_array_equal(decode(output.encoded.data).array, frame(number))
    names = [result_name("x/a.gif", "a", "bmp", output.output, Which(frame=output.frame)) for output in outputs]
    assert names == ["x/a.gif-0001.bmp", "x/a.gif-0002.bmp", "x/a.gif-0003.bmp", "x/a.gif-0004.bmp"]


@pytest.mark.parametrize(
    ("template", "expected"), [("{stem}-{frame}{ext}", "b-0003.png"), ("{stem}{ext}", "b-0003.png")]
)
def test_a_template_names_the_frames(template, expected):
    assert result_name("b.gif", "a", "png", Output(name=template), Which(frame=3)) == expected


def test_a_name_with_a_frame_makes_single_files_even_where_one_could_hold_all():
    _, outputs = made(animation("WEBP"), "{format: png, name: '{stem}-{frame}{ext}'}")
    assert [output.frame for output in outputs] == [1, 2, 3, 4]
    assert all(read_frames(output.encoded.data)[1] is None for output in outputs)


def test_a_frame_in_a_name_needs_all_frames():
    with pytest.raises(RecipeError, match="only the first frame is done"):
        parse_recipe("variants: {a: []}\noutput: {name: '{stem}-{frame}{ext}'}", "x")


def test_names_that_a_frame_could_get_are_refused_before_anything_runs():
    recipe = parse_recipe("frames: all\nvariants: {a: []}\noutput: {format: png, name: '{stem}{ext}'}", "x")
    naming.check_paths(recipe, ["a.gif", "b-0003.gif"])
    with pytest.raises(RecipeError, match=r"'a\.gif' and 'a-0003\.gif'"):
        naming.check_paths(recipe, ["a.gif", "a-0003.gif"])
    with pytest.raises(RecipeError, match=r"'a-0001\.gif' and 'a-0001-0002\.gif'"):
        naming.check_paths(recipe, ["a-0001.gif", "a-0001-0002.gif"])


def test_a_wrong_word_for_frames_is_told():
    with pytest.raises(RecipeError, match="frames cannot be 'al'") as caught:
        parse_recipe("frames: al\nvariants: {a: []}", "x")
    assert caught.value.hint == "Did you mean 'all'?"


def test_first_is_the_default_and_changes_no_hash():
    first = parse_recipe("frames: first\nvariants: {a: []}", "x")
    assert first == parse_recipe("variants: {a: []}", "x")
    assert first.hash != parse_recipe("frames: all\nvariants: {a: []}", "x").hash
    assert process(animation("GIF"), first).notes[-1] == "first of 4 frames"


def test_pages_become_pages_of_any_size_with_all_their_bits():
    deep = frame(1, 30, 20).astype(np.uint16) * 257
    processed, (output,) = made(pages(frame(0), deep, frame(2)[..., 0]), "{format: same}", "[{flip: vertical}]")
    assert processed.notes[0] == "all of 3 pages"
    with tifffile.TiffFile(io.BytesIO(output.encoded.data)) as file:
        arrays = [page.asarray() for page in file.pages]
    for array, expected in zip(arrays, (frame(0), deep, frame(2)[..., 0]), strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected[::-1])


def test_pages_become_files_in_any_other_format():
    _, outputs = made(pages(frame(0), frame(1)), "{format: png}")
    assert [output.frame for output in outputs] == [1, 2]
    np.testing.assert_array_equal(decode(outputs[1].encoded.data).array, frame(1))


def test_previews_among_the_pages_are_left_out():
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as file:
        file.write(frame(0), photometric="rgb")
        file.write(frame(0, 10, 10), photometric="rgb", subfiletype=1)
        file.write(frame(2), photometric="rgb")
    assert [output.frame for output in made(target.getvalue(), "{format: png}")[1]] == [1, 3]


def test_durations_that_are_lost_are_told():
    _, (output,) = made(animation("GIF"), "{format: tiff}")
    assert output.encoded.notes == ("durations of its frames are lost in a TIFF",)


def test_measures_and_size_are_those_of_the_first_frame():
    processed, _ = made(animation("PNG"), more="measures: [mean_pixel]")
    assert processed.measures["mean_pixel"]["red"] == pytest.approx(frame(0)[..., 0].mean(), abs=0.01)
    assert (processed.width, processed.height) == (60, 40)


def test_a_still_image_is_as_ever():
    _, (output,) = made(animation("PNG", 1))
    assert (output.frame, read_frames(output.encoded.data)[1]) == (None, None)


def test_the_orientation_is_applied_to_every_page():
    data = pages(frame(0), frame(1), extratags=[(274, "H", 1, 3, True)])
    _, outputs = made(data)
    for number, output in enumerate(outputs):
        np.testing.assert_array_equal(decode(output.encoded.data).array, frame(number)[::-1, ::-1])


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_a_truncated_animation_is_refused_or_kept_as_far_as_it_goes(kind):
    data = animation(kind)
    cut = data[: int(len(data) * 0.6)]
    with pytest.raises(DecodeError, match="truncated"):
        made(cut)
    processed, (output,) = made(cut, limits=ALLOWED)
    assert any(note.startswith("truncated: what is missing are the frames from 3 on") for note in processed.notes)
    assert len(read_frames(output.encoded.data)[0]) == 2


def test_a_truncated_animated_webp_keeps_its_whole_frames():
    data = animation("WEBP")
    processed, (output,) = made(data[: int(len(data) * 0.6)], limits=ALLOWED)
    assert processed.notes[0] == "truncated: what is missing is every frame after the first 2"
    assert len(read_frames(output.encoded.data)[0]) == 2


def test_a_page_that_is_cut_is_refused_by_its_number_or_left_out():
    data = pages(frame(0), frame(1), frame(2))
    with pytest.raises(DecodeError, match="on page 3"):
        made(data[:-500])
    processed, outputs = made(data[:-500], limits=ALLOWED)
    assert processed.notes[-1] == "truncated: what is missing are the pages from 3 on"
    assert [output.frame for output in outputs] == [1, 2]


def test_a_page_that_is_too_large_is_refused_before_it_is_decoded():
    data = pages(frame(0), np.zeros((2000, 2000, 3), np.uint8), compression="zlib")
    with pytest.raises(ImageTooLarge, match="2000x2000"):
        made(data, limits=DecodeLimits(max_megapixels=3))


def test_frames_that_do_not_fit_into_one_file_say_what_to_do():
    """A step that depends on the pixels could do that; here a page of another size in a variant for PNG."""
    from batchimg_worker.animation import Apng
    from batchimg_worker.codec import Picture

    file = Apng(Output())
    file.add(Picture(frame(0), "gif", 8), 10)
    with pytest.raises(EncodeError, match="frame 2 has another size") as caught:
        file.add(Picture(frame(0, 10, 10), "gif", 8), 10)
    assert "{frame}" in caught.value.hint


def test_one_frame_is_in_memory_at_a_time():
    side, number = 600, 12
    arrays = (np.full((side, side, 3), index, np.uint8) for index in range(number))
    data = pages(*arrays, compression="zlib")
    recipe = parse_recipe("frames: all\nvariants: {a: [{flip: horizontal}]}\noutput: {format: tiff}", "x")
    process(data, recipe)
    tracemalloc.start()
    try:
        (output,) = process(data, recipe).outputs
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(tifffile.TiffFile(io.BytesIO(output.encoded.data)).pages) == number
    assert peak < 5 * side * side * 3


def test_frames_that_fill_the_memory_are_refused():
    data = pages(*(np.random.default_rng(n).integers(0, 256, (200, 200, 3), np.uint8) for n in range(20)))
    recipe = parse_recipe("frames: all\nvariants: {a: []}\noutput: {format: tiff}", "x")
    limits = DecodeLimits(memory_bytes=52 * 1024**2)
    assert list(process(data, recipe, limits).outputs)
    with pytest.raises(ImageTooLarge, match="of its 20 frames fill the memory"):
        list(process(data, recipe, DecodeLimits(memory_bytes=1_500_000)).outputs)


def test_pages_with_a_pyramid_become_files_of_their_own():
    _, outputs = made(pages(frame(0, 600, 700), frame(1, 600, 700)), "{format: tiff, pyramid: true}")
    assert [output.frame for output in outputs] == [1, 2]
    for number, output in enumerate(outputs):
        with tifffile.TiffFile(io.BytesIO(output.encoded.data)) as file:
            (page,) = file.series
            np.testing.assert_array_equal(page.asarray(), frame(number, 600, 700))
            assert len(page.levels) == 3
