"""Checks the parameters of an operation with a pydantic model made from its signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from batchimg_worker.errors import RecipeError
from batchimg_worker.operations.registry import nearest

if TYPE_CHECKING:
    from batchimg_worker.operations.registry import Operation, Parameter, Scalar


class ParameterModel:
    """The pydantic model of one operation's parameters.

    It is strict: ``true`` is no number and ``"30"`` is none either; only an annotation can allow a text (`25%`).
    """

    def __init__(self, operation: Operation) -> None:
        """Build the model from the keyword-only parameters."""
        self._operation = operation
        annotations = operation.annotations()
        fields: dict[str, Any] = {
            p.name: (annotations[p.name], Field(default=... if p.required else p.default, description=p.help or None))
            for p in operation.parameters
        }
        config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
        self._model: type[BaseModel] = create_model(operation.name, __config__=config, **fields)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the parameters."""
        return self._model.model_json_schema()

    def bind(self, given: Scalar | Mapping[str, Scalar]) -> dict[str, Scalar]:
        """See `Operation.bind`."""
        name = self._operation.name
        try:
            model = self._model.model_validate(self._named(given))
            values: dict[str, Scalar] = model.model_dump(exclude_none=True)
            if self._operation.check is not None:
                self._operation.check(**values)
        except ValidationError as error:
            raise self._complaint(error) from None
        except ValueError as error:
            raise RecipeError(f"{name}: {error}", self._usage()) from None
        return values

    def _named(self, given: Scalar | Mapping[str, Scalar]) -> Mapping[str, Scalar]:
        if isinstance(given, Mapping):
            return given
        if given is None:
            return {}
        if self._operation.shorthand is None:
            raise ValueError(f"takes no bare value, and {given!r} was given")
        return self._operation.shorthand(given)

    def _complaint(self, error: ValidationError) -> RecipeError:
        found = error.errors()
        first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
        name = self._operation.name
        parameter = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            known = [p.name for p in self._operation.parameters]
            return RecipeError(f"{name}: unknown parameter {parameter!r}", nearest(parameter, known))
        if first["type"] == "missing":
            return RecipeError(f"{name}: the parameter {parameter!r} is missing", self._usage())
        value = first["input"]
        if first["type"] == "literal_error":
            choices = _choices(self._operation.annotations()[parameter])
            return RecipeError(f"{name}: {parameter} cannot be {value!r}", nearest(value, choices))
        reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        return RecipeError(f"{name}: {parameter} cannot be {value!r}: it {reason}", self._usage())

    def _usage(self) -> str:
        parts = [_shown(parameter) for parameter in self._operation.parameters]
        return f"{self._operation.name} takes {', '.join(parts)}." if parts else "It takes no parameters."


def _shown(parameter: Parameter) -> str:
    if parameter.required:
        return parameter.name
    if parameter.default is None:
        return f"[{parameter.name}]"
    default = parameter.default
    return f"[{parameter.name}={str(default).lower() if isinstance(default, bool) else default}]"


def _choices(annotation: Any) -> list[object]:
    """Every value of the Literals in an annotation."""
    if getattr(get_origin(annotation), "__name__", "") == "Literal" or str(get_origin(annotation)) == "typing.Literal":
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _choices(part)]
