"""Runs a recipe on one image.

Variants that begin with the same steps share their results: the steps make a tree, each node is computed once, and
an array is released as soon as nothing below it is left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from batchimg_worker import planes, streamed
from batchimg_worker.codec import (
    DecodeLimits,
    Encoded,
    Header,
    Picture,
    check_size,
    decode,
    decode_bytes,
    encode,
    encode_bytes,
    opened,
    written_format,
)
from batchimg_worker.errors import EncodeError, ImageTooLarge
from batchimg_worker.header import UPRIGHT_SIDES
from batchimg_worker.memory import give_back_freed_memory
from batchimg_worker.operations import MEASURES, OPERATIONS, Shape, foreign
from batchimg_worker.operations.kernels import TEMPORARY_BYTES
from batchimg_worker.planes import Planes
from batchimg_worker.recipe import Measurement, Output, Recipe, Step
from batchimg_worker.streamed import Streamed
from batchimg_worker.tiles.files import EncodedFile
from batchimg_worker.told import told

MEGABYTE = 1024 * 1024
SHORT_BITS = 16
VERY_LARGE_BYTES = 96 * MEGABYTE
Source: TypeAlias = Picture | Planes
"""An image on its way: both have ``size`` (height and width), ``notes`` and a colour profile."""

Measured = Mapping[str, Mapping[str, float | str | None]]
"""Measure's name to its named numbers: ``{"mean_pixel": {"red": 12.5, ...}}``."""


@dataclass(frozen=True)
class VariantOutput:
    """One result, before it is written."""

    variant: str
    picture: Picture


@dataclass(frozen=True)
class EncodedVariant:
    """One result as a file. Width and height are those of the result; ``output`` is what the recipe asked for.

    ``frame`` counts from 1 where each frame of the original becomes a file.
    """

    variant: str
    encoded: Encoded | EncodedFile
    width: int
    height: int
    output: Output
    frame: int | None = None


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
    results = _computed(plan_steps(recipe), picture)
    del picture
    for variant, result in results:
        if isinstance(result, Picture):
            yield VariantOutput(variant, result)
        del result


def _computed(root: Branch, original: Source, recipe: Recipe | None = None) -> Iterator[tuple[str, Source | Streamed]]:
    """The name and the result of every variant; with the recipe, what its outputs allow comes unmade."""
    waiting: list[tuple[Branch, Source]] = [(root, original)]
    del original
    while waiting:
        branch, result = waiting.pop()
        unmade = _unmade(branch, result, root, recipe)
        if unmade is not None:
            yield branch.any_variant(), unmade
            continue
        if branch.step is not None:
            with told(_place(branch, branch.step)):
                result = _run(branch.step, result)
        waiting += [(child, result) for child in reversed(branch.children.values())]
        for variant in branch.variants:
            yield variant, result
        del result


def _unmade(branch: Branch, source: Source, root: Branch, recipe: Recipe | None) -> Streamed | None:
    """What can be made while it is written."""
    if recipe is None or branch.step is None or isinstance(source, Planes):
        return None
    shape = (*source.array.shape, 1)[:3]
    sized = _Sized((shape[0], shape[1], shape[2]), source.array.itemsize)
    if not _streams(branch, sized, root, recipe, source.format):
        return None
    return Streamed(source, branch.step, _place(branch, branch.step))


def _place(branch: Branch, step: Step) -> str:
    return f"variant {branch.any_variant()}: {step.operation}"


def measure(picture: Picture, recipe: Recipe) -> Measured:
    """Every measure of the recipe, taken of the original after its orientation was applied.

    Raises OperationFailed, which names the measure and the reason.
    """
    return {entry.measure: _numbers(entry, picture) for entry in recipe.measures}


def _numbers(entry: Measurement, picture: Picture) -> Mapping[str, float | str | None]:
    with told(f"measure {entry.measure}"):
        found = MEASURES.get(entry.measure)
        source = picture.metadata if found.reads == "metadata" else picture.array
        return foreign.measured(found, source, entry.parameters)


def _run(step: Step, source: Source) -> Source:
    if isinstance(source, Planes):
        return planes.run(step, source)
    operation = OPERATIONS.get(step.operation)
    result = replace(source, array=foreign.run(operation, source.array, step.parameters))
    return replace(result, icc_profile=None, metadata={}) if operation.drops_metadata else result


@dataclass(frozen=True)
class StageTimes:
    """Seconds of work, by stage."""

    decode: float = 0.0
    compute: float = 0.0
    encode: float = 0.0


class Work(Protocol):
    """What becomes of one image: see `Processed`."""

    width: int
    height: int
    measures: Measured
    seconds: StageTimes
    outputs: Iterator[EncodedVariant]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided for it."""


class Processed:
    """One image on its way through a recipe: what is known of it, and its results one by one.

    ``outputs`` can be read once; ``seconds`` grows while it is. Only the file that was asked for last is held.
    Width and height are those of the upright original.
    """

    def __init__(self, data: bytes, recipe: Recipe, limits: DecodeLimits) -> None:
        """Decode and measure. Raises DecodeError, ImageTooLarge and OperationFailed."""
        started = time.perf_counter()
        data, self.header, mended = opened(data, limits)
        check_memory(self.header, recipe, limits)
        self._make_room()
        source = self._decoded(data, recipe, limits, whole=not mended)
        decoded = time.perf_counter()
        self.notes = (*mended, *source.notes)
        self.height, self.width = source.size
        self.measures: Measured = measure(source, recipe) if isinstance(source, Picture) else {}
        self.seconds = StageTimes(decode=decoded - started, compute=time.perf_counter() - decoded)
        self.outputs: Iterator[EncodedVariant] = self._outputs(_computed(plan_steps(recipe), source, recipe), recipe)

    def _decoded(self, data: bytes, recipe: Recipe, limits: DecodeLimits, *, whole: bool) -> Source:
        """As planes where that is faster, as pixels otherwise."""
        in_planes = planes.read(data, self.header, recipe) if whole else None
        if in_planes is not None:
            return in_planes
        wants = any(MEASURES.get(entry.measure).reads == "metadata" for entry in recipe.measures)
        return decode(data, limits=limits, profile=recipe.profile, metadata=wants, header=self.header)

    def _outputs(self, variants: Iterator[tuple[str, Source | Streamed]], recipe: Recipe) -> Iterator[EncodedVariant]:
        self._make_room()  # the file's bytes are gone
        while True:
            started = time.perf_counter()
            found = next(variants, None)
            self._spent(compute=time.perf_counter() - started)
            if found is None:
                return
            variant, result = found
            del found
            wanted = list(reversed(recipe.outputs_of(variant)))
            while wanted:
                started = time.perf_counter()
                encoded = encoded_variant(variant, result, wanted.pop())
                made = result.seconds if isinstance(result, Streamed) else 0.0
                self._spent(compute=made, encode=time.perf_counter() - started - made)
                if not wanted:
                    del result
                yield encoded
                del encoded

    def _make_room(self) -> None:
        """Let a very large image not lie beside as much memory that is free; JPEG is too fast for what that takes."""
        if self.header.decoded_bytes >= VERY_LARGE_BYTES and self.header.format != "jpeg":
            give_back_freed_memory()

    def _spent(self, *, compute: float = 0.0, encode: float = 0.0) -> None:
        so_far = self.seconds
        self.seconds = StageTimes(so_far.decode, so_far.compute + compute, so_far.encode + encode)


def encoded_variant(variant: str, result: Source | Streamed, output: Output) -> EncodedVariant:
    """Write one result; an EncodeError names its variant."""
    height, width = result.size
    try:
        encoded = _written(result, output)
    except EncodeError as error:
        raise EncodeError(f"variant {variant}: {error.message}", error.hint) from error
    return EncodedVariant(variant, encoded, width, height, output)


def _written(result: Source | Streamed, output: Output) -> Encoded | EncodedFile:
    if isinstance(result, Planes):
        return planes.write(result, output)
    if isinstance(result, Streamed):
        return result.write(output)
    kind = written_format(result.format, output.format)
    return encode(
        result,
        kind,
        quality=output.quality,
        subsampling=output.subsampling,
        bits=output.bits,
        pyramid=output.pyramid is True,
    )


def process(data: bytes, recipe: Recipe, limits: DecodeLimits | None = None) -> Work:
    """Decode and measure now; apply and encode while ``outputs`` is read."""
    limits = limits or DecodeLimits()
    if recipe.frames == "all":
        from batchimg_worker.frames import ProcessedFrames, has_several

        if has_several(data, limits):
            return ProcessedFrames(data, recipe, limits)
    return Processed(data, recipe, limits)


def check_memory(header: Header, recipe: Recipe, limits: DecodeLimits) -> None:
    """Raise ImageTooLarge where the recipe would hold more than the limit at once."""
    check_size(header, limits)
    needed = peak_bytes(header, recipe)
    if needed > limits.memory_bytes:
        raise ImageTooLarge(
            f"{header.width}x{header.height} ({header.megapixels:,.1f} megapixels) and this recipe need "
            f"{needed / MEGABYTE:,.0f} MB of memory, {limits.room}",
            "Raise memory_mb, use fewer slots a node, or make the image smaller first.",
        )


def peak_bytes(header: Header, recipe: Recipe) -> int:
    """What `process` holds at most for such an image, beside the file's own bytes: an estimate from above."""
    bytes_each = header.decoded_bytes // (header.width * header.height * header.channels or 1)
    size = (header.height, header.width) if header.orientation in UPRIGHT_SIDES else (header.width, header.height)
    original, root = _Sized((*size, header.channels), bytes_each), plan_steps(recipe)
    peak = max(decode_bytes(header), original.bytes + _measuring_bytes(original, recipe))
    waiting = [(root, original)]
    while waiting:
        branch, array = waiting.pop()
        held = sum({id(other): other.bytes for _, other in waiting}.values())
        if branch.step is not None:
            source, array = array, array.after(branch.step)
            held_before = held if any(source is other for _, other in waiting) else held + source.bytes
            if _streams(branch, source, root, recipe, header.format):
                peak = max(peak, held_before + streamed.held_bytes(array.bytes))
                continue
            peak = max(peak, held_before + array.bytes + source.temporary(branch.step))
        waiting += [(child, array) for child in branch.children.values()]
        for variant in branch.variants:
            peak = max(peak, held + array.bytes + _writing_bytes(array, header.format, recipe, variant))
    return peak


def _streams(branch: Branch, source: _Sized, root: Branch, recipe: Recipe, format: str) -> bool:  # noqa: A002
    """Whether a branch is made while it is written: a last step, of one variant, on the original of this format."""
    step = branch.step
    if step is None or root.children.get(step.key) is not branch or branch.children or len(branch.variants) != 1:
        return False
    return streamed.suits(step, recipe.outputs_of(branch.variants[0]), source.shape, source.bytes_each, format)


def _measuring_bytes(original: _Sized, recipe: Recipe) -> int:
    measures = [(MEASURES.get(entry.measure), entry.parameters) for entry in recipe.measures]
    each = [found.temporary_bytes(original.shape, original.bytes_each, given) for found, given in measures]
    return max(TEMPORARY_BYTES, *each) if each else 0


def _writing_bytes(array: _Sized, source_format: str, recipe: Recipe, variant: str) -> int:
    """The largest need of a variant's outputs; one that is written with more bits is converted first."""
    pixels = array.shape[0] * array.shape[1]
    return max(
        encode_bytes(pixels, array.bytes * (2 if output.bits == SHORT_BITS else 1), written_format(source_format, kind))
        for output in recipe.outputs_of(variant)
        for kind in (output.format,)
    )


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
        operation = OPERATIONS.get(step.operation)
        try:
            shape = operation.output_shape(self.shape, step.parameters)
        except ValueError:
            return self
        return _Sized(shape, operation.output_value_bytes(self.bytes_each, step.parameters))

    def temporary(self, step: Step) -> int:
        """What a step holds beside this and its result."""
        own = OPERATIONS.get(step.operation).temporary_bytes(self.shape, self.bytes_each, step.parameters)
        return max(TEMPORARY_BYTES, own)
