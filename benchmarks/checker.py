"""What the checker of a model's sentences catches and refuses: `python -m benchmarks.checker --home HOME [--data DIR] [--json FILE]`.

Sentences of the home's articles are made false by program, each in one way, and checked against the quote that they come
from: the sentence as it stands, with its neighbours. Half of the changed figures and units are ones that stand elsewhere in
the same article. True ones are the sentences as they stand, and the same in other writing (24h, 1000, can't). Human judgements
are those of expertqa_claims (a claim and the evidence that it cites) and mtrag_human_eval (an answer and its contexts).

Everything is cut in two by a hash of the article or the question; rules and weights were made on the half "fit", what is told
is the half "test" unless --half says otherwise.
"""

import argparse
import hashlib
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.snapshot import Snapshot, SnapshotShelf
from ingest.article import Article
from ingest.exchanges import load_directory
from ingest.sentences import sentences
from service.llm import facts
from service.llm.check import Cited, faults
from service.llm.near import nearness

EACH = 260
SEED = 20261123
# Of an evidence text so many sentences are read; the longest has 400.
MOST_SENTENCES = 25
# Of a sentence so many figures are changed, each in a case of its own.
MOST_FIGURES = 4
FAITHFUL = 3.5

_NEGATED = re.compile(r"\b(cannot|can't|won't|don't|doesn't|isn't|aren't|not|never|no)\b", re.IGNORECASE)
_MODAL = re.compile(r"\b(can|will|must|may|should|is|are|was|were|has|have)\b(?! (?:not|no|never))")
_UNITS = ("hours", "minutes", "days", "weeks", "seconds", "months", "%", "BTC", "USDT", "USD", "ETH")
_UNIT = re.compile(r"(?<=\d)(\s?)(hours?|minutes?|days?|weeks?|seconds?|months?|%|x\b|[A-Z]{3,5}\b)")
_FIGURE = re.compile(r"(?<![\w.,:/-])\d+(?:[.,]\d+)*(?![\w:/-]|[.,]\d)")
_DATE = re.compile(
    r"\b(January|February|March|April|May|June|July|August|September|October|November|December)( \d{1,2})?(,? (?:19|20)\d\d)?\b"
)
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence, what it cites, and how it was made: a kind of falsehood, ``true`` or ``rewritten``."""

    kind: str
    said: str
    cited: Cited
    original: str


def half_of(key: str) -> str:
    """Give the half that something is in."""
    return "fit" if hashlib.sha256(key.encode()).digest()[0] % 2 else "test"


def cases(snapshots: Sequence[Snapshot], half: str) -> Iterator[Case]:
    """Make the false and the true sentences of a half: all true ones, and of each falsehood at most EACH."""
    chance = random.Random(SEED)
    made: dict[str, list[Case]] = defaultdict(list)
    for snapshot in snapshots:
        for article in snapshot.articles(limit=100_000):
            if article.language == "en" and half_of(article.id) == half:
                for case in _of_article(snapshot, article, chance):
                    made[case.kind].append(case)
    for kind, found in sorted(made.items()):
        yield from found if kind in ("true", "rewritten") else chance.sample(found, min(EACH, len(found)))


def _of_article(snapshot: Snapshot, article: Article, chance: random.Random) -> Iterator[Case]:
    elsewhere = sorted(set(_FIGURE.findall(article.text)))
    for passage in snapshot.passages_of(article.id):
        texts = [passage.text[s.start : s.end] for s in snapshot.sentences(passage.id)]
        about = "\n".join((article.title, *passage.heading_path, passage.question or ""))
        for number, text in enumerate(texts):
            cited = Cited(tuple(texts[max(number - 1, 0) : number + 2]), about, article.exchange)
            yield Case("true", text, cited, text)
            for kind, changed in _changed(text, elsewhere, snapshot.directory.mentioned(text), chance):
                if changed and changed != text and facts.bare(changed) not in cited.text:
                    yield Case(kind, changed, cited, text)


def _changed(
    text: str, elsewhere: Sequence[str], exchanges: Sequence[str], chance: random.Random
) -> Iterator[tuple[str, str]]:
    plain = facts.bare(text)
    for figure in list(_FIGURE.finditer(plain))[:MOST_FIGURES]:
        other = chance.choice(elsewhere) if chance.random() < 0.5 and elsewhere else _another(figure[0], chance)
        if facts.figures(other)[0].value != facts.figures(figure[0])[0].value:
            yield "number", plain[: figure.start()] + other + plain[figure.end() :]
    for unit in list(_UNIT.finditer(text))[:MOST_FIGURES]:
        new = chance.choice([u for u in _UNITS if u[:3].lower() != unit[2][:3].lower()])
        yield "unit", text[: unit.start()] + ("" if new == "%" else " ") + new + text[unit.end() :]
    for date in list(_DATE.finditer(text))[:MOST_FIGURES]:
        yield "date", _moved(text, date, chance)
    if exchanges and exchanges[0] in text:
        yield "exchange", text.replace(exchanges[0], chance.choice([n for n in ("Kraken", "Binance", "Coinbase", "OKX", "Bybit", "KuCoin") if n != exchanges[0]]))  # fmt: skip
    yield "negation", _negated(text, chance)
    yield "rewritten", _rewritten(text)


def _another(figure: str, chance: random.Random) -> str:
    place = chance.choice([n for n, char in enumerate(figure) if char.isdigit()])
    digit = chance.choice([d for d in "123456789" if d != figure[place]])
    return figure[:place] + digit + figure[place + 1 :] if chance.random() < 0.7 else figure.replace(".", "") + "0"


def _moved(text: str, date: re.Match[str], chance: random.Random) -> str:
    if date[3] and chance.random() < 0.4:
        return text[: date.start(3)] + ", " + str(int(date[3][-4:]) + chance.choice((-1, 1, 2))) + text[date.end(3) :]
    if date[2] and chance.random() < 0.5:
        return text[: date.start(2)] + f" {int(date[2]) % 28 + 1}" + text[date.end(2) :]
    return text[: date.start(1)] + chance.choice([m for m in _MONTHS if m != date[1]]) + text[date.end(1) :]


def _negated(text: str, chance: random.Random) -> str:
    if yes := re.match(r"(Yes|No)\b(?=[,.])", text):
        return ("No" if yes[1] == "Yes" else "Yes") + text[yes.end() :]
    if found := list(_NEGATED.finditer(text)):
        match = chance.choice(found)
        new = {"cannot": "can", "can't": "can", "won't": "will", "don't": "do", "doesn't": "does", "isn't": "is", "aren't": "are", "no": "a", "never": "always"}.get(match[0].lower(), "")  # fmt: skip
        return re.sub(r"  +", " ", text[: match.start()] + new + text[match.end() :])
    if modals := list(_MODAL.finditer(text)):
        match = chance.choice(modals)
        return text[: match.end()] + ("not" if match[0] == "can" else " not") + text[match.end() :]
    return ""


def _rewritten(text: str) -> str:
    new = re.sub(r"(\d) hours\b", r"\1h", facts.bare(text))
    new = re.sub(r"(\d)\s?%", r"\1 percent", new)
    new = re.sub(r"(?<=\d),(?=\d{3}\b)", "", new)
    for old, short in (("cannot", "can't"), ("do not", "don't"), ("does not", "doesn't"), ("will not", "won't"), ("is not", "isn't"), ("you will", "you'll")):  # fmt: skip
        new = new.replace(old, short)
    new = re.sub(r"^You can\b(?!['’]|not)", "It is possible to", new)
    return new


def judged_claims(path: Path, half: str) -> Iterator[tuple[str, list[str], bool]]:
    """Give the claims whose evidence has a text: claim, evidence, and whether people found it fully supported."""
    for line in path.read_text(encoding="utf-8").split("\n"):
        row = json.loads(line) if line else None
        if row is None or row["support"] in (None, "N/A", "Missing") or half_of(row["question"]) != half:
            continue
        texts = [text.split("\n\n", 1)[1] for text in row["evidence"] or () if "\n\n" in text]
        if texts:
            yield row["claim"], texts, row["support"] == "Complete"


def judged_answers(path: Path, half: str) -> Iterator[tuple[str, list[str], bool]]:
    """Give the answers with their contexts, and whether the raters found them faithful in the mean."""
    for line in path.read_text(encoding="utf-8").split("\n"):
        row = json.loads(line) if line else None
        if row and half_of(row["task_id"]) == half:
            yield row["answer"], row["contexts"], float(np.mean(row["human"]["faithfulness"])) >= FAITHFUL


def _passes(parts: Sequence[str], texts: Sequence[str]) -> bool:
    """Tell whether the rules find nothing wrong with any sentence; who is named in these texts is no exchange."""
    cited = [Cited(tuple(_cut(text)[:MOST_SENTENCES])) for text in texts]
    return not any(faults(part, cited, load_directory()) for part in parts)


def _cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text, "en")]


def features(claim: str, texts: Sequence[str], near: Callable[[str, Sequence[str]], float]) -> tuple[float, float]:
    """Measure what `support` weighs: the nearness and the share of words."""
    parts = [part for text in texts for part in _cut(text)][:MOST_SENTENCES]
    own = facts.content(facts.bare(claim))
    covered = len(own & facts.content("\n".join(parts))) / len(own) if own else 1.0
    return near(facts.bare(claim), parts), covered


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--home", type=Path, required=True, nargs="+", help="several: their sentences are put together")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--half", default="test", choices=("fit", "test"))
    parser.add_argument("--fit", action="store_true", help="fit the weights of support on the half fit, and print them")
    parser.add_argument("--show", type=int, default=0, help="print so many of what is missed and of what is refused")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    snapshots = [SnapshotShelf(home).open() for home in given.home]
    near = nearness(snapshots[0].encoder)
    told: dict[str, Any] = {"half": given.half, "false": by_program(snapshots, given.half, near, given.show)}
    if given.data:
        told["human"] = by_people(given.data, given.half, near, fit=given.fit)
    print(json.dumps(told, indent=1))
    if given.json:
        given.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


def by_program(
    snapshots: Sequence[Snapshot], half: str, near: Callable[[str, Sequence[str]], float] | None, show: int
) -> dict[str, Any]:
    """Check what was made by program; by kind how many there are, and how many are refused."""
    directory = snapshots[0].directory.with_names(name for snapshot in snapshots for name in snapshot.exchanges)
    count: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    rules: dict[str, Counter[str]] = defaultdict(Counter)
    for case in cases(snapshots, half):
        found = faults(case.said, [case.cited], directory, near)
        count[case.kind] += 1
        refused[case.kind] += bool(found)
        rules[case.kind].update(found)
        if (
            show
            and bool(found) == (case.kind in ("true", "rewritten"))
            and count[case.kind] - refused[case.kind] < 10_000
        ):
            print(case.kind, found, "|", case.said, "| WAS", case.original)
    false = [kind for kind in count if kind not in ("true", "rewritten")]
    return {
        **{kind: {"n": count[kind], "refused": round(refused[kind] / count[kind], 4), "by": dict(rules[kind])} for kind in count},
        "all false": {"n": sum(count[k] for k in false), "refused": round(sum(refused[k] for k in false) / sum(count[k] for k in false), 4)},
    }  # fmt: skip


def by_people(
    data: Path, half: str, near: Callable[[str, Sequence[str]], float], *, fit: bool
) -> dict[str, dict[str, Any]]:
    """Compare support with what people judged; with ``fit`` the weights are fitted first, and printed."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import precision_score, recall_score, roc_auc_score

    from service.llm import check

    claims = data / "expertqa_claims" / "claims.jsonl"
    answers = data / "mtrag_human_eval" / "judged.jsonl"
    weights = np.array([check.BIAS, check.NEAR_WEIGHT, check.COVERED_WEIGHT])
    if fit:
        rows = [(features(claim, texts, near), good) for claim, texts, good in judged_claims(claims, "fit")]
        model = LogisticRegression(C=100.0, class_weight="balanced").fit([x for x, _ in rows], [y for _, y in rows])
        weights = np.array([model.intercept_[0], *model.coef_[0]])
        print("BIAS, NEAR_WEIGHT, COVERED_WEIGHT =", [round(float(w), 3) for w in weights])
    told: dict[str, dict[str, Any]] = {}
    sets = {
        "expertqa_claims": [([claim], texts, good) for claim, texts, good in judged_claims(claims, half)],
        "mtrag_human_eval": [(_cut(answer), texts, good) for answer, texts, good in judged_answers(answers, half)],
    }
    for name, rows_of in sets.items():
        good = np.array([row[2] for row in rows_of])
        worst = [
            min(float(weights @ (1.0, *features(said, texts, near))) for said in parts) if parts else 0.0
            for parts, texts, _ in rows_of
        ]
        score = np.array(worst)
        shown = score >= check.LEAST_SUPPORT
        clean = np.array([_passes(parts, texts) for parts, texts, _ in rows_of])
        told[name] = {
            "n": len(good), "supported": round(float(good.mean()), 4), "auroc": round(float(roc_auc_score(good, score)), 4),
            "shown": round(float(shown.mean()), 4), "precision": round(float(precision_score(good, shown, zero_division=0)), 4),
            "recall": round(float(recall_score(good, shown)), 4),
            "precision with the rules": round(float(precision_score(good, shown & clean, zero_division=0)), 4),
            "recall with the rules": round(float(recall_score(good, shown & clean)), 4),
            "unsupported caught with the rules": round(float(1 - (shown & clean)[~good].mean()), 4),
            "unsupported caught": round(float(1 - shown[~good].mean()), 4),
            "quantiles": {q: round(float(np.quantile(score, float(q))), 3) for q in ("0.05", "0.1", "0.25", "0.5")},
        }  # fmt: skip
    return told


if __name__ == "__main__":
    main()
