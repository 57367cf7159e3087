"""What an incident is searched by: its words, folded, so that both databases compare plain bytes. Pure."""

_MOST_WORDS = 8


def build_search_text(title: str, dataset: str, check: str, column: str | None) -> str:
    """Return the value of ``incident.search``; whoever writes an incident's title writes this with it."""
    found = title.casefold()
    for part in (dataset, check, column or ""):
        if part.casefold() not in found:  # what the title says already need not be searched twice
            found += "\n" + part.casefold()
    return found


def split_words(text: str) -> list[str]:
    """Return the folded words to look for, each once, at most eight: more do not narrow a search."""
    return list(dict.fromkeys(text.casefold().replace("\0", " ").split()))[:_MOST_WORDS]
