"""Write the result of an evaluation as one HTML page that needs no network, no script and no other file."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from service.evaluation.calibration import RISK, expected_calibration_error, reliability, risk_coverage
from service.evaluation.charts import (
    confidence_histogram,
    count_bars,
    interval_bar,
    latency_histogram,
    reliability_plot,
    risk_coverage_plot,
)
from service.evaluation.measures import NOTES, MeasureNote
from service.evaluation.run import Measures, Outcome, Result
from service.evaluation.tables import GROUP_KEYS, interval, shown

_HEADLINE = ("answered_right", "lead_right", "refused_right", "wrong_exchange", "verbatim", "latency_p50_ms")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_BY_KEY = {note.key: note for note in NOTES}


def write_report(result: Result, path: Path) -> None:
    """Write the page; whatever a question or an article says is shown as text, never obeyed."""
    # An article's text may hold half of a surrogate pair, which UTF-8 cannot spell.
    path.write_bytes(_page(result).encode("utf-8", errors="replace"))


def _page(result: Result) -> str:
    title = f"citedesk evaluation, {result.date[:10]}"
    sections = (
        _measures_table(result),
        _plots(result),
        _groups("kind", "By kind of question", result.by_kind),
        _groups("language", "By language", result.by_language),
        _misses(result),
        _method(result),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        # Even if something slipped through the escaping, nothing would run or be fetched.
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>{_header(result)}\n<main>"
        + "\n".join(sections)
        + "</main></body></html>\n"
    )


def _header(result: Result) -> str:
    cards = "".join(_card(_BY_KEY[key], result.measures) for key in _HEADLINE)
    questions = result.counts["questions"]
    return (
        f'<header><h1>Evaluation</h1><p class="meta">{questions:,} question{"s" * (questions != 1)}, '
        f"{len(result.misses):,} of them not wholly right · snapshot <code>{escape(result.snapshot_id)}</code> · "
        f'<time datetime="{escape(result.date)}">{escape(result.date[:16].replace("T", " "))} UTC</time></p>'
        f'<dl class="cards">{cards}</dl></header>'
    )


def _card(note: MeasureNote, measures: Measures) -> str:
    measure = measures[note.key]
    return (
        f"<div><dt>{escape(note.name)}</dt><dd><strong>{shown(measure.value, note)}</strong>"
        f"<small>{interval(measure, note)}</small><small>n = {measure.n:,}</small></dd></div>"
    )


def _measures_table(result: Result) -> str:
    rows: list[str] = []
    for note in NOTES:
        measure = result.measures[note.key]
        bar = interval_bar(measure) if note.unit == "share" else ""
        rows.append(
            f'<tr><th scope="row">{escape(note.name)}<small>{escape(note.definition)}</small></th>'
            f'<td class="number">{shown(measure.value, note)}</td><td class="bars">{bar}</td>'
            f'<td class="number">{interval(measure, note)}</td><td class="number">{measure.n:,}</td>'
            f"<td>{'higher' if note.better == 'high' else 'lower'}</td></tr>"
        )
    numbers = ("Value", "95 % interval", "n")
    header = _row_of_headings("Measure", "Value", "From 0 to 1", "95 % interval", "n", "Better", numbers=numbers)
    caption = "Every measure, with its 95 % interval and what it is measured over"
    return _section("measures", "Measures", _table(caption, header, rows, "measures"))


def _plots(result: Result) -> str:
    outcomes = result.outcomes
    covered = [outcome.confidence for outcome in outcomes if outcome.question.expected == "answer"]
    uncovered = [outcome.confidence for outcome in outcomes if outcome.question.expected == "abstain"]
    figures: list[str] = []
    if covered or uncovered:
        answerable = len(covered) / (len(covered) + len(uncovered))
        at_risk = result.measures["coverage_at_5_risk"].value
        bins = reliability(outcomes)
        error = expected_calibration_error(bins)
        figures += [
            _figure(
                "Risk over coverage",
                risk_coverage_plot(risk_coverage(outcomes), at_risk, answerable),
                f"Answering the most confident questions first: at {RISK * 100:.0f} % risk, "
                f"{shown(at_risk, _BY_KEY['coverage_at_5_risk'])} of the questions, covered or not, get an answer.",
            ),
            _figure(
                "Reliability of the confidence",
                reliability_plot(bins, error),
                f"Ten bins; a dot grows with its questions and is right on the diagonal. Expected calibration "
                f"error: {'–' if error is None else f'{error:.3f}'}.",
            ),
            _figure(
                "Confidence, covered and uncovered",
                confidence_histogram(covered, uncovered),
                "The less the two overlap, the better the decision can be. AUROC: "
                f"{shown(result.measures['auroc'].value, _BY_KEY['auroc'])}.",
            ),
        ]
    latencies = [outcome.latency_ms for outcome in outcomes if outcome.latency_ms is not None]
    p50, p95 = result.measures["latency_p50_ms"].value, result.measures["latency_p95_ms"].value
    if p50 is not None and p95 is not None:
        caption = f"p50 {p50:,.1f} ms, p95 {p95:,.1f} ms, slowest {max(latencies):,.1f} ms."
        figures.append(_figure("Latency", latency_histogram(latencies, p50, p95), caption))
    return _section("plots", "Plots", f'<div class="figures">{"".join(figures)}</div>')


def _groups(name: str, heading: str, groups: dict[str, Measures]) -> str:
    notes = [note for note in NOTES if note.key in GROUP_KEYS and any(groups[group][note.key].n for group in groups)]
    rows = []
    for group, measures in groups.items():
        cells = "".join(_group_cell(measures, note) for note in notes)
        rows.append(f'<tr><th scope="row">{escape(group)}</th>{cells}</tr>')
    names = [note.name for note in notes]
    header = _row_of_headings(name.capitalize(), *names, numbers=names)
    caption = f"The main measures by {name}, each with its 95 % interval and count"
    table = _table(caption, header, rows, f"by-{name}")
    return _section(f"by-{name}", heading, f'<div class="groups">{table}</div>')


def _group_cell(measures: Measures, note: MeasureNote) -> str:
    measure = measures[note.key]
    if not measure.n:
        return '<td class="number nothing">–</td>'
    return (
        f'<td class="number">{shown(measure.value, note)}'
        f"<small>{interval(measure, note).replace(' to ', '–')}</small><small>n = {measure.n:,}</small></td>"
    )


def _misses(result: Result) -> str:
    if not result.misses:
        return _section("misses", "Misses", "<p>None: every question went as expected.</p>")
    counts = Counter(outcome.where for outcome in result.misses).most_common()
    figure = _figure("Where the way went wrong", count_bars(counts), f"{len(result.misses):,} misses.")
    groups = "".join(
        _miss_group(where, [outcome for outcome in result.misses if outcome.where == where], is_open=index == 0)
        for index, (where, _) in enumerate(counts)
    )
    return _section("misses", "Misses", f'<div class="figures">{figure}</div>{groups}')


def _miss_group(where: str, misses: Sequence[Outcome], *, is_open: bool) -> str:
    header = _row_of_headings("Question", "Expected", "Got", "First sentence", "Gold")
    caption = f"Questions with the verdict: {where}"
    table = _table(caption, header, map(_miss_row, misses), f"misses-{where}")
    return (
        f"<details{' open' if is_open else ''}><summary><h3>{escape(where)}</h3> "
        f"<span>{len(misses):,}</span></summary>{table}</details>"
    )


def _miss_row(miss: Outcome) -> str:
    question = miss.question
    earlier = "".join(f"<li>{_foreign(text)}</li>" for text in question.history)
    history = f'<ol class="history" aria-label="Asked before">{earlier}</ol>' if earlier else ""
    return (
        f'<tr><th scope="row"><small>{escape(question.id)} · {escape(question.kind)}</small>{history}'
        f"{_foreign(question.question, question.language)}</th><td>{escape(question.expected.replace('_', ' '))}</td>"
        f"<td>{_foreign(miss.got.replace('_', ' '))}<small>confidence {miss.confidence:.2f}</small></td>"
        f"<td>{_foreign(miss.first_sentence) or '–'}</td><td>{_foreign(question.gold_short) or '–'}</td></tr>"
    )


def _method(result: Result) -> str:
    counts = "".join(
        f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{count:,}</dd></div>"
        for name, count in result.counts.items()
    )
    return _section("method", "Method", f'{_METHOD}<dl class="counts">{counts}</dl>')


def _foreign(text: str, language: str = "") -> str:
    """Set the text apart, so that its direction does not turn its neighbours."""
    spoken = f' lang="{escape(language)}"' if language else ""
    return f'<bdi dir="auto"{spoken}>{escape(text)}</bdi>' if text else ""


def _section(name: str, heading: str, content: str) -> str:
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(heading)}</h2>{content}</section>'


def _figure(heading: str, svg: str, caption: str) -> str:
    return f"<figure><h3>{escape(heading)}</h3>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _row_of_headings(*names: str, numbers: Sequence[str] = ()) -> str:
    """Make the headings of the columns; those over numbers stand to the right, as the numbers do."""
    return "".join(f'<th scope="col"{" class=number" if name in numbers else ""}>{escape(name)}</th>' for name in names)


def _table(caption: str, header: str, rows: Iterable[str], label: str) -> str:
    """Make a table that scrolls sideways by itself where the page is narrow, also with the keyboard."""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label.replace("-", " "))}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{header}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


_METHOD = """
<p>Every question was put to the assistant as it stands, with the earlier questions of its conversation and nothing
else. A citation hits a gold span when it is of the same article and its quote holds the span, or at least half of the
span's words in one run; white space, markup, typography and case are folded, and a character of a script without
spaces counts as a word.</p>
<p>Shares, and means of recalls, have Wilson's 95 % interval; MRR, nDCG, AUROC, coverage and latencies the percentile
interval of 1,000 bootstrap resamples with a fixed seed. On the risk–coverage curve an answer is an error when it does
not hit the gold or none was expected; a question that was not answered is covered at no threshold. Reliability
compares confidence with the share of questions that the articles answer. Latency is wall-clock time of the whole
call, one question after the other.</p>
"""

_STYLE = """
:root{--paper:#fdfcfa;--card:#fff;--ink:#1b2330;--soft:#566072;--line:#dfe2e8;--grid:#eceef2;--good:#1d5fb4;
--bad:#b5480c;--range:#a9c6ec;--focus:#1d5fb4}
@media (prefers-color-scheme:dark){:root{--paper:#11151b;--card:#181e27;--ink:#e8ecf2;--soft:#a3aebd;--line:#323b48;
--grid:#252d38;--good:#82b4ff;--bad:#ffa366;--range:#33527c;--focus:#82b4ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,"Segoe UI",Roboto,"Noto Sans",sans-serif;
font-variant-numeric:tabular-nums}
header,main{max-width:1080px;margin:0 auto;padding:0 20px}
header{padding-top:36px}main{padding-bottom:64px}
h1{font-size:2rem;line-height:1.2;margin:0;letter-spacing:-.02em}
h2{font-size:1.3rem;margin:44px 0 14px;letter-spacing:-.01em}
h3{font-size:1rem;margin:0}
main p{max-width:75ch}
.meta{color:var(--soft);margin:6px 0 22px}
code{font:.92em ui-monospace,Consolas,monospace;overflow-wrap:anywhere}
small{display:block;color:var(--soft);font-size:.8rem;font-weight:400}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0}
.cards>div,figure{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.cards dt{color:var(--soft);font-size:.88rem}.cards dd{margin:0}
.cards strong{font-size:1.7rem;line-height:1.3;letter-spacing:-.02em;white-space:nowrap}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:10px;background:var(--card)}
:focus-visible{outline:3px solid var(--focus);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;color:var(--soft);font-size:.85rem;padding:10px 14px}
th,td{text-align:left;vertical-align:top;padding:8px 14px;border-top:1px solid var(--line)}
thead th{color:var(--soft);font-size:.82rem;font-weight:600;vertical-align:bottom}
tbody th{font-weight:600}
tbody th{min-width:150px}.groups th,.groups td{padding:8px 9px}.groups tbody th{min-width:0}
.number{text-align:right}td.number{white-space:nowrap}.nothing{color:var(--soft)}
.bars{min-width:170px}.bar{display:block;width:100%;min-width:150px;height:20px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));gap:16px}
figure{margin:0}figure svg{display:block;width:100%;height:auto;margin-top:8px;max-width:520px}
figcaption{color:var(--soft);font-size:.85rem;margin-top:4px}
svg text{font:12px system-ui,"Segoe UI",Roboto,sans-serif;fill:var(--soft)}
svg .name{font-size:13px;fill:var(--ink)}svg .note{fill:var(--ink);font-size:11.5px}
.axis,.tickmark{stroke:var(--soft);stroke-width:1;fill:none}.grid{stroke:var(--grid);stroke-width:1}
.limit{stroke:var(--soft);stroke-dasharray:5 4;fill:none}
.line{stroke:var(--good);stroke-width:2.2;fill:none;stroke-linejoin:round}
.dot{fill:var(--good)}.mark{fill:var(--card);stroke:var(--bad);stroke-width:2.5}.drop{stroke:var(--bad);stroke-width:1.5}
.range{fill:var(--range)}.whisker{stroke:var(--good);stroke-width:1.5}.good{fill:var(--good)}.bad{fill:var(--bad)}
details{margin-top:14px}
summary{cursor:pointer;padding:8px 2px}summary h3{display:inline}summary span{color:var(--soft)}
details thead th,details td{min-width:90px}details tbody th{width:32%;min-width:200px}
details td:nth-child(n+4){min-width:180px}details td,details th{overflow-wrap:break-word}
.history{margin:0;padding-left:1.2em;color:var(--soft);font-weight:400}
.counts{display:grid;grid-template-columns:repeat(auto-fill,minmax(240px,1fr));gap:2px 28px;font-size:.9rem}
.counts>div{display:flex;justify-content:space-between;border-bottom:1px solid var(--grid)}
.counts dt{color:var(--soft)}.counts dd{margin:0}
@media print{.scroll{overflow:visible}figure,tr{break-inside:avoid}}
"""
