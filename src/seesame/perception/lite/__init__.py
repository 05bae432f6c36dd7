"""The ``lite`` stack: small nets that ship inside the package."""
