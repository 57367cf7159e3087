"""Which of the user's files are behind a node: pure, so asked in this interpreter."""

from pathlib import Path

import pytest

from headrace.tfx_worker.code_digest import find_files


@pytest.fixture
def pipelines(tmp_path: Path) -> Path:
    files = {
        "shop/__init__.py": "",
        "shop/model.py": "import json\nfrom shop import names\nfrom .layers.dense import Dense\n",
        "shop/features.py": "def preprocessing_fn(inputs):\n    import shop.late\n",
        "shop/names.py": "",
        "shop/late.py": "from shop.model import run_fn\n",
        "shop/other.py": "",
        "shop/schema.pbtxt": "",
        "shop/broken.py": "def (",
        "shop/layers/__init__.py": "",
        "shop/layers/dense.py": "from ..names import *\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("shop.model.run_fn", {"__init__", "model", "names", "layers/__init__", "layers/dense"}),
        ("shop.names.NAMES", {"__init__", "names"}),
        ("shop.broken.run_fn", {"__init__", "broken"}),
        ("tfx.components.trainer.executor.GenericExecutor", set()),
        ("not a name", set()),
    ],
)
def test_imports_are_followed_within_the_users_folder(pipelines: Path, text: str, files: set[str]) -> None:
    assert find_files([text], pipelines) == {pipelines / "shop" / f"{name}.py" for name in files}


def test_imports_within_functions_and_circles_are_followed(pipelines: Path) -> None:
    found = {file.stem for file in find_files(["shop.features.preprocessing_fn"], pipelines)}
    assert {"features", "late", "model", "names"} <= found
    assert "other" not in found


def test_files_are_found_by_path_and_folders_only_among_the_users(pipelines: Path) -> None:
    schema = pipelines / "shop" / "schema.pbtxt"
    assert find_files([str(schema)], pipelines) == {schema}
    assert len(find_files([str(pipelines / "shop" / "layers")], pipelines)) == 2
    assert find_files(["/usr", "/no/such/file"], pipelines) == set()
