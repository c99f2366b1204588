"""The command: its parts, and the one place where an error becomes a message and an exit code."""

import io
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from batchimg.cli import cloud, ledger, local, money, recipes, results, runs, submit, why

OK, SOME_FAILED, USAGE, SERVICE, INTERRUPTED = 0, 1, 2, 3, 130

EPILOG = (
    "Exit codes: 0 all images done, 1 some images failed, 2 wrong usage or settings, "
    "3 service or machine trouble, 130 interrupted."
)

app = typer.Typer(
    help="Run an image recipe over ten or ten million images on Azure Batch, or on this machine.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
submit.add_to(app)
runs.add_to(app)
why.add_to(app)
results.add_to(app)
ledger.add_to(app)
money.add_to(app)
recipes.add_to(app)
local.add_to(app)
cloud.add_to(app)


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file; default: batchimg.toml of this folder.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False,
) -> None:
    """Run an image recipe over ten or ten million images on Azure Batch, or on this machine."""
    if version:
        from batchimg_worker.version import __version__

        typer.echo(f"batchimg {__version__}")
        raise typer.Exit
    context.obj = config
    if debug:
        os.environ["BATCHIMG_DEBUG"] = "1"


def main() -> None:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _interrupt)
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by the caller: `batchimg runs >&-`
            setattr(sys, stream, Path(os.devnull).open("w"))  # noqa: SIM115 - until the end
    sys.stdout = Answers.instead_of(sys.stdout)
    code = _run()
    try:
        sys.stdout.flush()  # what is still buffered may meet a full disk or a reader that is gone
    except Exception as error:  # noqa: BLE001 - as in _run
        code = _lost(error)
    sys.exit(code)


class Answers(io.FileIO):
    """Standard output, whose errors are told apart from those of other files, whether text or bytes are written."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream.fileno(), "w", closefd=False)
        self._stream = stream  # which would close the file when it goes

    @classmethod
    def instead_of(cls, stream: TextIO) -> TextIO:
        """Take over what a stream writes to."""
        binary = io.BufferedWriter(cls(stream))
        return io.TextIOWrapper(binary, stream.encoding, stream.errors, line_buffering=stream.isatty())

    def write(self, content: Any) -> Any:
        """Raises AnswerLost where the system refuses, a BrokenPipeError without a number where nobody reads.

        With its number, typer would take that one for itself, and exit with 1.
        """
        from batchimg.errors import AnswerLost

        try:
            return super().write(content)
        except BrokenPipeError:
            raise BrokenPipeError from None
        except OSError as error:
            raise AnswerLost(f"the answer cannot be written: {error.strerror}", "See to where it goes.") from error


def _lost(error: Exception) -> int:
    """The answer did not get out. Where nobody wants to read more of it, that is no failure."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python's own last flush shall not fail
    return OK if isinstance(error, BrokenPipeError) else _explain(error)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _run() -> int:
    import logging

    from typer.exceptions import TyperException

    from batchimg.errors import AnswerLost

    if not os.environ.get("BATCHIMG_DEBUG"):
        logging.getLogger("azure").setLevel(logging.CRITICAL)  # what matters of it is in our own messages
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except (BrokenPipeError, AnswerLost) as error:
        return _lost(error)
    except Exception as error:  # noqa: BLE001 - the one place where an error becomes a message
        if os.environ.get("BATCHIMG_DEBUG"):
            traceback.print_exc()
        return _explain(error)
    if code == INTERRUPTED:
        _say("Interrupted. Nothing is lost: the same command goes on where it was.")
    return code if isinstance(code, int) else OK


def _usage(error: Exception) -> int:
    """A wrong option or argument, drawn as typer draws it."""
    show = getattr(error, "show", None)
    if show is not None:
        show()
    return USAGE


def _explain(error: Exception) -> int:
    from batchimg.errors import BatchimgError
    from batchimg_worker.errors import ImageError, RecipeError, WorkerError

    if isinstance(error, BatchimgError | WorkerError):
        _say(f"batchimg: {error.message}")
        if error.hint:
            _say(f"  {error.hint}")
        if isinstance(error, BatchimgError):
            return error.exit_code
        return USAGE if isinstance(error, RecipeError) else SOME_FAILED if isinstance(error, ImageError) else SERVICE
    _say(f"batchimg: {type(error).__name__}: {error}")
    _say("  This should not happen. `batchimg --debug …` shows where; please report it.")
    return SERVICE


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - this is the command line
