"""The values of a recipe: variants, each a list of steps, and measures.

A recipe is checked completely when it is made, with the nearest match for a wrong word, so that nothing is uploaded
for a recipe that cannot run. Steps hold every parameter, defaults filled in: equal recipes are equal values.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from batchimg_worker import naming
from batchimg_worker.errors import RecipeError
from batchimg_worker.operations import MEASURES, OPERATIONS, Scalar

MAX_NAME = 64

Format = Literal["same", "jpeg", "png", "tiff", "webp", "avif", "bmp"]
FORMATS: tuple[str, ...] = get_args(Format)
Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]
SUBSAMPLINGS: tuple[str, ...] = get_args(Subsampling)
Profile = Literal["keep", "srgb"]
PROFILES: tuple[str, ...] = get_args(Profile)
Frames = Literal["first", "all"]
FRAMES: tuple[str, ...] = get_args(Frames)
SUBSAMPLED = ("same", "jpeg", "avif")
DEEP = ("same", "png", "tiff")
BITS = (8, 16)

AS_WRITTEN: Final = {"operations": "as written"}
"""The pydantic context in which steps are taken as they are: the reader may lack the operations of the run's user."""

RESERVED = ("results.jsonl",)
"""What `batchimg download` puts beside the folders of the variants."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Value):
    """An operation and its parameters, checked and with defaults filled in."""

    operation: str
    parameters: Mapping[str, Scalar] = {}

    @model_validator(mode="after")
    def _bind(self, info: ValidationInfo) -> Step:
        if info.context == AS_WRITTEN:
            return self
        bound = OPERATIONS.get(self.operation).bind(self.parameters)
        object.__setattr__(self, "parameters", dict(sorted(bound.items())))
        return self

    @cached_property
    def key(self) -> str:
        """The same for steps that do the same."""
        return json.dumps({self.operation: self.parameters}, sort_keys=True)


class Measurement(_Value):
    """A measure and its parameters."""

    measure: str
    parameters: Mapping[str, Scalar] = {}

    @model_validator(mode="after")
    def _bind(self, info: ValidationInfo) -> Measurement:
        if info.context == AS_WRITTEN:
            return self
        bound = MEASURES.get(self.measure).bind(self.parameters)
        object.__setattr__(self, "parameters", dict(sorted(bound.items())))
        return self


class Output(_Value):
    """How results are written. ``same`` is the format of the original where it can be written, otherwise PNG.

    ``subsampling`` is that of colours in JPEG and AVIF, None for 4:2:0. ``bits`` converts to 8 or 16 a channel, None
    keeps them where the format can. ``name`` is a template of `batchimg_worker.naming`, None for the original's name.
    ``pyramid`` adds smaller versions to a TIFF, for viewers.
    """

    format: Format = "same"
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    subsampling: Subsampling | None = None
    bits: Literal[8, 16] | None = None
    name: str | None = None
    pyramid: Literal[True] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Output:
        if self.pyramid and self.format != "tiff":
            raise RecipeError(f"{self.format} has no pyramid", "Only TIFF has: write `format: tiff` as well.")
        if self.subsampling is not None and self.format not in SUBSAMPLED:
            raise RecipeError(f"{self.format} has no subsampling", "Only JPEG and AVIF have; remove it.")
        if self.bits == max(BITS) and self.format not in DEEP:
            raise RecipeError(f"{self.format} has no 16 bits", "Use `format: png` or `format: tiff`, or 8 bits.")
        if self.name is not None:
            naming.check(self.name)
        return self

    def given(self) -> dict[str, object]:
        """What `Recipe.canonical_json` says of it: format and quality always, the rest where it is set."""
        return self.model_dump(exclude_none=True)


class Variant(_Value):
    """One named output image. No steps: the image as it is, in the output's format.

    ``outputs`` are its own; None for the recipe's.
    """

    name: str
    steps: tuple[Step, ...] = ()
    outputs: tuple[Output, ...] | None = None

    @field_validator("name")
    @classmethod
    def _safe(cls, name: str) -> str:
        if len(name) > MAX_NAME or not _NAME.fullmatch(name) or ".." in name or name.endswith("."):
            raise RecipeError(
                f"{name!r} cannot be the name of a variant, which becomes a folder",
                f"Use letters, digits and - _ + ., at most {MAX_NAME}, beginning with a letter or digit.",
            )
        if name.lower() in RESERVED:
            raise RecipeError(f"{name!r} cannot be the name of a variant: downloads have a file of it", "Rename it.")
        return name

    @field_validator("outputs")
    @classmethod
    def _distinct(cls, outputs: tuple[Output, ...] | None) -> tuple[Output, ...] | None:
        return _refuse_one_name(outputs)


class Recipe(_Value):
    """A checked recipe. ``name`` is only for people and is no part of `hash`.

    Every variant is written as ``output``, or as each of ``outputs`` where these are given, or as its own. ``colors``
    says what happens to a colour profile when an image is read, None for keep; ``frames`` whether every frame of an
    animation and every page of a TIFF is done, None for the first alone.
    """

    name: str = "recipe"
    variants: tuple[Variant, ...] = ()
    output: Output = Output()
    measures: tuple[Measurement, ...] = ()
    outputs: tuple[Output, ...] | None = None
    colors: Profile | None = None
    frames: Literal["all"] | None = None

    @field_validator("outputs")
    @classmethod
    def _distinct(cls, outputs: tuple[Output, ...] | None) -> tuple[Output, ...] | None:
        return _refuse_one_name(outputs)

    @model_validator(mode="after")
    def _complete(self) -> Recipe:
        if not self.variants and not self.measures:
            raise RecipeError("the recipe has neither variants nor measures", "Give at least one of them.")
        if self.outputs is not None and self.output != Output():
            raise RecipeError("output and outputs are both given", "Move the output into outputs.")
        if self.frames is None and any("{frame}" in (one.name or "") for one in self._every_output()):
            raise RecipeError("a name has {frame}, and only the first frame is done", "Add frames: all, or remove it.")
        _refuse_twins([variant.name for variant in self.variants], "variants")
        _refuse_twins([measurement.measure for measurement in self.measures], "measures")
        return self

    @property
    def profile(self) -> Profile:
        """What happens to a colour profile."""
        return self.colors or "keep"

    @property
    def files(self) -> tuple[tuple[str, str, str], ...]:
        """Operation, parameter and value wherever a parameter names a file that the run has to bring along."""
        return tuple(
            (step.operation, parameter, str(step.parameters[parameter]))
            for variant in self.variants
            for step in variant.steps
            for parameter in OPERATIONS.get(step.operation).files
            if parameter in step.parameters
        )

    def bound(self) -> Recipe:
        """The same, checked against the operations that there are now. Raises RecipeError."""
        return Recipe.model_validate(self.model_dump())

    def _every_output(self) -> tuple[Output, ...]:
        own = [output for variant in self.variants for output in variant.outputs or ()]
        return (self.output, *(self.outputs or ()), *own)

    def outputs_of(self, variant: str) -> tuple[Output, ...]:
        """How the variant of this name is written: once for each."""
        own = next(one.outputs for one in self.variants if one.name == variant)
        return own or self.outputs or (self.output,)

    def canonical_json(self) -> str:
        """The recipe as JSON that `parse_recipe` reads again: the same text for equal recipes.

        What was added to recipes later is in it only where it is used, so that older recipes keep their hash.
        """
        written: dict[str, object] = {"output": self.output.given()}
        if self.outputs is not None:
            written = {"outputs": [output.given() for output in self.outputs]}
        return json.dumps(
            {
                **({"colors": self.colors} if self.colors is not None else {}),
                **({"frames": self.frames} if self.frames is not None else {}),
                "measures": [{m.measure: m.parameters} for m in self.measures],
                **written,
                "variants": {v.name: _canonical(v) for v in self.variants},
            },
            separators=(",", ":"),
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 of `canonical_json`, in hex."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


def _canonical(variant: Variant) -> object:
    steps = [{s.operation: s.parameters} for s in variant.steps]
    if variant.outputs is None:
        return steps
    return {"outputs": [output.given() for output in variant.outputs], "steps": steps}


def _refuse_one_name(outputs: tuple[Output, ...] | None) -> tuple[Output, ...] | None:
    """Refuse outputs that could be written to one name: `same` can be any format."""
    if outputs is None:
        return None
    if not outputs:
        raise RecipeError("outputs is empty", "List at least one, or remove it.")
    if len({output.name is None for output in outputs}) > 1:
        raise RecipeError("some outputs have a name and some have none", "Give one to all of them, or to none.")
    for number, one in enumerate(outputs):
        for other in outputs[:number]:
            formats = {one.format, other.format}
            if one.name == other.name and (len(formats) == 1 or "same" in formats):
                both = " and ".join(sorted(formats)) if len(formats) > 1 else f"two outputs of format {one.format}"
                raise RecipeError(
                    f"{both} can get the same name", "Give one of them a name of its own: name: '{stem}-small{ext}'."
                )
    return outputs


def _refuse_twins(names: Sequence[str], kind: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.get(name.lower())
        if other == name:
            raise RecipeError(f"two {kind} are named {name!r}", "Rename or remove one of them.")
        if other is not None:
            raise RecipeError(f"two {kind}, {other!r} and {name!r}, differ only in case", "Rename one of them.")
        seen[name.lower()] = name
