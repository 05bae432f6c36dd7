"""A structure-aware fuzzer of everything that seesame reads from strangers.

``tests/fuzz`` runs a bounded number of cases, ``bench/fuzz.py`` as many as one likes. A case is a
target and a number: from them, and from the corpus, it is always made the same.
"""
