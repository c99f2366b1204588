"""The one version number of batchimg, its worker and its emulator."""

__version__ = "0.1.0"
