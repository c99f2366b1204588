"""The rules of ids."""

from __future__ import annotations

import re

from batch_emulator.errors import property_error

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_id(value: str, path: str = "id") -> str:
    """An id of 1 to 64 letters, digits, hyphens and underscores, or InvalidPropertyValue."""
    if not _ID.fullmatch(value):
        raise property_error(path, value, "Expected 1 to 64 letters, digits, hyphens and underscores; nothing else.")
    return value
