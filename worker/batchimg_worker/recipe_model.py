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
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from batchimg_worker.errors import RecipeError
from batchimg_worker.operations import MEASURES, OPERATIONS, Scalar

MAX_NAME = 64

Format = Literal["same", "jpeg", "png", "tiff", "webp"]
FORMATS: tuple[str, ...] = get_args(Format)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Value):
    """An operation and its parameters, checked and with defaults filled in."""

    operation: str
    parameters: Mapping[str, Scalar] = {}

    @model_validator(mode="after")
    def _bind(self) -> Step:
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
    def _bind(self) -> Measurement:
        bound = MEASURES.get(self.measure).bind(self.parameters)
        object.__setattr__(self, "parameters", dict(sorted(bound.items())))
        return self


class Variant(_Value):
    """One named output image. No steps: the image as it is, in the output's format."""

    name: str
    steps: tuple[Step, ...] = ()

    @field_validator("name")
    @classmethod
    def _safe(cls, name: str) -> str:
        if len(name) > MAX_NAME or not _NAME.fullmatch(name) or ".." in name or name.endswith("."):
            raise RecipeError(
                f"{name!r} cannot be the name of a variant, which becomes a folder",
                f"Use letters, digits and - _ + ., at most {MAX_NAME}, beginning with a letter or digit.",
            )
        return name


class Output(_Value):
    """How results are written. ``same`` is the format of the original where it can be written, otherwise PNG."""

    format: Format = "same"
    quality: Annotated[int, Field(ge=1, le=100)] = 90


class Recipe(_Value):
    """A checked recipe. ``name`` is only for people and is no part of `hash`."""

    name: str = "recipe"
    variants: tuple[Variant, ...] = ()
    output: Output = Output()
    measures: tuple[Measurement, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Recipe:
        if not self.variants and not self.measures:
            raise RecipeError("the recipe has neither variants nor measures", "Give at least one of them.")
        _refuse_twins([variant.name for variant in self.variants], "variants")
        _refuse_twins([measurement.measure for measurement in self.measures], "measures")
        return self

    def canonical_json(self) -> str:
        """The recipe as JSON that `parse_recipe` reads again: the same text for equal recipes."""
        return json.dumps(
            {
                "measures": [{m.measure: m.parameters} for m in self.measures],
                "output": {"format": self.output.format, "quality": self.output.quality},
                "variants": {v.name: [{s.operation: s.parameters} for s in v.steps] for v in self.variants},
            },
            separators=(",", ":"),
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 of `canonical_json`, in hex."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


def _refuse_twins(names: Sequence[str], kind: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.get(name.lower())
        if other == name:
            raise RecipeError(f"two {kind} are named {name!r}", "Rename or remove one of them.")
        if other is not None:
            raise RecipeError(f"two {kind}, {other!r} and {name!r}, differ only in case", "Rename one of them.")
        seen[name.lower()] = name
