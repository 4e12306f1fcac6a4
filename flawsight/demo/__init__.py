"""A drawn inspection set: metal plates, good ones and ones with six kinds of defects."""

from flawsight.demo.drawing import CATEGORY, KINDS, draw, index_of, write

__all__ = ["CATEGORY", "KINDS", "draw", "index_of", "write"]
