"""What an incident is searched by."""

from headrace.ledger.search_text import build_search_text, split_words


def test_text_and_words_are_folded_alike() -> None:
    text = build_search_text("STRASSE is missing", "Öre", "Expect", None)
    assert all(word in text for word in split_words("straße ÖRE expect"))


def test_words_are_few_and_each_once() -> None:
    assert split_words("  a b\ta\n\0c ") == ["a", "b", "c"]
    assert len(split_words(" ".join(map(str, range(1000))))) == 8
