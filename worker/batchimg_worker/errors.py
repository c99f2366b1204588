"""What can go wrong on a node, each with what to do about it."""


class WorkerError(Exception):
    """The root of every error that the worker raises on purpose.

    ``hint`` is the next action, one sentence, empty where there is none.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ContractError(WorkerError):
    """A manifest, a run or a result is not what the contract says."""


class ContractVersionError(ContractError):
    """A manifest, a run or a result of a version that this program does not know."""


class BandsMissing(WorkerError):  # noqa: N818 - the name is what a user reads in a log
    """The bands of an image cannot be joined: a task that makes one ended without a result, or what it made is gone."""


class RecipeError(WorkerError):
    """A recipe that cannot be run: an unknown name, a wrong value, two variants of one name."""


class StorageError(WorkerError):
    """Blob storage refused or did not answer; ``code`` is the service's own error code."""

    def __init__(self, message: str, hint: str = "", *, code: str = "Unknown") -> None:
        super().__init__(message, hint)
        self.code = code


class ImageError(WorkerError):
    """One image cannot be done; its neighbours can."""


class DecodeError(ImageError):
    """The file is no image, is damaged, or is of a kind that cannot be read."""

    @property
    def truncated(self) -> bool:
        """Whether its end is missing."""
        return self.message.startswith("truncated")


class ImageTooLarge(DecodeError):  # noqa: N818 - the name is what a user reads in a result
    """The image is beyond the limits of pixels or memory; nothing of it was decoded."""


class OperationFailed(ImageError):  # noqa: N818 - the name is what a user reads in a result
    """An operation refused this image: a crop larger than it, say."""


class TilingRefused(OperationFailed):
    """The image does not fit into memory, and a step of the recipe cannot be done in tiles."""


class EncodeError(ImageError):
    """The result cannot be written in the wanted format."""


class InputError(ImageError):
    """The original is gone from blob storage, or is not the file that the manifest names."""


class TaskStopped(Exception):  # noqa: N818 - not an error: the node is going away, and Batch runs the task again
    """The task was told to stop before its chunk was done."""
