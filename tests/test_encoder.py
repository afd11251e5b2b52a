import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs
import pytest
from sentence_transformers import SentenceTransformer

from index import export, graph, weights
from index.encoder import Card, EncoderError, OnnxEncoder

CACHE = Path(os.environ.get("CITEDESK_CACHE") or platformdirs.user_cache_dir("citedesk")) / "encoders"
ROOT = Path(__file__).resolve().parent.parent

E5_FLOOR = 0.998  # measured on TEXTS on 2026-11-22: .9989 at the least
MINILM_FLOOR = 0.985  # likewise: .9890, on languages that it was not made for; English .9970

TEXTS = [
    "How do I withdraw USDT to another wallet?",
    "Warum wurde meine Position liquidiert, obwohl der Kurs den Liquidationspreis nicht erreicht hat?",
    "¿Cuánto tarda en acreditarse un depósito de Bitcoin?",
    "資金調達率はいつ支払われますか?",
    "为什么我的提现被暂停了?",
    "Как отключить двухфакторную аутентификацию?",
    "كيف يمكنني تغيير عنوان السحب؟",
    "मेरा KYC अस्वीकार क्यों हुआ?",
    "ฉันจะรีเซ็ตรหัสผ่านได้อย่างไร",
    "x",
    "The funding fee is exchanged between long and short positions every 8 hours (00:00, 08:00 and 16:00 UTC). " * 6,
]
ODD = [
    "",
    "   ",
    "\x00",
    "a\x00b\x07c\x7f",
    "tab\tnew\nline\r\n\u2028sep\u00a0nbsp\u3000wide",
    "e\u0301 \u00e9 \ufb01nance \u2122 \u00bd \uff21\uff22\uff23 \u212b \u2460 \u33a2",
    "\u200b\u200d\ufeffzero\u00adwidth",
    "👩‍👩‍👧 🏳️‍🌈 🇩🇪 🧑🏽‍🚀 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𓀀",
    "▁ ▁▁ _a_",
    "שלום עולם مرحبا بالعالم 한국어 가각 ไทย हिन्दी தமிழ் ქართული አማርኛ",
    "0x71C7656EC7ab88b098defB751B7401B5f6d8976F https://x.example/?a=1&b=%20#c",
    "x" * 700,
    "!!!???...---***",
]


@pytest.fixture(scope="session")
def minilm() -> Path:
    return weights.exported("minilm", CACHE)


@pytest.fixture(scope="session")
def e5() -> Path:
    return weights.exported("e5", CACHE)


@pytest.fixture(scope="module")
def by_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a sentence-transformers folder is exported to, in a cache of its own."""
    return weights.exported(str(weights.packaged("minilm").parent), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def encoder(minilm: Path) -> OnnxEncoder:
    return OnnxEncoder(minilm)


@pytest.fixture(scope="session")
def float_e5() -> SentenceTransformer:
    return export.load("e5")


@pytest.fixture
def copy(minilm: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(minilm, tmp_path / "encoder"))


def cosines(left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (left * right).sum(axis=1)


def test_e5_stays_near_float32_in_many_languages(e5: Path, float_e5: SentenceTransformer) -> None:
    encoder = OnnxEncoder(e5)
    passages = cosines(encoder.encode_document(TEXTS), float_e5.encode_document(TEXTS))
    queries = cosines(encoder.encode_query(TEXTS), float_e5.encode_query(TEXTS))
    assert min(passages.min(), queries.min()) > E5_FLOOR


def test_minilm_stays_near_float32(encoder: OnnxEncoder) -> None:
    float32 = export.load("minilm").encode_document(TEXTS)
    assert cosines(encoder.encode_document(TEXTS), float32).min() > MINILM_FLOOR


def test_e5_tokenizes_as_sentence_transformers_does(e5: Path, float_e5: SentenceTransformer) -> None:
    ours = OnnxEncoder(e5)._tokenize([*TEXTS, *ODD])
    theirs = [float_e5.tokenizer(text, truncation=True, max_length=512)["input_ids"] for text in [*TEXTS, *ODD]]
    assert ours == theirs


def test_half_width_kana_are_composed_as_in_xlm_r(e5: Path) -> None:
    half, full = OnnxEncoder(e5)._tokenize(["\uff8a\uff9e\uff77\uff9e", "バギ"])  # tokenizers' rules leave these apart
    assert half == full


def test_four_bit_blocks_hold_the_words_of_e5_without_loss(float_e5: SentenceTransformer) -> None:
    table = float_e5[0].auto_model.get_input_embeddings().weight.detach().numpy()[::97]
    values, scale = graph.in_blocks(table, 4)
    nibbles = np.stack([values & 15, values >> 4], axis=2).reshape(len(table), -1, graph.BLOCK).astype(np.float32)
    assert np.array_equal(((nibbles - 8) * scale[:, :, None]).reshape(table.shape), table)


def test_queries_and_documents_get_their_own_prompt(e5: Path) -> None:
    encoder = OnnxEncoder(e5, verify=False)
    assert (encoder.card.query_prompt, encoder.card.document_prompt) == ("query: ", "passage: ")
    assert cosines(encoder.encode_query(["fees"]), encoder.encode_document(["fees"]))[0] < 0.999


def test_rows_are_float32_of_unit_length(encoder: OnnxEncoder) -> None:
    vectors = encoder.encode_document([*TEXTS, *ODD])
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS) + len(ODD), encoder.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_its_neighbours_or_their_order(encoder: OnnxEncoder) -> None:
    together = encoder.encode_document(TEXTS)
    assert np.array_equal(encoder.encode_document(TEXTS[::-1]), together[::-1])
    assert np.array_equal(np.concatenate([encoder.encode_document([text]) for text in TEXTS]), together)


def test_no_text_gives_no_rows(encoder: OnnxEncoder) -> None:
    assert encoder.encode_query([]).shape == (0, encoder.dimension)


def test_a_very_long_text_is_cut_at_the_models_length(encoder: OnnxEncoder) -> None:
    words = "withdrawal fee " * 20_000
    cut = "withdrawal fee " * encoder.card.max_tokens
    assert np.array_equal(encoder.encode_document([words]), encoder.encode_document([cut]))


def test_a_lone_surrogate_is_no_error(encoder: OnnxEncoder) -> None:
    assert np.array_equal(encoder.encode_query(["fee \ud800"]), encoder.encode_query(["fee ?"]))


def test_progress_counts_every_document(encoder: OnnxEncoder) -> None:
    counts: list[int] = []
    encoder.encode_document(TEXTS, counts.append)
    assert sum(counts) == len(TEXTS)


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json", "encoder.json"])
def test_a_damaged_file_is_refused_by_name(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(EncoderError, match=f"{name}.*citedesk build"):
        OnnxEncoder(copy)


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json", "encoder.json"])
def test_a_missing_file_is_refused_by_name(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(EncoderError, match=f"{name}.*citedesk build"):
        OnnxEncoder(copy)


def test_cut_weights_are_refused_without_reading_them(copy: Path) -> None:
    os.truncate(copy / "model.onnx.data", 4096)
    with pytest.raises(EncoderError, match=r"model\.onnx cannot be opened"):
        OnnxEncoder(copy, verify=False)


def test_a_folder_of_a_later_format_is_refused(copy: Path) -> None:
    text = (copy / "encoder.json").read_text(encoding="utf-8")
    (copy / "encoder.json").write_text(text.replace('"format": 1', '"format": 2'), encoding="utf-8")
    with pytest.raises(EncoderError, match="format 2"):
        OnnxEncoder(copy)


@pytest.mark.parametrize("name", ["e5", "minilm"])
def test_weights_with_a_wrong_checksum_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / Path(weights.SOURCES[name].path).name
    data = bytearray(weights.packaged(name).read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(EncoderError, match=f"{path.name} is not the file that was measured"):
        export.read(name, path)


def test_an_unknown_name_says_what_to_do() -> None:
    with pytest.raises(EncoderError, match=r"neither e5 nor minilm.* path of its folder"):
        export.load("no/such-model")


def test_a_sentence_transformers_folder_is_exported_under_its_own_name(by_folder: Path, encoder: OnnxEncoder) -> None:
    model = weights.packaged("minilm").parent
    assert Card.read(by_folder).name == model.name
    assert str(by_folder.parent.parent) not in (by_folder / "encoder.json").read_text(encoding="utf-8")
    assert np.array_equal(OnnxEncoder(by_folder).encode_query(TEXTS[:2]), encoder.encode_query(TEXTS[:2]))
    written = by_folder.stat().st_mtime_ns
    assert weights.exported(str(model), by_folder.parent) == by_folder
    assert by_folder.stat().st_mtime_ns == written
    assert list(by_folder.parent.iterdir()) == [by_folder]


def test_export_leaves_an_existing_folder_alone(copy: Path) -> None:
    with pytest.raises(EncoderError, match="exists already"):
        export.export("minilm", copy)
    OnnxEncoder(copy)


def test_the_exported_folder_holds_no_path_of_this_machine(minilm: Path) -> None:
    for path in minilm.iterdir():
        data = path.read_bytes()
        assert str(ROOT).encode() not in data
        assert b"site-packages" not in data


@pytest.mark.parametrize("name", ["e5", "minilm"])
def test_encoding_a_query_imports_no_training_library(name: str, request: pytest.FixtureRequest) -> None:
    program = (
        "import sys; from pathlib import Path; from index.encoder import OnnxEncoder\n"
        "assert OnnxEncoder(Path(sys.argv[1])).encode_query(['fees']).shape == (1, 384)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    folder = str(request.getfixturevalue(name))
    done = subprocess.run([sys.executable, "-c", program, folder], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "sentence_transformers", "onnx", "scipy"} & set(done.stdout.split())


def test_finding_an_exported_encoder_imports_no_training_library(minilm: Path, by_folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from index.weights import exported\n"
        "print(exported('minilm', Path(sys.argv[1]))); print(exported(sys.argv[2], Path(sys.argv[3])))\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    model = str(weights.packaged("minilm").parent)
    command = [sys.executable, "-c", program, str(CACHE), model, str(by_folder.parent)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    *found, modules = done.stdout.splitlines()
    assert found == [str(minilm), str(by_folder)]
    assert not {"torch", "transformers", "sentence_transformers", "onnx", "onnxruntime"} & set(modules.split())


def test_other_files_of_a_folder_are_another_encoder(tmp_path: Path) -> None:
    model = Path(shutil.copytree(weights.packaged("minilm").parent, tmp_path / "model"))
    first = weights._weights_digest(str(model))
    settings = model / "config_sentence_transformers.json"
    text = settings.read_text(encoding="utf-8") if settings.exists() else "{}"
    settings.write_text(text + " ", encoding="utf-8")
    assert weights._weights_digest(str(model)) != first
