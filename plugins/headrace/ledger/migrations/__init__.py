"""The ledger's tables, version by version; run by :mod:`headrace.ledger.migrate`, never by hand."""
