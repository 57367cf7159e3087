"""Stand-ins for the systems around the example: what drops files, and nothing that Headrace itself needs."""
