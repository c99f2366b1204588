"""docs/operations.md, made from signatures and docstrings."""

from __future__ import annotations

from batchimg_worker.operations import MEASURES, OPERATIONS, Operation, Registry, Scalar, docstrings

HEAD = """# Operations and measures

This page is made from the code: `batchimg_worker.operations.catalogue.markdown()`. `batchimg ops` prints the same.

scikit-image defines every result: within 1 grey level on 99.9 % of the pixels and within 2 on all (8-bit), clipped,
and rounded as `skimage.img_as_ubyte` does. The type of the pixels stays. Alpha is one more channel, as with
`channel_axis=-1`; only where a JPEG or BMP is written is an image laid on white. What happens to odd files is
decided in `batchimg_worker/codec.py`.

In a recipe an operation is `name`, `{name: value}` or `{name: {parameter: value, ...}}`; after `--op` it is `name`,
`name=value` or `name=parameter:value,parameter:value`, and `|` chains several.
"""


def markdown() -> str:
    """The whole page."""
    parts = [HEAD, "## Operations\n", _overview(OPERATIONS)]
    parts += [_section(OPERATIONS.get(name)) for name in OPERATIONS.names()]
    parts += ["## Measures\n", _overview(MEASURES)]
    parts.append("Measures are taken of the original, upright, and appear in the results under their names.\n")
    return "\n".join(parts)


def _overview(registry: Registry) -> str:
    rows = [f"| `{name}` | {registry.get(name).help} |" for name in registry.names()]
    return "\n".join(["| Name | |", "|---|---|", *rows, ""])


def _section(operation: Operation) -> str:
    lines = [f"### {operation.name}", "", operation.help]
    notes = docstrings.notes(operation.reference)
    if notes:
        lines += ["", notes]
    if operation.parameters:
        lines += ["", "| Parameter | Default | Values | |", "|---|---|---|---|"]
    kinds = docstrings.kinds(operation.reference)
    for parameter in operation.parameters:
        default = "required" if parameter.required else _shown(parameter.default)
        lines.append(f"| `{parameter.name}` | {default} | {kinds.get(parameter.name, '')} | {parameter.help} |")
    return "\n".join([*lines, ""])


def _shown(default: Scalar) -> str:
    if default is None:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
