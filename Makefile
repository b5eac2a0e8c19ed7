# make demo   hear the demo recording          make test   checks and tests
# Both do all the set-up. On a machine that is not Debian, see docs/install.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

RUN_PACKAGES := python3-venv libportaudio2
TEST_PACKAGES := $(RUN_PACKAGES) mosquitto mosquitto-clients pulseaudio pulseaudio-utils \
	libasound2-plugins openssl systemd python3-gi gir1.2-gst-rtsp-server-1.0 \
	gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-libav chromium saytime

.PHONY: install demo test lean-test check docs format image clean system system-test

ENGINE ?= podman
VARIANT ?= full
IMAGE ?= localhost/clap-monitor:$(VARIANT)
MOST_MEGABYTES ?= $(if $(filter lean,$(VARIANT)),600,1800)
BUILD_OPTIONS ?= $(if $(filter docker,$(notdir $(ENGINE))),,--format docker)
RUN_OPTIONS ?=

demo: install
	$(BIN)/clap-monitor run --config config/demo.yaml

test: system-test check
	$(BIN)/pytest -n 4 --dist worksteal --cov --cov-report=term:skip-covered

# Without torch: an environment of its own in a scratch directory, the demo recording, a part of the tests.
lean-test:
	@PYTHON=$(PYTHON) sh .ci/lean-test

check: install docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/clap-monitor check config/monitor.yaml
	$(BIN)/clap-monitor check config/demo.yaml

docs: install
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: system $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@echo "creating the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "installing the Python packages of constraints.txt (about 2.5 GB; minutes)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

system:
	@sh .ci/debian-packages optional $(RUN_PACKAGES)

system-test:
	@sh .ci/debian-packages required $(TEST_PACKAGES)

image:
	$(ENGINE) build $(BUILD_OPTIONS) --build-arg VARIANT=$(VARIANT) --file container/Containerfile --tag $(IMAGE) .
	$(PYTHON) container/try_image.py $(IMAGE) --engine "$(ENGINE)" --options "$(RUN_OPTIONS)" --most-megabytes $(MOST_MEGABYTES)

clean:
	rm -rf $(VENV) docs/_build .mypy_cache .ruff_cache .pytest_cache .coverage
