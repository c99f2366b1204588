"""Endpoints and names of Azure that a user or a stack gives: what Azure would never take is refused, with its name."""

import re
from urllib.parse import SplitResult, urlsplit

from batchimg.errors import SettingsError
from batchimg.settings import Settings
from batchimg_worker.storage import is_loopback

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_OTHER_SERVICE = re.compile(r"\.(queue|table|file|dfs|web)\.")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_POOL = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FLAGS = {"batch_endpoint": "--batch-endpoint", "storage_endpoint": "--storage-account"}


def checked_endpoint(name: str, value: str) -> str:
    """An endpoint as it is written: without a slash at the end. ``name`` is the setting's. Raises SettingsError."""
    if not value:
        raise SettingsError(
            f"{name} is missing",
            f"Give {_FLAGS[name]}, or the outputs of the stack that `pulumi up` made in batchimg's `pulumi/`: "
            "--stack chooses another.",
        )
    parts = _split(value)
    if parts is not None and is_loopback(value):
        return value
    wrong = "no address" if parts is None else _wrong(parts)
    if name == "storage_endpoint" and not wrong and parts and _OTHER_SERVICE.search(parts.netloc):
        wrong = "not the address of an account's blobs"
    if wrong:
        example = Settings.model_fields[name].description
        raise SettingsError(f"{name} is {_without_secrets(value)!r}, which is {wrong}", f"It looks like {example}.")
    return value.rstrip("/").lower()


def _without_secrets(value: str) -> str:
    """An address as it may be shown: a signature or a password that somebody gave is not."""
    return re.sub(r"\?.*", "?…", re.sub(r"//[^/@]*@", "//…@", value), flags=re.DOTALL)


def _split(value: str) -> SplitResult | None:
    """The address's parts; None where it cannot be read."""
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - it is read here, and refused
    except ValueError:
        return None
    return parts if parts.hostname else None


def _wrong(parts: SplitResult) -> str:
    """What is wrong with the parts of an address; empty if nothing is."""
    if parts.scheme != "https":
        return "no https address"
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        return "more than an address: nothing comes after the host"
    if parts.username is not None or not _HOST.fullmatch(parts.netloc.partition(":")[0].lower()):
        return "no address of a host"
    return ""


def storage_endpoint_of(account: str) -> str:
    """The blob endpoint of an account that is given by its name, or the address itself. Raises SettingsError."""
    if "://" in account:
        return account
    if not _ACCOUNT.fullmatch(account):
        raise SettingsError(
            f"there is no storage account {account!r}: a name is 3 to 24 small letters and digits",
            "Give its name, or its address: https://ACCOUNT.blob.core.windows.net.",
        )
    return f"https://{account}.blob.core.windows.net"


def checked_pool(pool: str) -> str:
    """A pool's name that Azure Batch may have. Raises SettingsError."""
    if not _POOL.fullmatch(pool):
        raise SettingsError(
            f"pool is {pool!r}: a pool's name is 1 to 64 letters, digits, hyphens and underscores",
            "The portal lists the account's pools.",
        )
    return pool
