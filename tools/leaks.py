"""Look for what seems to be a secret in every file that git knows; what `.secrets.baseline` holds has been looked at.

With --write the baseline is what is found now. (detect-secrets' own hook also fails where a line has moved.)
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASELINE = ROOT / ".secrets.baseline"
# Hashes of packages and modules look like secrets and are none.
HASHES = r"(requirements/.*\.txt|pulumi/requirements\.txt|go\.sum|package-lock\.json|\.made-from|\.secrets\.baseline)$"

Found = set[tuple[str, str, str]]


def scan() -> str:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    command = [str(Path(sys.executable).with_name("detect-secrets")), "scan", "--exclude-files", HASHES, *files]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def seen(report: str) -> Found:
    results = json.loads(report)["results"]
    return {(file, one["type"], one["hashed_secret"]) for file, found in results.items() for one in found}


def main() -> int:
    report = scan()
    if "--write" in sys.argv:
        BASELINE.write_text(report)
        return 0
    new = seen(report) - seen(BASELINE.read_text())
    for file, kind, _ in sorted(new):
        print(f"{file} holds what looks like a secret ({kind}). If it is none: tools/leaks.py --write", file=sys.stderr)
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
