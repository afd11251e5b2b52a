"""The tables of docs/performance.md, written from what was measured (the JSON of `python -m benchmarks.performance`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.performance.systems import KINDS, OWN

Measured = Mapping[str, Any]
STAGES = ("question", "search", "read", "decide", "answer", "total")
READERS = {"on": "as served", "cold": "nothing remembered of passages", "off": "no reader"}
# Fields of a size of `benchmarks.scale` that are memory, not disk.
MEMORY = ("own_mb", "mapped_mb")


def tables(measured: Measured) -> dict[str, str]:
    """Write the table of everything that was measured, by name."""
    made: dict[str, str] = {}
    if question := measured.get("question"):
        made |= {
            "question": _systems(question), "stages": _stages(question), "starts": _starts(question),
            "skipped": _skipped(question),
        }  # fmt: skip
    if building := measured.get("build"):
        made |= {"build": _speed(building), "build memory": _embedding_memory(building)}
    if throughput := measured.get("throughput"):
        made |= {"throughput": _levels(throughput), "speed": _speeds(throughput)}
    if growth := measured.get("growth"):
        made["growth"] = _growth(growth)
    if made:
        made["when"] = "\n".join(_when(name, measured[name]) for name in SECTIONS if name in measured)
    return made


SECTIONS = ("question", "build", "throughput", "growth")


def sizes(growth: Any) -> list[Measured]:  # noqa: ANN401
    """Give the sizes that `benchmarks.scale` measured, smallest first: its file is a list, or holds one."""
    found = growth if isinstance(growth, list) else next(value for value in growth.values() if isinstance(value, list))
    return sorted(found, key=lambda one: int(one["passages"]))


def build_seconds(size: Measured) -> float:
    """Add up the seconds that building an index of a size took, its parts one after the other."""
    return float(sum(value for key, value in size.items() if key.endswith("_s")))


def disk_megabytes(size: Measured) -> float:
    """Add up what the files of a size take."""
    return float(sum(value for key, value in size.items() if key.endswith("_mb") and key not in MEMORY))


def memory_megabytes(size: Measured) -> float:
    """Give what the process that searches takes: its own memory and mapped files."""
    return float(sum(size[key] for key in MEMORY))


def _when(name: str, section: Any) -> str:  # noqa: ANN401
    if not isinstance(section, Mapping) or "date" not in section:
        return f"- {name}: from the file of `benchmarks.scale`"
    return f"- {name}: {section['date']}, {section['machine']}, load before {section['load']:.1f}, took {section['took_s']:.0f} s"


def _systems(question: Measured) -> str:
    rows = question["systems"]
    own = rows[OWN]["p50"] if OWN in rows else None
    lines = []
    for name, row in rows.items():
        ratio = "1" if name == OWN else f"{row['p50'] / own:.2f}" if own else "–"
        lines.append(
            [row["what"], *(f"{row[key]:.1f}" for key in ("p50", "p95", "p99")), ratio, f"{row['first']:.1f}",
             f"{row['found']:.3f}", f"{row['memory']['pss']:.0f} / {row['memory']['uss']:.0f}"]
        )  # fmt: skip
    heads = [
        "",
        "p50 ms",
        "p95",
        "p99",
        "p50 / citedesk's",
        "p50 of the first",
        "right article in the first 4",
        "PSS / USS, MB",
    ]
    return table(heads, lines)


def _stages(question: Measured) -> str:
    names = [name for name in (OWN, "no_reader") if name in question["systems"]]
    lines = []
    for stage in STAGES:
        cells = []
        for name in names:
            found = question["systems"][name]["stages"].get(stage)
            cells += [f"{found[key]:.1f}" for key in ("p50", "p95", "p99")] if found else ["–"] * 3
        lines.append([stage, *cells])
    heads = [
        "ms",
        *(f"{key}, {said}" for said in ("reader", "no reader")[: len(names)] for key in ("p50", "p95", "p99")),
    ]
    return table(heads, lines)


def _starts(question: Measured) -> str:
    said = {kind.name: kind.what for kind in KINDS} | {OWN: "`citedesk ask`"}
    own = question["starts"][OWN]["seconds"]
    lines = []
    for name, row in question["starts"].items():
        took = f"{row['memory']['pss']:.0f} / {row['memory']['uss']:.0f}" if "memory" in row else "–"
        lines.append([said[name], f"{row['seconds']:.2f}", f"{row['seconds'] / own:.1f}", took])
    server = question["server"]
    for what, key in (("until /readyz", "ready"), (f"the same after {server['served']} answers", "memory")):
        taken = f"{server[key]['pss']:.0f} / {server[key]['uss']:.0f}"
        seconds = f"{server['seconds']:.2f}" if key == "ready" else "–"
        lines.append([f"`citedesk serve`, {what}", seconds, "–", taken])
    return table(["from the start to the first answer", "s", "/ citedesk's", "PSS / USS at the most, MB"], lines)


def _skipped(question: Measured) -> str:
    said = {kind.name: kind.what for kind in KINDS}
    reasons = [f"- Not measured: {said[name]}: it {why}" for name, why in question["skipped"].items()]
    return "\n".join(reasons) or "All of them could be asked."


def _speed(building: Measured) -> str:
    lines = []
    for name, row in building["speed"].items():
        plain, own = row["sentence_transformers"], row["citedesk"]
        lines.append(
            [name, f"{row['tokens']:.0f}", f"{plain['per_second']:.1f}", f"{own['per_second']:.1f}", f"{row['ratio']:.1f}",
             f"{plain['cpu_ms']:.1f}", f"{own['cpu_ms']:.1f}", f"{row['cpu_ratio']:.1f}", f"{row['cosine']:.4f}"]
        )  # fmt: skip
    heads = [
        "encoder", "tokens a passage", "SentenceTransformer, passages/s", "the build, passages/s", "ratio",
        "core ms a passage", "the build's", "ratio", "cosine of the two",
    ]  # fmt: skip
    return table(heads, lines)


def _embedding_memory(building: Measured) -> str:
    lines = [
        [f"{row['passages']:,}", f"{row['seconds']:.0f}", f"{row['before_mb']:.0f}", f"{row['peak_mb']:.0f}"]
        for row in building["memory"]
    ]
    return table(["passages", "s", "MB after the first batch", "MB at the most"], lines)


def _levels(throughput: Measured) -> str:
    lines = [
        [READERS[row["reader"]], str(row["askers"]), f"{row['answers_per_second']:.1f}", f"{row['p50']:.0f} / {row['p95']:.0f}",
         f"{row['cpu_ms']:.1f}", f"{row['tokens']:.0f}", f"{row['floor_ms']:.1f}", f"{row['floor_per_second']:.0f}",
         f"{row['share']:.2f}"]
        for row in throughput["levels"]
    ]  # fmt: skip
    heads = [
        "reader", "askers", "answers/s", "p50 / p95 ms", "core ms an answer", "tokens run an answer", "floor, ms",
        "floor, answers/s of one core", "share of the time that is floor",
    ]  # fmt: skip
    return table(heads, lines)


def _speeds(throughput: Measured) -> str:
    speed = throughput["speed"]
    return (
        f"One core of this machine does {speed['int8'] / 1e9:.0f} billion multiply-adds a second in 8 bits and "
        f"{speed['float32'] / 1e9:.0f} in float32, in the best of the products tried."
    )


def _growth(growth: Any) -> str:  # noqa: ANN401
    lines = []
    for size in sizes(growth):
        head = [
            f"{size['passages']:,}", f"{build_seconds(size):.1f}", f"{disk_megabytes(size):,.0f}", f"{size['own_mb']:,.0f} + {size['mapped_mb']:,.0f}"
        ]  # fmt: skip
        for row in size["found"]:
            own = [
                row["filter"],
                f"{row['passages']:,}",
                f"{row['recall']:.3f}",
                f"{row['p50']:.1f} / {row['p95']:.1f}",
            ]
            lines.append([*head, *own, f"{row['lexical_p50']:.1f} / {row['lexical_p95']:.1f}"])
            head = [""] * 4
    heads = [
        "passages", "built, s", "disk, MB", "memory, own + mapped, MB", "filter", "lets through", "recall@10",
        "vectors p50 / p95, ms", "BM25 p50 / p95, ms",
    ]  # fmt: skip
    return table(heads, lines)


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table, all but the first column to the right."""
    marks = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, marks, *lines))
