"""FAQ pairs that show only in the text: ``Q:`` and ``A:`` lines, questions in a FAQ, and what JSON-LD confirms."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ingest.labels import FAQ_LABEL
from ingest.sections import Block
from ingest.shapes import is_question, word_count

# A single letter other than Q and A needs a colon: "D. " and "S) " are more often items of a list.
_QUESTION = re.compile(
    r"\A(?:(?:Q|Question)\s*\.?\s*\d{0,3}\s*[:：.)–—]|"
    r"(?:Pregunta|Pergunta|Frage|Domanda|Вопрос|Soru|Pytanie|[PFDВS问問质س質]|质问|質問|질문|سؤال|प्रश्न|प्र)\s*\d{0,3}\s*[:：]|"
    r"[QＱ][、．])\s*(?=\S)",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"\A(?:(?:A|Answer)\s*\.?\s*\d{0,3}\s*[:：.)–—]|"
    r"(?:Respuesta|Resposta|Réponse|Antwort|Risposta|Ответ|Cevap|Odpowiedź|[RОCج答]|回答|답변|답|جواب|الجواب|उत्तर|उ)\s*\d{0,3}\s*[:：]|"
    r"[AＡ][、．])\s*(?=\S)",
    re.IGNORECASE,
)


def pair_up(blocks: Sequence[Block], known: Mapping[str, str]) -> list[Block]:
    """Join questions and answers that stand in blocks of their own into ``faq`` blocks.

    :param known: The page's own list of questions and answers (JSON-LD). It confirms pairs that are on the page;
        it adds none, since a citation has to open at a text that can be seen.
    """
    folded = {fold(question): fold(answer) for question, answer in known.items()}
    paired = _confirmed(blocks, folded) if folded else blocks
    return _asked_in_faq(_labelled(_split_lines(paired)))


def fold(text: str) -> str:
    """Give the letters and digits of a text, to compare two writings of it."""
    return re.sub(r"[\W_]+", "", text.casefold())


def _confirmed(blocks: Sequence[Block], known: Mapping[str, str]) -> list[Block]:
    """Join a question of JSON-LD with the blocks after it that its answer holds."""
    out: list[Block] = []
    index = 0
    while index < len(blocks):
        block = blocks[index]
        text = _QUESTION.sub("", block.text, count=1)
        answer = known.get(fold(text)) if block.kind in ("heading", "prose") else None
        end = index + 1
        while answer and end < len(blocks) and blocks[end].kind in ("prose", "steps", "table"):
            part = fold(_ANSWER.sub("", blocks[end].text, count=1))
            if not part or not (
                part in answer or fold(re.sub(r"(?m)^\s*(?:- |\d+\. )", "", blocks[end].text)) in answer
            ):
                break
            end += 1
        if end > index + 1:
            lines = "\n".join(part.text for part in blocks[index + 1 : end])
            out.append(Block("faq", _ANSWER.sub("", lines, count=1), anchor=block.anchor, question=text))
            index = end
        else:
            out.append(block)
            index += 1
    return out


def _split_lines(blocks: Sequence[Block]) -> list[Block]:
    """Give ``Q:`` and ``A:`` lines that share a paragraph a block each."""
    out: list[Block] = []
    for block in blocks:
        lines = block.text.split("\n")
        starts = [0, *(at for at in range(1, len(lines)) if _QUESTION.match(lines[at]) or _ANSWER.match(lines[at]))]
        if block.kind != "prose" or not any(_QUESTION.match(line) for line in lines):
            out.append(block)
            continue
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            out.append(replace(block, text="\n".join(lines[start:end])))
    return out


def _labelled(blocks: Sequence[Block]) -> list[Block]:
    """Join a ``Q:`` block with the ``A:`` block after it, and what follows up to the next question or heading."""
    out: list[Block] = []
    index = 0
    while index < len(blocks):
        block = blocks[index]
        follows = blocks[index + 1] if index + 1 < len(blocks) else None
        is_pair = (
            block.kind in ("prose", "heading")
            and _QUESTION.match(block.text)
            and follows is not None
            and follows.kind == "prose"
            and (_ANSWER.match(follows.text) or is_question(block.text))
        )
        if not is_pair:
            out.append(block)
            index += 1
            continue
        end = index + 2
        while (
            end < len(blocks)
            and blocks[end].kind in ("prose", "steps", "table")
            and not _QUESTION.match(blocks[end].text)
        ):
            end += 1
        question = " ".join(_QUESTION.sub("", block.text, count=1).split("\n"))
        answer = "\n".join(part.text for part in blocks[index + 1 : end])
        out.append(Block("faq", _ANSWER.sub("", answer, count=1), anchor=block.anchor, question=question))
        index = end
    return out


def _asked_in_faq(blocks: Sequence[Block]) -> list[Block]:
    """Under a FAQ heading, join a paragraph that is a question with what follows it up to the next one."""
    out: list[Block] = []
    level = 0  # of the FAQ heading that we are under; 0 outside
    index = 0
    while index < len(blocks):
        block = blocks[index]
        index += 1
        if block.kind in ("heading", "end"):
            if level and block.level <= level:
                level = 0
            if block.kind == "heading" and not level and FAQ_LABEL.search(block.text):
                level = block.level
        if not level or not _asks(block):
            out.append(block)
            continue
        end = index
        while end < len(blocks) and blocks[end].kind in ("prose", "steps", "table") and not _asks(blocks[end]):
            end += 1
        answer = "\n".join(part.text for part in blocks[index:end])
        if answer:
            out.append(Block("faq", answer, anchor=block.anchor, question=block.text))
            index = end
        else:
            out.append(block)
    return out


def _asks(block: Block) -> bool:
    one_line = block.kind == "prose" and "\n" not in block.text and not block.text.startswith("- ")
    return one_line and is_question(block.text) and word_count(block.text) <= 40
