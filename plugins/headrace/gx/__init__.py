"""Great Expectations: suites in, check results out; orchestration interpreter. Importing this imports no GX."""
