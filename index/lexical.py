"""BM25 over passages, by tantivy.

Words are folded and cut here, not in tantivy, because its tokenizers know no Chinese, Japanese or Thai: runs of
those scripts become overlapping pairs of characters, as Lucene's CJK analyzer does.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_TOKEN = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]+")
_APOSTROPHE = re.compile(r"(?<=\w)['’](?=\w)")
# Snowball stemmers for the languages whose stems are worth having; others are matched by whole words.
_STEMMERS = {
    "ar": "arabic", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "fi": "finnish",
    "fr": "french", "hu": "hungarian", "id": "indonesian", "it": "italian", "nl": "dutch", "no": "norwegian",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish", "tr": "turkish",
}  # fmt: skip


def terms(text: str, language: str = "en") -> list[str]:
    """Cut a text into the terms that are indexed and searched.

    >>> terms("Bybit's funding fees: 0.01%")
    ['bybit', 's', 'fund', 'fee', '0', '01']
    >>> terms("资金费率", "zh")
    ['资金', '金费', '费率']
    """
    folded = _APOSTROPHE.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    stem = _stemmer(language)
    if not _UNSPACED.search(folded):  # most texts: three times as fast as word by word
        words = _TOKEN.findall(folded)
        return list(stem.stemWords(words)) if stem else words
    found: list[str] = []
    for match in _TOKEN.finditer(folded):
        position = 0
        word = match.group()
        for run in _UNSPACED.finditer(word):
            found += _words(word[position : run.start()], stem)
            found += _pairs(run.group())
            position = run.end()
        found += _words(word[position:], stem)
    return found


class LexicalIndex:
    """A BM25 index whose documents are the rows 0..n-1."""

    def __init__(self, index: Any) -> None:  # noqa: ANN401  (tantivy has no types)
        self._index = index
        self._searcher = index.searcher()

    @classmethod
    def build(cls, folder: Path, documents: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Index (text, marks) pairs in a new folder; a mark is what may be asked for besides words, see `index.filters`.

        :raises OSError: The folder cannot be written.
        """
        import tantivy

        folder.mkdir(parents=True)
        try:
            index = tantivy.Index(_schema(), path=str(folder))
            # One thread writes one segment in the order given, so that the files are the same for the same corpus.
            writer = index.writer(heap_size=64_000_000, num_threads=1)
            for row, (text, marks) in enumerate(documents):
                document = tantivy.Document()
                document.add_unsigned("row", row)
                for mark in marks:
                    document.add_text("marks", mark)
                document.add_text("terms", text)
                writer.add_document(document)
            writer.commit()
            writer.wait_merging_threads()
        except ValueError as error:  # what tantivy raises where the disk is full
            raise OSError(f"{folder}: the lexical index cannot be written: {error}") from error

    @classmethod
    def open(cls, folder: Path) -> "LexicalIndex":
        """Open a built index; its files are mapped, not read."""
        import tantivy

        return cls(tantivy.Index.open(str(folder)))

    def search(self, query: Sequence[str], k: int, marks: Iterable[frozenset[str]] = ()) -> list[tuple[int, float]]:
        """Give up to ``k`` (row, BM25 score) pairs, best first.

        :param query: Terms as `terms` gives them.
        :param marks: Only what bears one mark of each of these is found.
        """
        required = list(marks)
        if not query or k <= 0 or not all(required):
            return []
        import tantivy

        schema = self._index.schema
        should = [
            (tantivy.Occur.Should, tantivy.Query.term_query(schema, "terms", term)) for term in dict.fromkeys(query)
        ]
        wanted = tantivy.Query.boolean_query(should)
        if required:
            allowed = [
                tantivy.Query.boolean_query(
                    [(tantivy.Occur.Should, tantivy.Query.term_query(schema, "marks", mark)) for mark in sorted(one)]
                )
                for one in required
            ]
            must = [wanted, *(tantivy.Query.const_score_query(one, 0.0) for one in allowed)]
            wanted = tantivy.Query.boolean_query([(tantivy.Occur.Must, one) for one in must])
        hits = self._searcher.search(wanted, k).hits
        return [(self._searcher.doc(address)["row"][0], score) for score, address in hits]

    def document_frequency(self, term: str) -> int:
        """Count the passages that hold a term."""
        return int(self._searcher.doc_freq("terms", term))


def _schema() -> Any:  # noqa: ANN401
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", stored=True, indexed=True)
    builder.add_text_field("marks", tokenizer_name="raw")
    builder.add_text_field("terms", tokenizer_name="whitespace")
    return builder.build()


def _words(text: str, stem: Any) -> list[str]:  # noqa: ANN401
    return ([stem.stemWord(text)] if stem else [text]) if text else []


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


@cache
def _stemmer(language: str) -> Any:  # noqa: ANN401
    import Stemmer

    return Stemmer.Stemmer(_STEMMERS[language]) if language in _STEMMERS else None
