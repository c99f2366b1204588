"""Documents of the contract as JSON: read with a message for whoever has to mend them, and written."""

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import ValidationError

from batchimg_worker.contract import SCHEMA_VERSION, Document
from batchimg_worker.errors import ContractError, ContractVersionError
from batchimg_worker.recipe import AS_WRITTEN

D = TypeVar("D", bound=Document)
LONGEST_VALUE = 80  # of what a message repeats
SAME = "Use the same version of batchimg on the laptop and on the nodes."
ANEW = "Delete that blob from the container `runs`, and type the same `batchimg submit`: it makes what is missing."


def parse(kind: type[D], text: str | bytes, source: str) -> D:
    """Read one document; ``source`` names it in errors.

    Raises ContractVersionError for a version that is not ours, ContractError for anything else that is wrong.
    """
    try:
        value: Any = json.loads(text)
        if "\\u" in text if isinstance(text, str) else b"\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair could not be written again
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{source} is not JSON: {error}", ANEW) from None
    if not isinstance(value, dict):
        raise ContractError(f"{source} is not a JSON object", ANEW)
    if "schema_version" in kind.model_fields and value.get("schema_version") != SCHEMA_VERSION:
        raise ContractVersionError(
            f"{source} has schema_version {_short(value.get('schema_version'))}, this batchimg {SCHEMA_VERSION}",
            SAME,
        )
    try:
        return kind.model_validate(value, context=AS_WRITTEN)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ContractVersionError(f"{source}: {where} is not known to this batchimg", SAME) from None
        raise ContractError(f"{source}: {where}: {first['msg']}", ANEW) from None


def _short(value: object) -> str:
    return repr(value)[:LONGEST_VALUE]


def parse_lines(kind: type[D], lines: Iterator[bytes], source: str) -> Iterator[D]:
    """Read one document a line, as they come."""
    for number, line in enumerate(lines, start=2):
        if line.strip():
            yield parse(kind, line, f"{source}, line {number}")


def whole_lines(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of a part without one that was cut in the middle: that one is not JSON to its end."""
    waiting: bytes | None = None
    for line in lines:
        if waiting is not None:
            yield waiting
        waiting = line
    if waiting is not None and waiting.rstrip().endswith(b"}") and _is_whole(waiting):
        yield waiting


def _is_whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def dump(document: Document) -> bytes:
    """One document as one line of JSON, without what is at its default of None."""
    return document.model_dump_json(exclude_none=True).encode()
