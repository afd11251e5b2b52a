"""Groups of near-duplicates, kept as the corpus changes: only what changed, and what is like it, is looked at again."""

import zlib
from collections.abc import Iterator, Sequence
from sqlite3 import Connection

from ingest.article import IngestError
from ingest.duplicates import Signature, bands, from_bytes, same, signature, speakers, to_bytes
from ingest.store import CorpusStore


def remember(store: CorpusStore, article_id: str) -> None:
    """Keep what is needed to find the near-duplicates of an article."""
    stored = store.get(article_id)
    if stored is None:
        return
    made = signature(stored.article)
    with store.database.transaction() as db:
        row = db.execute("SELECT id, data FROM signatures WHERE article_id = ?", (article_id,)).fetchone()
        if row:
            _forget_bands(db, *row)
        number = db.execute(
            "INSERT INTO signatures (article_id, digest, text_digest, data) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (article_id) "
            "DO UPDATE SET digest = ?2, text_digest = ?3, data = ?4 RETURNING id",
            (article_id, stored.digest, made.digest.hex(), to_bytes(made)),
        ).fetchone()[0]
        site = _site_key(made)
        # The first band is that of the whole text, which `text_digest` stands for.
        db.executemany(
            "INSERT OR IGNORE INTO bands VALUES (?, ?, ?)", ((band, site, number) for band in bands(made)[1:])
        )


def forget(store: CorpusStore, article_id: str) -> None:
    """Forget what `remember` kept of an article."""
    with store.database.transaction() as db:
        row = db.execute("SELECT id, data FROM signatures WHERE article_id = ?", (article_id,)).fetchone()
        if row:
            _forget_bands(db, *row)
            db.execute("DELETE FROM signatures WHERE id = ?", (row[0],))


def group(store: CorpusStore) -> None:
    """Say of every article that changed, or that is like one that did, whether another one speaks for it."""
    with store.transaction():
        done: set[str] = set()
        for article_id in store.ungrouped():
            if article_id in done:
                continue
            alike = _alike(store, article_id)
            done |= alike.keys()
            silenced = speakers(alike.values(), lambda _, alike=alike: alike.values()) if len(alike) > 1 else {}  # type: ignore[misc]
            for member in alike:
                store.silence(member, silenced.get(member))
        store.grouped()


def _alike(store: CorpusStore, article_id: str) -> dict[str, Signature]:
    """Give the articles that are the same as this one, as one that is the same as it, and so on, by id."""
    alike: dict[str, Signature] = {}
    waiting = list(_signatures(store, [article_id, *store.spoken_for(article_id)]))
    while waiting:
        made = waiting.pop()
        if made.article_id in alike:
            continue
        alike[made.article_id] = made
        near = [other for other in _near(store, made) if other.article_id not in alike and same(made, other)]
        waiting += [*near, *_signatures(store, store.spoken_for(made.article_id))]
    return alike


def _near(store: CorpusStore, made: Signature) -> Iterator[Signature]:
    """Give those that may be the same: with the same text, or of another site and with a band in common.

    The pages of one site share bands with each other by the thousand, and are never the same for that.
    """
    db, keys, site = store.database.connection, bands(made)[1:], _site_key(made)
    numbers = {row[0] for row in db.execute("SELECT id FROM signatures WHERE text_digest = ?", (made.digest.hex(),))}
    for key in keys:
        numbers |= {
            row[0] for row in db.execute("SELECT signature FROM bands WHERE band = ? AND site != ?", (key, site))
        }
    ids = [db.execute("SELECT article_id FROM signatures WHERE id = ?", (number,)).fetchone() for number in numbers]
    return _signatures(store, [row[0] for row in ids if row and row[0] != made.article_id])


def _signatures(store: CorpusStore, article_ids: Sequence[str]) -> Iterator[Signature]:
    """Give the signatures of those that are searched or that another one speaks for."""
    query = (
        "SELECT s.data FROM signatures s JOIN articles a ON a.id = s.article_id WHERE s.article_id = ? AND a.status IN "
        "('active', 'duplicate')"
    )
    for article_id in article_ids:
        row = store.database.connection.execute(query, (article_id,)).fetchone()
        if row is None:
            continue
        try:
            yield from_bytes(row[0])
        except IngestError:  # written by a version that signs in another way
            remember(store, article_id)
            yield from_bytes(store.database.connection.execute(query, (article_id,)).fetchone()[0])


def _forget_bands(db: Connection, number: int, data: bytes) -> None:
    try:
        old = from_bytes(data)
    except IngestError:
        db.execute("DELETE FROM bands WHERE signature = ?", (number,))
        return
    site = _site_key(old)
    db.executemany(
        "DELETE FROM bands WHERE band = ? AND site = ? AND signature = ?", ((b, site, number) for b in bands(old)[1:])
    )


def _site_key(made: Signature) -> int:
    return zlib.crc32(made.site.encode())
