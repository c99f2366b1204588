"""Runs a recipe on one image.

Variants that begin with the same steps share their results: the steps make a tree, each node is computed once, and
an array is released as soon as nothing below it is left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from batchimg_worker.codec import (
    DecodeLimits,
    Encoded,
    Header,
    Picture,
    decode,
    decode_bytes,
    encode,
    encode_bytes,
    inspect,
    written_format,
)
from batchimg_worker.errors import EncodeError, ImageTooLarge, OperationFailed
from batchimg_worker.operations import MEASURES, OPERATIONS, Shape
from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import TEMPORARY_BYTES
from batchimg_worker.recipe import Measurement, Output, Recipe, Step

MEGABYTE = 1024 * 1024
UPRIGHT_SIDES = (1, 2, 3, 4)
"""EXIF orientations that keep width and height."""

Measured = Mapping[str, Mapping[str, float]]
"""Measure's name to its named numbers: ``{"mean_pixel": {"red": 12.5, ...}}``."""


@dataclass(frozen=True)
class VariantOutput:
    """One result, before it is written."""

    variant: str
    picture: Picture


@dataclass(frozen=True)
class EncodedVariant:
    """One result as a file. Width and height are those of the result."""

    variant: str
    encoded: Encoded
    width: int
    height: int


@dataclass
class Branch:
    """A node of the tree: the step that leads here, the variants that end here, and what follows."""

    step: Step | None = None
    variants: list[str] = field(default_factory=list)
    children: dict[str, Branch] = field(default_factory=dict)

    def any_variant(self) -> str:
        """A variant that needs this node, for messages."""
        return self.variants[0] if self.variants else next(iter(self.children.values())).any_variant()


def plan_steps(recipe: Recipe) -> Branch:
    """The tree of a recipe's variants; its root is the original."""
    root = Branch()
    for variant in recipe.variants:
        branch = root
        for step in variant.steps:
            branch = branch.children.setdefault(step.key, Branch(step))
        branch.variants.append(variant.name)
    return root


def apply_recipe(picture: Picture, recipe: Recipe) -> Iterator[VariantOutput]:
    """Compute every variant, each as soon as the caller asks for it; the order is the tree's, not the recipe's.

    Raises OperationFailed, which names the variant, the step and the reason.
    """
    rest = replace(picture, array=picture.array[:0].copy())
    waiting: list[tuple[Branch, Image]] = [(plan_steps(recipe), picture.array)]
    del picture
    while waiting:
        branch, array = waiting.pop()
        if branch.step is not None:
            array = _run(branch.step, array, branch.any_variant())
        waiting += [(child, array) for child in reversed(branch.children.values())]
        for variant in branch.variants:
            yield VariantOutput(variant, replace(rest, array=array))
        del array


def measure(picture: Picture, recipe: Recipe) -> Measured:
    """Every measure of the recipe, taken of the original after its orientation was applied.

    Raises OperationFailed, which names the measure and the reason.
    """
    return {entry.measure: _numbers(entry, picture.array) for entry in recipe.measures}


def _numbers(entry: Measurement, array: Image) -> Mapping[str, float]:
    with _told(f"measure {entry.measure}"):
        numbers: Mapping[str, float] = MEASURES.get(entry.measure).run(array, entry.parameters)
    return numbers


def _run(step: Step, array: Image, variant: str) -> Image:
    with _told(f"variant {variant}: {step.operation}"):
        result: Image = OPERATIONS.get(step.operation).run(array, step.parameters)
    return result


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn whatever an operation raises into one line of OperationFailed: one of a third party may raise anything."""
    try:
        yield
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, MemoryError):
            reason = "not enough memory"
        hint = "Change the step, or take the image out of the dataset."
        raise OperationFailed(f"{where}: {reason}", hint) from error


@dataclass(frozen=True)
class StageTimes:
    """Seconds of work, by stage."""

    decode: float = 0.0
    compute: float = 0.0
    encode: float = 0.0


class Processed:
    """One image on its way through a recipe: what is known of it, and its results one by one.

    ``outputs`` can be read once; ``seconds`` grows while it is. Only the file that was asked for last is held.
    Width and height are those of the upright original.
    """

    def __init__(self, data: bytes, recipe: Recipe, limits: DecodeLimits) -> None:
        """Decode and measure. Raises DecodeError, ImageTooLarge and OperationFailed."""
        started = time.perf_counter()
        self.header = inspect(data)
        check_memory(self.header, recipe, limits)
        picture = decode(data, limits=limits)
        decoded = time.perf_counter()
        self.notes = picture.notes
        self.height: int = picture.array.shape[0]
        self.width: int = picture.array.shape[1]
        self.measures = measure(picture, recipe)
        self.seconds = StageTimes(decode=decoded - started, compute=time.perf_counter() - decoded)
        self.outputs = self._outputs(apply_recipe(picture, recipe), recipe.output)

    def _outputs(self, variants: Iterator[VariantOutput], output: Output) -> Iterator[EncodedVariant]:
        while True:
            started = time.perf_counter()
            result = next(variants, None)
            self._spent(compute=time.perf_counter() - started)
            if result is None:
                return
            started = time.perf_counter()
            encoded = _encoded(result, output)
            self._spent(encode=time.perf_counter() - started)
            del result
            yield encoded
            del encoded

    def _spent(self, *, compute: float = 0.0, encode: float = 0.0) -> None:
        so_far = self.seconds
        self.seconds = StageTimes(so_far.decode, so_far.compute + compute, so_far.encode + encode)


def _encoded(result: VariantOutput, output: Output) -> EncodedVariant:
    """Write one result; an EncodeError names its variant."""
    picture = result.picture
    try:
        encoded = encode(picture, written_format(picture.format, output.format), quality=output.quality)
    except EncodeError as error:
        raise EncodeError(f"variant {result.variant}: {error.message}", error.hint) from error
    return EncodedVariant(result.variant, encoded, picture.array.shape[1], picture.array.shape[0])


def process(data: bytes, recipe: Recipe, limits: DecodeLimits | None = None) -> Processed:
    """Decode and measure now; apply and encode while ``outputs`` is read."""
    return Processed(data, recipe, limits or DecodeLimits())


def check_memory(header: Header, recipe: Recipe, limits: DecodeLimits) -> None:
    """Raise ImageTooLarge where the recipe would hold more than the limit at once."""
    needed = peak_bytes(header, recipe)
    if needed > limits.memory_bytes:
        raise ImageTooLarge(
            f"{header.width}x{header.height} ({header.megapixels:,.1f} megapixels) and this recipe need "
            f"{needed / MEGABYTE:,.0f} MB of memory, the limit is {limits.memory_bytes / MEGABYTE:,.0f} MB",
            "Raise memory_mb, use fewer slots a node, or make the image smaller first.",
        )


def peak_bytes(header: Header, recipe: Recipe) -> int:
    """What `process` holds at most for such an image, beside the file's own bytes: an estimate from above."""
    bytes_each = header.decoded_bytes // (header.width * header.height * header.channels or 1)
    size = (header.height, header.width) if header.orientation in UPRIGHT_SIDES else (header.width, header.height)
    written = written_format(header.format, recipe.output.format)
    peak = decode_bytes(header)
    waiting = [(plan_steps(recipe), _Sized((*size, header.channels), bytes_each))]
    while waiting:
        branch, array = waiting.pop()
        held = sum({id(other): other.bytes for _, other in waiting}.values())
        if branch.step is not None:
            source, array = array, array.after(branch.step)
            held_before = held if any(source is other for _, other in waiting) else held + source.bytes
            peak = max(peak, held_before + array.bytes + TEMPORARY_BYTES)
        waiting += [(child, array) for child in branch.children.values()]
        if branch.variants:
            pixels = array.shape[0] * array.shape[1]
            peak = max(peak, held + array.bytes + encode_bytes(pixels, array.bytes, written))
    return peak


@dataclass(frozen=True, eq=False)
class _Sized:
    """Stands for an array when only its size matters."""

    shape: Shape
    bytes_each: int

    @property
    def bytes(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2] * self.bytes_each

    def after(self, step: Step) -> _Sized:
        """The result's size; a step that will fail on this image is left for `apply_recipe` to report."""
        try:
            return replace(self, shape=OPERATIONS.get(step.operation).output_shape(self.shape, step.parameters))
        except ValueError:
            return self
