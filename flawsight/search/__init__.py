"""The product's own search: coreset, neighbours, and their choice from more patches than memory holds."""
