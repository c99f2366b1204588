"""`batchimg`, and `python -m batchimg`."""

from batchimg.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
