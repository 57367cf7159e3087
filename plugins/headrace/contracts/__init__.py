"""What crosses between the two interpreters: JSON files and their shapes.

Standard library only, Python 3.10 and later, imported by both interpreters.
"""
