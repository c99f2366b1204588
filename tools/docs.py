"""Write the pages that come out of the code: settings, operations, the tables of the emulator's page and of costs.

With --check: fail where one is not up to date.
"""

import sys
from pathlib import Path

from batch_emulator import coverage
from batchimg.settings import PREFIX, Settings
from batchimg_worker.operations import catalogue

from cost_examples import with_examples

ROOT = Path(__file__).resolve().parent.parent


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "Flags beat the environment, which beats `batchimg.toml` in this folder (or the file that `--config` or",
        "`BATCHIMG_CONFIG` names), which beats the defaults. An unknown name is refused with the nearest one there is.",
        "",
        "| in batchimg.toml | in the environment | default | what it is |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| `{name}` | `{PREFIX}{name.upper()}` | {default} | {field.description or ''} |")
    lines += [
        "",
        "Not settings, but read from the environment: `BATCHIMG_HOME` (the folder of the local stack),",
        "`BATCHIMG_CACHE_DIR` (where Azurite is installed), `BATCHIMG_DEBUG=1` (show tracebacks).",
        "",
    ]
    return "\n".join(lines)


def emulator_page() -> str:
    return coverage.with_table((ROOT / "docs" / "emulator.md").read_text())


def cost_page() -> str:
    return with_examples((ROOT / "docs" / "cost.md").read_text())


PAGES = {
    "docs/settings.md": settings_page,
    "docs/operations-catalogue.md": catalogue.catalogue,
    "docs/emulator.md": emulator_page,
    "docs/cost.md": cost_page,
}


def main() -> int:
    stale = [name for name, page in PAGES.items() if not (ROOT / name).is_file() or (ROOT / name).read_text() != page()]
    if "--check" in sys.argv:
        for name in stale:
            print(f"{name} is not up to date: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).write_text(PAGES[name]())
    return 0


if __name__ == "__main__":
    sys.exit(main())
