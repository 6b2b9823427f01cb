# Plain `make` lists the targets. A tutorial passes these on: DATA=tiny|official RECIPE=study|original SEED=N
# SEEDS=N (a run for each of the seeds 0 to N-1, then their mean) DEVICE=auto|cpu|cuda|mps NPROC=N (processes, by
# torchrun) RESUME=1, and ARGS="…" for any other option.
.DEFAULT_GOAL := help
VENV ?= .venv
LATEST ?= .venv-latest
BIN = $(1)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)/$(2)
PYTHON_IN = $(call BIN,$(1),python)
PY := $(call PYTHON_IN,$(VENV))

OPTIONS = $(if $(DATA),--data $(DATA)) $(if $(RECIPE),--recipe $(RECIPE)) $(if $(SEEDS),--seed $$seed,$(if $(SEED),--seed $(SEED))) \
  $(if $(DEVICE),--device $(DEVICE)) $(if $(filter-out 0,$(RESUME)),--resume) $(ARGS)
# $(call RUN,module): in one process, or in NPROC of them.
RUN = $(PY) -m $(if $(filter-out 1,$(NPROC)),tutorials.common.torchrun $(NPROC) )$(1)
# $(call EACH,command): once, or with SEEDS=5 for each of the seeds 0 to 4 until one fails, and then their mean ± sd.
EACH = $(if $(SEEDS),$(if $(findstring --run-dir,$(ARGS)),$(error SEEDS: each seed has a folder of its own; leave out --run-dir)) \
  seed=0; while [ $$seed -lt $(SEEDS) ]; do $(1) || exit; seed=$$((seed + 1)); done; \
  $(PY) -m tutorials.common.scorecard --seeds $(SEEDS) $@,$(1))

STUDIES = fully-connected initialization batchnorm dropout convnet captioning

##@ Start here
study: setup ## run every tutorial on its tiny twin, offline, and show a table: the main job
	@$(PY) -m tutorials.common.study

test: setup ## run all tests and the style check
	@$(call BIN,$(VENV),ruff) check .
	@$(call BIN,$(VENV),ruff) format --check .
	@$(PY) -m pytest -n 2 -m "not browser and not notebooks" $(ARGS)
	@echo "left out: what needs a browser (make test-browser), and notebooks that take longer (make test-notebooks)"

tensorboard: setup ## serve the dashboards of all runs on localhost:6006
	@$(PY) -m tutorials.common.dashboard --logdir runs --load_fast=false --port $(or $(PORT),6006)

##@ Tutorials
cifar10: setup ## train a classifier on CIFAR-10
	@$(call EACH,$(call RUN,tutorials.cifar10) $(OPTIONS))

predict-cifar10: need-image setup ## classify your own picture with the trained net: IMAGE=photo.jpg
	@$(PY) -m tutorials.cifar10 --image "$(IMAGE)" $(ARGS)

pretrained: setup ## compare AlexNet, VGG, ResNet and DenseNet: cost, accuracy, robustness (DATA=official: 6 GB of weights)
	@$(call EACH,$(PY) -m tutorials.pretrained $(OPTIONS))

predict: need-image setup ## what ImageNet's models see in your own picture: IMAGE=photo.jpg MODELS="resnet18 squeezenet1_0"
	@$(PY) -m tutorials.pretrained --image "$(IMAGE)" $(if $(MODELS),--models $(MODELS)) $(ARGS)

transfer: setup ## fine-tune a pretrained net and keep it frozen, on ants and bees or your folders: IMAGES=dir MODEL=resnet50
	@$(call EACH,$(call RUN,tutorials.transfer_learning) $(if $(IMAGES),--images "$(IMAGES)") $(if $(MODEL),--model $(MODEL)) $(OPTIONS))

predict-transfer: need-image setup ## classify your own picture with the net that make transfer saved: IMAGE=photo.jpg
	@$(PY) -m tutorials.transfer_learning --image "$(IMAGE)" $(ARGS)

names: setup ## tell the language of names, letter by letter; of your own lines: FOLDER=dir
	@$(call EACH,$(call RUN,tutorials.char_rnn) $(OPTIONS) $(if $(FOLDER),--folder "$(FOLDER)"))

predict-names: setup ## the three likeliest languages of a name: NAME=Satoshi
	@$(PY) -m tutorials.char_rnn --name="$$NAME" $(ARGS)

race-names: setup ## time a step against the original's loop over single names: DATA=official
	@$(PY) -m tests.race_names $(if $(DATA),--data $(DATA)) $(ARGS)

sentiment: setup ## tell the topic of news; of any csv of labels and texts: CSV="file.csv …" (TEST=file.csv)
	@$(call EACH,$(call RUN,tutorials.text_sentiment) $(OPTIONS) $(if $(CSV),--csv $(CSV)) $(if $(TEST),--test-csv "$(TEST)"))

predict-news: setup ## the class of your own text, with probabilities: TEXT="Stocks fell …"
	@$(PY) -m tutorials.text_sentiment --text="$$TEXT" $(ARGS)

race-sentiment: setup ## time an epoch against the original's way, on 120,000 generated news
	@$(PY) -m tests.race_sentiment $(ARGS)

seq2seq: setup ## translate French to English with GRUs and attention; your own pairs: PAIRS=file.tsv
	@$(call EACH,$(call RUN,tutorials.seq2seq) $(OPTIONS) $(if $(PAIRS),--pairs "$(PAIRS)"))

translate-fr: setup ## translate a French sentence, and see where the net looked: TEXT="Je suis fatigué."
	@$(PY) -m tutorials.seq2seq --text="$$TEXT" $(ARGS)

translation: setup ## translate German to English with nn.Transformer; your own files: SOURCE=file.de TARGET=file.en
	@$(call EACH,$(call RUN,tutorials.translation) $(OPTIONS) $(if $(SOURCE),--source "$(SOURCE)") $(if $(TARGET),--target "$(TARGET)"))

translate-de: setup ## translate a German sentence, and see where the net looked: TEXT="Ein Hund läuft."
	@$(PY) -m tutorials.translation --text="$$TEXT" $(ARGS)

race-translation: setup ## time decoding against the original's, sentence by sentence, with the newest saved net: DATA=official
	@$(PY) -m tests.race_translation $(if $(DATA),--data $(DATA)) $(ARGS)

language-model: setup ## a transformer that writes like Wikipedia, trained on WikiText-2
	@$(call EACH,$(call RUN,tutorials.language_model) $(OPTIONS))

generate: setup ## let the language model go on writing: TEXT="The river"
	@$(PY) -m tutorials.language_model --text="$$TEXT" $(ARGS)

ablate-language-model: setup ## what each change of the language model's recipe gives: ARGS="--minutes 3 --data official"
	@$(PY) -m tests.ablate_language_model $(ARGS)

demo: setup ## try the trained nets on a local page: PORT=7860
	@$(PY) -m tutorials.demo --port $(or $(PORT),7860) $(ARGS)

need-image:
	@: $(or $(IMAGE),$(error give the picture: IMAGE=photo.jpg))

##@ By hand, in NumPy
from-scratch: $(STUDIES) ## run all six studies of the CS231n assignment, one after another

fully-connected: setup ## nets of any depth, all update rules, the best fully connected net
	@$(call EACH,$(PY) -m from_scratch.studies.fully_connected $(OPTIONS))

initialization: setup ## what the first weights do to activations, gradients and training
	@$(call EACH,$(PY) -m from_scratch.studies.initialization $(OPTIONS))

batchnorm: setup ## batch and layer normalisation: depth, weight scale, batch size
	@$(call EACH,$(PY) -m from_scratch.studies.batchnorm $(OPTIONS))

dropout: setup ## dropout against overfitting
	@$(call EACH,$(PY) -m from_scratch.studies.dropout $(OPTIONS))

convnet: setup ## convolutional nets: three layers in one epoch, and a deep one
	@$(call EACH,$(PY) -m from_scratch.studies.convnet $(OPTIONS))

captioning: setup ## captions by an RNN, an LSTM and a transformer; words against characters
	@$(call EACH,$(PY) -m from_scratch.studies.captioning $(OPTIONS))

caption-features: setup ## compute the features of Flickr8k's photographs (once; downloads 1.1 GB)
	@$(PY) -m from_scratch.studies.features $(ARGS)

bench-from-scratch: setup ## time the hand-written layers against naive loops and torch, on one thread
	@$(PY) -m from_scratch.studies.bench $(ARGS)

##@ Parity with torch
parity: setup ## hold every hand-written gradient against torch, and the tests against planted mistakes
	@$(PY) -m comparisons $(ARGS)

parity-report: setup ## write the table of parity with its figures as Markdown and as a page, below runs/parity
	@$(PY) -m comparisons.report $(ARGS)

parity-latest: $(LATEST)/.ready ## make parity with the newest torch, in an environment of its own
	@$(call PYTHON_IN,$(LATEST)) -m comparisons $(ARGS)

race: setup ## train a NumPy net beside its torch twin, on one dashboard: NET="CaptioningRNN, lstm"
	@$(PY) -m comparisons.race $(if $(NET),--net "$(NET)") $(if $(DATA),--data $(DATA)) $(if $(SEED),--seed $(SEED)) $(ARGS)

exercises: setup ## list the layers that you can write yourself, in the course's order
	@$(PY) -m comparisons.exercise --list

exercise: setup ## write a layer yourself until its case is green: LAYER=batchnorm_backward
	@$(PY) -m comparisons.exercise $(LAYER) $(ARGS)

##@ Data
data-list: setup ## show every data set: present or not, size, licence, used by
	@$(PY) -m data list $(ARGS)

data-%: setup ## download, verify and unpack one data set: data-cifar10, data-names, …
	@$(PY) -m data fetch $* $(FILES) $(ARGS)

##@ Results
scorecard: setup ## keep the summaries of official runs in docs/results and write the README's table from them
	@$(PY) -m tutorials.common.scorecard

book: setup ## build the study book, a site that needs no network, from the scripts and the runs: runs/book/index.html
	@$(PY) -m docs.book $(ARGS)

notebooks: setup ## write every tutorial as a notebook, below runs/notebooks
	@$(PY) -m docs.notebooks $(ARGS)

##@ Upkeep
setup: $(VENV)/.ready$(TORCH:%=-%) ## build .venv from requirements.lock unless it is current (TORCH=cpu: torch without CUDA)

test-browser: setup ## run the tests that look at pages in a headless Chromium of this machine
	@$(PY) -m pytest -m browser -rs $(ARGS)

test-notebooks: setup ## run every notebook top to bottom on its tiny twin
	@$(PY) -m pytest -n 2 -m notebooks $(ARGS)

test-latest: $(LATEST)/.ready ## run the tests with the newest torch, in an environment of its own
	@$(call PYTHON_IN,$(LATEST)) -m pytest -n 2 $(ARGS)

lint: setup ## mend the style of the code, and say what cannot be mended
	@$(call BIN,$(VENV),ruff) format .
	@$(call BIN,$(VENV),ruff) check --fix .

lock: ## write requirements.lock anew from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --universal --generate-hashes --all-extras --python-version 3.11 --upgrade \
	  --no-emit-index-url --no-annotate --custom-compile-command "make lock" --quiet --output-file requirements.lock

clean: ## remove environments and caches; data and runs stay
	@rm -rf $(VENV) $(LATEST) .pytest_cache .ruff_cache .hypothesis .benchmarks
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9%-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo

# --- environments: uv where it is present, else the first Python 3.11 or 3.12 with venv and pip ---
# $(call CREATE,folder): a fresh virtual environment, or one line that says what is missing.
define CREATE
found=; \
for python in "$(PYTHON)" python3 python3.12 python3.11 python; do \
  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in {(3, 11), (3, 12)})' 2>/dev/null; \
  then found=$$python; break; fi; \
done; \
if command -v uv >/dev/null 2>&1; then uv venv --quiet --clear --python "$${found:-3.12}" $(1); \
elif [ -n "$$found" ]; then "$$found" -m venv --clear $(1); \
else echo "setup: needs Python 3.11 or 3.12 with the venv module (Debian: apt install python3-venv), or uv, which gets one. Name yours with PYTHON=/path/to/python." >&2; exit 1; fi
endef
# $(call INSTALL,folder): the installer of that environment.
INSTALL = $$(command -v uv >/dev/null 2>&1 && echo "uv pip install --quiet --python $(call PYTHON_IN,$(1))" \
  || echo "$(call PYTHON_IN,$(1)) -m pip install --quiet --disable-pip-version-check")

$(VENV)/.ready: requirements.lock
	@echo "setup: building $(VENV) from requirements.lock (once; 3 GB to download on Linux, see README.md)"
	@$(call CREATE,$(VENV))
	@$(call INSTALL,$(VENV)) --require-hashes -r requirements.lock
	@touch $@

# The CPU builds of torch have other hashes than the lock, and come by uv, which knows where PyTorch keeps them.
$(VENV)/.ready-cpu: requirements.lock
	@echo "setup: building $(VENV) with the CPU build of torch"
	@$(call CREATE,$(VENV))
	@command -v uv >/dev/null 2>&1 || $(PY) -m pip install --quiet --target $(VENV)/uv uv
	@PATH="$(VENV)/uv/bin:$$PATH" uv pip install --python $(PY) --torch-backend cpu --no-verify-hashes \
	  --constraint requirements.lock --requirement pyproject.toml --all-extras
	@touch $@ $(VENV)/.ready

$(LATEST)/.ready: pyproject.toml
	@echo "setup: building $(LATEST) with the newest packages that pyproject.toml allows"
	@$(call CREATE,$(LATEST))
	@$(call INSTALL,$(LATEST)) --upgrade ".[test]" && rm -rf build pytorch_study.egg-info
	@touch $@

.PHONY: study test tensorboard from-scratch $(STUDIES) caption-features bench-from-scratch \
  parity parity-report parity-latest race exercises exercise cifar10 predict-cifar10 pretrained predict transfer \
  predict-transfer names predict-names race-names sentiment predict-news race-sentiment seq2seq translate-fr \
  translation translate-de race-translation language-model generate ablate-language-model demo data-list scorecard \
  book notebooks setup test-browser test-notebooks test-latest lint lock clean help need-image
