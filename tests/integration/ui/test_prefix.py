"""Behind an address with a path, as [api] base_url says: pages, REST, login and clearing; in a process of its own.

Airflow reads its base_url when it is imported.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.ledger.database import open_ledger

SCRIPT = """
import json, sys
from pathlib import Path
from airflow.utils import db
db.initdb()
from airflow import plugins_manager
from airflow.api_fastapi.app import create_app
from starlette.testclient import TestClient
app = create_app()
client = TestClient(app, base_url="https://data.example", follow_redirects=False)
passwords = json.loads(Path(sys.argv[1]).read_text())
token = client.post("/team/airflow/auth/token", json={"username": "anna", "password": passwords["anna"]}).json()
cookies = {"_token": token["access_token"]}
page = client.get("/team/airflow/headrace/nothing?a=b")
login = client.get("/team/airflow/headrace/static/inbox.css?a=b")
followed = client.get(login.headers["location"])
overview = client.get("/team/airflow/headrace/api/v1/overview", cookies=cookies)
anonymous = client.get("/team/airflow/headrace/api/v1/overview")
document = client.get("/team/airflow/headrace/api/v1/openapi.json", cookies=cookies).json()
from headrace.ui.csrf import sign_user
def act(origin):
    headers = {"X-Headrace-CSRF": sign_user("anna"), "Origin": origin, "Host": "inside:8080"}
    url = "/team/airflow/headrace/api/v1/incidents/1/comment"
    return client.post(url, json={"text": "x"}, headers=headers, cookies=cookies).status_code
views = plugins_manager._get_ui_plugins()[0]
print(json.dumps({
    "page": page.status_code,
    "login": [login.status_code, login.headers["location"], followed.status_code, followed.headers.get("location")],
    "overview": overview.status_code,
    "anonymous": anonymous.status_code,
    "servers": document["servers"],
    "views": [view["href"] for view in views if "headrace" in view["href"]],
    "acts": [act("https://data.example"), act("http://data.example"), act("https://other.example")],
}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("prefix")
    (folder / "dags").mkdir()
    passwords = folder / "passwords.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API__BASE_URL": "https://data.example/team/airflow/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "anna:user",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__HEADRACE__PROJECT_DIR": str(folder),
        "AIRFLOW__HEADRACE__STATE_DIR": str(folder / "state"),
    }
    open_ledger(folder / "state" / "ledger" / "ledger.sqlite").dispose()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(passwords)], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    loaded: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return loaded


def test_rest_and_pages_are_there(found: dict[str, object]) -> None:
    assert (found["page"], found["overview"], found["anonymous"]) == (404, 200, 401)
    assert found["servers"] == [{"url": "/team/airflow/headrace"}]


def test_who_is_not_logged_in_is_sent_to_airflows_login_and_back(found: dict[str, object]) -> None:
    back = "%2Fteam%2Fairflow%2Fheadrace%2Fstatic%2Finbox.css%3Fa%3Db"
    assert found["login"] == [
        303,
        f"/team/airflow/api/v2/auth/login?next={back}",
        307,
        f"/team/airflow/auth/login?next={back}",
    ]


def test_the_tabs_point_behind_the_prefix(found: dict[str, object]) -> None:
    views = found["views"]
    assert isinstance(views, list)
    assert len(views) == 4
    assert all(str(href).startswith("/team/airflow/headrace/") for href in views)


def test_only_the_address_that_the_browser_shows_may_act(found: dict[str, object]) -> None:
    """404: the request is let through, and there is no such incident. The proxy's own Host does not matter."""
    assert found["acts"] == [404, 403, 403]


def test_importing_the_plugin_imports_no_inbox(tmp_path: Path) -> None:
    """Every task imports it."""
    script = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); import headrace.airflow.plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.strip().splitlines()[-1].replace("'", '"')))
    assert "headrace.ui.mount" in loaded
    heavy = ("fastapi", "sqlalchemy", "jinja2", "headrace.ledger.", "headrace.ui.app", "airflow.api_fastapi")
    assert not [name for name in loaded if name.startswith(heavy)]
