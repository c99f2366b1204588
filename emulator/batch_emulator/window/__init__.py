"""The window: one page that shows what the account holds, for the browser of the one who started the emulator."""
