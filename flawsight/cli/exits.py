"""How a verb of the command line ends: the library's errors as a message and an exit status."""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from flawsight.errors import FlawsightError, UsageError
from flawsight.system import interrupts

REJECTED = 3
AS_OPTIONS = (  # how the library names its arguments → how the command line does
    ("with use_masks=False", "with --no-masks"),
    ('group_by="folder"', "--group-by folder"),
    ("with group_by", "with --group-by"),
    ("(named by group_by", "(named by --group-by"),
    ("bits=16", "--bits 16"),
    ("replace it with force", "replace it with --force"),
    ("force: the new model's", "--force: the new model's"),
)


class CannotTell(FlawsightError):
    """What was asked for alone cannot be estimated."""


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Turn the library's errors, and an interrupt, into a message and an exit status."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except typer.Exit:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or interrupts.came():  # of which an import may have made another error
                interrupts.report()
                raise typer.Exit(interrupts.status()) from None
            _explain(error)
            raise

    return run


def _explain(error: BaseException) -> None:
    """End with what an expected error says; any other is left to be raised."""
    if isinstance(error, FlawsightError):
        stop(f"error: {as_options(str(error))}", 2 if isinstance(error, UsageError) else 1)
    if isinstance(error, MemoryError):
        stop(f"error: not enough memory ({error}). Ask for a smaller --size or a smaller coreset_ratio.", 1)
    if isinstance(error, OSError) and error.errno != errno.EPIPE:  # EPIPE: whoever read the output has stopped; typer ends quietly
        stop(f"error: {error.filename or 'this system'}: {(error.strerror or str(error)).lower()}. Check the path.", 1)


def as_options(message: str) -> str:
    """A message of the library in the command line's words."""
    for argument, option in AS_OPTIONS:
        message = message.replace(argument, option)
    return message


def stop(message: str, status: int) -> NoReturn:
    """End with a message on standard error and this exit status."""
    typer.echo(message, err=True)
    raise typer.Exit(status)
