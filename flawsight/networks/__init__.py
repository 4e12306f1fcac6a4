"""Networks that are trained, and what trains them; torch is imported inside functions."""
