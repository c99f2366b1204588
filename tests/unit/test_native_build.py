"""How the C kernels are built: while workers run that have them open."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "native.py"
COMPILER = """
import sys
from pathlib import Path

target = Path(sys.argv[sys.argv.index("-o") + 1])
target.write_bytes(b"half")
library = target.with_name("kernels-x86_64.so")
if library.exists() and library.read_bytes() != b"old":
    sys.exit("the library was touched before it was whole")
if (target.parent / "broken.c").exists():
    sys.exit("syntax error")
target.write_bytes(b"new")
"""


@pytest.fixture
def native(tmp_path, monkeypatch):
    """The script, with a folder of its own and a compiler that looks what becomes of the library meanwhile."""
    spec = importlib.util.spec_from_file_location("native_build", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "ziglang").mkdir()
    (tmp_path / "ziglang" / "__init__.py").write_text("")
    (tmp_path / "ziglang" / "__main__.py").write_text(COMPILER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(module, "NATIVE", tmp_path / "native")
    monkeypatch.setattr(module, "TARGETS", {"kernels-x86_64.so": ("x86_64-linux-gnu", "x86_64_v3")})
    module.NATIVE.mkdir()
    (module.NATIVE / "kernels-x86_64.so").write_bytes(b"old")
    return module


def test_workers_that_run_keep_the_library_they_have(native):
    library = native.NATIVE / "kernels-x86_64.so"
    with library.open("rb") as held:
        assert native.compile_all() == [library]
        assert held.read() == b"old"
    assert library.read_bytes() == b"new"
    assert {file.name for file in native.NATIVE.iterdir()} == {"kernels-x86_64.so", "kernels-x86_64.made-from"}


def test_a_library_that_cannot_be_built_leaves_the_old_one(native):
    (native.NATIVE / "broken.c").write_text("")
    assert native.compile_all() == []
    assert {file.name for file in native.NATIVE.iterdir()} == {"kernels-x86_64.so", "broken.c"}
    assert (native.NATIVE / "kernels-x86_64.so").read_bytes() == b"old"
