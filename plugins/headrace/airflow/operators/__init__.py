"""Operators, one system a module."""
