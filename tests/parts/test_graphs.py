"""The graphs in the package are the ones that their tool builds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from flawsight.backbones import PIXELS, get_card
from flawsight.parts import graphs
from flawsight.search import sketches

pytest.importorskip("onnx")
ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("build_graphs", ROOT / "tools" / "build_graphs.py")
assert _spec is not None
assert _spec.loader is not None
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)


@pytest.mark.parametrize("build", tool.GRAPHS)
def test_the_package_holds_what_the_tool_builds(build) -> None:
    packaged = Path(graphs.__file__).parent / f"{build.__name__}.onnx"
    assert packaged.read_bytes() == build().SerializeToString(deterministic=True)


def test_the_package_holds_no_other() -> None:
    packaged = {path.stem for path in Path(graphs.__file__).parent.glob("*.onnx")}
    assert packaged == {build.__name__ for build in tool.GRAPHS}


def test_the_network_that_is_none_is_the_one_that_the_tool_builds() -> None:
    assert get_card(PIXELS).onnx() == tool.pixels().SerializeToString(deterministic=True)


def test_both_know_the_same_group() -> None:
    assert tool.GROUP == sketches.GROUP
    assert sketches.BLOCK_ROWS % sketches.GROUP == 0


def test_of_equals_the_first_row_is_closest() -> None:
    rows = np.repeat(np.eye(3, dtype=np.float32), 40, 0)
    found = graphs.run("closest", {"queries": np.eye(3, dtype=np.float32), "rows": rows, "bias": np.zeros(120, np.float32)})
    np.testing.assert_array_equal(found, [0, 40, 80])


def test_the_closest_row_of_each_pair_of_a_group_and_a_query() -> None:
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(7, 12)).astype(np.float32)
    rows, bias = rng.normal(size=(4, 9, 12)).astype(np.float32), rng.normal(size=(4, 9)).astype(np.float32)
    members, ends = np.array([0, 3, 6, 1, 1, 2]), np.array([[3], [3], [4], [6]])  # the second group has no pair
    starts = np.vstack([[0], ends[:-1]])
    inputs = {"queries": queries, "members": members, "rows": rows, "bias": bias, "starts": starts, "ends": ends}
    index, maxima = graphs.run_all("closest_in_groups", inputs)
    groups = np.repeat(np.arange(4), (ends - starts)[:, 0])
    closeness = np.einsum("pd,pnd->pn", queries[members], rows[groups]) + bias[groups]
    np.testing.assert_array_equal(index, closeness.argmax(1))
    np.testing.assert_allclose(maxima, closeness.max(1), rtol=1e-5)
