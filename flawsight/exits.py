"""How a verb of the command line ends: the library's errors as a message and an exit status."""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from flawsight.errors import FlawsightError, UsageError

REJECTED = 3
INTERRUPTED = 130


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Turn the library's errors, and an interrupt, into a message and an exit status."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except FlawsightError as error:
            stop(f"error: {error}", 2 if isinstance(error, UsageError) else 1)
        except KeyboardInterrupt:
            stop("interrupted: no file was left half-written", INTERRUPTED)
        except MemoryError as error:
            stop(f"error: not enough memory ({error}). Ask for a smaller --size or a smaller coreset_ratio.", 1)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever read the output has stopped; the framework ends quietly
            stop(f"error: {error.filename or 'this system'}: {(error.strerror or str(error)).lower()}. Check the path.", 1)

    return run


def stop(message: str, status: int) -> NoReturn:
    """End with a message on standard error and this exit status."""
    typer.echo(message, err=True)
    raise typer.Exit(status)
