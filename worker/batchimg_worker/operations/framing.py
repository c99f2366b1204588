"""Operations on an image as a whole: thumbnail, pad, watermark, convert, strip_metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le

from batchimg_worker.operations.attached import attached
from batchimg_worker.operations.geometry import BorderMode, Offset, Order, Pixels
from batchimg_worker.operations.registry import OPERATIONS, Scalar, Shape, operation
from batchimg_worker.operations.values import Fraction, pixels_of

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image

TEXT_VALUE_BYTES = 24
LARGEST_TEXT = 200
LARGEST_TEXT_SIZE = 0.5
TEXT_SIZE, LOGO_SIZE = 0.05, 0.2
LOGO_PIXEL_BYTES = 64
SIGNS = "©«»°±·´"
GREY_BITS = {8: 1, 16: 2, 32: 4}
SIDES = ("top", "bottom", "left", "right")

Position = Literal["top-left", "top", "top-right", "left", "center", "right", "bottom-left", "bottom", "bottom-right"]
PLACES = {"left": "center-left", "right": "center-right"}


def _thumbnail_size(longest: int, order: Order) -> dict[str, Scalar]:
    return {"longest": longest, "enlarge": False, "order": order}


def _thumbnail_shape(shape: Shape, *, longest: int, order: Order) -> Shape:
    return OPERATIONS.get("resize").output_shape(shape, _thumbnail_size(longest, order))


@operation(primary="longest", shape=_thumbnail_shape)
def thumbnail(image: Image, *, longest: Pixels, order: Order = 1) -> Image:
    """Make the image smaller until its longer side has this many pixels; a smaller image stays as it is.

    Equals `skimage.transform.resize` with anti-aliasing. Alpha is one more channel.

    Parameters
    ----------
    longest : pixels
        Length of the longer side of the result.
    order : 0, 1 or 3
        Interpolation: nearest, linear or cubic.
    """
    result: Image = OPERATIONS.get("resize").run(image, _thumbnail_size(longest, order))
    return result


def _pad_shorthand(value: Scalar) -> dict[str, Scalar]:
    size = pixels_of(value)
    if size is not None:
        return size
    if value == "square":
        return {"square": True}
    if isinstance(value, bool) or not isinstance(value, int):
        hint = "write 20 (pixels on every side), 800x600 or square"
        raise ValueError(f"cannot read {value!r}; {hint}")  # noqa: TRY004 - `bind` tells ValueErrors
    return dict.fromkeys(SIDES, value)


def _check_pad(
    *,
    mode: str,
    cval: float,
    square: bool,
    width: int | None = None,
    height: int | None = None,
    **sides: int,
) -> None:
    ways = [any(sides.values()), width is not None or height is not None, square]
    if sum(ways) != 1:
        raise ValueError("give top, bottom, left, right, or width and/or height, or square, and only one of these")
    if mode != "constant" and cval:
        raise ValueError(f"cval is the fill of mode constant, and the mode is {mode}")


def borders(  # noqa: PLR0913 - the parameters of the operation
    shape: Shape,
    *,
    top: int = 0,
    bottom: int = 0,
    left: int = 0,
    right: int = 0,
    width: int | None = None,
    height: int | None = None,
    square: bool = False,
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pixels above and below, left and right."""
    rows, columns, _ = shape
    if square:
        width = height = max(rows, columns)
    if width is None and height is None:
        return (top, bottom), (left, right)
    down, across = (height or rows) - rows, (width or columns) - columns
    if down < 0 or across < 0:
        wanted = f"{width or columns}x{height or rows}"
        raise ValueError(f"an image of {columns}x{rows} is larger than the frame of {wanted}; use resize or crop first")
    return (down // 2, down - down // 2), (across // 2, across - across // 2)


def _padded_shape(  # noqa: PLR0913 - the parameters of the operation
    shape: Shape,
    *,
    mode: str = "constant",  # noqa: ARG001 - always given
    cval: float = 0.0,  # noqa: ARG001 - always given
    top: int = 0,
    bottom: int = 0,
    left: int = 0,
    right: int = 0,
    width: int | None = None,
    height: int | None = None,
    square: bool = False,
) -> Shape:
    rows, columns = borders(
        shape, top=top, bottom=bottom, left=left, right=right, width=width, height=height, square=square
    )
    return (shape[0] + sum(rows), shape[1] + sum(columns), shape[2])


@operation(shorthand=_pad_shorthand, check=_check_pad, shape=_padded_shape)
def pad(  # noqa: PLR0913 - numpy's parameters and the ways to give a size
    image: Image,
    *,
    top: Offset = 0,
    bottom: Offset = 0,
    left: Offset = 0,
    right: Offset = 0,
    width: Pixels | None = None,
    height: Pixels | None = None,
    square: bool = False,
    mode: BorderMode = "constant",
    cval: Annotated[float, Ge(0), Le(1)] = 0.0,
) -> Image:
    """Put a border around the image: `20` pixels on every side, up to a frame of `800x600`, or `square`.

    Equals `numpy.pad`. In a frame the image is in the centre. Alpha is one more channel.

    Parameters
    ----------
    top : pixels
        Border above.
    bottom : pixels
        Border below.
    left : pixels
        Border on the left.
    right : pixels
        Border on the right.
    width : pixels
        Width of the frame; an image that is wider is an error.
    height : pixels
        Height of the frame; an image that is higher is an error.
    square : true or false
        A frame as wide and high as the longer side.
    mode : constant, edge, symmetric, reflect or wrap
        What fills the border, as in numpy.pad.
    cval : 0 to 1
        The fill of mode constant, 0 black to 1 white; it fills alpha too, so 0 is transparent there.
    """
    from batchimg_worker.operations.reference import frames

    shape = (image.shape[0], image.shape[1], 1)
    rows, columns = borders(
        shape, top=top, bottom=bottom, left=left, right=right, width=width, height=height, square=square
    )
    return frames.pad(image, rows, columns, mode, cval)


def _check_watermark(
    *, text: str | None = None, image: str | None = None, size: float | None = None, **_: Scalar
) -> None:
    if (text is None) == (image is None):
        raise ValueError("give text, or image, and only one of these")
    if text is None:
        return
    if size is not None and size > LARGEST_TEXT_SIZE:
        raise ValueError(f"size cannot be {size:g}: that of a text is at most {LARGEST_TEXT_SIZE:g}")
    if not text.strip() or len(text) > LARGEST_TEXT:
        raise ValueError(f"text must have 1 to {LARGEST_TEXT} characters")
    strange = next((letter for letter in text if not (" " <= letter <= "~" or letter in SIGNS)), None)
    if strange is not None:
        raise ValueError(f"the built-in font has no {strange!r}; it has a to z, digits, punctuation and {SIGNS}")


def _check_logo(content: bytes) -> None:
    from batchimg_worker.operations.reference import marks

    marks.logo(content)


def _mark_bytes(shape: Shape, value_bytes: int, *, image: str | None = None, **_: Scalar) -> int:  # noqa: ARG001
    """A text may be as wide as the image, and half as high; a logo as large as the image, and is decoded first."""
    covered = shape[0] * shape[1] * shape[2] * TEXT_VALUE_BYTES
    return covered // 2 if image is None else 2 * covered + _logo_bytes(image)


def _logo_bytes(name: str) -> int:
    from batchimg_worker.header import inspect

    try:
        header = inspect(attached(name))
    except ValueError:  # it was not brought along, which is for the operation to say
        return 0
    return header.width * header.height * LOGO_PIXEL_BYTES


@operation(primary="text", check=_check_watermark, temporary=_mark_bytes, files={"image": _check_logo})
def watermark(  # noqa: PLR0913 - what there is to say about a mark
    picture: Image,
    *,
    text: str | None = None,
    image: str | None = None,
    position: Position = "bottom-right",
    size: Annotated[Fraction, Le(1)] | None = None,
    opacity: Annotated[Fraction, Le(1)] = 0.5,
    color: Literal["white", "black"] = "white",
) -> Image:
    """Write a text over the image, or lay another image over it, a logo say: `{image: logo.png}`.

    A text is drawn in the font that Pillow carries, so it needs no font of the machine; one that is too wide is made
    smaller, and an image where it would be under 6 pixels is an error. A logo may be of any kind that can be read; its
    alpha counts, and it is resized with anti-aliasing. A submit takes the file along: it lies beside the recipe, or in
    the folder where the command is typed. scikit-image has no such operation. Where there is alpha the mark is opaque
    as far as its own opacity. A 1-bit image becomes 8-bit grey.

    Parameters
    ----------
    text : letters without accents
        One line: what ASCII has, and ©.
    image : path of a file
        What is laid over, instead of a text; up to 4 megapixels.
    position : top-left, top, top-right, left, center, right, bottom-left, bottom or bottom-right
        Where.
    size : 5% or 0.05
        Height of the font (5%, at most 50%), or longer side of the logo (20%), a part of the image's shorter side.
    opacity : 50% or 0.5
        100% hides what is below.
    color : white or black
        Colour of the text.
    """
    from batchimg_worker.operations.reference import marks

    place = PLACES.get(position, position)
    if image is not None:
        return marks.stamp(picture, attached(image), place, (size or LOGO_SIZE, opacity))
    return marks.watermark(picture, text or "", place, (size or TEXT_SIZE, opacity, 1.0 if color == "white" else 0.0))


def _convert_shorthand(value: Scalar) -> dict[str, Scalar]:
    return {"mode": value} if isinstance(value, str) else {"bits": value}


def _check_convert(*, mode: str | None = None, bits: int | None = None) -> None:
    if mode is None and bits is None:
        raise ValueError("give mode, or bits, or both")


def _converted_shape(shape: Shape, *, mode: str | None = None, bits: int | None = None) -> Shape:  # noqa: ARG001
    channels = {None: shape[2], "grey": 1, "greya": 2, "rgb": 3, "rgba": 4}[mode]
    return (shape[0], shape[1], channels)


def _converted_bytes(before: int, *, mode: str | None = None, bits: int | None = None) -> int:  # noqa: ARG001
    return before if bits is None else GREY_BITS[bits]


def _between(shape: Shape, value_bytes: int, *, mode: str | None = None, bits: int | None = None) -> int:
    """The image between the two conversions, and the planes that are put together."""
    largest = max(shape[2], 4) * max(value_bytes, GREY_BITS.get(bits or 8, 1))
    return 2 * shape[0] * shape[1] * largest if mode is not None else 0


@operation(
    shorthand=_convert_shorthand,
    check=_check_convert,
    shape=_converted_shape,
    value_bytes=_converted_bytes,
    temporary=_between,
)
def convert(
    image: Image,
    *,
    mode: Literal["grey", "greya", "rgb", "rgba"] | None = None,
    bits: Literal[8, 16, 32] | None = None,
) -> Image:
    """Change the channels (`grey`, `greya`, `rgb`, `rgba`) or the depth (`8`, `16`, or `32` for float).

    Equals `skimage.img_as_ubyte`, `img_as_uint` and `img_as_float32`, rounded, and `rgb2gray`, `gray2rgb`. Alpha that
    has no place is laid on white; alpha that is missing is opaque. Float values beyond 0 to 1 are an error for 8 and
    16 bits: they have no agreed white.

    Parameters
    ----------
    mode : grey, greya, rgb or rgba
        Which channels; a is alpha.
    bits : 8, 16 or 32
        Bits of a channel; 32 is float from 0 to 1.
    """
    from batchimg_worker.operations.reference import frames

    image = image if bits is None else frames.to_bits(image, bits)
    return image if mode is None else frames.to_mode(image, mode)


@operation(drops_metadata=True)
def strip_metadata(image: Image) -> Image:
    """Write the result without a colour profile, so that nothing but pixels is left; they stay as they are.

    EXIF, GPS positions, thumbnails and comments are never written anyway, whatever the recipe.
    """
    return image
