"""The stack's settings, read and checked before anything is made; Pulumi.yaml has their defaults and their help."""

import difflib
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pulumi
from pulumi.runtime.config import CONFIG
from vm_sizes import vcpus

PROJECT = "batchimg"
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NOT_PUBLIC = [
    ipaddress.ip_network(one)
    for one in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        *("127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "224.0.0.0/3"),
    )
]
_EMAIL = re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+")
REDUNDANCIES = ("Standard_LRS", "Standard_ZRS", "Standard_GRS")
SUBMITTER_TYPES = ("", "User", "Group", "ServicePrincipal")


class WrongSetting(pulumi.RunError):
    """A setting that cannot be used: names it, its value, and what is expected. Pulumi shows it without a traceback."""


@dataclass(frozen=True)
class Settings:
    """What a stack's settings file may say; the names are those of Pulumi.yaml."""

    name: str
    worker: str
    worker_version: str
    vm_size: str
    max_spot_nodes: int
    max_dedicated_nodes: int
    submitters: tuple[str, ...]
    submitter_type: str
    network: str
    nat_gateway: bool
    batch_public_access: bool
    allowed_ips: tuple[str, ...]
    runs_days: int
    outputs_days: int
    soft_delete_days: int
    redundancy: str
    protect_storage: bool
    observability: bool
    application_insights: bool
    budget: int
    budget_emails: tuple[str, ...]
    events: bool

    @property
    def slots(self) -> int:
        """Tasks at a time on a node: one a vCPU."""
        return vcpus(self.vm_size)

    @property
    def private(self) -> bool:
        """Whether nodes live in a network of their own."""
        return self.network == "vnet"

    @property
    def in_container(self) -> bool:
        """Whether tasks run in a container."""
        return self.worker == "container"


def load() -> Settings:
    """The settings of this stack. Raises WrongSetting for the first that is unknown or cannot be used."""
    _check_stack(pulumi.get_stack())
    _refuse_unknown()
    settings = Settings(
        name=_matching("name", r"[a-z][a-z0-9]{2,10}", "3 to 11 small letters and digits, a letter first"),
        worker=_one_of("worker", ("wheel", "container")),
        worker_version=_matching(
            "worker_version", r"[0-9]{1,6}(\.[0-9]{1,6}){2}[a-z0-9.]{0,20}", "a version such as 1.2.0"
        ),
        vm_size=_checked("vm_size", _vm_size),
        max_spot_nodes=_number("max_spot_nodes", 0, 1000),
        max_dedicated_nodes=_number("max_dedicated_nodes", 0, 1000),
        submitters=_listed("submitters", _guid),
        submitter_type=_one_of("submitter_type", SUBMITTER_TYPES),
        network=_one_of("network", ("public", "vnet")),
        nat_gateway=_flag("nat_gateway"),
        batch_public_access=_flag("batch_public_access"),
        allowed_ips=_listed("allowed_ips", _address),
        runs_days=_number("runs_days", 1, 3650),
        outputs_days=_number("outputs_days", 0, 3650),
        soft_delete_days=_number("soft_delete_days", 1, 365),
        redundancy=_one_of("redundancy", REDUNDANCIES),
        protect_storage=_flag("protect_storage"),
        observability=_flag("observability"),
        application_insights=_flag("application_insights"),
        budget=_number("budget", 0, 10_000_000),
        budget_emails=_listed("budget_emails", _email),
        events=_flag("events"),
    )
    _check_together(settings)
    return settings


def first_of_month() -> str:
    """When a budget that is made now begins."""
    return datetime.now(UTC).strftime("%Y-%m-01T00:00:00Z")


def _check_stack(stack: str) -> None:
    """Azure's names hold the stack's, and Event Grid takes 50 characters with all that is put around it."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?", stack):
        raise WrongSetting(
            f"the stack's name is {stack!r}: expected 1 to 15 small letters, digits and hyphens, for Azure's names "
            "hold it; `pulumi stack rename` gives it another"
        )


def _check_together(settings: Settings) -> None:
    """What is wrong only together with something else."""
    if settings.max_spot_nodes + settings.max_dedicated_nodes == 0:
        raise WrongSetting("max_spot_nodes and max_dedicated_nodes are both 0: no task would ever run")
    if settings.budget and not settings.budget_emails:
        raise WrongSetting(f"budget is {settings.budget}, and budget_emails is empty: nobody would be told")
    if settings.application_insights and not settings.observability:
        raise WrongSetting("application_insights needs observability: its data lie in the workspace")
    if settings.nat_gateway and not settings.private:
        raise WrongSetting("nat_gateway has a meaning with network: vnet only")
    if settings.private and settings.in_container and not settings.nat_gateway:
        raise WrongSetting(
            "worker: container in a vnet needs nat_gateway: true, for nodes fetch the image from outside"
        )
    if not settings.batch_public_access and not settings.private:
        raise WrongSetting("batch_public_access: false needs network: vnet, or nobody reaches the account")
    if settings.allowed_ips and not settings.private:
        raise WrongSetting(
            "allowed_ips needs network: vnet: nodes with public addresses have none that is known before"
        )


def _refuse_unknown() -> None:
    prefix = f"{PROJECT}:"
    known = list(Settings.__dataclass_fields__)
    for key in (key for key in CONFIG.get() if key.startswith(prefix)):
        name = key.removeprefix(prefix)
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; Pulumi.yaml lists all settings"
            raise WrongSetting(f"unknown setting {name!r}{hint}")


def _text(name: str) -> str:
    return (pulumi.Config(PROJECT).get(name) or "").strip()


def _wrong(name: str, value: object, expected: str) -> WrongSetting:
    return WrongSetting(f"{name} is {value!r}: expected {expected}")


def _matching(name: str, pattern: str, expected: str) -> str:
    value = _text(name)
    if not re.fullmatch(pattern, value):
        raise _wrong(name, value, expected)
    return value


def _one_of(name: str, allowed: tuple[str, ...]) -> str:
    value = _text(name)
    if value not in allowed:
        raise _wrong(name, value, "one of " + ", ".join(one or "nothing" for one in allowed))
    return value


def _number(name: str, least: int, most: int) -> int:
    value = _text(name)
    if not re.fullmatch(r"-?[0-9]{1,9}", value) or not least <= int(value) <= most:
        raise _wrong(name, value, f"a whole number from {least} to {most}")
    return int(value)


def _flag(name: str) -> bool:
    value = _text(name)
    if value not in {"true", "false"}:
        raise _wrong(name, value, "true or false")
    return value == "true"


def _checked(name: str, read: Callable[[str], str]) -> str:
    try:
        return read(_text(name))
    except ValueError as error:
        raise WrongSetting(f"{name} is {_text(name)!r}: {error}") from None


def _listed(name: str, read: Callable[[str], str]) -> tuple[str, ...]:
    """What is listed twice counts once: Azure refuses a second role or rule of the same."""
    parts = [part.strip() for part in _text(name).split(",")]
    try:
        return tuple(dict.fromkeys(read(part) for part in parts if part))
    except ValueError as error:
        raise WrongSetting(f"{name} is {_text(name)!r}: {error}") from None


def _vm_size(text: str) -> str:
    vcpus(text)
    return text


def _guid(text: str) -> str:
    if not _GUID.fullmatch(text):
        raise ValueError(f"{text!r} is no object id; `az ad signed-in-user show --query id` prints yours")
    return text.lower()


def _address(text: str) -> str:
    network = ipaddress.ip_network(text)
    if any(network.version != 4 or network.overlaps(other) for other in _NOT_PUBLIC):
        raise ValueError(f"{text!r} is no public IPv4 address or range")
    if network.prefixlen == 31:
        raise ValueError(f"storage takes no range of two addresses: write both of {text!r}")
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise ValueError(f"{text!r} is no e-mail address")
    return text
