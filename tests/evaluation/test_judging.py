"""Ways of judging that are none are refused, by the name of what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from flawsight.errors import UsageError
from flawsight.evaluation.judging import Judging


@pytest.mark.parametrize("wrong", [{"pixels_at": "full"}, {"mask_rule": "truncate"}, {"ensemble_norm": "tests"}, {"resamples": -1}])
def test_a_way_of_judging_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"evaluate: {next(iter(wrong))}"):
        Judging(**wrong)
