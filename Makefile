# Two commands do everything from a bare checkout: `make demo` and `make test`.
PYTHON ?= python3
DEMO_VENV := .venv-demo
TEST_VENV := .venv-test
LINT_VENV := .venv-lint
S3_VENV := .venv-s3
DEMO_OUT := demo-output
RUNTIME := onnxruntime-web-1.30.0
# Processes that share the tests.
JOBS ?= auto

.PHONY: demo test fuzz browser s3 lint types docs docs-serve bench clean

# The use lane only: no torch. Bytecode of everything would be 90 MB more on the disk: only what an
# estimate imports is compiled, by importing it once.
$(DEMO_VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python -m pip install --quiet --no-compile -c constraints.txt -e '.[demo]'
	PYTHONDONTWRITEBYTECODE= $(DEMO_VENV)/bin/python -c \
	    'import agelens.cli.estimate_run, agelens.imaging.detectors.retinaface, rich.progress'
	touch $@

demo: $(DEMO_VENV)/.installed
	mkdir -p $(DEMO_OUT)
	cp "$$($(DEMO_VENV)/bin/python -c 'import skimage, pathlib; print(pathlib.Path(skimage.__file__).parent / "data" / "astronaut.png")')" $(DEMO_OUT)/astronaut.png
	$(DEMO_VENV)/bin/agelens estimate $(DEMO_OUT)/astronaut.png --gender \
	    --output $(DEMO_OUT)/ages.jsonl --overwrite --draw $(DEMO_OUT)/drawn
	@echo "The model agelens-1 is for research and non-commercial use, as its training data are."
	@echo "Who may not use it: agelens estimate ... --model cc0-resnet10 (CC0; it errs more)."
	@echo "Wrote $(DEMO_OUT)/ages.jsonl and $(DEMO_OUT)/drawn/astronaut.jpg"

# Every extra, torch included, then the whole suite.
$(TEST_VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST_VENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

test: $(TEST_VENV)/.installed browser s3
	$(TEST_VENV)/bin/python -m pytest -n $(JOBS) --dist worksteal

# What tests/browser needs: Chromium and npm of Debian where this may install them, and of npm what
# runs networks in a browser. Where they can't be had, those tests are skipped and say why.
browser: $(TEST_VENV)/.installed
	@for tool in chromium npm; do \
	    command -v $$tool > /dev/null && continue; \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	        apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
	            apt-get -qq install --yes --no-install-recommends $$tool > /dev/null; \
	    fi || true; \
	done
	@cd $(TEST_VENV) && { ls $(RUNTIME).tgz || npm pack --silent $(subst web-,web@,$(RUNTIME)); } \
	    > /dev/null 2>&1 || echo "no $(RUNTIME): the page on the device is not tested"

# moto's server, the object store of tests/unit/bulk, apart: it needs an older python-dateutil.
s3: $(S3_VENV)/.installed
$(S3_VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(S3_VENV)
	$(S3_VENV)/bin/python -m pip install --quiet 'moto[s3]>=5.1,<6' flask flask-cors
	touch $@

# Ruff and the import contracts need none of what agelens needs.
$(LINT_VENV)/.installed: constraints.txt
	$(PYTHON) -m venv $(LINT_VENV)
	$(LINT_VENV)/bin/python -m pip install --quiet -c constraints.txt ruff import-linter
	touch $@

# The trials of tests/fuzz, each reader for a minute, from another beginning each day.
fuzz: $(TEST_VENV)/.installed
	FUZZ_SECONDS=60 FUZZ_SEED=$$(date +%j) $(TEST_VENV)/bin/python -m pytest -n $(JOBS) tests/fuzz

lint: $(LINT_VENV)/.installed
	$(LINT_VENV)/bin/ruff check .
	$(LINT_VENV)/bin/ruff format --check .
	PYTHONPATH=src $(LINT_VENV)/bin/lint-imports

types: $(TEST_VENV)/.installed
	$(TEST_VENV)/bin/mypy

# The site, with every page that the code tells; a broken link or a page outside the menu fails.
docs: $(TEST_VENV)/.installed
	$(TEST_VENV)/bin/python docs/generate.py .docs-build/pages
	$(TEST_VENV)/bin/mkdocs build --strict --quiet

docs-serve: docs
	$(TEST_VENV)/bin/python -m http.server --bind 127.0.0.1 --directory .docs-build/site 8000

# The benchmarks that take minutes, written to docs/benchmarks; photos are in DATA (see its script).
DATA ?= ../shared/data
bench: $(TEST_VENV)/.installed
	$(TEST_VENV)/bin/python benchmarks/quick.py $(DATA) $(if $(ONLY),--only $(ONLY))

clean:
	rm -rf .docs-build $(LINT_VENV) $(S3_VENV) $(DEMO_VENV) $(TEST_VENV) $(DEMO_OUT)
