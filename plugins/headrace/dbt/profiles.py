"""Where a dbt project's warehouse is, read from the project's own profile; orchestration interpreter."""

import os
from pathlib import Path
from typing import Any

from headrace.exceptions import ConfigurationError


def load_profile(dbt_project_dir: Path) -> tuple[str, str, dict[str, Any]]:
    """Load the profile that a dbt project names, as dbt finds it: in the project's folder, else in ``~/.dbt``.

    Returns:
        The profile's name, its target's name and the target's settings, with ``env_var`` not yet rendered.

    Raises:
        ConfigurationError: There is no such project, profile or target.
    """
    import yaml

    project_file = dbt_project_dir / "dbt_project.yml"
    if not project_file.is_file():
        raise ConfigurationError(f"{project_file} does not exist: {dbt_project_dir} is not a dbt project.")
    name = (yaml.safe_load(project_file.read_text(encoding="utf-8")) or {}).get("profile")
    folders = [Path(folder) for folder in (os.environ.get("DBT_PROFILES_DIR"), dbt_project_dir, "~/.dbt") if folder]
    for folder in folders:
        file = folder.expanduser() / "profiles.yml"
        if not file.is_file():
            continue
        profile = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get(name)
        if profile is None:
            raise ConfigurationError(f"{file} has no profile {name!r}, which {project_file} names.")
        target = _render(str(profile.get("target", "default")), file)
        output = (profile.get("outputs") or {}).get(target)
        if output is None:
            raise ConfigurationError(f"{file}: profile {name!r} has no output {target!r}.")
        return str(name), target, dict(output)
    raise ConfigurationError(
        f"No profiles.yml for {project_file}: put one beside it or into ~/.dbt, with a profile {name!r}."
    )


def load_warehouse_path(dbt_project_dir: Path) -> Path:
    """Return the DuckDB file of a dbt project's target; a relative path is relative to the project, as in dbt.

    Raises:
        ConfigurationError: There is no profile, or its target is not DuckDB.
    """
    name, target, output = load_profile(dbt_project_dir)
    if output.get("type") != "duckdb" or not output.get("path"):
        raise ConfigurationError(
            f"Profile {name!r}, target {target!r} of {dbt_project_dir} is of type {output.get('type')!r}; checks, "
            f"landing and publishing need type 'duckdb' with a path."
        )
    return (dbt_project_dir / _render(str(output["path"]), dbt_project_dir)).resolve()


def load_compiled_warehouse_path(profiles: Path) -> Path:
    """Return the DuckDB file of the profile that ``headrace compile`` wrote, which is the one that dbt opens.

    Raises:
        ConfigurationError: Nothing was compiled, or the warehouse is no DuckDB file.
    """
    import yaml

    if not profiles.is_file():
        raise ConfigurationError(f"{profiles} does not exist: run 'headrace compile'.")
    (profile,) = yaml.safe_load(profiles.read_text(encoding="utf-8")).values()
    output = profile["outputs"][profile["target"]]
    if output.get("type") != "duckdb" or not output.get("path"):
        raise ConfigurationError(
            f"The dbt target in {profiles} is of type {output.get('type')!r}; checks, landing and publishing need "
            f"type 'duckdb' with a path."
        )
    return Path(output["path"])


def build_profiles(dbt_project_dir: Path) -> dict[str, Any]:
    """Build a profiles file that holds wherever dbt is started from: as the user's own, with an absolute path.

    dbt takes a relative path from the folder in which it is started. Other values stay as they are written, so that no
    secret is rendered into a file.
    """
    name, target, output = load_profile(dbt_project_dir)
    if output.get("type") == "duckdb" and output.get("path") and output["path"] != ":memory:":
        output["path"] = str(load_warehouse_path(dbt_project_dir))
        # A model that runs alone may find another task at the warehouse: wait 1 + 2 + 4 + 8 + 16 seconds.
        output.setdefault("retries", {"connect_attempts": 5, "retryable_exceptions": ["IOException"]})
    return {name: {"target": target, "outputs": {target: output}}}


def _render(value: str, where: Path) -> str:
    """Render dbt's ``env_var`` in one value."""
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    def env_var(key: str, default: str | None = None) -> str:
        found = os.environ.get(key, default)
        if found is None:
            raise ConfigurationError(f"{where} needs the environment variable {key}, which is not set.")
        return found

    try:
        template = SandboxedEnvironment(undefined=jinja2.StrictUndefined).from_string(value)
        return str(template.render(env_var=env_var))
    except jinja2.TemplateError as error:
        raise ConfigurationError(f"{where}: cannot render {value!r}: {error}") from error
