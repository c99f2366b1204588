"""Reads recipes from YAML and from the short texts of `--op`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import PurePath
from typing import Any, Literal, TypeVar

import yaml

from batchimg_worker.errors import RecipeError
from batchimg_worker.operations import MEASURES, OPERATIONS, Scalar, nearest
from batchimg_worker.recipe_model import FRAMES, MAX_NAME, PROFILES, Measurement, Output, Recipe, Step, Variant
from batchimg_worker.recipe_output import output

MAX_TEXT = 1_000_000

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """YAML's safe subset, in which a key given twice is a mistake and not an overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise RecipeError(f"line {key.start_mark.line + 1}: a list cannot be a name", "Write one word.")
            if key.value in seen:
                where = f"line {key.start_mark.line + 1}"
                raise RecipeError(f"{where}: {key.value!r} is given twice", "Rename or remove one of them.")
            seen.add(key.value)
            key.tag = "tag:yaml.org,2002:str"  # `yes` and `1` are names here, not truth and number
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(  # which YAML 1.1 takes for a text, unlike everybody who writes numbers
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def parse(text: str, source: str) -> Recipe:
    """See `batchimg_worker.recipe.parse_recipe`."""
    return _at(source, lambda: _recipe(_mapping(_load(text), "the recipe"), source))


def _load(text: str) -> object:
    if len(text) > MAX_TEXT:
        raise RecipeError(f"{len(text):,} characters are too many for a recipe", f"The limit is {MAX_TEXT:,}.")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise RecipeError(f"{line}not YAML: {error.problem}", "Check indentation, quotes and brackets.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"not YAML: {str(error).splitlines()[0]}", "A recipe is a small YAML file.") from None


def _recipe(document: Mapping[str, object], source: str) -> Recipe:
    _known(document, ("variants", "output", "outputs", "measures", "colors", "frames"), "key")
    variants = _mapping(document.get("variants") or {}, "variants")
    measures = _sequence(document.get("measures") or [], "measures")
    return Recipe(
        name=PurePath(source).stem or "recipe",
        variants=tuple(_at(f"variant {name}", partial(_variant, name, steps)) for name, steps in variants.items()),
        output=_output(document.get("output")) or Output(),
        outputs=_outputs(document.get("outputs")),
        measures=tuple(_at("measures", partial(_measurement, entry)) for entry in measures),
        colors=_colors(document.get("colors")),
        frames=_frames(document.get("frames")),
    )


def _variant(name: str, value: object) -> Variant:
    """A list of steps, or `{steps: [...], output: {...}}`."""
    outputs: tuple[Output, ...] | None = None
    if isinstance(value, Mapping) and value.keys() & {"steps", "output", "outputs"}:
        document = _mapping(value, "a variant")
        _known(document, ("steps", "output", "outputs"), "key")
        if document.get("output") is not None and document.get("outputs") is not None:
            raise RecipeError("output and outputs are both given", "Move the output into outputs.")
        own = _output(document.get("output"))
        outputs = _outputs(document.get("outputs")) if own is None else (own,)
        value = document.get("steps")
    steps = _sequence(value if value is not None else [], "a variant")
    return Variant(
        name=name,
        steps=tuple(_at(f"step {number}", partial(_step, entry)) for number, entry in enumerate(steps, start=1)),
        outputs=outputs,
    )


def _output(value: object) -> Output | None:
    return _at("output", lambda: output(_mapping(value, "output"))) if value else None


def _outputs(value: object) -> tuple[Output, ...] | None:
    if value is None:
        return None
    entries = _sequence(value, "outputs", "Write one line for each: - {format: webp}.")
    return tuple(
        _at(f"outputs: {number}", partial(lambda entry: output(_mapping(entry, "an output")), entry))
        for number, entry in enumerate(entries, start=1)
    )


def _colors(value: object) -> str | None:
    if value is None or value in PROFILES:
        return None if value in (None, PROFILES[0]) else str(value)
    raise RecipeError(f"colors cannot be {value!r}", nearest(value, PROFILES))


def _frames(value: object) -> Literal["all"] | None:
    if value is None or value in FRAMES:
        return "all" if value == "all" else None
    raise RecipeError(f"frames cannot be {value!r}", nearest(value, FRAMES))


def _step(entry: object) -> Step:
    name, given = _single(entry)
    if name not in OPERATIONS and name in MEASURES:
        raise RecipeError(f"{name!r} is a measure, not an operation", "List it under `measures`.")
    return Step(operation=name, parameters=OPERATIONS.get(name).bind(_parameters(name, given)))


def _measurement(entry: object) -> Measurement:
    name, given = _single(entry)
    return Measurement(measure=name, parameters=MEASURES.get(name).bind(_parameters(name, given)))


def _parameters(name: str, given: object) -> Scalar | Mapping[str, Scalar]:
    if isinstance(given, Mapping):
        return {str(key): _scalar(f"{name}: {key}", value) for key, value in given.items()}
    return _scalar(name, given)


def _scalar(where: str, value: object) -> Scalar:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise RecipeError(f"{where} cannot be {value!r}", "Give a number, a word, or true or false.")


def parse_op(text: str) -> Variant | Measurement:
    """`rotate=30`, `blur=sigma:3`, `resize=width:100,height:50`, `resize=50% | grayscale`, or `mean_pixel`."""
    return _at(f"--op {text!r}", lambda: _op(text))


def _op(text: str) -> Variant | Measurement:
    pieces = [piece.strip() for piece in text.split("|")]
    names, values = zip(*(_split(piece) for piece in pieces), strict=True)
    if len(pieces) == 1 and _is_measure(names[0], values[0]):
        return _measurement({names[0]: values[0]})
    steps = tuple(_step({name: value}) for name, value in zip(names, values, strict=True))
    return Variant(name=_name("+".join(_slug(piece) for piece in pieces)), steps=steps)


def _is_measure(name: str, value: object) -> bool:
    """`brightness` is both: with a value an operation, alone a measure."""
    if name in OPERATIONS:
        return value is None and name in MEASURES.names()
    return name in MEASURES


def _split(piece: str) -> tuple[str, Scalar | dict[str, Scalar]]:
    name, equals, rest = (part.strip() for part in piece.partition("="))
    if not name:
        raise RecipeError("an operation is missing", "Write for example rotate=30, or resize=50% | grayscale.")
    if equals and not rest:
        raise RecipeError(f"{name}= has no value", f"Write {name}=VALUE, or {name} alone.")
    if ":" not in rest:
        return name, _word(rest)
    pairs = [pair.partition(":") for pair in rest.split(",")]
    keys = [key.strip() for key, _, _ in pairs]
    bare = next((key for key, (_, _, value) in zip(keys, pairs, strict=True) if not value.strip()), None)
    if bare is not None:
        raise RecipeError(f"{name}: {bare!r} has no value", f"Write {name}={bare or 'parameter'}:VALUE.")
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise RecipeError(f"{name}: {twice!r} is given twice", "Remove one of them.")
    return name, {key: _word(value) for key, (_, _, value) in zip(keys, pairs, strict=True)}


def _word(text: str) -> Scalar:
    """A number, true, false or null where YAML reads one; otherwise the text."""
    text = text.strip()
    try:
        value = yaml.load(text, Loader=_Loader) if text else None  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecipeError, ValueError):
        return text
    return value if value is None or isinstance(value, bool | int | float) else text


def _slug(piece: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", re.sub(r"[%\s]", "", piece)).strip(".-")


def _name(slug: str) -> str:
    """Cut to what a variant's name can hold, with a digest so that two long ones stay two."""
    slug = re.sub(r"\.\.+", ".", slug)
    if len(slug) <= MAX_NAME:
        return slug
    digest = hashlib.sha256(slug.encode()).hexdigest()[:8]
    return f"{slug[: MAX_NAME - 9]}-{digest}"


def _single(value: object) -> tuple[str, object]:
    """`grayscale` or `{rotate: 30}` as name and parameters."""
    if isinstance(value, str):
        return value, None
    if isinstance(value, Mapping) and len(value) == 1:
        name, given = next(iter(value.items()))
        return str(name), given
    raise RecipeError(f"cannot read {value!r}", "Write an operation's name, or one pair: {rotate: 30}.")


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise RecipeError(f"{what} must be names with values, and is {_kind(value)}", "See `samples/recipes`.")
    return {str(key): entry for key, entry in value.items()}


def _sequence(value: object, what: str, hint: str = "Write it in brackets: [{rotate: 30}].") -> list[object]:
    if not isinstance(value, list):
        raise RecipeError(f"{what} must be a list, and is {_kind(value)}", hint)
    return value


def _kind(value: object) -> str:
    return "empty" if value is None else f"{value!r:.60}"


def _known(document: Mapping[str, object], keys: tuple[str, ...], kind: str) -> None:
    for key in document:
        if key not in keys:
            raise RecipeError(f"unknown {kind} {key!r}", nearest(key, keys))


def _at(place: str, make: Callable[[], T]) -> T:
    """Put where it happened before the message of a RecipeError."""
    try:
        return make()
    except RecipeError as error:
        raise RecipeError(f"{place}: {error.message}", error.hint) from None
