"""What can be wrong with a formula, with the service's codes and the place in the text."""

from __future__ import annotations

from dataclasses import dataclass

SYNTAX = "AutoScalingFormulaSyntaxError"
TOO_LONG = "AutoScalingFormulaTooLong"
EVALUATION = "AutoScalingFormulaEvaluationError"
INSUFFICIENT = "InsufficientSampleData"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a formula, both numbers counted from 1."""

    line: int = 1
    column: int = 1


class FormulaError(Exception):
    """A formula cannot be read, or not be evaluated. `str` is 'Line 1, Col 37: <reason>'."""

    def __init__(self, code: str, place: Place, reason: str) -> None:
        self.code = code
        self.place = place
        self.reason = reason
        super().__init__(f"Line {place.line}, Col {place.column}: {reason}")
