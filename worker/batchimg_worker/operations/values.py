"""Annotations that several operations share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt

from batchimg_worker.operations.registry import Scalar

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

_PERCENT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*%\s*$")
_PIXELS = re.compile(r"^\s*(\d+)\s*[xX×]\s*(\d+)\s*$")


@dataclass(frozen=True)
class PercentText:
    """Lets a number be written as ``25%``, which means 25 / ``divisor``."""

    divisor: int = 1

    def __get_pydantic_core_schema__(self, source: Any, chain: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self._number, chain(source))

    def __get_pydantic_json_schema__(self, core: Any, chain: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [chain(core), {"type": "string", "pattern": _PERCENT.pattern}]}

    def _number(self, value: object) -> object:
        match = _PERCENT.match(value) if isinstance(value, str) else None
        return float(match[1]) / self.divisor if match else value


Percent = Annotated[float, Gt(0), PercentText()]
Fraction = Annotated[float, Gt(0), PercentText(100)]


def percent_of(value: Scalar) -> float | None:
    """25.0 for ``"25%"``, None for anything that is no percentage."""
    match = _PERCENT.match(value) if isinstance(value, str) else None
    return float(match[1]) if match else None


def pixels_of(value: Scalar) -> dict[str, Scalar] | None:
    """Width and height for ``"640x480"``, None for anything else."""
    match = _PIXELS.match(value) if isinstance(value, str) else None
    return {"width": int(match[1]), "height": int(match[2])} if match else None


def refuse_unreadable(method: str, given: dict[str, Scalar], owners: dict[str, str]) -> None:
    """Raise ValueError for a parameter that is given but belongs to another method than the chosen one."""
    for name, owner in owners.items():
        if given.get(name) is not None and owner != method:
            raise ValueError(f"{name} is a parameter of method {owner}, and the method is {method}")
