"""Every parameter that is refused, with the words that help."""

import jsonschema
import pytest

from batchimg_worker.errors import RecipeError
from batchimg_worker.operations import MEASURES, OPERATIONS, noise
from batchimg_worker.recipe import recipe_from_ops

REFUSED = [
    ("thumbnail", {}, "'longest' is missing", "thumbnail takes longest"),
    ("thumbnail", 0, "longest cannot be 0", "longest"),
    ("thumbnail", "big", "longest cannot be 'big'", "longest"),
    ("thumbnail", {"longest": 5, "order": 2}, "order cannot be 2", "0, 1, 3"),
    ("pad", "wide", "cannot read 'wide'; write 20", "pad takes"),
    ("pad", True, "cannot read True", "pad takes"),
    ("pad", -1, "cannot be -1", "pad takes"),
    ("pad", {}, "only one of these", "square"),
    ("pad", {"top": 1, "square": True}, "only one of these", "square"),
    ("pad", {"width": 9, "left": 1}, "only one of these", "square"),
    ("pad", {"left": 1, "mode": "mirror"}, "mode cannot be 'mirror'", "constant"),
    ("pad", {"left": 1, "mode": "edge", "cval": 1.0}, "cval is the fill of mode constant", "pad takes"),
    ("pad", {"left": 1, "cval": 2}, "cval cannot be 2", "cval"),
    ("watermark", {}, "give text, or image, and only one of these", "watermark takes [text]"),
    ("watermark", "  ", "1 to 200 characters", "text"),
    ("watermark", "x" * 201, "1 to 200 characters", "text"),
    ("watermark", "日本", "the built-in font has no '日'", "text"),
    ("watermark", "a\nb", "the built-in font has no '\\n'", "text"),
    ("watermark", {"text": "a", "position": "botom-left"}, "position cannot be 'botom-left'", "'bottom-left'"),
    ("watermark", {"text": "a", "size": 0.9}, "size cannot be 0.9", "size"),
    ("watermark", {"text": "a", "opacity": "150%"}, "opacity cannot be", "opacity"),
    ("watermark", {"text": "a", "color": "red"}, "color cannot be 'red'", "white"),
    ("watermark", {"text": "a", "font": "Arial"}, "unknown parameter 'font'", "text"),
    ("convert", {}, "give mode, or bits", "convert takes"),
    ("convert", "cmyk", "mode cannot be 'cmyk'", "grey"),
    ("convert", 12, "bits cannot be 12", "8, 16, 32"),
    ("strip_metadata", 1, "takes no bare value", "no parameters"),
    ("sharpen", 0, "amount cannot be 0", "amount"),
    ("sharpen", {"radius": -1}, "radius cannot be -1", "radius"),
    ("sharpen", {"radius": 501}, "radius cannot be 501", "radius"),
    ("denoise", "gaussian", "method cannot be 'gaussian'", "tv"),
    ("denoise", "bilaterl", "method cannot be 'bilaterl'", "'bilateral'"),
    (
        "denoise",
        {"method": "tv", "radius": 3},
        "radius is a parameter of method median, and the method is tv",
        "radius",
    ),
    ("denoise", {"method": "median", "h": 0.1}, "h is a parameter of method nl_means", "method"),
    ("denoise", {"method": "nl_means", "patch_size": 4}, "patch_size must be odd, and 4 is even", "patch_size"),
    ("denoise", {"method": "median", "radius": 51}, "radius cannot be 51", "radius"),
    ("denoise", {"weight": 0}, "weight cannot be 0", "weight"),
    ("edges", "prewitt", "method cannot be 'prewitt'", "sobel"),
    ("edges", {"sigma": 2}, "sigma is a parameter of method canny, and the method is sobel", "sigma"),
    (
        "edges",
        {"method": "canny", "low_threshold": 0.5},
        "low_threshold must not be above high_threshold, and 0.5 is above 0.2",
        "low_threshold",
    ),
    ("edges", {"method": "canny", "high_threshold": 1.5}, "high_threshold cannot be 1.5", "high_threshold"),
    ("threshold", "mean", "method cannot be 'mean'", "otsu"),
    ("threshold", 5, "method cannot be 5", "otsu"),
    ("threshold", "150%", "level cannot be 1.5", "level"),
    ("threshold", {"level": 0.5}, "level is a parameter of method level, and the method is otsu", "level"),
    ("threshold", {"method": "local", "block_size": 10}, "block_size must be odd, and 10 is even", "block_size"),
    ("threshold", {"method": "local", "offset": 2}, "offset cannot be 2", "offset"),
    ("morphology", {}, "'method' is missing", "morphology takes method"),
    ("morphology", "opening", "method cannot be 'opening'", "'open'"),
    ("morphology", {"method": "open", "footprint": "disc"}, "footprint cannot be 'disc'", "'disk'"),
    ("morphology", {"method": "open", "radius": 0}, "radius cannot be 0", "radius"),
    ("contrast", "strong", "cannot read 'strong'; write 120%", "factor"),
    ("contrast", True, "cannot read True", "factor"),
    ("contrast", 0, "factor cannot be 0", "factor"),
    ("contrast", {"gain": 3}, "gain is a parameter of method sigmoid, and the method is linear", "gain"),
    ("contrast", {"method": "sigmoid", "factor": 2.0}, "factor is a parameter of method linear", "factor"),
    ("contrast", {"method": "sigmoid", "cutoff": 2.0}, "cutoff cannot be 2.0", "cutoff"),
    ("gamma", {}, "'gamma' is missing", "gamma takes gamma"),
    ("gamma", 0, "gamma cannot be 0", "gamma"),
    ("gamma", {"gamma": 1, "gain": -1}, "gain cannot be -1", "gain"),
    ("brightness", {}, "'factor' is missing", "factor"),
    ("brightness", -1, "factor cannot be -1", "factor"),
    ("invert", True, "takes no bare value", "no parameters"),
    ("normalize", {"low": 60, "high": 50}, "low must be below high, and 60 is not below 50", "low"),
    ("normalize", {"high": 101}, "high cannot be 101", "high"),
    ("normalize", 3, "takes no bare value", "normalize takes"),
    ("equalize", "clahee", "method cannot be 'clahee'", "'clahe'"),
    ("equalize", {"method": "histogram", "clip_limit": 0.1}, "clip_limit is a parameter of method clahe", "clip_limit"),
    ("equalize", {"clip_limit": 0}, "clip_limit cannot be 0", "clip_limit"),
    ("equalize", {"kernel_size": 0}, "kernel_size cannot be 0", "kernel_size"),
]


@pytest.mark.parametrize(("name", "given", "message", "hint"), REFUSED)
def test_a_refused_value_is_named_with_what_is_right(name, given, message, hint):
    with pytest.raises(RecipeError) as caught:
        OPERATIONS.get(name).bind(given)
    assert caught.value.message.startswith(f"{name}: ")
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_every_new_operation_is_among_them():
    old = {"flip", "rotate", "blur", "resize", "crop", "grayscale"}
    assert {name for name, *_ in REFUSED} == set(OPERATIONS.names()) - old


def test_a_method_whose_package_is_missing_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(noise, "_has_wavelets", lambda: False)
    with pytest.raises(RecipeError, match="wavelet needs the package PyWavelets"):
        recipe_from_ops(["denoise=wavelet"])


@pytest.mark.parametrize("name", MEASURES.names())
def test_every_measure_has_help_and_a_schema(name):
    entry = MEASURES.get(name)
    assert entry.help.endswith(".")
    assert all(parameter.help for parameter in entry.parameters)
    jsonschema.Draft202012Validator.check_schema(entry.schema())


@pytest.mark.parametrize("bins", [1, 257, "many", True])
def test_a_wrong_number_of_bins_is_refused(bins):
    with pytest.raises(RecipeError, match="histogram: bins cannot be"):
        MEASURES.get("histogram").bind(bins)


def test_an_unknown_measure_offers_the_nearest():
    with pytest.raises(RecipeError) as caught:
        MEASURES.get("sharpnes")
    assert caught.value.hint == "Did you mean 'sharpness'?"
