"""A dbt project of 150 models in eight levels, each with tests, on a DuckDB file: the same every time."""

from pathlib import Path

MODELS, LEVELS, PARENTS = 150, 8, 3
PROJECT = """name: many
version: "1.0.0"
config-version: 2
profile: many
model-paths: ["models"]
flags:
  send_anonymous_usage_stats: false
  use_colors: false
"""
PROFILE = """many:
  target: local
  outputs:
    local:
      type: duckdb
      path: "{path}"
      threads: 1
"""


def generate(project_dir: Path, warehouse: Path, models: int = MODELS, levels: int = LEVELS) -> list[str]:
    """Write the project.

    Args:
        project_dir: Folder of ``dbt_project.yml``.
        warehouse: The DuckDB file, which dbt makes.
        models: How many; spread over the levels as evenly as can be.
        levels: A model reads up to three models of the level before its own.

    Returns:
        The models' names, level by level. Each is a table of a thousand rows with an ``id`` that is tested for
        ``unique`` and ``not_null``.
    """
    (project_dir / "models").mkdir(parents=True)
    (project_dir / "dbt_project.yml").write_text(PROJECT)
    (project_dir / "profiles.yml").write_text(PROFILE.format(path=warehouse))
    by_level = [[f"m{level}_{i:02d}" for i in range(level, models, levels)] for level in range(levels)]
    described = ["version: 2", "models:"]
    for level, names in enumerate(by_level):
        for i, name in enumerate(names):
            parents = [by_level[level - 1][(i + k) % len(by_level[level - 1])] for k in range(PARENTS)] if level else []
            (project_dir / "models" / f"{name}.sql").write_text(select(parents))
            described += [f"  - name: {name}", "    columns:", "      - {name: id, data_tests: [unique, not_null]}"]
    (project_dir / "models" / "models.yml").write_text("\n".join(described) + "\n")
    return [name for names in by_level for name in names]


def select(parents: list[str]) -> str:
    config = "{{ config(materialized='table') }}\n"
    if not parents:
        return config + "select range as id, range % 7 as kind, range * 1.5 as amount from range(1000)\n"
    first, *others = parents
    amounts = " + ".join(["first.amount", *(f"p{i}.amount" for i in range(len(others)))])
    joins = "".join(f"left join {{{{ ref('{name}') }}}} p{i} using (id)\n" for i, name in enumerate(others))
    return f"{config}select id, first.kind, {amounts} as amount\nfrom {{{{ ref('{first}') }}}} first\n{joins}"
