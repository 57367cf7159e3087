"""``headrace lineage``: what a partition's content was made of, and what was made of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from headrace.cli.options import make_console, print_json
from headrace.cli.project_ledger import open_project_ledger
from headrace.ledger.describe_lineage import describe_lineage
from headrace.ledger.query_versions import LineageView, list_columns, load_lineage
from headrace.settings import Settings

_COLOURS = {"pass": "green", "warn": "yellow", "block": "red"}
_MOST_CHILDREN = 20


def show_lineage(
    settings: Settings, place: str, *, upstream: bool, downstream: bool, columns: bool, as_json: bool
) -> None:
    """Print the lineage of ``DATASET[@PARTITION]``.

    Raises:
        UnknownDatasetError: Nothing is known of it.
    """
    name, _, key = place.partition("@")
    with open_project_ledger(settings) as ledger:
        view = load_lineage(ledger, name, key, upstream=upstream, downstream=downstream)
        edges = {each: list_columns(ledger, name, upstream=each) for each in (True, False)} if columns else {}
    if as_json:
        print_json(describe_lineage(view, edges))
        return
    console = make_console(False)
    if upstream:
        console.print(_build_tree(view, upwards=True))
    if downstream:
        console.print(_build_tree(view, upwards=False))
    if view.truncated:
        console.print("[yellow]There is more than is shown: name a partition, or one direction.[/]")
    for is_upstream, rows in edges.items():
        if (upstream and is_upstream) or (downstream and not is_upstream):
            _print_columns(console, name, rows, is_upstream)


def _build_tree(view: LineageView, *, upwards: bool) -> Tree:
    next_to: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for one, run, other in view.edges:
        near, far = (other, one) if upwards else (one, other)
        next_to[near].append((run, far))
    tree = Tree("[bold]made of[/]" if upwards else "[bold]made of it[/]")
    shown: set[int] = set()
    for id_ in view.start:
        _grow(tree, view, next_to, id_, None, shown)
    return tree


def _grow(
    tree: Tree,
    view: LineageView,
    next_to: Mapping[int, Sequence[tuple[int, int]]],
    id_: int,
    run: int | None,
    shown: set[int],
) -> None:
    branch = tree.add(_describe(view, id_, run))
    if id_ in shown:  # reached by two ways, or in a ring
        if next_to.get(id_):
            branch.add("[dim]… as above[/]")
        return
    shown.add(id_)
    # By the newest run, where several made the same content of it.
    newest = {other: run_id for run_id, other in sorted(next_to.get(id_, ()))}
    children = [(run_id, other) for other, run_id in sorted(newest.items(), key=lambda each: _order(view, each[0]))]
    for run_id, other in children[:_MOST_CHILDREN]:
        _grow(branch, view, next_to, other, run_id, shown)
    if len(children) > _MOST_CHILDREN:
        branch.add(f"[dim]… and {len(children) - _MOST_CHILDREN} more: --json[/]")


def _order(view: LineageView, id_: int) -> tuple[str, str]:
    version = view.versions[id_]
    return str(version["dataset"]), str(version["partition_key"])


def _describe(view: LineageView, id_: int, run: int | None) -> str:
    version = view.versions[id_]
    where = f"{version['dataset']}@{version['partition_key']}".rstrip("@")
    rows = f", {version['rows']:,} rows" if version["rows"] is not None else ""
    decision = version["verdict"]
    verdict = f" [{_COLOURS.get(decision, 'white')}]{decision}[/]" if decision else ""
    models = "".join(
        f" [bold]→ {escape(each['name'])}{' (' + ', '.join(each['aliases']) + ')' if each['aliases'] else ''}[/]"
        for each in version["models"][:5]
    )
    by = f"  [dim]by {escape(view.runs[run]['job'])}, {escape(view.runs[run]['run_id'])}[/]" if run is not None else ""
    content = version["detail"].get("mlmd_id")
    content = version["fingerprint"][:12] if content is None else f"artifact {content}"
    return f"{escape(where)} [dim]{escape(content)}{rows}[/]{verdict}{models}{by}"


def _print_columns(console: Console, name: str, rows: Sequence[Mapping[str, str]], is_upstream: bool) -> None:
    if not rows:
        console.print(f"[dim]no columns are known {'that it is made from' if is_upstream else 'to use it'}[/]")
        return
    table = Table("column", "made from" if is_upstream else "goes into", "how")
    for row in rows:
        own, other = (f"{row['dataset']}.{row['name'] or '(rows)'}", f"{row['from_dataset']}.{row['from_name']}")
        cells = (own, other) if is_upstream else (other, own)
        table.add_row(*(escape(cell.removeprefix(f"{name}.")) for cell in cells), row["how"])
    console.print(table)
