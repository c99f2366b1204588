"""docs/operations-catalogue.md, made from signatures, docstrings and the tables of `codec` and `naming`."""

from __future__ import annotations

import ast
from importlib import resources

from batchimg_worker.operations import MEASURES, OPERATIONS, Operation, Registry, Scalar, docstrings, plugins

HEAD = """# Operations and measures

This page is made from the code with `make docs`; `batchimg ops` prints the same. The pictures are made by
`tools/operation_pictures.py`: before on the left, after on the right.

scikit-image defines every result: within 1 grey level on 99.9 % of the pixels and within 2 on all (8-bit), clipped,
and rounded as `skimage.img_as_ubyte` does. The type of the pixels stays, except under `convert`. What moves pixels, and
`blur`, treats alpha as one more channel, as `channel_axis=-1` does; everything else leaves alpha as it is. Only where
a JPEG or BMP is written is an image laid on white.

In a recipe an operation is `name`, `{name: value}` or `{name: {parameter: value, ...}}`; after `--op` it is `name`,
`name=value` or `name=parameter:value,parameter:value`, and `|` chains several.
"""

OUTPUTS = """## How results are written

`output` says it once, `outputs` several times, and a variant can have its own:

```yaml
variants:
  small: [{thumbnail: 256}]
  mask:  {steps: [{threshold: otsu}], output: {format: png}}
outputs:
  - {format: jpeg, quality: 85, subsampling: 4:4:4}
  - {format: webp}
colors: srgb
frames: all
```

| Key | Default | Values | |
|---|---|---|---|
| `format` | `same` | same, jpeg, png, tiff, webp, avif or bmp | The original's, or PNG where that cannot be written. |
| `quality` | `90` | 1 to 100 | For JPEG, WebP and AVIF. |
| `subsampling` | `4:2:0` | 4:4:4, 4:2:2 or 4:2:0 | Of the colours, for JPEG and AVIF. |
| `bits` | `keep` | keep, 8 or 16 | Converts; 16 is for PNG and TIFF. |
| `name` |  | a template | See below. |
| `pyramid` | `false` | true or false | Smaller versions as SubIFDs, for TIFF. |

`colors: srgb`, beside `outputs`, converts images with a colour profile to sRGB when they are read.

`frames: all` does every frame of an animated GIF, WebP, PNG or AVIF and every page of a TIFF; without it the first
alone is done, and the notes of the result say so. One result holds them all where its format can: an animation becomes
an animated WebP or PNG, with its durations and loops (a GIF with `format: same` is a PNG, as always), and a TIFF gets
a page for each. Otherwise each becomes a file: `scan.tif-0003.jpg`, or what a template with `{frame}` says;
`{stem}-{frame}{ext}` gives `scan-0003.png`, and single files wherever it is used; pages of a TIFF
with a `pyramid` are single files, too. Measures are those of the first frame. An image may have 10,000 frames; one is
held in memory at a time, beside what is written so far.

A template such as `{stem}-{variant}{ext}` names results; without one they keep the original's name, with the right
suffix added where it has another. The folder is always the original's. Two results of one name are refused before
anything runs.
"""

OWN = """## Operations of your own

[A page of its own](own-operations.md) tells all of it.
"""

EXAMPLES = {
    "grayscale": "grayscale",
    "blur": "blur=50%",
    "flip": "flip=horizontal",
    "rotate": "rotate=30",
    "resize": "resize=width:60,height:60,order:0",
    "crop": "crop=150x100",
    "thumbnail": "thumbnail=120",
    "pad": "pad=square",
    "watermark": "watermark=text:© batchimg,size:0.1",
    "convert": "convert=grey",
    "strip_metadata": "strip_metadata",
    "sharpen": "sharpen=amount:2,radius:2",
    "denoise": "denoise=method:bilateral,sigma_color:0.15,sigma_spatial:3",
    "edges": "edges=sobel",
    "threshold": "threshold=otsu",
    "morphology": "morphology=method:open,radius:3",
    "contrast": "contrast=150%",
    "gamma": "gamma=0.5",
    "brightness": "brightness=130%",
    "invert": "invert",
    "normalize": "normalize",
    "equalize": "equalize=clahe",
}
"""One use of every operation, as after `--op`: the one in its picture."""


def catalogue() -> str:
    """docs/operations-catalogue.md. Only what comes with batchimg is in it."""
    parts = [HEAD, "## Operations\n", _overview(OPERATIONS)]
    parts += [_section(OPERATIONS.get(name), f"pictures/operations/{name}.jpg") for name in EXAMPLES]
    parts += ["## Measures\n", _overview(MEASURES)]
    parts.append("Measures are taken of the original, upright, and appear in the results under their names.\n")
    parts += [_section(MEASURES.get(name), None) for name in MEASURES.names()]
    parts += [OUTPUTS, _markdown_table("naming.py", "Field"), OWN, _own(), "## Odd files\n"]
    parts += ["What was decided for an image is in the notes of its result.\n", _markdown_table("codec.py", "Kind")]
    return "\n".join(parts)


def _own() -> str:
    """What `plugins` says of itself, with its example as code."""
    paragraphs = (plugins.__doc__ or "").split("\n\n", 1)[1].strip("\n")
    prose, _, rest = paragraphs.partition("\n\n    ")
    code, _, end = rest.partition("\n\nAn operation takes")
    lines = [line.removeprefix("    ") for line in code.replace("'''", '"""').splitlines()]
    body = "\n".join(lines)
    prose = prose.replace("``", "`").rstrip(":")
    return f"{prose}:\n\n```python\n{body}\n```\n\nAn operation takes{end}\n"


def _markdown_table(module: str, title: str) -> str:
    """The first table of a module's docstring; read, not imported: `codec` would bring numpy."""
    source = (resources.files("batchimg_worker") / module).read_text(encoding="utf-8")
    lines = (ast.get_docstring(ast.parse(source)) or "").splitlines()
    rulers = [number for number, line in enumerate(lines) if line.startswith("====")]
    width = lines[rulers[0]].index(" ")
    rows = lines[rulers[-2] + 1 : rulers[-1]]
    cells = [(row[:width].strip(), row[width:].strip().replace("|", "\\|")) for row in rows]
    body = [f"| {f'`{left}`' if left.startswith('{') else left} | {right} |" for left, right in cells]
    return "\n".join([f"| {title} | |", "|---|---|", *body, ""])


def _overview(registry: Registry) -> str:
    rows = [f"| [`{name}`](#{_anchor(name, registry)}) | {registry.get(name).help} |" for name in _names(registry)]
    return "\n".join(["| Name | |", "|---|---|", *rows, ""])


def _names(registry: Registry) -> tuple[str, ...]:
    return tuple(EXAMPLES) if registry is OPERATIONS else registry.names()


def _anchor(name: str, registry: Registry) -> str:
    """A second heading of one name gets a number."""
    return f"{name}-1" if registry is MEASURES and name in EXAMPLES else name


def _section(operation: Operation, picture: str | None) -> str:
    lines = [f"### {operation.name}", "", operation.help]
    notes = docstrings.notes(operation.reference)
    if notes:
        lines += ["", notes]
    if picture:
        example = EXAMPLES[operation.name]
        lines += ["", f"`{example}`:", "", f"![before and after {operation.name}]({picture})"]
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
