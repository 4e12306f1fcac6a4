"""The shape of the code: what may import what, what is nowhere, and how long things are. Read from the source, nothing is run."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "flawsight"
FILES = {path.relative_to(ROOT.parent).with_suffix("").as_posix().replace("/", "."): path for path in ROOT.rglob("*.py")}
MODULES = {name.removesuffix(".__init__"): path for name, path in FILES.items()}

FRONT = "flawsight"  # the front door fetches names when they are first used, so it may name anything; all may ask it its version

MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 50  # docstrings not counted
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
LEARNING = {"torch", "torchvision", "timm", "tensorflow", "jax"}
WITH_TORCH = ("networks", "backbones.torch", "backbones.gpu", "search.gpu")  # the rooms and files where torch is


each_module = pytest.mark.parametrize("module", MODULES)


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def is_for_types(node: ast.AST) -> bool:
    """Whether it is a block that only type checkers read."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def walk(node: ast.AST, for_types: bool = True) -> Iterator[ast.AST]:
    if for_types or not is_for_types(node):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from walk(child, for_types)


def imports(module: str, for_types: bool = True) -> set[str]:
    """Full names of the modules it imports, here or in a function; those of flawsight down to the file."""
    found = set()
    for node in walk(tree(module), for_types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            home = str(node.module)
            found |= {f"{home}.{alias.name}" if f"{home}.{alias.name}" in MODULES else home for alias in node.names}
    return found


def at_import(module: str) -> list[ast.AST]:
    """The import statements that run when the module is imported: those in no function, and not for types alone."""
    found: list[ast.AST] = []
    left: list[ast.AST] = [tree(module)]
    while left:
        node = left.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_for_types(node):
            left += ast.iter_child_nodes(node)
    return found


def imported(node: ast.AST) -> set[str]:
    """Full names of all that an import statement may fetch."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    assert isinstance(node, ast.ImportFrom)
    return {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}


def part(module: str) -> str:
    return module.split(".")[1]


def own_imports(module: str, for_types: bool = True) -> set[str]:
    return {name for name in imports(module, for_types) if name in MODULES} - {FRONT}


def code_lines(node: ast.AST) -> int:
    """Lines from first to last, less those of the docstrings inside."""
    first = 1 if isinstance(node, ast.Module) else node.lineno  # type: ignore[attr-defined]
    last = max((child.end_lineno for child in ast.walk(node) if hasattr(child, "end_lineno")), default=0)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    texts = [child.body[0] for child in ast.walk(node) if isinstance(child, documented) and ast.get_docstring(child) is not None]
    return int(last - first + 1 - sum((text.end_lineno or text.lineno) - text.lineno + 1 for text in texts))


def test_packages_depend_on_each_other_in_one_direction() -> None:
    """A package, or a file beside them, counts as one. Also of imports for types alone."""
    graph: dict[str, set[str]] = {}
    for module in MODULES.keys() - {FRONT}:
        graph.setdefault(part(module), set()).update({part(name) for name in own_imports(module)} - {part(module)})
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_the_root_holds_few_files() -> None:
    assert len(list(ROOT.glob("*.py"))) <= 10


def test_imports_go_in_no_circle() -> None:
    # Importing flawsight.x.y runs flawsight.x first, unless it is that package's own file.
    graph = {module: own_imports(module, for_types=False) - {module} for module in MODULES if module != FRONT}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_the_front_door_imports_nothing_by_itself() -> None:
    assert imports(FRONT, for_types=False) == {"__future__", "flawsight._version", "importlib", "typing"}


def test_the_network_runtimes_stay_in_their_file() -> None:
    users = {module for module in MODULES if any(name.split(".")[0] in ("onnxruntime", "openvino") for name in imports(module))}
    assert users == {"flawsight.backbones.onnx"}


def has_torch(module: str) -> bool:
    """Whether it is one of the rooms and files where torch is."""
    name = module.removeprefix("flawsight.")
    return name.startswith("networks.") or name in WITH_TORCH


@each_module
def test_torch_is_in_its_rooms_alone(module: str) -> None:
    """Methods that learn by gradient use it inside their functions; the rooms where it is are entered by functions alone."""
    here = {name.split(".")[0] for name in imports(module)} & LEARNING
    first = set().union(*map(imported, at_import(module)))
    if has_torch(module):
        return
    assert here <= {"torch"} if module.startswith("flawsight.methods.") else not here
    assert not {name for name in first if name.split(".")[0] in LEARNING or has_torch(name)}


@each_module
def test_no_pickle(module: str) -> None:
    assert not {name for name in imports(module) if name.split(".")[0] in PICKLES}
    assert not [
        node
        for node in ast.walk(tree(module))
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and getattr(node.value, "value", None) is not False
    ]


@each_module
def test_only_image_reads_and_writes_picture_files(module: str) -> None:
    pillow = {
        name for name in imports(module, for_types=False) if name.split(".")[0] in ("PIL", "cv2", "imageio", "kornia_rs", "skimage")
    }
    if module in ("flawsight.images.image", "flawsight.images.decoding") or not pillow:
        return
    codecs = {"open", "save", "frombytes", "frombuffer"}
    calls = [
        node.func.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert not codecs & set(calls)
    assert pillow == {"PIL"}


@each_module
def test_the_library_does_not_print(module: str) -> None:
    calls = [node.func for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
    if not module.startswith("flawsight.cli"):
        assert not {"rich", "typer", "click"} & {name.split(".")[0] for name in imports(module)}


@each_module
def test_files_are_short(module: str) -> None:
    assert code_lines(tree(module)) <= MAX_FILE_LINES


@each_module
def test_functions_are_short(module: str) -> None:
    functions = [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not {node.name: code_lines(node) for node in functions if code_lines(node) > MAX_FUNCTION_LINES}


@each_module
def test_options_are_named(module: str) -> None:
    """No function takes **kwargs, which would swallow a misspelt option, but wrappers that pass everything on."""
    functions = [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef)]
    assert not [node.name for node in functions if node.args.kwarg and not node.args.vararg]
