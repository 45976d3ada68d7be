"""Files in, tables out: the inbox contract and the way from bytes to a typed table.

Belongs here: names, the planner, gate, encoding, dialect, structure, parsing, typing, contracts.
Does not belong here: where things are stored (resources) and what is materialised (assets).
"""
