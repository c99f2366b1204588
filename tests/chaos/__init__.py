"""Chaos: seeded runs of batchimg while things break, and what must hold all the same. `make chaos` runs them."""
