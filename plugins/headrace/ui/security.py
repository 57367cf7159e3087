"""Who may read and who may act, as Airflow's auth manager says; api-server.

Reading needs access to plugins' views, and to read task instances of the DAG that recorded what is read.
Acting needs, beside that, what clearing these task instances needs: PUT on them. No ``from __future__ import
annotations`` here: FastAPI could not resolve what Airflow imports lazily.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, Request, status

from headrace.ledger.dag_ids import list_dag_ids
from headrace.ledger.database import Ledger
from headrace.ui.csrf import require_no_forgery, sign_user
from headrace.ui.formatting_events import SYSTEM


class Access:
    """What the user of a request may see and do.

    Its methods ask the auth manager and may block: they are not for the event loop.

    Attributes:
        user: Airflow's user.
        actor: The name under which the ledger keeps what the user does.
    """

    def __init__(self, user: Any) -> None:
        self.user = user
        name = str(user.get_name() or user.get_id())[:500]
        # Nobody passes for the ledger itself, which writes into timelines under this name.
        self.actor = f"{name} (user)" if name.strip().casefold() == SYSTEM else name
        self._known: dict[tuple[str, str], bool] = {}
        self._teams: dict[str, str | None] = {}

    def may_read(self, dag_id: str) -> bool:
        return self._is_authorized("GET", dag_id)

    def may_act(self, dag_id: str) -> bool:
        return self.may_read(dag_id) and self._is_authorized("PUT", dag_id)

    def filter_dag_ids(self, ledger: Ledger) -> Sequence[str] | None:
        """Return which DAGs' records the user may read, for the ledger's filters; None where these are all."""
        known = list_dag_ids(ledger)
        self._load_teams(known)
        readable = [dag_id for dag_id in known if self.may_read(dag_id)]
        return None if len(readable) == len(known) else readable

    def require_read(self, dag_id: str | None, what: str) -> None:
        """Answer 404 unless there is a DAG and it may be read: who may not read is not told what there is."""
        if dag_id is None or not self.may_read(dag_id):
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no {what}.")

    def require_act(self, dag_ids: Iterable[str]) -> None:
        """Answer 403 unless task instances of all these DAGs may be cleared."""
        refused = [dag_id for dag_id in dag_ids if not self.may_act(dag_id)]
        if refused:
            named = ", ".join(sorted(dag_id for dag_id in refused if self.may_read(dag_id)))
            raise HTTPException(
                status.HTTP_403_FORBIDDEN,
                "Deciding here needs the permission to clear task instances (PUT on them) of "
                f"{f'the DAG {named}' if named else 'another DAG that makes this check'}: ask your Airflow "
                "administrator for it.",
            )

    @property
    def csrf_token(self) -> str:
        """What the pages must send back with each action, in the header ``X-Headrace-CSRF``."""
        return sign_user(str(self.user.get_id()))

    def _is_authorized(self, method: Any, dag_id: str) -> bool:
        key = (method, dag_id)
        if key not in self._known:
            self._load_teams([dag_id])
            details = DagDetails(id=dag_id, team_name=self._teams[dag_id])
            self._known[key] = get_auth_manager().is_authorized_dag(
                method=method, access_entity=DagAccessEntity.TASK_INSTANCE, details=details, user=self.user
            )
        return self._known[key]

    def _load_teams(self, dag_ids: Sequence[str]) -> None:
        """Ask Airflow's database once for many DAGs; one that Airflow does not have is of no team."""
        unknown = [dag_id for dag_id in dag_ids if dag_id not in self._teams]
        if unknown:
            found = DagModel.get_dag_id_to_team_name_mapping(unknown)
            self._teams.update({dag_id: found.get(dag_id) for dag_id in unknown})


def read_access(user: GetUserDep, _: Annotated[None, Depends(requires_access_view(AccessView.PLUGINS))]) -> Access:
    """Return what the user may do. 401 where nobody is logged in, 403 who may not see plugins' views."""
    return Access(user)


def act_access(request: Request, access: Annotated[Access, Depends(read_access)]) -> Access:
    """Return what the user may do, after making sure that it is the user who asks."""
    require_no_forgery(request, str(access.user.get_id()))
    return access


Reading = Annotated[Access, Depends(read_access)]
Acting = Annotated[Access, Depends(act_access)]
