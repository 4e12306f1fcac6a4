"""How fast a model is on this machine, stage by stage, and which runtime to choose."""

from flawsight.bench.measuring import SECONDS, BenchResult, bench

__all__ = ["SECONDS", "BenchResult", "bench"]
