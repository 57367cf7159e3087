"""Pure decisions about data quality: verdicts, partition keys, identifiers; either interpreter."""
