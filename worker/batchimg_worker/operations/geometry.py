"""Operations that move pixels: flip, rotate, resize, crop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le

from batchimg_worker.operations.registry import Scalar, Shape, operation
from batchimg_worker.operations.values import Fraction, percent_of, pixels_of

if TYPE_CHECKING:
    from batchimg_worker.operations.arrays import Image

Order = Literal[0, 1, 3]
BorderMode = Literal["constant", "edge", "symmetric", "reflect", "wrap"]
MOST_PIXELS = 1_000_000
LARGEST_SCALE = 1000
Pixels = Annotated[int, Gt(0), Le(MOST_PIXELS)]
Offset = Annotated[int, Ge(0), Le(MOST_PIXELS)]


@operation(primary="direction")
def flip(image: Image, *, direction: Literal["horizontal", "vertical"]) -> Image:
    """Mirror the image: horizontal swaps left and right, vertical swaps top and bottom.

    Parameters
    ----------
    direction : horizontal or vertical
        Which way.
    """
    from batchimg_worker.operations.kernels import pixels

    return pixels.flip(image, horizontal=direction == "horizontal")


def _rotated_shape(shape: Shape, *, angle: float, resize: bool, **_: Scalar) -> Shape:
    if not resize:
        return shape
    from batchimg_worker.operations.kernels import warping

    return (*warping.rotation(shape[0], shape[1], angle, resize=True).output_size, shape[2])


@operation(primary="angle", shape=_rotated_shape)
def rotate(  # noqa: PLR0913 - scikit-image's own parameters
    image: Image,
    *,
    angle: float,
    resize: bool = False,
    order: Order = 1,
    mode: BorderMode = "constant",
    cval: float = 0.0,
) -> Image:
    """Turn the image counter-clockwise about its centre.

    Equals `skimage.transform.rotate`. A 1-bit image is always interpolated with order 0.

    Parameters
    ----------
    angle : degrees
        Counter-clockwise; negative turns clockwise.
    resize : true or false
        Enlarge the frame so that the whole turned image fits; otherwise the frame stays and corners are cut.
    order : 0, 1 or 3
        Interpolation: nearest, linear or cubic.
    mode : constant, edge, symmetric, reflect or wrap
        What fills the corners, as in numpy.pad.
    cval : 0 to 1
        The fill of mode constant, 0 black to 1 white; it fills alpha too, so 0 is transparent there.
        For float images it is a value of the image.
    """
    from batchimg_worker.operations.kernels import warping

    placement = warping.rotation(image.shape[0], image.shape[1], angle, resize=resize)
    return warping.warp(image, placement, order=order, mode=mode, cval=cval)


def _resize_shorthand(value: Scalar) -> dict[str, Scalar]:
    percent, size = percent_of(value), pixels_of(value)
    if percent is not None:
        return {"scale": percent / 100}
    if size is not None:
        return size
    raise ValueError(f"cannot read {value!r}; write 50%, 800x600 or {{width: 800}}")


def _check_resize(  # noqa: PLR0913 - the parameters of the operation
    *,
    order: int,
    enlarge: bool,  # noqa: ARG001 - always given
    scale: float | None = None,
    width: int | None = None,
    height: int | None = None,
    longest: int | None = None,
    anti_aliasing: bool | None = None,
) -> None:
    ways = [scale is not None, width is not None or height is not None, longest is not None]
    if sum(ways) != 1:
        raise ValueError("give scale, or width and/or height, or longest, and only one of these")
    if anti_aliasing and order == 0:
        raise ValueError("anti_aliasing needs order 1 or 3; order 0 takes the nearest pixel as it is")


def _resized_shape(  # noqa: PLR0913 - the parameters of the operation
    shape: Shape,
    *,
    scale: float | None = None,
    width: int | None = None,
    height: int | None = None,
    longest: int | None = None,
    enlarge: bool = True,
    **_: Scalar,
) -> Shape:
    rows, columns, channels = shape
    if longest is not None:
        scale = longest / max(rows, columns)
    elif scale is None and height is None and width is not None:
        scale = width / columns
    elif scale is None and width is None and height is not None:
        scale = height / rows
    if scale is None:
        wanted = (height or rows, width or columns)
    else:
        wanted = (height or max(1, round(rows * scale)), width or max(1, round(columns * scale)))
    if not enlarge and (wanted[0] > rows or wanted[1] > columns):
        return shape
    return (*wanted, channels)


@operation(shorthand=_resize_shorthand, check=_check_resize, shape=_resized_shape)
def resize(  # noqa: PLR0913 - skimage's own parameters and the ways to give a size
    image: Image,
    *,
    scale: Annotated[Fraction, Le(LARGEST_SCALE)] | None = None,
    width: Pixels | None = None,
    height: Pixels | None = None,
    longest: Pixels | None = None,
    enlarge: bool = True,
    order: Order = 1,
    anti_aliasing: bool | None = None,
) -> Image:
    """Make the image smaller or larger: `50%`, `800x600`, a width, a height or the longest side.

    Equals `skimage.transform.resize`. A 1-bit image is always resized with order 0.

    Parameters
    ----------
    scale : 50% or 0.5
        Both sides times this.
    width : pixels
        Width of the result; without height the aspect is kept.
    height : pixels
        Height of the result; without width the aspect is kept.
    longest : pixels
        Length of the longer side of the result; the aspect is kept.
    enlarge : true or false
        False leaves an image alone that is smaller than the wanted size.
    order : 0, 1 or 3
        Interpolation: nearest, linear or cubic.
    anti_aliasing : true or false
        Blur before making smaller, so that no detail turns into moiré. Default: where it makes sense.
    """
    from batchimg_worker.operations.kernels import scaling

    rows, columns, _ = _resized_shape(
        _shape(image), scale=scale, width=width, height=height, longest=longest, enlarge=enlarge
    )
    return scaling.resize(image, rows, columns, order=order, anti_aliasing=anti_aliasing)


def _crop_shorthand(value: Scalar) -> dict[str, Scalar]:
    size = pixels_of(value)
    if size is None:
        raise ValueError(f"cannot read {value!r}; write 640x480, or {{x: 0, y: 0, width: 640, height: 480}}")
    return size


def _check_crop(*, width: int, height: int, x: int | None = None, y: int | None = None) -> None:  # noqa: ARG001
    if (x is None) != (y is None):
        raise ValueError("give both x and y, or neither for the centre")


def crop_corner(shape: Shape, *, width: int, height: int, x: int | None, y: int | None) -> tuple[int, int]:
    """Top and left of the rectangle. Raises ValueError for one that leaves the image."""
    rows, columns, _ = shape
    left = (columns - width) // 2 if x is None else x
    top = (rows - height) // 2 if y is None else y
    if left < 0 or top < 0 or left + width > columns or top + height > rows:
        at = "centred" if x is None else f"at x={x}, y={y}"
        raise ValueError(f"a crop of {width}x{height} {at} does not fit into the image of {columns}x{rows}")
    return top, left


def _cropped_shape(shape: Shape, *, width: int, height: int, x: int | None = None, y: int | None = None) -> Shape:
    crop_corner(shape, width=width, height=height, x=x, y=y)
    return (height, width, shape[2])


@operation(shorthand=_crop_shorthand, check=_check_crop, shape=_cropped_shape)
def crop(image: Image, *, width: Pixels, height: Pixels, x: Offset | None = None, y: Offset | None = None) -> Image:
    """Cut a rectangle out; without x and y from the centre. One that leaves the image is an error.

    Parameters
    ----------
    width : pixels
        Width of the rectangle.
    height : pixels
        Height of the rectangle.
    x : pixels
        Its left column, from 0.
    y : pixels
        Its top row, from 0.
    """
    from batchimg_worker.operations.kernels import pixels

    top, left = crop_corner(_shape(image), width=width, height=height, x=x, y=y)
    return pixels.crop(image, slice(top, top + height), slice(left, left + width))


def _shape(image: Image) -> Shape:
    return (image.shape[0], image.shape[1], image.shape[2] if image.ndim > 2 else 1)
