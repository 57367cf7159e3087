"""SQL identifiers that came from a person or a file, checked and quoted. Pure; either interpreter."""

import re

from headrace.exceptions import ConfigurationError

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$ -]{0,127}")


def quote_identifier(name: object) -> str:
    """Quote the name of a column, table or schema.

    Raises:
        ConfigurationError: Not a name: it would need more than quotes to be safe in a query.
    """
    if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not a name of a table or column: use letters, digits, '_', '$', '-' or spaces, "
            "beginning with a letter or '_'"
        )
    return f'"{name}"'


def quote_relation(relation: str) -> str:
    """Quote ``table``, ``schema.table`` or ``database.schema.table``.

    Raises:
        ConfigurationError: One of its parts is not a name, or it has more than three.
    """
    parts = relation.split(".") if isinstance(relation, str) else [relation]
    if len(parts) > 3:
        raise ConfigurationError(f"{relation!r} is not a table: write it as schema.table")
    return ".".join(quote_identifier(part) for part in parts)


def name_relation(relation: str) -> str:
    """Return the one spelling of a table: ``schema.table`` in lower case, without quotes or its database."""
    return ".".join(["main", *relation.replace('"', "").lower().split(".")][-2:])


def quote_known_name(name: str) -> str:
    """Quote a name that the database itself gave, whatever is in it; for names of people, see quote_identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Quote a string for the few places where SQL takes no bound parameter."""
    return "'" + text.replace("'", "''") + "'"
