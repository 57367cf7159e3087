"""How much memory a container has left, from files as its control group has them."""

from pathlib import Path

import pytest

from headrace.jobs import memory

LIMIT, USED, FILES = 8_000_000, 7_500_000, 5_000_000


@pytest.mark.parametrize(("limit", "free"), [(str(LIMIT), LIMIT - USED + FILES), ("max", None)])
def test_pages_of_files_are_free_where_the_kernel_can_take_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, free: int | None
) -> None:
    group = {"memory.max": limit, "memory.current": str(USED)}
    group["memory.stat"] = f"anon 1\nactive_file 3\ninactive_file {FILES}\nslab 2\n"
    for name, text in group.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "CGROUP_LIMITS", (tmp_path / "memory.max",))
    monkeypatch.setattr(memory, "CGROUP_USES", (tmp_path / "memory.current",))
    monkeypatch.setattr(memory, "CGROUP_STATISTICS", {tmp_path / "memory.stat": "inactive_file "})
    machine = memory.available_memory()
    assert machine is not None
    assert machine == free if free is not None else machine > LIMIT
