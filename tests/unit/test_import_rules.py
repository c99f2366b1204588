"""What import-linter cannot say: parts of an external package, and what a start-up loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [file for top in ("orchestrator", "worker", "emulator") for file in (ROOT / top).rglob("*.py")]


def importers(package: str) -> set[str]:
    """The modules whose source imports a package, at the top or inside a function."""
    found = set()
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(name == package or name.startswith(package + ".") for name in names):
                found.add(file.relative_to(ROOT).as_posix())
    return found


def test_one_module_imports_the_batch_client():
    assert importers("azure.batch") == {"orchestrator/batchimg/batch.py"}


def test_one_module_imports_the_blob_client():
    assert importers("azure.storage") == {"worker/batchimg_worker/storage.py"}


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("heavy", ["numpy", "skimage", "azure", "pydantic", "pulumi", "jinja2"])
def test_help_loads_nothing_heavy(heavy):
    assert heavy not in loaded_by("import batchimg.cli.app")


def test_settings_and_scan_and_plan_load_no_image_library():
    loaded = loaded_by("import batchimg.settings, batchimg.scan, batchimg.plan, batchimg.submit")
    assert not loaded & {"numpy", "skimage", "imageio", "PIL"}


def test_pulumi_is_no_package():
    assert not (ROOT / "pulumi" / "__init__.py").exists()


def hidden(file: Path) -> bool:
    return any(part.startswith(".") or part in {"node_modules", "demo"} for part in file.relative_to(ROOT).parts)


def test_no_address_of_a_package_registry_is_in_the_tree():
    suffixes = {".txt", ".json", ".toml", ".cfg", ".npmrc", ".sh", ".py", ".md"}
    addresses = ("registry." + "npmjs", "files.python" + "hosted", "pypi." + "org/simple", "index" + "-url")
    texts = [file for file in ROOT.rglob("*") if file.suffix in suffixes and not hidden(file)]
    assert len(texts) > 50
    guilty = [str(file) for file in texts if any(a in file.read_text(errors="replace") for a in addresses)]
    assert not guilty
