"""A pipeline that compares each month with the one before it."""
