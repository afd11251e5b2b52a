import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import service.reader
from benchmarks.reader import __main__ as command
from benchmarks.reader.data import cut, load
from benchmarks.reader.model import Batch, LateInteraction
from benchmarks.reader.train import Settings
from index.encoder import OnnxEncoder
from index.weights import exported
from ingest.sentences import sentences
from service.reader import Head, LateInteractionReader, Readable, ReaderError, TokenStates
from service.settings import read_settings

LAYERS = (6, 12)


@pytest.fixture(scope="module")
def encoder() -> Path:
    return exported("e5", read_settings().cache)


@pytest.fixture(scope="module")
def states(encoder: Path) -> TokenStates:
    return TokenStates(OnnxEncoder(encoder), LAYERS)


@pytest.fixture(scope="module")
def parameters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parameters of a head that was not trained, but not all zero either."""
    torch.manual_seed(1)
    random = np.random.default_rng(0)
    whitening = [(np.zeros(384, np.float32), random.normal(0, 0.05, (160, 384)).astype(np.float32)) for _ in LAYERS]
    model = LateInteraction(whitening).eval()
    for linear in (model.imp, model.out[-1], model.lin):
        torch.nn.init.normal_(linear.get_parameter("weight"), std=0.1)
    path = tmp_path_factory.mktemp("head") / "reader.npz"
    command.write(command.head_of(model, Settings(layers=LAYERS)), path)
    return path


@pytest.fixture(scope="module")
def reader(encoder: Path, parameters: Path) -> LateInteractionReader:
    return LateInteractionReader(OnnxEncoder(encoder), parameters)


def readable(text: str, title: str = "Withdrawals") -> Readable:
    return Readable(title, (), text, tuple(sentences(text, "en")))


def test_the_last_layer_is_what_the_encoder_makes_its_vectors_of(encoder: Path, states: TokenStates) -> None:
    text = "A withdrawal waits for 24 hours."
    passage = Readable("Kelpex", ("Fees",), text, ((0, len(text)),))
    [found] = states.passages([states.cut_passage(passage)])
    pooled = found[12].mean(axis=0)
    expected = OnnxEncoder(encoder).encode_document([f"Kelpex\nFees\n{text}"])[0]
    assert pooled / np.linalg.norm(pooled) == pytest.approx(expected, abs=1e-5)


def test_a_question_is_cut_at_its_start(states: TokenStates) -> None:
    long = states.cut_question("word " * 200 + "and what does it cost")
    short = states.cut_question("and what does it cost")
    assert len(long.ids) == 64
    assert long.ids[:3] == short.ids[:3]
    assert long.ids[-6:] == short.ids[-6:]


def test_each_token_knows_its_sentence(states: TokenStates) -> None:
    passage = readable("It is free. It takes a day.")
    tokens = states.cut_passage(passage)
    alone = [states.cut_passage(readable(passage.text[start:end])) for start, end in passage.sentences]
    for number, one in enumerate(alone):
        own = [token for token, sentence in zip(tokens.ids, tokens.sentence, strict=True) if sentence == number]
        assert own == [token for token, sentence in zip(one.ids, one.sentence, strict=True) if sentence == 0]


def test_a_passage_is_read_for_itself(reader: LateInteractionReader) -> None:
    passages = [readable("It is free. It takes a day."), readable("Nothing is said here."), readable("Call us.")]
    together = reader.read("how long does it take", passages)
    alone = [reader.read("how long does it take", [passage])[0] for passage in reversed(passages)]
    assert together == alone[::-1]
    assert all(0.0 < reading.answers < 1.0 for reading in together)
    assert [len(reading.sentences) for reading in together] == [2, 1, 1]


def test_the_same_passage_may_be_given_twice(reader: LateInteractionReader) -> None:
    first, other, second = reader.read("is it free", [readable("It is."), readable("It is not."), readable("It is.")])
    assert first == second != other


def test_nothing_to_read_gives_no_reading(reader: LateInteractionReader) -> None:
    assert reader.read("is it free", []) == []


@pytest.mark.parametrize("passage", [Readable("Only a title", (), "", ()), Readable("", (), " ", ((0, 1),))])
def test_a_passage_without_a_word_answers_nothing(reader: LateInteractionReader, passage: Readable) -> None:
    [reading] = reader.read("is it free", [passage])
    assert reading.answers == 0.0
    assert len(reading.sentences) == len(passage.sentences)


def test_a_sentence_that_is_cut_off_comes_last(reader: LateInteractionReader) -> None:
    [reading] = reader.read("is it free", [readable("It takes a day or two. " * 200)])
    assert len(reading.sentences) == 200
    assert reading.sentences[-1] < min(reading.sentences[:20])


def test_it_computes_what_was_trained(states: TokenStates, parameters: Path) -> None:
    with np.load(parameters) as file:
        tensors = {name: torch.from_numpy(file[name].astype(np.float32)) for name in file.files if name != "layers"}
    whitening = [(np.zeros(384, np.float32), np.zeros((160, 384), np.float32)) for _ in LAYERS]
    model = LateInteraction(whitening).eval()
    model.load_state_dict(tensors)
    passage = readable("Withdrawals are free. They take ten minutes, or a day to a new address.")
    tokens = states.cut_passage(passage)
    question, [there] = states.question("how long does it take"), states.passages([tokens])
    marks = np.array(tokens.sentence)
    groups = [np.flatnonzero(marks == number) for number in range(2)]
    padded = np.zeros((2, max(map(len, groups))), np.int64)
    for row, group in zip(padded, groups, strict=True):
        row[: len(group)] = group
    real = np.arange(padded.shape[1]) < np.array([[len(group)] for group in groups])
    own = torch.ones(1, len(question[12]))
    own[0, :3] = own[0, -1] = 0
    batch = Batch(
        tuple(torch.from_numpy(question[layer][None]) for layer in LAYERS),
        own,
        torch.ones_like(own),
        tuple(torch.from_numpy(there[layer]) for layer in LAYERS),
        torch.zeros(len(marks), dtype=torch.int64),
        torch.from_numpy(padded),
        torch.zeros(2, dtype=torch.int64),
        torch.from_numpy(real),
    )
    with torch.no_grad():
        logits, scores = model(batch)
    head = Head.open(parameters)
    reading = head.reading(head.question(question), head.passage(there, tokens.sentence, 2))
    assert reading.answers == pytest.approx(float(torch.sigmoid(logits[0])), abs=1e-4)
    assert reading.sentences == pytest.approx(scores[0].tolist(), abs=1e-3)


def test_missing_parameters_are_named(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match=r"none\.npz"):
        LateInteractionReader(OnnxEncoder(encoder), tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive"])
def test_damaged_parameters_are_named(encoder: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "reader.npz"
    path.write_bytes(content)
    with pytest.raises(ReaderError, match=r"reader\.npz"):
        LateInteractionReader(OnnxEncoder(encoder), path)


def test_another_encoder_is_refused(parameters: Path) -> None:
    with pytest.raises(ReaderError, match="minilm"):
        LateInteractionReader(OnnxEncoder(exported("minilm", read_settings().cache)), parameters)


def test_passages_are_whole_sentences_of_at_most_120_words() -> None:
    page = cut("p", "Title", "One two three four five six seven eight nine ten. " * 30)
    assert [len(passage.text.split()) for passage in page.passages] == [120, 120, 60]
    assert all(passage.text.endswith(".") for passage in page.passages)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two pages with questions, in the shape of help_questions; one is fitted on, one reported on."""
    folder = tmp_path / "data" / "help_questions"
    folder.mkdir(parents=True)
    pages, questions = [], []
    for number, split in enumerate(("fit", "report")):
        lines = [f"Network {at} of page {number} takes {at + 2} minutes and costs {at + 3} euros." for at in range(12)]
        pages.append({"id": f"page-{number}", "title": f"Networks {number}", "text": " ".join(lines)})
        for at, line in enumerate(lines):
            common = {"article_id": f"page-{number}", "language": "en", "split": split}
            questions += [
                {"id": f"{number}-{at}", "question": f"how long does network {at} take", "answerable": True, "span": line, **common},
                {"id": f"{number}-{at}-no", "question": f"who owns network {at}", "answerable": False, "span": None, **common},
            ]  # fmt: skip
    for name, rows in (("pages.jsonl", pages), ("questions.jsonl", questions)):
        (folder / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path / "data"


def test_the_gold_of_a_question_is_the_sentence_that_holds_its_span(data: Path) -> None:
    for asked in load(data):
        found = [
            asked.page.passages[passage].text[slice(*asked.page.passages[passage].sentences[sentence])]
            for passage, sentence in asked.gold
        ]
        number = asked.question.split()[-2 if asked.question.endswith("take") else -1]
        assert [line.split()[1] for line in found] == ([number] if asked.question.endswith("take") else [])


def test_one_command_fits_writes_and_reports(
    data: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "reader.npz"
    arguments = ["reader", "--data", str(data), "--encoder", str(encoder), "--work", str(tmp_path / "work")]
    monkeypatch.setattr("sys.argv", [*arguments, "--out", str(out)])
    command.main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| fitted")]
    assert [row[1] for row in rows] == ["help_questions", "— English", "bared: help_questions"]
    assert LateInteractionReader(OnnxEncoder(encoder), out).read("is it free", [readable("It is.")])[0].answers > 0


PAGE = (
    "Withdrawals leave Kelpex every ten minutes. The network fee for bitcoin is 0.0002 BTC. A new address can be used "
    "after 24 hours. Only the account's owner can add one, in the menu Security. If a withdrawal is stuck, write to the "
    "help desk."
)


@pytest.fixture(scope="module")
def shipped(encoder: Path) -> LateInteractionReader:
    return LateInteractionReader(OnnxEncoder(encoder))


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("how often are withdrawals sent", 0),
        ("what do i pay to send btc out", 1),
        ("wie hoch ist die gebühr", 1),
        ("手续费是多少", 1),
        ("how long till i can use an address i just added", 2),
        ("quanto tempo até poder usar um endereço novo", 2),
        ("who do i contact when its stuck", 4),
    ],
)
def test_the_shipped_reader_finds_the_sentence_that_answers(
    shipped: LateInteractionReader, question: str, sentence: int
) -> None:
    [reading] = shipped.read(question, [readable(PAGE)])
    assert int(np.argmax(reading.sentences)) == sentence


@pytest.mark.parametrize("question", ["can i pay with paypal", "what is the daily limit", "is there a referral bonus"])
def test_the_shipped_reader_doubts_what_is_not_said(shipped: LateInteractionReader, question: str) -> None:
    [said] = shipped.read("how long till i can use an address i just added", [readable(PAGE)])
    [unsaid] = shipped.read(question, [readable(PAGE)])
    assert unsaid.answers < 0.2 < said.answers


def test_the_shipped_reader_prefers_the_passage_that_answers(shipped: LateInteractionReader) -> None:
    other = readable("The card is made of steel. It weighs twelve grams. You may choose its colour.", "Cards")
    first, second = shipped.read("is the card heavy", [readable(PAGE), other])
    assert first.answers < second.answers
    assert max(first.sentences) < max(second.sentences)


def test_several_may_read_at_once(encoder: Path, parameters: Path, reader: LateInteractionReader, monkeypatch) -> None:
    asked = ["How long does a withdrawal take?", "What is the fee?", "Who may trade?", "Where is my deposit?"]
    passages = [readable(f"Number {n}. A withdrawal takes {n} hours. It is free.") for n in range(40)]
    alone = [[reading.answers for reading in reader.read(question, passages)] for question in asked]
    monkeypatch.setattr(service.reader, "REMEMBERED", 5)  # so that they push out one another's passages
    fresh = LateInteractionReader(OnnxEncoder(encoder), parameters)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda question: [r.answers for r in fresh.read(question, passages)], asked))
    assert together == alone
