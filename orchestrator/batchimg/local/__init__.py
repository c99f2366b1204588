"""The local stack: Azurite and the Batch emulator as background processes of one user."""
