"""flawsight: learns what a good part looks like from good pictures alone, then scores, localises and explains defects."""

__version__ = "0.1.0"
