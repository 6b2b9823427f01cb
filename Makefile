# Plain `make` lists the targets. A tutorial passes these on: DATA=tiny|official RECIPE=study|original SEED=N
# SEEDS=N (a run for each of the seeds 0 to N-1, then their mean) DEVICE=auto|cpu|cuda|mps NPROC=N (processes, by
# torchrun; on several hosts NNODES, NODE_RANK, MASTER: docs/several-hosts.md) RESUME=1, and ARGS="…" for any other
# option. TORCHTEXT=1 runs any target in the environment of torchtext.
.DEFAULT_GOAL := help

# Every variable that a user gives: taken literally, even a $ in it, and handed on through the environment alone. No
# recipe may name one: a value that stood in a command would be run by the shell. tests/tools/test_make.py tries them
# all.
VARIABLES := ARGS CSV DATA DEVICE ENCODING ENTRY FILES FOLDER IMAGE IMAGES LAYER MASTER MINUTES MODEL MODELS NAME NET NNODES \
  NODE_RANK NOTEBOOK NPROC PAIRS PORT PYTHON RECIPE REPLACE RESTARTS RESUME RUNS SEED SEEDS SOURCE STUDY_DATA TARGET \
  TEST TEXT TORCH TORCHTEXT WEIGHTS
$(foreach name,$(VARIABLES),$(eval override $(name) := $$(value $(name))))
export $(foreach name,$(VARIABLES),$(if $($(name)),$(name)))

KIND := $(if $(filter-out 0,$(TORCHTEXT)),torchtext,default)
PYTHON_OF = .venv$(filter-out -default,-$(1))/$(if $(filter Windows_NT,$(OS)),Scripts,bin)/python
PY = $(call PYTHON_OF,$(KIND))
# RUN module words…: starts a module with the words; those in capitals are variables (see tutorials/tools/launch.py).
RUN = $(PY) -m tutorials.tools.launch $(call QUOTED,$@)
# A target's own name, as data-…, is given too.
QUOTED = '$(subst ','\'',$(1))'
OPTIONS := DATA RECIPE SEED SEEDS DEVICE RESUME

STUDIES = linear fully-connected initialization batchnorm dropout convnet captioning vision-transformer diffusion

##@ Start here
study: setup ## run every tutorial and study on small synthetic data, offline, and print a table of the results
	@$(RUN) tutorials.tools.run_all

test: setup ## run the style check and the tests, except the slow ones
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(RUN) pytest -n 2 -m "not slow and not browser and not notebooks"
	@echo "left out: whole trainings (make test-slow), notebooks (make test-notebooks), what needs a browser (make test-browser)"

tensorboard: setup ## serve TensorBoard on localhost:6006 with up to 40 runs; choose them by name: RUNS=cifar10
	@$(RUN) tutorials.tools.dashboard RUNS PORT

##@ Tutorials
cifar10: setup ## train a classifier on CIFAR-10
	@$(RUN) tutorials.cifar10 NPROC $(OPTIONS)

cifar10-fast: setup ## train a faster net on CIFAR-10, to about 94 %; in a budget of minutes: MINUTES=30 DATA=official
	@$(RUN) tutorials.cifar10_fast NPROC $(OPTIONS) MINUTES

predict-cifar10: setup ## classify your own picture with the trained net: IMAGE=photo.jpg
	@$(RUN) tutorials.cifar10 IMAGE

pretrained: setup ## compare AlexNet, VGG, ResNet and DenseNet: cost, accuracy, robustness (DATA=official: 6 GB of weights)
	@$(RUN) tutorials.pretrained $(OPTIONS)

predict: setup ## classify your own picture with ImageNet's models: IMAGE=photo.jpg MODELS="resnet18 squeezenet1_0"
	@$(RUN) tutorials.pretrained IMAGE MODELS

transfer: setup ## fine-tune a pretrained net, and use it frozen, on ants and bees or your folders: IMAGES=dir MODEL=resnet50
	@$(RUN) tutorials.transfer_learning NPROC $(OPTIONS) IMAGES MODEL

predict-transfer: setup ## classify your own picture with the net that make transfer saved: IMAGE=photo.jpg
	@$(RUN) tutorials.transfer_learning IMAGE

names: setup ## predict the language of names, letter by letter; your own names: FOLDER=dir
	@$(RUN) tutorials.char_rnn NPROC $(OPTIONS) FOLDER ENCODING

predict-names: setup ## predict the three most likely languages of a name: NAME=Satoshi
	@$(RUN) tutorials.char_rnn NAME

race-names: setup ## time a training step against the original's, which loops over single names: DATA=official
	@$(RUN) tutorials.tools.race_names DATA

sentiment: setup ## predict the topic of news; any csv of labels and texts: CSV="file.csv …" (TEST=file.csv)
	@$(RUN) tutorials.text_sentiment NPROC $(OPTIONS) CSV TEST ENCODING

predict-news: setup ## classify your own text, with probabilities: TEXT="Stocks fell …"
	@$(RUN) tutorials.text_sentiment TEXT

race-sentiment: setup ## time an epoch against the original's, on 120,000 synthetic news items
	@$(RUN) tutorials.tools.race_sentiment

seq2seq: setup ## train a translator from French to English with GRUs and attention; your own pairs: PAIRS=file.tsv
	@$(RUN) tutorials.seq2seq NPROC $(OPTIONS) PAIRS ENCODING

translate-fr: setup ## translate a French sentence, with attention weights (ARGS=--figure draws them): TEXT="Je suis fatigué."
	@$(RUN) tutorials.seq2seq TEXT

translation: setup ## train a translator from German to English with nn.Transformer; your own files: SOURCE=file.de TARGET=file.en
	@$(RUN) tutorials.translation NPROC $(OPTIONS) SOURCE TARGET ENCODING

translate-de: setup ## translate a German sentence, with attention weights (ARGS=--figure draws them): TEXT="Ein Hund läuft."
	@$(RUN) tutorials.translation TEXT

race-translation: setup ## time decoding with the newest saved net against the original's, sentence by sentence: DATA=official
	@$(RUN) tutorials.tools.race_translation DATA

language-model: setup ## train a transformer language model on WikiText-2
	@$(RUN) tutorials.language_model NPROC $(OPTIONS)

generate: setup ## generate text with the language model after a prompt: TEXT="The river"
	@$(RUN) tutorials.language_model TEXT

ablate-language-model: setup ## measure what each change of the language model's recipe is worth: ARGS="--minutes 3 --data official"
	@$(RUN) tutorials.tools.ablate_language_model

demo: setup ## serve a page to try the trained nets on: PORT=7860
	@$(RUN) tutorials.tools.demo PORT

##@ By hand, in NumPy
from-scratch: $(STUDIES) ## run the nine studies below, one after another

linear: setup ## assignment 1: nearest neighbors, SVM and softmax on pixels, what features are worth
	@$(RUN) from_scratch.studies.linear $(OPTIONS)

fully-connected: setup ## nets of any depth, all update rules, the best fully connected net
	@$(RUN) from_scratch.studies.fully_connected $(OPTIONS)

initialization: setup ## what the first weights do to activations, gradients and training
	@$(RUN) from_scratch.studies.initialization $(OPTIONS)

batchnorm: setup ## batch and layer normalization: depth, weight scale, batch size
	@$(RUN) from_scratch.studies.batchnorm $(OPTIONS)

dropout: setup ## dropout against overfitting
	@$(RUN) from_scratch.studies.dropout $(OPTIONS)

convnet: setup ## a three-layer ConvNet in one epoch, its filters, and a deep ConvNet
	@$(RUN) from_scratch.studies.convnet $(OPTIONS)

captioning: setup ## captions by an RNN, an LSTM and a transformer; words against characters
	@$(RUN) from_scratch.studies.captioning $(OPTIONS)

vision-transformer: setup ## a vision transformer in two epochs, compared with a ConvNet; what its positional embeddings learn
	@$(RUN) from_scratch.studies.vision_transformer $(OPTIONS)

diffusion: setup ## a U-Net that generates digits from noise; what to predict, which schedule; the temperature of SimCLR's loss
	@$(RUN) from_scratch.studies.diffusion $(OPTIONS)

course: setup ## run a notebook of CS231n with from_scratch: NOTEBOOK=knn.ipynb; with your own package: FOLDER=dir
	@$(RUN) tutorials.tools.course NOTEBOOK FOLDER

caption-features: setup ## compute the features of Flickr8k's photographs (once; downloads 1.1 GB)
	@$(RUN) tutorials.tools.caption_features

bench-from-scratch: setup ## time the hand-written layers against naive loops and torch, on one thread
	@$(RUN) comparisons.bench

##@ Checked against torch
parity: setup ## check every hand-written function against torch, and the checks themselves with planted mistakes; your package: FOLDER=dir
	@$(RUN) comparisons FOLDER

parity-report: setup ## write the results of make parity, with figures, to runs/parity/parity.html
	@$(RUN) comparisons.report

parity-latest: KIND = latest
parity-latest: setup-latest ## run make parity with the newest torch, in an environment of its own
	@$(RUN) comparisons

race: setup ## train a NumPy net and the same net in torch, side by side in TensorBoard: NET="CaptioningRNN, lstm"
	@$(RUN) comparisons.race NET DATA SEED

exercises: setup ## list the layers that you can write yourself, in the course's order
	@$(PY) -m comparisons.exercise --list

exercise: setup ## write a layer yourself until all its checks are green: LAYER=batchnorm_backward
	@$(RUN) comparisons.exercise LAYER

learn: setup ## show the exercises in order, from an affine layer to diffusion: what is done, what is next, what to read
	@$(RUN) docs.learn

##@ Data
data-list: setup ## show every data set: present or not, size, license, used by
	@$(RUN) data list

data-%: setup ## download, verify and unpack one data set: data-cifar10, data-names, …
	@$(RUN) data fetch $(call QUOTED,$*) FILES

##@ Results
scorecard: setup ## keep the summaries and figures of official runs and write the tables (REPLACE=1: replace kept ones)
	@$(RUN) tutorials.tools.scorecard REPLACE

board: setup ## compare your training recipe with others on a fixed budget of CPU time: ENTRY=mine.py
	@$(RUN) tutorials.tools.board ENTRY

book: setup ## build the study book, a site that needs no network: runs/book/index.html
	@$(RUN) docs.book

notebooks: setup ## write every tutorial as a notebook, below runs/notebooks
	@$(RUN) docs.notebooks

jupyter: notebooks ## write the notebooks and open them in JupyterLab
	@$(RUN) jupyterlab runs/notebooks

##@ Upkeep
setup: ## build the environment from its lock file unless it is up to date (TORCH=cpu: torch without CUDA)
	@sh tutorials/tools/setup.sh $(KIND)

setup-latest setup-lowest: setup-%:
	@sh tutorials/tools/setup.sh $*

convert: setup ## convert a file of weights (.pth) to .safetensors, which cannot hold code: WEIGHTS=net.pth
	@$(RUN) tutorials.tools.convert WEIGHTS

test-slow: setup ## run the slow tests: every tutorial killed and resumed, in two processes, on real data
	@$(RUN) pytest -n 2 -m slow

test-browser: setup ## run the tests of the pages (needs an installed headless Chromium)
	@$(RUN) pytest -m browser -rs

test-notebooks: setup ## run every notebook from top to bottom on synthetic data
	@$(RUN) pytest -n 2 -m notebooks

test-latest: KIND = latest
test-latest: setup-latest ## run the tests with the newest packages, in an environment of its own
	@$(RUN) pytest -n 2 -m "not browser and not notebooks"

test-lowest: KIND = lowest
test-lowest: setup-lowest ## run a quick part of the tests with the oldest packages that pyproject.toml allows
	@$(RUN) pytest -n 2 comparisons/test_parity.py $(patsubst %,tests/common/test_%.py,checkpoint run weights) \
	  tests/data/test_fetch.py tests/from_scratch/test_dense.py tests/tools/test_dashboard.py

test-debian: ## run make study and make test on a bare Debian 13, before a release (needs root and debootstrap)
	@sh tests/debian.sh

lint: setup ## format the code, fix its style, and report the rest
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

# Every extra but torchtext's, which the second lock adds: its torch is another one.
EXTRAS = $(patsubst %,--extra %,coco book notebooks browser demo test)
LOCK = uv pip compile pyproject.toml --universal --generate-hashes --python-version 3.11 --upgrade --no-emit-index-url \
  --no-annotate --custom-compile-command "make lock" --quiet
lock: ## update both lock files from pyproject.toml (needs uv)
	@$(LOCK) $(EXTRAS) --output-file requirements.lock
	@$(LOCK) $(EXTRAS) --extra text --output-file requirements-torchtext.lock

clean: ## remove environments and caches; data and runs stay
	@rm -rf .venv .venv-torchtext .venv-latest .venv-lowest .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9%-]+:.*## / { printf "  make %-21s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo

.PHONY: ablate-language-model batchnorm bench-from-scratch board book caption-features captioning cifar10 cifar10-fast clean convert \
  convnet course data-list demo diffusion dropout exercise exercises from-scratch fully-connected generate help \
  initialization jupyter language-model learn linear lint lock names notebooks parity parity-latest parity-report predict \
  predict-cifar10 predict-names predict-news predict-transfer pretrained race race-names race-sentiment race-translation scorecard sentiment \
  seq2seq setup study tensorboard test test-browser test-debian test-latest test-lowest test-notebooks test-slow transfer \
  translate-de translate-fr translation setup-latest setup-lowest vision-transformer
