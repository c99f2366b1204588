"""What a task needs on its node before it starts: application packages and resource files."""

from __future__ import annotations

from pathlib import Path

from batch_emulator import applications, resource_files, sources
from batch_emulator.account import Account, Run
from batch_emulator.applications import Package, PackageError
from batch_emulator.background import Work
from batch_emulator.entities import Node, Spec
from batch_emulator.errors import BatchError

PACKAGES = "applicationPackageReferences"


def any_needed(spec: Spec) -> bool:
    """Whether anything must be fetched before the task can start."""
    return "resourceFiles" in spec or PACKAGES in spec


def _packages(account: Account, references: list[Spec]) -> list[Package]:
    """What references mean now; PackageError if it is not there any more."""
    try:
        return [applications.package(account.settings.applications, reference) for reference in references]
    except BatchError as error:
        raise PackageError(dict(error.values)["ApplicationId"], "there is no such version") from error


def installing(account: Account, node: Node, references: list[Spec]) -> Work:
    """The blocking work that unpacks packages on a node; it raises PackageError."""
    root = Path(account.folders.node(node.id))

    def work() -> None:
        for package in _packages(account, references):
            applications.install(package, root)

    return work


def fetching(account: Account, run: Run) -> Work:
    """The blocking work that brings all of it to the node; it raises ResourceFileError or PackageError."""
    files, target = run.spec.get("resourceFiles", []), Path(run.folder.wd)
    install = installing(account, run.node, run.spec.get(PACKAGES, []))
    access = sources.of_node(account)

    def work() -> None:
        install()
        resource_files.fetch(files, target, access)

    return work


def variables(account: Account, node: Node, spec: Spec) -> dict[str, str]:
    """AZ_BATCH_APP_PACKAGE_* of a command: of its node, and its own."""
    references = [*node.packages, *spec.get(PACKAGES, ())]
    if not references:
        return {}
    try:
        found = _packages(account, references)
    except PackageError:
        return {}  # the one that is gone was reported when it was to be installed
    return applications.variables(found, Path(account.folders.node(node.id)))
