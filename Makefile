# Everything needs only python3 (3.11 to 3.13), make and a POSIX shell. The second run of any target is quick:
# the environment is remade only when the lock file or pyproject.toml changes.

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run dev test test-deep bench lint format ui docs clean

run: $(READY)
	@exec $(BIN)/watchkeeper demo $(ARGS)

dev: $(READY)
	@exec $(BIN)/python -m actors.dev $(ARGS)

test: lint
	@sh tools/browser.sh || true
	$(BIN)/pytest -q -m "not deep" -n 2 --dist loadfile $(ARGS)

test-deep: $(READY)
	$(BIN)/pytest -q -m deep $(ARGS)

bench: $(READY)
	$(BIN)/python -m tests.bench $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir .import_linter_cache

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/python tools/tables.py
	$(BIN)/python tools/reference.py

ui:
	cd ui && npm ci --no-audit --no-fund && npm run build

clean:
	rm -rf $(VENV) ui/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): requirements.lock pyproject.toml
	@sh tools/venv.sh $(VENV)
	@touch $@
