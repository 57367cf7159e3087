"""A warm runtime of a stand-in interpreter."""

from runtime_stand_in import stand_in  # noqa: F401 - a fixture
