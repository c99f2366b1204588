"""What an operation is, and the two tables of operations and measures.

Nothing here imports numpy, scikit-image or (before a value is checked) pydantic: the command line needs names, help
and schemas without their start-up time.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, get_type_hints

from batchimg_worker.errors import RecipeError
from batchimg_worker.operations import docstrings

if TYPE_CHECKING:
    from batchimg_worker.operations.parameters import ParameterModel
    from batchimg_worker.operations.tiling import Tiling

Scalar: TypeAlias = bool | int | float | str | None
"""What a parameter can be in a recipe."""

Shape: TypeAlias = tuple[int, int, int]
"""Height, width and channels of an image; a grey one has 1 channel."""

F = TypeVar("F", bound=Callable[..., Any])

OWN = "batchimg_worker."
"""How the names of this package's modules begin."""


@dataclass(frozen=True)
class Kernel:
    """A second, faster implementation of an operation, used for the images that ``suits`` accepts.

    It must be within 1 grey level of the reference on 99.9 % of the pixels, and within 2 on all (8-bit).
    """

    function: Callable[..., Any]
    suits: Callable[[Any, Mapping[str, Scalar]], bool]


@dataclass(frozen=True)
class Parameter:
    """One keyword-only parameter, as a person reads it."""

    name: str
    required: bool
    default: Scalar
    help: str


@dataclass(frozen=True)
class Operation:
    """A named pure function on one image; a measure is one that returns numbers.

    ``reference`` defines the result. ``shorthand`` turns ``{rotate: 30}`` into parameters; ``check`` refuses
    values that only make sense together, with ValueError; ``shape`` tells the result's shape beforehand,
    ``value_bytes`` its bytes a value, and ``temporary`` the bytes held meanwhile beside input and output, where
    that can be more than `kernels.TEMPORARY_BYTES`. A measure may read the file's ``metadata`` and not its pixels.
    ``files`` has the parameters that name a file which the run brings along (`attached` gives its content), each with
    a function that refuses a content with ValueError.
    ``tiling`` says how it is done region by region, None where it needs the whole image.
    """

    name: str
    reference: Callable[..., Any]
    shorthand: Callable[[Scalar], Mapping[str, Scalar]] | None = None
    check: Callable[..., None] | None = None
    shape: Callable[..., Shape] | None = None
    kernels: tuple[Kernel, ...] = ()
    temporary: Callable[..., int] | None = None
    value_bytes: Callable[..., int] | None = None
    drops_metadata: bool = False
    reads: Literal["pixels", "metadata"] = "pixels"
    files: Mapping[str, Callable[[bytes], None]] = field(default_factory=dict, hash=False)
    tiling: Tiling | None = None

    @property
    def help(self) -> str:
        """The first line of the docstring."""
        return docstrings.summary(self.reference)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Every parameter, in the order of the signature."""
        texts = docstrings.parameters(self.reference)
        return tuple(
            Parameter(p.name, p.default is p.empty, None if p.default is p.empty else p.default, texts.get(p.name, ""))
            for p in inspect.signature(self.reference).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        )

    @property
    def is_foreign(self) -> bool:
        """Whether somebody else wrote it: what it returns is checked, and what it gets cannot be written to."""
        return not self.reference.__module__.startswith(OWN)

    def positional(self) -> int:
        """How many arguments can be given without their name; an operation has one, the image."""
        kinds = [one.kind for one in inspect.signature(self.reference).parameters.values()]
        return sum(kind not in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD) for kind in kinds)

    def annotations(self) -> dict[str, Any]:
        """Parameter name to annotation, ``Annotated`` kept; the image's own is left alone (it needs numpy)."""
        names = {parameter.name for parameter in self.parameters}
        given = {n: a for n, a in inspect.get_annotations(self.reference).items() if n in names}
        space = SimpleNamespace(__annotations__=given)
        return get_type_hints(space, vars(inspect.getmodule(self.reference)), include_extras=True)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the parameters."""
        return _model(self).schema()

    def bind(self, given: Scalar | Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Check what a recipe gives and return every parameter that has a value, defaults filled in.

        Raises RecipeError that names the parameter, the value and the nearest legal one.
        """
        return _model(self).bind(given)

    def run(self, image: Any, parameters: Mapping[str, Scalar]) -> Any:
        """Apply to one array; ``parameters`` come from `bind`. Raises ValueError where the image does not fit."""
        for kernel in self.kernels:
            if kernel.suits(image, parameters):
                return kernel.function(image, **parameters)
        return self.reference(image, **parameters)

    def output_shape(self, shape: Shape, parameters: Mapping[str, Scalar]) -> Shape:
        """The shape of the result for an image of this shape. Raises ValueError as `run` does."""
        return shape if self.shape is None else self.shape(shape, **parameters)

    def output_value_bytes(self, before: int, parameters: Mapping[str, Scalar]) -> int:
        """How many bytes a value of the result has, where one of the input has ``before``."""
        return before if self.value_bytes is None else self.value_bytes(before, **parameters)

    def temporary_bytes(self, shape: Shape, value_bytes: int, parameters: Mapping[str, Scalar]) -> int:
        """What `run` holds at most beside input and output, 0 where that is bounded for any image."""
        return 0 if self.temporary is None else self.temporary(shape, value_bytes, **parameters)


@cache
def _model(operation: Operation) -> ParameterModel:
    from batchimg_worker.operations.parameters import ParameterModel

    return ParameterModel(operation)


@dataclass(frozen=True)
class Registration(Generic[F]):
    """The decorator that `Registry.register` returns; ``pattern`` is the entry without name and function."""

    registry: Registry
    pattern: Operation

    def __call__(self, function: F) -> F:
        """Register ``function`` under its own name and return it unchanged."""
        self.registry.add(replace(self.pattern, name=function.__name__, reference=function))
        return function


class Registry:
    """Operations, or measures, by name, in the order they were registered."""

    def __init__(self, kind: str) -> None:
        """``kind`` is the word for one entry in error messages."""
        self.kind = kind
        self._entries: dict[str, Operation] = {}
        self._elsewhere: list[Callable[[], object]] = []

    def register(  # noqa: PLR0913 - everything that an operation can say about itself
        self,
        *,
        primary: str | None = None,
        shorthand: Callable[[Scalar], Mapping[str, Scalar]] | None = None,
        check: Callable[..., None] | None = None,
        shape: Callable[..., Shape] | None = None,
        temporary: Callable[..., int] | None = None,
        value_bytes: Callable[..., int] | None = None,
        drops_metadata: bool = False,
        reads: Literal["pixels", "metadata"] = "pixels",
        files: Mapping[str, Callable[[bytes], None]] | None = None,
    ) -> Registration[Any]:
        """Decorate a function to make it an operation. ``primary`` is the parameter that a bare value sets.

        The other words are those of `Operation`.
        """
        if primary is not None:
            shorthand = _primary(primary)
        pattern = Operation(
            "",
            _nothing,
            shorthand,
            check,
            shape,
            temporary=temporary,
            value_bytes=value_bytes,
            drops_metadata=drops_metadata,
            reads=reads,
            files=files or {},
        )
        return Registration(self, pattern)

    def add(self, entry: Operation) -> None:
        """Add an entry. Raises ValueError where the name is taken: an operation never hides another."""
        if entry.name in self._entries:
            raise ValueError(f"{self.kind} {entry.name!r} is registered twice; give one of them another name")
        self._entries[entry.name] = entry

    def accelerate(self, name: str, kernel: Kernel) -> None:
        """Give an operation a faster implementation; kernels are asked in the order they were added."""
        entry = self.get(name)
        self._entries[name] = replace(entry, kernels=(*entry.kernels, kernel))

    def tile(self, name: str, tiling: Tiling) -> None:
        """Say how an operation is done region by region."""
        self._entries[name] = replace(self.get(name), tiling=tiling)

    def remove(self, name: str) -> None:
        """Take an entry out again: a file of operations that fails half-way leaves nothing behind."""
        self._entries.pop(name, None)

    def names(self) -> tuple[str, ...]:
        """Every name that is registered by now; plug-ins are loaded when a name is asked for that is not."""
        return tuple(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries or self._found_elsewhere(name)

    def get(self, name: str) -> Operation:
        """Look an entry up, at last in the plug-ins. Raises RecipeError with the nearest name."""
        if name not in self:
            raise RecipeError(f"unknown {self.kind} {name!r}", nearest(name, self.names()))
        return self._entries[name]

    def _found_elsewhere(self, name: str) -> bool:
        for load in self._elsewhere:
            load()
        return name in self._entries

    def look_also(self, load: Callable[[], object]) -> None:
        """Call ``load``, which may register more, whenever a name is unknown."""
        self._elsewhere.append(load)


def _nothing(image: Any) -> Any:
    """Stands where a pattern has no function yet."""
    return image


def _primary(name: str) -> Callable[[Scalar], Mapping[str, Scalar]]:
    return lambda value: {name: value}


def nearest(word: object, choices: Iterable[object]) -> str:
    """A hint: the choice most like ``word``, or all of them where none is alike."""
    words = [str(choice) for choice in choices]
    close = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.5) if isinstance(word, str) else []
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Use one of: {', '.join(words)}." if words else "It takes no parameters."


OPERATIONS = Registry("operation")
MEASURES = Registry("measure")
operation = OPERATIONS.register
measure = MEASURES.register
