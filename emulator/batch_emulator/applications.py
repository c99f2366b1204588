"""Application packages: zip files of a folder, `<application id>/<version>.zip`, unpacked on nodes that need them."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_emulator.entities import Failure, Spec
from batch_emulator.errors import BatchError, property_error

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAX_UNPACKED = 8 << 30
"""Bytes that the files of one package may have together."""
PREFIX = "AZ_BATCH_APP_PACKAGE_"
MAX_REFERENCES = 10
"""Packages that a pool, or a task, may refer to."""


class PackageError(Exception):
    """A package could not be brought to a node; `failure` goes into the task's failureInfo."""

    def __init__(self, name: str, reason: str) -> None:
        message = "One of the specified application packages could not be installed"
        self.failure = Failure(
            "usererror",
            "ApplicationPackageInstallFailed",
            message,
            (("ApplicationPackage", name), ("Reason", reason)),
        )
        super().__init__(f"{name}: {reason}")


@dataclass(frozen=True, slots=True)
class Package:
    """One version of an application, as a task asks for it."""

    application: str
    version: str
    archive: Path
    named_version: bool
    """Whether the reference named the version; else it is the default one."""

    @property
    def variable(self) -> str:
        """The variable that tells a task where the package is."""
        name = f"{self.application}_{self.version}" if self.named_version else self.application
        return PREFIX + re.sub(r"[.#-]", "_", name)

    def folder(self, root: Path) -> Path:
        """Where it is unpacked below a node's root directory."""
        return root / "applications" / self.application.lower() / self.version


def _versions(folder: Path) -> list[str]:
    found = [path.stem for path in folder.glob("*.zip") if _NAME.fullmatch(path.stem)]
    return sorted(found, key=_natural)


def _natural(version: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", version.lower())
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts if part]


def listed(folder: Path | None) -> dict[str, Sequence[str]]:
    """All applications with their versions, the highest last."""
    if folder is None or not folder.is_dir():
        return {}
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and _NAME.fullmatch(path.name))
    return {name: versions for name in names if (versions := _versions(folder / name))}


def default_version(folder: Path, versions: Sequence[str]) -> str:
    """The version that a reference without one means: what <application>/default says, else the highest."""
    try:
        return (folder / "default").read_text("utf-8").strip()
    except OSError:
        return versions[-1]


def check(folder: Path | None, references: Sequence[Spec], path: str) -> None:
    """Refuse references that cannot be satisfied now, and too many of them."""
    if len(references) > MAX_REFERENCES:
        raise property_error(path, len(references), f"At most {MAX_REFERENCES} packages.")
    for reference in references:
        package(folder, reference)


def check_of_task(folder: Path | None, references: Sequence[Spec], path: str) -> None:
    """As `check`, but where there is no default version the task fails when it starts, as on Azure."""
    named = {name.lower() for name in listed(folder)}
    late = [one for one in references if "version" not in one and one["applicationId"].lower() in named]
    check(folder, [one for one in references if one not in late], path)


def package(folder: Path | None, reference: Spec) -> Package:
    """What a reference means; InvalidApplicationPackageReferences."""
    wanted, version = reference["applicationId"], reference.get("version")
    for name, versions in listed(folder).items():
        if name.lower() == wanted.lower() and folder is not None:
            chosen = version or default_version(folder / name, versions)
            if chosen in versions:
                return Package(wanted, chosen, folder / name / f"{chosen}.zip", version is not None)
    raise BatchError(
        "InvalidApplicationPackageReferences",
        ("ApplicationId", wanted),
        ("Version", version or "(default)"),
        ("Reason", "Put <application id>/<version>.zip into the folder that --applications names."),
    )


def install(package: Package, root: Path) -> None:
    """Unpack a package below a node's root, unless it is there; blocking. PackageError."""
    target = package.folder(root)
    if target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    name = f"{package.application} {package.version}"
    beside = Path(tempfile.mkdtemp(dir=target.parent, prefix=".unpacking-"))
    try:
        _unpack(package.archive, beside, name)
        beside.chmod(0o755)
        if not target.is_dir():
            os.replace(beside, target)  # noqa: PTH105 - the rename that makes it whole at once
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        if not target.is_dir():
            raise PackageError(name, str(error)) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _unpack(archive: Path, target: Path, name: str) -> None:
    with zipfile.ZipFile(archive) as source:
        entries = source.infolist()
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
            raise PackageError(name, f"it unpacks to more than {MAX_UNPACKED} bytes")
        for entry in entries:
            _check_entry(entry, target, name)
        for entry in entries:
            path = Path(source.extract(entry, target))
            mode = entry.external_attr >> 16 & 0o777
            if mode and path.is_file():
                path.chmod(mode | 0o600)


def _check_entry(entry: zipfile.ZipInfo, target: Path, name: str) -> None:
    parts = entry.filename.replace("\\", "/").split("/")
    outside = entry.filename.startswith(("/", "\\")) or ".." in parts
    if outside or not (target / entry.filename).resolve().is_relative_to(target.resolve()):
        raise PackageError(name, f"the entry {entry.filename!r} leads out of the package")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise PackageError(name, f"the entry {entry.filename!r} is a link")


def variables(packages: Sequence[Package], root: Path) -> dict[str, str]:
    """Where packages are, for the commands of a node."""
    return {package.variable: str(package.folder(root)) for package in packages}
