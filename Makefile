.DELETE_ON_ERROR:
PYTHON ?= $(shell command -v python3.11 || command -v python3)
OUT ?= out
RUN = .venv/bin/
TEST = .venv-test/bin/
KERNELS = plain avx2 native
plain = ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Nehalem
avx2 = ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=AVX2 OPENBLAS_CORETYPE=Zen
native =
PEERS = anomalib pyimgano anomavision

.PHONY: demo test test-kernels lint docs bench bench-peers clean

demo: .venv/ready ## draw a small inspection set, learn from its good pictures, judge the others, write a report
	$(RUN)flawsight demo $(OUT)/demo
	$(RUN)flawsight fit $(OUT)/demo/plate/train/good -o $(OUT)/plate.flaw
	$(RUN)flawsight evaluate $(OUT)/demo/plate --model $(OUT)/plate.flaw --json $(OUT)/metrics.json --report $(OUT)/report.html
	@echo "Report: $(CURDIR)/$(OUT)/report.html"
	@echo "Next, with a folder of your own good pictures: $(RUN)flawsight fit GOOD_FOLDER -o part.flaw"

test: .venv-test/ready ## run all tests; COVERAGE=1 also measures which lines they run, which takes a quarter longer
	$(TEST)python -m pytest -n 2 --dist loadgroup $(if $(COVERAGE),--cov --cov-report=term --cov-fail-under=90)

test-kernels: .venv-test/ready ## run the tests whose verdict rests on what was trained under three sets of kernels, for some minutes
	$(foreach set,$(KERNELS),$($(set)) $(TEST)python benchmarks/kernels.py --which && \
	$($(set)) $(TEST)python -m pytest -n 2 --dist loadgroup -m kernels &&) true

lint: .venv-test/ready ## style and strict types
	$(TEST)ruff format --check .
	$(TEST)ruff check .
	$(TEST)mypy

docs: .venv/ready ## make docs/methods, a page per method, anew from the docstrings
	$(RUN)python tools/write_method_pages.py

bench: .venv/ready .venv-test/ready ## run the benchmarks that need no data and write docs/performance.md, for some minutes
	$(TEST)python benchmarks/run.py --write docs/performance.md

bench-peers: .venv-peers/ready ## time flawsight beside other PatchCore libraries; ARGS are those of benchmarks/peers.py
	.venv-peers/flawsight/bin/python benchmarks/peers.py $(ARGS)

clean: ## forget environments and what was made
	rm -rf .venv .venv-test .venv-peers $(OUT) build dist

.venv/ready: requirements/core.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(RUN)python -m pip install --quiet --disable-pip-version-check -r requirements/core.txt
	$(RUN)python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@mkdir -p $(OUT)
	@touch $@

.venv-test/ready: requirements/core.txt requirements/test.txt requirements/torch.txt pyproject.toml
	$(PYTHON) -m venv .venv-test
	$(TEST)python -m pip install --quiet --disable-pip-version-check -r requirements/core.txt -r requirements/test.txt
	$(TEST)python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/torch.txt
	$(TEST)python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv-peers/ready: requirements/core.txt requirements/peers/*.txt pyproject.toml
	for product in flawsight $(PEERS); do $(PYTHON) -m venv .venv-peers/$$product || exit 1; done
	.venv-peers/flawsight/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/core.txt -r requirements/peers/flawsight.txt
	.venv-peers/flawsight/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	for product in $(PEERS); do .venv-peers/$$product/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/peers/$$product.txt || exit 1; done
	@touch $@
