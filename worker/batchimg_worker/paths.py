"""Which relative paths are safe: in a blob's name, in a URL, and in a folder of any file system."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")


def unsafe_path(path: str) -> str | None:
    """Why a relative path with forward slashes could lead elsewhere, or be read as another one; None where not.

    Clients and servers resolve `.` and `..` in URLs, and blob storage takes a backslash for a slash.
    """
    if _CONTROL.search(path):
        return "its name has control characters; rename it"
    if "\\" in path:
        return "its name has a backslash, which blob storage takes for a slash; rename it"
    if any(part in {"", ".", ".."} for part in path.split("/")):
        return "its path has empty, '.' or '..' parts"
    if _DRIVE.match(path):
        return "its path begins as a drive of Windows does; rename it"
    return None
