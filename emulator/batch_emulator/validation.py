"""Request bodies against the 2025-06-01 schema: compiled once into plain functions.

Lenient where living clients are: numbers may be strings (azure-cli), enum values may have any casing
(2022 clients), null counts as absent. Strict everywhere else: an unknown field or a wrong type is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

from batch_emulator.durations import canonical_duration, timestamp_ticks
from batch_emulator.errors import BatchError, property_error
from batch_emulator.support import SUPPORT, WHY_NOT

Check = Callable[[Any, str], Any]
"""Takes a JSON value and its place in the body; gives the value in canonical form, or raises BatchError."""


ANNOTATION = "odata.metadata"

_MODE: dict[str, Any] = {"enum": ["default", "classic", "simplified"]}
_TOKEN: dict[str, Any] = {"$ref": "#/$defs/AuthenticationTokenSettings"}
_POOL: dict[str, Any] = {
    "targetNodeCommunicationMode": _MODE,
    "certificateReferences": {"type": "array", "items": {"type": "object"}},
    "cloudServiceConfiguration": {"type": "object"},
    "applicationLicenses": {"type": "array", "items": {"type": "string"}},
    "resourceTags": {"type": "object"},
}
OLD_FIELDS: dict[str, dict[str, Any]] = {
    "BatchPoolCreateOptions": _POOL,
    "BatchPoolSpecification": _POOL,
    "BatchPoolUpdateOptions": _POOL,
    "BatchPoolReplaceOptions": _POOL,
    "BatchTaskCreateOptions": {"authenticationTokenSettings": _TOKEN},
    "BatchJobManagerTask": {"authenticationTokenSettings": _TOKEN},
}
"""Fields of requests that left the service with 2025-06-01; versions.py lets them through for older clients only."""
_OLD_MODELS: dict[str, Any] = {
    "AuthenticationTokenSettings": {"properties": {"access": {"type": "array", "items": {"enum": ["job"]}}}}
}


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of the data plane."""
    text = resources.files("batch_emulator.schema").joinpath("2025-06-01.json").read_text("utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


@cache
def body_check(model: str) -> Check:
    """The check of a request body that is a `model`, including what the emulator supports of it."""
    inner = _object(model, supported=True)

    def check(value: Any, path: str) -> Any:
        if isinstance(value, dict) and ANNOTATION in value:
            # A client puts back what it got, with the service's own line in it.
            value = {name: entry for name, entry in value.items() if name != ANNOTATION}
        return inner(value, path)

    return check


def _string(value: Any, path: str) -> str:
    if isinstance(value, str):
        return value
    raise property_error(path, value, "Expected a string.")


def _boolean(value: Any, path: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise property_error(path, value, "Expected true or false.")


def _integer(value: Any, path: str) -> int:
    if isinstance(value, str) and value.lstrip("-").isdecimal():
        value = int(value)
    if type(value) is not int:
        raise property_error(path, value, "Expected an integer.")
    if not -(2**31) <= value < 2**31:
        raise property_error(path, value, "Expected an integer of 32 bits.")
    return int(value)


def _number(value: Any, path: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise property_error(path, value, "Expected a number.")


def _free_object(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise property_error(path, value, "Expected an object.")


def _duration(value: Any, path: str) -> str:
    try:
        return canonical_duration(_string(value, path))
    except ValueError as error:
        raise property_error(path, value, str(error)) from error


def _moment(value: Any, path: str) -> str:
    try:
        timestamp_ticks(_string(value, path))
    except ValueError as error:
        raise property_error(path, value, str(error)) from error
    return str(value)


_PLAIN: dict[tuple[str | None, str | None], Check] = {
    ("string", None): _string,
    ("string", "duration"): _duration,
    ("string", "date-time"): _moment,
    ("boolean", None): _boolean,
    ("integer", None): _integer,
    ("number", None): _number,
    ("object", None): _free_object,
}


def _enum(values: list[str]) -> Check:
    canonical = {value.lower(): value for value in values}

    def check(value: Any, path: str) -> Any:
        found = canonical.get(value.lower()) if isinstance(value, str) else None
        if found is None:
            raise property_error(path, value, f"Expected one of: {', '.join(values)}.")
        return found

    return check


def _array(item: Check) -> Check:
    def check(value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise property_error(path, value, "Expected an array.")
        return [item(entry, f"{path}[{index}]") for index, entry in enumerate(value)]

    return check


def _refused(model: str, name: str) -> Check:
    why = WHY_NOT.get(name, f"The emulator does not act upon this field of {model} yet; leave it out.")

    def check(value: Any, path: str) -> Any:
        if value in (False, "", [], {}):
            return value
        raise BatchError(
            "UnsupportedProperty",
            ("PropertyName", path),
            ("Reason", why),
        )

    return check


def _compile(node: dict[str, Any], *, supported: bool) -> Check:
    if "$ref" in node:
        return _lazy(node["$ref"].rsplit("/", 1)[1], supported=supported)
    if "enum" in node:
        return _enum(node["enum"])
    if node.get("type") == "array":
        return _array(_compile(node["items"], supported=supported))
    return _PLAIN[node.get("type"), node.get("format")]


def _lazy(model: str, *, supported: bool) -> Check:
    def check(value: Any, path: str) -> Any:
        return _object(model, supported=supported)(value, path)

    return check


def _field(model: str, name: str, node: dict[str, Any], *, supported: bool) -> Check:
    if not supported:
        return _compile(node, supported=False)
    row = SUPPORT[model]
    if name in row.acted:
        return _compile(node, supported=True)
    return _compile(node, supported=False) if name in row.recorded else _refused(model, name)


@cache
def _object(model: str, *, supported: bool) -> Check:
    definition = schema()["$defs"].get(model) or _OLD_MODELS[model]
    properties = definition["properties"] | OLD_FIELDS.get(model, {})
    checks = {name: _field(model, name, node, supported=supported) for name, node in properties.items()}
    required = tuple(
        name for name in definition.get("required", ()) if not definition["properties"][name].get("readOnly")
    )

    def check(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise property_error(path or "body", value, "Expected an object.")
        prefix = f"{path}." if path else ""
        clean = {}
        for name, entry in value.items():
            field = checks.get(name)
            if field is None:
                raise BatchError(
                    "InvalidRequestBody",
                    ("Reason", f"The property {prefix + name!r} does not exist on type {model!r}."),
                )
            if entry is not None:
                clean[name] = field(entry, prefix + name)
        for name in required:
            if name not in clean:
                raise BatchError("MissingRequiredProperty", ("PropertyName", prefix + name))
        return clean

    return check


def parse_json(body: bytes) -> Any:
    """The JSON value of a request body; an empty body is an empty object."""
    try:
        return json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise BatchError("InvalidRequestBody", ("Reason", f"Not JSON: {error}")) from error


def parse_body(model: str, body: bytes) -> dict[str, Any]:
    """The request body as a checked object of `model`, in canonical form."""
    checked: dict[str, Any] = body_check(model)(parse_json(body), "")
    return checked
