"""Damaged recipes, runs, manifests and results: whoever reads them says what is wrong, and nothing else comes out."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

from batchimg_worker import contract
from batchimg_worker.documents import dump, parse, parse_lines, whole_lines
from batchimg_worker.errors import ContractError, RecipeError
from batchimg_worker.recipe import load_recipe

from mutators import ANY, odd_number

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"
RECIPES = Path(__file__).parents[2] / "samples" / "recipes"
EACH = 40


def hunt(seed: int, each: int = EACH) -> tuple[int, list[str]]:
    """How many documents there were, and what came out that should not."""
    faults, count = [], 0
    for name, text, read in documents():
        for number in range(each):
            random = Random(f"{seed}:{name}:{number}")
            damaged, count = damage(random, text), count + 1
            try:
                read(damaged)
            except (ContractError, RecipeError) as error:
                if not error.message.strip() or len(error.message) > 2000:
                    faults.append(f"- {name} {number}: a message of {len(error.message)} characters")
            except BaseException as error:  # noqa: BLE001 - this is what is looked for
                faults.append(f"- {name} {number}: {type(error).__name__}: {str(error)[:200]}")
    return count, faults


def documents() -> list[tuple[str, bytes, Callable[[bytes], object]]]:
    """Name, content, reader."""
    found = [(file.name, file.read_bytes(), _reader(file)) for file in sorted(GOLDEN.iterdir()) if file.is_file()]
    recipes = [(file.name, file.read_bytes(), _recipe) for file in sorted(RECIPES.glob("*.yaml"))]
    return found + recipes


def damage(random: Random, text: bytes) -> bytes:
    """Bytes anywhere, or a value of another kind in the right place."""
    if random.random() < 0.5:
        return random.choice(ANY)(random, text, text)
    lines = text.splitlines()
    at = random.randrange(len(lines))
    try:
        lines[at] = json.dumps(_other_value(random, json.loads(lines[at]))).encode()
    except ValueError:
        lines[at] = random.choice((lines[at] * 2, b"- " + lines[at], lines[at].replace(b":", b": [", 1), b"&a [*a]"))
    return b"\n".join(lines)


def _other_value(random: Random, value: object) -> object:
    if isinstance(value, dict) and value and random.random() < 0.8:
        key = random.choice(sorted(value))
        return {**value, key: _other_value(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.8:
        at = random.randrange(len(value))
        return [*value[:at], _other_value(random, value[at]), *value[at + 1 :]]
    strange = (
        None,
        True,
        -1,
        odd_number(random, 64),
        10**400,
        1e308,
        "",
        "../x",
        "\ud800",
        "x" * 5000,
        [],
        {},
        [[]] * 50,
    )
    return random.choice(strange)


KINDS = {"run": contract.RunSpec, "heartbeat": contract.Heartbeat, "band": contract.BandHeader}
LINES = {
    "manifest": (contract.ManifestHeader, contract.ImageEntry),
    "result": (contract.ResultHeader, contract.ImageResult),
    "part": (contract.PartHeader, contract.ImageResult),
}


def _reader(file: Path) -> Callable[[bytes], object]:
    kind = file.name.partition("-")[0]
    if kind in KINDS:
        return lambda content: dump(parse(KINDS[kind], content, file.name))
    header, record = LINES[kind]

    def read(content: bytes) -> None:
        lines = content.splitlines()
        lines = list(whole_lines(iter(lines))) if kind == "part" else lines
        dump(parse(header, lines[0] if lines else b"", file.name))
        for one in parse_lines(record, iter(lines[1:]), file.name):
            dump(one)

    return read


def _recipe(content: bytes) -> None:
    """As a file of the user's is read, which is refused where it is not UTF-8."""
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(content)
        file.flush()
        load_recipe(file.name).bound()
