"""What a person may have meant by arguments that cannot be right, said before anything is read."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from flawsight.errors import UsageError
from flawsight.system.files import check_writable

MODEL_ENDING = ".flaw"
STDOUT = Path("-")


def check_one_folder(verb: str, first: Path, more: Sequence[str]) -> None:
    """Raise UsageError where several paths came for one folder, as `good/*.png` gives them, or a file."""
    if more and not any(one.startswith("-") for one in more):
        hint = f"Name the folder instead: flawsight {verb} {quoted(_folder_of(first))}"
        raise UsageError(f"{verb}: expected one folder, got {1 + len(more)} paths ({first}, {more[0]}, …). {hint}")
    if more:
        raise UsageError(f"{verb}: {' '.join(more)}: expected nothing more. See `flawsight {verb} --help`.")
    if first.suffix.lower() == MODEL_ENDING and first.is_file():
        raise UsageError(f"{verb}: expected a folder of pictures, got the model file {first}. {_model_goes(verb, first)}")
    if first.is_file() and first.suffix.lower() not in (".csv", ".json"):
        raise UsageError(
            f"{verb}: expected a folder of pictures, got the file {first}. "
            f"Name its folder: flawsight {verb} {quoted(_folder_of(first))}"
        )


def check_model_first(verb: str, model: Path, pictures: Iterable[Path]) -> None:
    """Raise UsageError where pictures came first and a model after them, or where a folder came for the model."""
    others = list(pictures)
    models = [one for one in others if one.suffix.lower() == MODEL_ENDING and not one.is_dir()]
    if models and model.suffix.lower() != MODEL_ENDING:
        rest = quoted(model, *(one for one in others if one != models[0]))
        raise UsageError(
            f"{verb}: expected the model first, then pictures. Did you mean: flawsight {verb} {quoted(models[0])} {rest}"
        )
    if model.is_dir():
        inside = sorted(model.glob(f"*{MODEL_ENDING}"))
        hint = f"Did you mean {inside[0]}?" if inside else "Make a model with `flawsight fit` first, and name its file."
        raise UsageError(f"{verb}: expected a model file, got the folder {model}. {hint}")


class Content(NamedTuple):
    """What a file may hold that a result replaces. begins: whether its first bytes are of such a file."""

    words: str
    begins: Callable[[bytes], bool]


MODEL = Content("a model", lambda head: head[8:9] == b"{")  # safetensors: the length of its header, then JSON
NETWORK = Content("an ONNX network", lambda head: head[:1] == b"\x08")  # its first field, the version
PAGE = Content("a page", lambda head: head.lstrip()[:1] == b"<")
JSON = Content("JSON", lambda head: head.lstrip()[:1] in (b"{", b"["))
ANYTHING = Content("anything", lambda head: True)


def check_places(*places: tuple[Path | None, Content]) -> None:
    """Raise UsageError now for a place where a result could not be written after the work, or would replace something else.

    places: where each result goes, and what may be there already. Nothing else is ever overwritten, nor one result by another.
    """
    taken: set[Path] = set()
    for path, content in places:
        if path is None or path == STDOUT:
            continue
        check_writable(path)
        if path.resolve() in taken:
            raise UsageError(f"{path}: expected a file for each result, got it twice. Name another file for one of them.")
        taken.add(path.resolve())
        head = _head(path)
        if head and not content.begins(head):
            raise UsageError(f"{path}: expected no file or {content.words}, got a file of another kind. Name another file.")


def quoted(*paths: Path) -> str:
    """Paths as a shell takes them."""
    return " ".join(shlex.quote(str(path)) for path in paths)


def _folder_of(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _model_goes(verb: str, model: Path) -> str:
    if verb == "evaluate":
        return f"Name the data set, and the model with --model {quoted(model)}."
    return "A fit needs the good pictures; its model is named with -o."


def _head(path: Path) -> bytes:
    """The first bytes of an ordinary file; none of what is no such file."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(64)
