"""Draws docs/pictures/benchmarks.png out of the tables of docs/benchmarks.md: each library's cost beside ours.

Bars are CPU seconds divided by batchimg's, on a logarithmic scale; the floor is drawn where a table has one.
"""

import math
import re
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, PICTURE = DOCS / "benchmarks.md", DOCS / "pictures" / "benchmarks.png"
WIDTH, ROW, GAP, LEFT, RIGHT, TOP = 1100, 26, 46, 210, 90, 70
LEAST, MOST = 0.3, 60.0
MARKS = (0.5, 1, 2, 5, 10, 20, 50)
OURS, OTHER, FLOOR = "#1f6f4a", "#9aa5b1", "#d9b44a"
HEADING = "## The worker beside other libraries"


def main() -> None:
    tables = read(PAGE.read_text())
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    drawn(tables).save(PICTURE, optimize=True)
    print(PICTURE)


def read(page: str) -> dict[str, list[tuple[str, float]]]:
    """Title of each table to its rows: a library and how much faster ours is."""
    part = page.partition(HEADING)[2].partition("\n## ")[0]
    found = {}
    for section in part.split("\n### ")[1:]:
        title, _, body = section.partition("\n")
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if "|" in line]
        head = next((row for row in cells if "batchimg is faster by" in row), None)
        if head is None:
            continue
        column = head.index("batchimg is faster by")
        rows = [(row[0], float(row[column])) for row in cells if re.fullmatch(r"[\d.]+", row[column])]
        found[title.strip()] = sorted(rows, key=lambda row: row[1])
    return found


def drawn(tables: dict[str, list[tuple[str, float]]]) -> Image.Image:
    height = TOP + sum(GAP + ROW * len(rows) for rows in tables.values()) + 30
    picture = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((20, 16), "CPU seconds of the default recipe, batchimg = 1 (shorter is better)", "black", font(22))
    for mark in MARKS:
        x = place(mark)
        draw.line((x, TOP - 8, x, height - 24), "#e3e7eb" if mark != 1 else "#8fb8a4", 1)
        draw.text((x, height - 22), f"{mark:g}x", "#55606b", font(14), anchor="ma")
    y = TOP
    for title, rows in tables.items():
        draw.text((20, y + 8), title, "black", font(18))
        y += GAP - 10
        for name, ratio in rows:
            color = {"batchimg": OURS, "batchimg by RGB": OURS, "floor": FLOOR}.get(name, OTHER)
            draw.text((LEFT - 10, y + ROW // 2), name, "black", font(15), anchor="rm")
            draw.rectangle((place(LEAST), y + 4, place(ratio), y + ROW - 4), color)
            draw.text((place(ratio) + 8, y + ROW // 2), f"{ratio:.2f}", "black", font(14), anchor="lm")
            y += ROW
        y += 10
    return picture


def place(ratio: float) -> float:
    share = math.log(min(max(ratio, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


if __name__ == "__main__":
    main()
