"""A folder of results is known again, whether finished or not, and nothing else is taken for one."""

from pathlib import Path

import pytest

from flawsight.datasets import outputs
from flawsight.datasets.base import find_pictures


@pytest.mark.parametrize(
    ("files", "is_one"),
    [
        ([outputs.MANIFEST], True),  # a run that was interrupted
        (["scores.csv", "scores.json"], True),  # of a version that kept no list
        (["scores.csv"], False),
        (["report.html"], False),
        ([], False),
    ],
)
def test_what_a_folder_of_results_is_known_by(tmp_path: Path, files: list[str], is_one: bool) -> None:
    for file in files:
        (tmp_path / file).write_bytes(b"")
    assert outputs.is_results(tmp_path) == is_one
    for part in (*outputs.DRAWN, "mine"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "1.png").write_bytes(b"")
        assert outputs.is_drawn(tmp_path / part) == (is_one and part != "mine")
    found = {path.parent.name for path in find_pictures(tmp_path, recursive=True)}
    assert found == ({"mine"} if is_one else {"mine", *outputs.DRAWN})
