"""What goes wrong with the local stack."""

from batchimg.errors import MachineError


class LocalStackError(MachineError):
    """The local stack cannot do what was asked; `message` says what and why, `hint` says what to do next."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message, hint)
