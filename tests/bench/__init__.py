"""The benchmark suite: what the house promises in figures, measured by real processes on real disks, beside its peers.

One module per bench; each is a function ``(Options) -> list[Figure]``.  ``main.py`` runs them, ``report.py`` shows them.
Every round is a fresh process with a fresh home in a temporary folder (``rounds.py``), so that no round warms the next.
"""
