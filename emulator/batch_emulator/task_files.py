"""What a task needs on its node before it starts: resource files and application packages."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from batch_emulator import applications, resource_files, sources
from batch_emulator.account import Account, Run
from batch_emulator.applications import Package
from batch_emulator.background import Work
from batch_emulator.entities import Node, Spec

PACKAGES = "applicationPackageReferences"


def any_needed(node: Node, spec: Spec) -> bool:
    """Whether anything must be fetched before the task can start."""
    return "resourceFiles" in spec or PACKAGES in spec or PACKAGES in node.pool.spec


def _packages(account: Account, node: Node, spec: Spec) -> list[Package]:
    references = [*node.pool.spec.get(PACKAGES, ()), *spec.get(PACKAGES, ())]
    return [applications.package(account.settings.applications, reference) for reference in references]


def fetching(account: Account, run: Run) -> Work:
    """The blocking work that brings all of it to the node; it raises ResourceFileError or PackageError."""
    root = Path(account.folders.node(run.node.id))
    files, target = run.spec.get("resourceFiles", []), Path(run.folder.wd)
    packages = partial(_packages, account, run.node, run.spec)
    access = sources.of_node(account)

    def work() -> None:
        for package in packages():
            applications.install(package, root)
        resource_files.fetch(files, target, access)

    return work


def variables(account: Account, node: Node, spec: Spec) -> dict[str, str]:
    """AZ_BATCH_APP_PACKAGE_* of a task, and of its pool."""
    if PACKAGES not in spec and PACKAGES not in node.pool.spec:
        return {}
    root = Path(account.folders.node(node.id))
    return {package.variable: str(package.folder(root)) for package in _packages(account, node, spec)}
