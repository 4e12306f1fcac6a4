"""The model file: what it holds, and how that is checked."""
