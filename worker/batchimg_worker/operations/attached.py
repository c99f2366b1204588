"""Files of the user's that steps read, a logo say: a run brings them along, by the names that its recipe gives them."""

_contents: dict[str, bytes] = {}


def attach(name: str, content: bytes) -> None:
    """Make a file's content known under the name that a recipe gives it."""
    _contents[name] = content


def attached(name: str) -> bytes:
    """The content of a file that was brought along. Raises ValueError where there is none of this name."""
    if name not in _contents:
        raise ValueError(f"the file {name!r} was not brought along; batchimg submit and preview do that")
    return _contents[name]
