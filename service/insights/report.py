"""The insights as one HTML page that needs no network, no script and no other file."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from index.snapshot import Snapshot
from service.evaluation.charts import interval_bar
from service.evaluation.intervals import Measure
from service.insights import plots
from service.insights.summary import FEW, CitedArticle, Disagreement, DownVoted, Group, Insights, Topic, insights
from service.insights.tally import Span
from service.question_log import QuestionLog

# Different uncovered questions that are grouped for a page: 10 s of two cores when none of them was seen before. The
# command line takes all.
MOST = 2_000
# What the page shows; the counts beside it are of everything, and --json has more.
TOPICS, ROWS = 15, 12
POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_EMPTY = "Nothing was asked in this time."
_TRENDS = {"rising": "↗ asked more than before", "falling": "↘ asked less than before", None: ""}
_KINDS = {"exchange": "By exchange", "language": "By language", "door": "By door"}


def page(log: QuestionLog, snapshot: Snapshot, days: int) -> str:
    """Make the page for the last days, today among them; whatever a question or an article says is shown as text.

    It takes a second, and 5 ms more for each uncovered question that was not on an earlier page of this process: not
    to be called on an event loop.

    :raises QuestionLogError: The log cannot be read.
    :raises SnapshotError: The snapshot is damaged.
    """
    log.flush()
    span = Span.of_days(days, datetime.now(UTC))
    return render(insights(log.rows(span.since, span.until), snapshot, span, most=MOST))


def render(told: Insights) -> str:
    """Write insights as a page."""
    title = f"citedesk insights, {told.since:%d %b %Y} to {told.until:%d %b %Y}"
    sections = (_over_time, _uncovered, _voted_down, _articles, _disagreeing, _latency, _groups, _method)
    content = "\n".join(section(told) for section in sections) if told.n else f"<p>{_EMPTY}</p>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        # Even if something slipped through the escaping, nothing would run or be fetched.
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>{_header(told)}\n<main>{content}</main></body></html>\n"
    )


def _header(told: Insights) -> str:
    answered, uncovered = told.shares["answered"], told.shares["not_covered"]
    cards = (
        ("questions", f"{told.n:,}", _per_period(told)),
        ("answered", _percent(answered), _interval(answered)),
        ("not covered", _percent(uncovered), _interval(uncovered)),
        ("votes that are down", _percent(told.down), _votes(told)),
        ("half took at most", _milliseconds(told.latency.get("p50")), f"95 % {_milliseconds(told.latency.get('p95'))}"),
    )
    shown = "".join(
        f"<div><dt>{name}</dt><dd><strong>{value}</strong><small>{note}</small></dd></div>"
        for name, value, note in cards
    )
    return (
        f'<header><p class="brand"><mark>cite</mark>desk</p><h1>What was asked</h1><p class="meta">'
        f"{_time(told.since.isoformat(), f'{told.since:%d %b %Y}')} to "
        f"{_time(told.until.isoformat(), f'{told.until:%d %b %Y, %H:%M}')} UTC · by the {told.unit} · "
        f'snapshot <code>{escape(told.snapshot_id)}</code></p><dl class="cards">{shown}</dl></header>'
    )


def _per_period(told: Insights) -> str:
    return f"{told.n / max(len(told.periods), 1):,.1f} a {told.unit}"


def _votes(told: Insights) -> str:
    return f"{told.down.n:,} votes on {told.n:,} answers" if told.down.n else "no votes"


def _over_time(told: Insights) -> str:
    rows = [
        f'<tr><th scope="row">{plots.moment(period.start, told.unit)}</th>'
        + "".join(_number(f"{count:,}") for count in (period.n, *period.counts.values(), period.up, period.down))
        + "</tr>"
        for period in told.periods
    ]
    names = ("All", *(name.capitalize() for name in plots.NAMES.values()), "Up", "Down")
    table = _table(
        f"Questions and votes by the {told.unit} (UTC); the last {told.unit} is not over",
        told.unit.capitalize(),
        names,
        rows,
    )
    snapshots = "".join(
        f"<li><code>{escape(id_)}</code> from {_time(at, at[:16].replace('T', ' '))} UTC</li>"
        for id_, at in told.snapshots
    )
    content = (
        _figure("What became of the questions", plots.over_time, told, wide=True)
        + '<div class="figures">'
        + _figure("Share that was answered, with its 95 % interval", plots.answered_share, told)
        + _figure("When questions come in", plots.by_hour, told)
        + f"</div>{_folded('The numbers', table)}{_folded('Snapshots that answered', f'<ul>{snapshots}</ul>')}"
    )
    return _section("time", "Over time", content)


def _uncovered(told: Insights) -> str:
    if not told.uncovered:
        return _section(
            "uncovered", "Asked and not covered", "<p>Every question was covered, asked back or declined.</p>"
        )
    lead = (
        f"<p>{told.uncovered:,} questions were not covered. "
        f"{_counted(told.topic_count, 'topic was', 'topics were')} asked more than once; {told.alone:,} questions are like "
        f"no other{f', and {told.left_out:,} earlier ones were not compared' if told.left_out else ''}. A topic is named by "
        "its most typical question.</p>"
    )
    if not told.topics:
        return _section("uncovered", "Asked and not covered", lead)
    most = told.topics[0].count
    rows = [_topic(number, topic, most) for number, topic in enumerate(told.topics[:TOPICS])]
    table = _table(
        "What to write an article about, the most asked first",
        "Topic",
        ("Questions", "Over time", "Exchanges"),
        rows,
        "topics",
    )
    return _section("uncovered", "Asked and not covered", lead + table + _more(told.topic_count, TOPICS, "topics"))


def _topic(number: int, topic: Topic, most: int) -> str:
    others = "".join(f"<li>{_foreign(text)}</li>" for text in topic.examples)
    more = f"<li>and {topic.different - 1 - len(topic.examples):,} more</li>" * (
        topic.different > 1 + len(topic.examples)
    )
    ways = f"<details><summary>asked in {topic.different:,} ways</summary><ul>{others}{more}</ul></details>"
    examples = ways if others else ""
    exchanges = ", ".join(f"{_foreign(name)} {count:,}" for name, count in topic.exchanges[:4]) or "–"
    trend = _TRENDS[topic.trend]
    try:
        spark = f'<span class="spark">{plots.spark(f"topic{number}", topic.periods)}</span>'
    except plots.PlotsMissingError:
        spark = ""
    return (
        f'<tr><th scope="row">{_foreign(topic.question, topic.language)}{examples}</th>'
        f'<td class="number"><span class="amount">{topic.count:,}</span><span class="gauge" aria-hidden="true">'
        f'<i style="width:{100 * topic.count / most:.1f}%"></i></span></td>'
        f"<td>{spark}<small>{trend or ('' if topic.count >= FEW else 'too few for a trend')}</small></td>"
        f"<td>{exchanges}<small>last {escape(topic.last[:10])}</small></td></tr>"
    )


def _voted_down(told: Insights) -> str:
    if not told.down_voted:
        note = "Nobody voted an answer down." if told.down.n else "Nobody voted on an answer."
        return _section("down", "Answered and voted down", f"<p>{note}</p>")
    votes = (
        f"{told.votes.value or 0:.1%} of the answers got a vote; of {told.down.n:,} votes {_percent(told.down)} are down "
        f"({_interval(told.down)})."
    )
    rows = [_down(voted) for voted in told.down_voted[:ROWS]]
    table = _table("Answers that were voted down", "Question", ("Times", "Why", "Cited"), rows, "down")
    return _section(
        "down", "Answered and voted down", f"<p>{votes}</p>{table}{_more(len(told.down_voted), ROWS, 'questions')}"
    )


def _down(voted: DownVoted) -> str:
    reasons = "".join(f"<li>{_foreign(reason)}</li>" for reason in voted.reasons)
    cited = "".join(f"<li>{_title(article)}</li>" for article in voted.articles)
    return (
        f'<tr><th scope="row">{_foreign(voted.question, voted.language)}'
        f"<small>last {escape(voted.last[:10])}</small></th>{_number(f'{voted.count:,}')}"
        f"<td>{f'<ul>{reasons}</ul>' if reasons else '–'}</td><td><ul>{cited}</ul></td></tr>"
    )


def _articles(told: Insights) -> str:
    lead = (
        f"<p>Of the snapshot's {told.article_count:,} articles {told.article_count - told.never_cited_count:,} were cited in the "
        f"answers to {told.n:,} questions.</p>"
    )
    parts = [lead]
    if told.stale:
        rows = [_article(article) for article in told.stale[:ROWS]]
        caption = "Cited, and older than their source allows: look at these first"
        parts.append(
            _table(caption, "Article", _ARTICLE_COLUMNS, rows, "stale") + _more(len(told.stale), ROWS, "articles")
        )
    if told.cited:
        rows = [_article(article) for article in told.cited[:ROWS]]
        parts.append(
            _table("The most cited", "Article", _ARTICLE_COLUMNS, rows, "cited")
            + _more(told.cited_count, ROWS, "articles")
        )
    if told.never_cited:
        uncited = "".join(f"<li>{_foreign(title)}</li>" for title, _ in told.never_cited)
        more = _more(told.never_cited_count, len(told.never_cited), "articles")
        parts.append(_folded("Never cited", f'<ul class="columns">{uncited}</ul>{more}'))
    return _section("articles", "Articles", "".join(parts))


_ARTICLE_COLUMNS = ("Exchange", "Updated", "Answers", "Down")


def _article(article: CitedArticle) -> str:
    flags = (
        '<span class="flag">out of date</span>' * article.stale
        + '<span class="flag">not in the snapshot</span>' * article.gone
    )
    return (
        f'<tr><th scope="row">{_title(article)} {flags}</th><td>{_foreign(article.exchange or "") or "–"}</td>'
        f'<td class="date">{escape((article.dated or "–")[:10])}</td>'
        f"{_number(f'{article.cited:,}')}{_number(f'{article.down:,}')}</tr>"
    )


def _disagreeing(told: Insights) -> str:
    if not told.disagreements:
        return _section("disagree", "Where sources disagree", "<p>In no answer did the cited pages disagree.</p>")
    rows = [_disagreement(found) for found in told.disagreements[:ROWS]]
    table = _table(
        "Articles that were cited together where sources disagree", "Articles", ("Answers", "Asked"), rows, "disagree"
    )
    answers = told.notices.get("sources_disagree", 0)
    lead = f"<p>In {_counted(answers, 'answer', 'answers')} the cited pages disagreed.</p>"
    return _section("disagree", "Where sources disagree", lead + table + _more(len(told.disagreements), ROWS, "groups"))


def _disagreement(found: Disagreement) -> str:
    articles = "".join(
        f"<li>{_title(article)}<small>{escape((article.dated or 'undated')[:10])}</small></li>"
        for article in found.articles
    )
    return (
        f'<tr><th scope="row"><ul>{articles}</ul></th>{_number(f"{found.count:,}")}'
        f"<td>{_foreign(found.question, found.language)}</td></tr>"
    )


def _latency(told: Insights) -> str:
    caption = " · ".join(f"{name} {_milliseconds(value)}" for name, value in told.latency.items())
    figure = _figure("How long answers took", plots.latency, told, f"{caption} · n = {told.n:,}")
    notices = "".join(
        f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{count:,}</dd></div>"
        for name, count in told.notices.items()
    )
    listed = f'<figure><h3>Notices of the answers</h3><dl class="counts">{notices}</dl></figure>' if notices else ""
    return _section("latency-and-notices", "Latency and notices", f'<div class="figures">{figure}{listed}</div>')


def _groups(told: Insights) -> str:
    tables = [
        _table(f"{_KINDS[kind]}: the share that was answered, with its 95 % interval", kind.capitalize(),
               ("Questions", "Answered", "From 0 to 100 %", "Not covered"), [_group(group) for group in groups[:ROWS]], "groups")
        + _more(len(groups), ROWS, f"{kind}s")
        for kind, groups in told.groups.items()
    ]  # fmt: skip
    return _section("groups", "Who asked about what", "".join(tables))


def _group(group: Group) -> str:
    return (
        f'<tr><th scope="row">{_foreign(group.name) or "none named"}</th>{_number(f"{group.n:,}")}'
        f'<td class="number">{_percent(group.answered)}<small>{_interval(group.answered)}</small></td>'
        f'<td class="bars">{interval_bar(group.answered)}</td>{_number(f"{group.not_covered:,}")}</tr>'
    )


def _method(told: Insights) -> str:
    return _section("method", "How to read this", _METHOD.format(few=FEW, few_shown=plots.FEW))


def _figure(
    heading: str, plot: Callable[[Insights], str], told: Insights, caption: str = "", *, wide: bool = False
) -> str:
    try:
        drawn = f'<div class="plot">{plot(told)}</div>'
    except plots.PlotsMissingError as error:
        drawn = f'<p class="meta">{escape(str(error))}.</p>'
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure{' class=wide' if wide else ''}><h3>{escape(heading)}</h3>{drawn}{below}</figure>"


def _section(name: str, heading: str, content: str) -> str:
    return (
        f'<section aria-labelledby="{name}-heading"><h2 id="{name}-heading">{escape(heading)}</h2>{content}</section>'
    )


def _table(caption: str, first: str, names: Sequence[str], rows: Iterable[str], css: str = "") -> str:
    """Make a table that scrolls sideways by itself where the page is narrow, also with the keyboard."""
    headings = "".join(
        f'<th scope="col"{" class=number" if name in _NUMBERS else ""}>{escape(name)}</th>' for name in (first, *names)
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table class="{css}">'
        f"<caption>{escape(caption)}</caption><thead><tr>{headings}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


_NUMBERS = {"All", "Answered", "Asked back", "Not covered", "Declined", "Up", "Down", "Questions", "Times", "Answers"}


def _number(text: str) -> str:
    return f'<td class="number{" nothing" if text == "0" else ""}">{text}</td>'


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _more(count: int, shown: int, what: str) -> str:
    return f'<p class="meta">and {count - shown:,} more {what}</p>' if count > shown else ""


def _title(article: CitedArticle) -> str:
    """Name an article, with a link where its address is one of the web."""
    if article.url.startswith(("https://", "http://")):
        return f'<a href="{escape(article.url)}" rel="noreferrer">{_foreign(article.title)}</a>'
    return _foreign(article.title)


def _foreign(text: str, language: str = "") -> str:
    """Set a text apart, so that its direction does not turn its neighbours."""
    spoken = f' lang="{escape(language)}"' if language else ""
    return f'<bdi dir="auto"{spoken}>{escape(text)}</bdi>' if text else ""


def _time(at: str, text: str) -> str:
    return f'<time datetime="{escape(at)}">{escape(text)}</time>'


def _percent(measure: Measure) -> str:
    return "–" if measure.value is None else f"{measure.value:.0%}"


def _interval(measure: Measure) -> str:
    if measure.low is None or measure.high is None:
        return "n = 0"
    return f"{measure.low:.0%} to {measure.high:.0%}, n = {measure.n:,}"


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


_METHOD = """
<p>All times are UTC. A share has Wilson's 95 % interval: with few questions it is wide, and says so. The plot of the
answered share leaves out what has fewer than {few_shown} questions.</p>
<p>Topics are found by the encoder of the snapshot: names of exchanges are left out, and questions whose vectors are
near are one topic. A topic is said to be asked more or less than before where it has {few} questions at least, and the
95 % interval of the part of them that fell into the second half of the time leaves out the part of all questions that
did. Of twenty topics one may seem to do so by chance.</p>
<p>Votes are counted where the question was asked. Whoever votes chose to: they are not a sample of those who asked. What
was never cited may only not have been asked for.</p>
"""

_STYLE = """
:root{color-scheme:light dark;--paper:#faf9f6;--card:#fff;--ink:#1b2126;--soft:#545d66;--line:#e2dfd7;--grid:#ebe8e1;
--accent:#0b5c56;--tint:#e9f1ee;--pen:#ffe680;--on-pen:#1b2126;--caution:#7a4a00;--caution-tint:#fbf0dc;
--answered:#0f766e;--clarify:#7cc4b8;--not-covered:#d9730d;--declined:#a9adb2;--down:#b3261e;--range:#a7d3cb;
--serif:"Iowan Old Style",Charter,"Bitstream Charter","Sitka Text",Cambria,"Liberation Serif",Georgia,serif}
@media (prefers-color-scheme:dark){:root{--paper:#14171a;--card:#1d2125;--ink:#ebe8e1;--soft:#a8afb6;--line:#32383e;
--grid:#2b3035;--accent:#86d6c8;--tint:#1b2b29;--pen:#5c4e0b;--on-pen:#fff6d6;--caution:#f0c27b;--caution-tint:#332813;
--answered:#5cc2b2;--clarify:#2c7168;--not-covered:#f2993f;--declined:#6a7178;--down:#ff8a7c;--range:#2b5d56}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans","Liberation Sans",Arial,sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
header,main{max-width:1080px;margin:0 auto;padding:0 clamp(16px,4vw,28px)}
header{padding-top:28px}main{padding-bottom:64px}
.brand{margin:0;font:600 1.05rem/1.2 var(--serif)}
mark{padding:0 .06em;color:var(--on-pen);background:var(--pen);border-radius:.08em .2em .1em .25em}
h1{font:600 clamp(2rem,5vw,2.7rem)/1.15 var(--serif);margin:14px 0 0;letter-spacing:-.02em}
h2{font:600 1.5rem/1.25 var(--serif);margin:52px 0 12px;letter-spacing:-.01em}
h3{font-size:.95rem;margin:0}
main p{max-width:72ch}
.meta{color:var(--soft);margin:6px 0 20px}
code{font:.9em ui-monospace,"Liberation Mono",Consolas,monospace}
small{display:block;color:var(--soft);font-size:.8rem;font-weight:400}
a{color:var(--accent);text-underline-offset:.2em;text-decoration-thickness:.06em}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(158px,1fr));gap:12px;margin:0}
.cards>div,figure{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px 16px}
.cards dt{color:var(--soft);font-size:.88rem}.cards dd{margin:0}
.cards strong{display:block;font:600 1.9rem/1.25 var(--serif);letter-spacing:-.02em;white-space:nowrap}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:12px;background:var(--card);margin-top:16px}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:4px}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;color:var(--soft);font-size:.87rem;padding:11px 16px}
th,td{text-align:left;vertical-align:top;padding:9px 16px;border-top:1px solid var(--line)}
thead th{color:var(--soft);font-size:.82rem;font-weight:600;vertical-align:bottom;white-space:nowrap}
tbody th{font-weight:500;min-width:190px}
table ul{margin:0;padding:0;list-style:none}table li+li{margin-top:5px}
.number{text-align:right}td.number{white-space:nowrap}.date{white-space:nowrap}.nothing{color:var(--soft);opacity:.7}
.topics tbody th{width:52%;font:500 1.05rem/1.4 var(--serif)}.topics td.number{width:110px}
.amount{font-weight:600}
.gauge{display:block;width:100%;min-width:70px;height:5px;margin-top:6px;border-radius:3px;background:var(--grid)}
.gauge i{display:block;height:100%;border-radius:3px;background:var(--not-covered);margin-left:auto}
.spark svg{display:block;width:132px;height:30px}
.flag{display:inline-block;padding:0 .5em;font-size:.78rem;font-weight:600;color:var(--caution);
background:var(--caution-tint);border-radius:.4em}
.bars{min-width:150px}.bars svg{display:block;width:100%;height:20px}
.bars .grid{stroke:var(--grid)}.bars .axis{stroke:var(--soft)}.bars .range{fill:var(--range)}
.bars .dot{fill:var(--answered)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:16px;margin-top:16px;
align-items:start}
figure{margin:0;min-width:0}
.plot{overflow-x:auto;margin-top:10px}.plot svg{display:block;width:100%;height:auto;max-width:560px;margin:0 auto}
.wide .plot svg{max-width:none;min-width:680px}
svg text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",Arial,sans-serif}
figcaption{color:var(--soft);font-size:.87rem;margin-top:6px}
details{margin-top:14px}summary{cursor:pointer;color:var(--accent);padding:4px 0}
details .scroll{margin-top:8px}
th details{margin-top:2px;font:400 .85rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
"Liberation Sans",sans-serif}
th details ul{padding-left:1.1em;list-style:disc;color:var(--soft)}th li{font-weight:400}
.columns{columns:2 22rem;padding-left:1.2em;font-size:.92rem;color:var(--soft)}
.counts{margin:10px 0 0}
.counts>div{display:flex;justify-content:space-between;gap:16px;padding:4px 0;
border-bottom:1px solid var(--grid);font-size:.92rem}
.counts dt{color:var(--soft)}.counts dd{margin:0}
@media (max-width:34rem){th,td{padding:8px 10px}tbody th{min-width:160px}.topics tbody th{min-width:200px}}
@media print{.scroll,.plot{overflow:visible}figure,tr{break-inside:avoid}}
@media (forced-colors:active){.gauge i{background:CanvasText}}
"""
