"""Images that are not held in memory: read into a file on disk, worked on region by region, written strip by strip.

    original ─▶ store (raw pixels on disk) ─▶ steps, region by region ─▶ writer (strips, in order) ─▶ file

`original` reads, `store` holds, `chain` computes, `plan` says beforehand what it takes and what cannot be, `writers`
write, and `process` strings them together for one image.
"""
