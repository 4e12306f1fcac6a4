"""Measured beside published: the tables S1 to S4 of the PatchCore paper, run row by row on a data set.

published: the figures as printed, and what is to know of them. rows: how each row is run. planning: which cells a request asks for,
and which of them cannot run. keys: what each is known by. pictures: which it learns from and is judged on. needs: what it will
take, estimated beforehand. running: each cell fitted, judged and kept as a file of its own. sheets: measured beside
published. writing,
page: the sheets as CSV, Markdown, LaTeX and HTML.
"""
