"""The `flawsight` command, which is `python -m flawsight` too. Nothing that takes time is imported before it can be interrupted."""

import sys

from flawsight.system import interrupts


def main() -> None:
    """Run the command line. An interrupt at any moment, also while libraries are imported, is reported in one line."""
    try:
        try:
            interrupts.watch()
            from flawsight.cli import main as command

            command()
        finally:
            interrupts.unwatch()
    except SystemExit as ended:
        if interrupts.came() and ended.code in (1, 130):  # the framework's own words for an interrupt
            _report()
        raise
    except BaseException:
        if not interrupts.came():
            raise
        _report()


def _report() -> None:
    interrupts.report()
    sys.exit(interrupts.status())


if __name__ == "__main__":
    main()
