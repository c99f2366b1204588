"""What every component is told: where it stands, and how the stack is set."""

from dataclasses import dataclass

from pulumi_azure_native import resources
from settings import Settings


@dataclass(frozen=True)
class Place:
    """``name`` begins every name of the stack, `batchimg-dev` say."""

    name: str
    settings: Settings
    group: resources.ResourceGroup
    tags: dict[str, str]
