"""Groups of near-duplicates, kept as the corpus changes: only what changed, and what is like it, is looked at again."""

import zlib
from collections.abc import Iterable, Iterator
from sqlite3 import Connection

from ingest.article import IngestError
from ingest.duplicates import Signature, bands, from_bytes, same, signature, speakers, to_bytes
from ingest.store import CorpusStore

#: Articles whose bands are sorted together. A sorted row costs 2 µs; one that is filed at random rewrites a page of the file,
#: and of 100,000 articles each has 32. The temporary table of so many takes 200 MB of disk.
AT_ONCE = 100_000

_SIGNED = (
    "SELECT s.id, s.article_id, s.data FROM signatures s JOIN articles a ON a.id = s.article_id WHERE a.status IN "
    "('active', 'duplicate') AND "
)
_BEGIN = """
CREATE TEMP TABLE changed (article_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE likely (article_id TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO temp.changed SELECT article_id FROM ungrouped ORDER BY article_id;
"""
_END = "DROP TABLE temp.changed; DROP TABLE temp.likely"
# Articles that changed and that may be of a group: what is said elsewhere as well, what another one spoke for, and who did.
_LIKELY = """
INSERT OR IGNORE INTO temp.likely SELECT a.id FROM temp.changed c CROSS JOIN articles a ON a.id = c.article_id
    WHERE a.status = 'duplicate';
INSERT OR IGNORE INTO temp.likely SELECT speaker FROM articles WHERE speaker IS NOT NULL AND speaker IN temp.changed;
INSERT OR IGNORE INTO temp.likely SELECT s.article_id FROM temp.changed c CROSS JOIN signatures s ON s.article_id = c.article_id
    WHERE EXISTS (SELECT 1 FROM signatures t WHERE t.text_digest = s.text_digest AND t.id != s.id);
"""
# In the order of the bands, so that each page of the table is read and written once.
_FILE = """
CREATE INDEX temp.fresh_in_order ON fresh (band, site, signature);
INSERT OR IGNORE INTO bands SELECT band, site, signature FROM temp.fresh ORDER BY band, site, signature;
"""
# Not `site != f.site`, which would read all that is of the same site, too: its pages share bands by the thousand.
_PAIRS = """
SELECT f.signature, b.signature FROM temp.fresh f INDEXED BY fresh_in_order
    CROSS JOIN bands b ON b.band = f.band AND b.site < f.site
UNION ALL SELECT f.signature, b.signature FROM temp.fresh f INDEXED BY fresh_in_order
    CROSS JOIN bands b ON b.band = f.band AND b.site > f.site
"""


def remember(store: CorpusStore, article_id: str) -> None:
    """Keep what is needed to find the near-duplicates of an article; `group` then files it with the others."""
    stored = store.get(article_id)
    if stored is None:
        return
    made = signature(stored.article)
    with store.database.transaction() as db:
        _forget_bands(db, article_id)
        db.execute(
            "INSERT INTO signatures (article_id, digest, text_digest, data) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (article_id) "
            "DO UPDATE SET digest = ?2, text_digest = ?3, data = ?4",
            (article_id, stored.digest, made.digest.hex(), to_bytes(made)),
        )
        db.execute("INSERT OR IGNORE INTO ungrouped VALUES (?)", (article_id,))


def forget(store: CorpusStore, article_id: str) -> None:
    """Forget what `remember` kept of an article."""
    with store.database.transaction() as db:
        _forget_bands(db, article_id)
        db.execute("DELETE FROM signatures WHERE article_id = ?", (article_id,))


def group(store: CorpusStore) -> None:
    """Say of every article that changed, or that is like one that did, whether another one speaks for it."""
    with store.database.transaction() as db:
        _run(db, _BEGIN)
        store.grouped()  # what must be signed again meanwhile is filed by the next call
        after: str | None = ""
        while after is not None:
            after = _file(store, after)
        _run(db, _LIKELY)
        done: set[str] = set()
        for (article_id,) in db.execute("SELECT article_id FROM temp.likely ORDER BY article_id"):
            if article_id in done:
                continue
            alike = _alike(store, article_id)
            done.update(made.article_id for made in alike)
            silenced = speakers(alike, lambda _, alike=alike: alike) if len(alike) > 1 else {}  # type: ignore[misc]
            for made in alike:
                store.silence(made.article_id, silenced.get(made.article_id))
        _run(db, _END)


def _file(store: CorpusStore, after: str) -> str | None:
    """File the next articles that changed under their bands, and note which of them are the same as one of another site.

    :param after: The id after which those come; the result is the last one's, None where there are no more.
    """
    db = store.database.connection
    db.execute("CREATE TEMP TABLE fresh (band INTEGER NOT NULL, site INTEGER NOT NULL, signature INTEGER NOT NULL)")
    last: str | None = None

    def rows() -> Iterator[tuple[int, int, int]]:
        nonlocal last
        query = (
            "SELECT s.id, s.article_id, s.data FROM temp.changed c CROSS JOIN signatures s ON s.article_id = c.article_id "
            "WHERE c.article_id > ? ORDER BY c.article_id LIMIT ?"
        )
        for number, last, data in db.execute(query, (after, AT_ONCE)):
            made = _signature(store, last, data)
            site = _site_key(made)
            # The first band is that of the whole text, which `text_digest` stands for.
            yield from ((band, site, number) for band in bands(made)[1:])

    db.executemany("INSERT INTO temp.fresh VALUES (?, ?, ?)", rows())
    _run(db, _FILE)
    likely: set[int] = set()
    for number, other in db.execute(_PAIRS):
        if number not in likely:
            pair = _signed(store, "s.id = ?", (number, other))
            if len(pair) == 2 and same(pair[number], pair[other]):
                likely.add(number)
                db.execute("INSERT OR IGNORE INTO temp.likely VALUES (?)", (pair[number].article_id,))
    db.execute("DROP TABLE temp.fresh")
    return last


def _alike(store: CorpusStore, article_id: str) -> list[Signature]:
    """Give the articles that are the same as this one, as one that is the same as it, and so on."""
    waiting = _signed(store, "s.article_id = ?", [article_id, *store.spoken_for(article_id)])
    alike: dict[int, Signature] = {}
    while waiting:
        number, made = waiting.popitem()
        alike[number] = made
        met = alike.keys() | waiting.keys()
        near = _signed(store, "s.id = ?", _near(store.database.connection, made) - met)
        spoken_for = _signed(store, "s.article_id = ?", store.spoken_for(made.article_id))
        waiting |= {number: other for number, other in near.items() if same(made, other)}
        waiting |= {number: other for number, other in spoken_for.items() if number not in met}
    return list(alike.values())


def _near(db: Connection, made: Signature) -> set[int]:
    """Give the numbers of those that may be the same: with the same text, or of another site and with a band in common.

    The pages of one site share bands with each other by the thousand, and are never the same for that.
    """
    numbers = {row[0] for row in db.execute("SELECT id FROM signatures WHERE text_digest = ?", (made.digest.hex(),))}
    query = (
        "SELECT signature FROM bands WHERE band = ?1 AND site < ?2 UNION ALL "
        "SELECT signature FROM bands WHERE band = ?1 AND site > ?2"
    )
    site = _site_key(made)
    for key in bands(made)[1:]:
        numbers.update(row[0] for row in db.execute(query, (key, site)))
    return numbers


def _signed(store: CorpusStore, where: str, keys: Iterable[str | int]) -> dict[int, Signature]:
    """Give the signatures, by number, of those that are searched or that another one speaks for."""
    found: dict[int, Signature] = {}
    for key in keys:
        row = store.database.connection.execute(_SIGNED + where, (key,)).fetchone()
        if row is not None:
            found[row[0]] = _signature(store, *row[1:])
    return found


def _signature(store: CorpusStore, article_id: str, data: bytes) -> Signature:
    """Read a signature; one that was written by a version that signs in another way is made again."""
    try:
        return from_bytes(data)
    except IngestError:
        remember(store, article_id)
    query = "SELECT data FROM signatures WHERE article_id = ?"
    return from_bytes(store.database.connection.execute(query, (article_id,)).fetchone()[0])


def _forget_bands(db: Connection, article_id: str) -> None:
    row = db.execute("SELECT id, data FROM signatures WHERE article_id = ?", (article_id,)).fetchone()
    if row is None:
        return
    number, data = row
    try:
        old = from_bytes(data)
    except IngestError:
        return  # its bands are not known; who shares one is compared with it, and that is all
    site = _site_key(old)
    db.executemany(
        "DELETE FROM bands WHERE band = ? AND site = ? AND signature = ?", ((b, site, number) for b in bands(old)[1:])
    )


def _site_key(made: Signature) -> int:
    return zlib.crc32(made.site.encode())


def _run(db: Connection, statements: str) -> None:
    """Run statements in the transaction that is open; `executescript` would end it."""
    for statement in statements.split(";"):
        db.execute(statement)
