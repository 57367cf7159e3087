"""The ledger: every check result, verdict, incident, decision and notification, in a database of our own."""
