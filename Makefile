# Each target makes or takes up the environment first. The first line of each says what it does: `make help`.
.DEFAULT_GOAL := help
.PHONY: help run lab test lint lock bench soak clean ready

VENV := .venv
BIN := $(VENV)/bin
# the Python to build the environment with, where the one that is found is not the one you want
PYTHON ?=
# make run ONLY=05, make run ONLY=05,09
ONLY ?=
# make lock UPGRADE=1 takes newer releases; without it the pinned ones stay where they fit
UPGRADE ?=

export PYTHON
# organisations sign their own proxies: trust what the system trusts
export UV_SYSTEM_CERTS := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

run: ready  ## execute every notebook in order and end with a table of results (ONLY=05 for one)
	@$(BIN)/python notebooks/run.py $(if $(ONLY),--only $(ONLY))

lab: ready  ## open the series in JupyterLab
	@$(BIN)/jupyter lab $$([ "$$(id -u)" != 0 ] || echo --allow-root) notebooks/00_start_here.ipynb

test: ready  ## lint, types, unit and contract tests, the notebooks as stored, the browser
	@sh -c "$$TEST"

lint: ready  ## check style and types; `ruff check --fix` and `ruff format` mend most of it
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock: ready  ## pin every package again, for Python 3.11 to 3.13, with hashes (UPGRADE=1 for newer releases)
	$(BIN)/uv pip compile pyproject.toml --extra all --group dev --group lock --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --quiet $(if $(UPGRADE),--upgrade) -o requirements.lock
	@echo "requirements.lock holds $$(grep -c '==' requirements.lock) packages. The next make installs what changed."

bench: ready  ## measure beside plain Keras, PyTorch and pandas, jobs beside doing it by hand, searches beside Optuna's, the server beside others (long)
	$(BIN)/python tests/benchmarks/run.py
	$(BIN)/python tests/benchmarks/babyweight_csv.py --births 2000000
	$(BIN)/python tests/benchmarks/local_jobs.py
	$(BIN)/python tests/benchmarks/search.py
	$(BIN)/python tests/benchmarks/studies.py
	$(BIN)/python tests/benchmarks/serving/bench.py --many 100000
	$(BIN)/python tests/benchmarks/batch.py
	$(BIN)/python tests/benchmarks/detection.py
	$(BIN)/python tests/benchmarks/detection_app.py

soak: ready  ## the long campaigns; make test holds a short sample of them
	@$(BIN)/python -m pytest -m soak --timeout 0 --durations 0; code=$$?; \
	  if [ $$code -eq 5 ]; then echo "No long campaign exists yet."; else exit $$code; fi

clean:  ## remove what runs, tests and tools left behind (the environment stays: rm -r .venv)
	rm -rf data/runs data/cache build dist .mypy_cache .pytest_cache .ruff_cache
	find mlhelpers tests notebooks -name __pycache__ -prune -exec rm -rf {} + -o -name .ipynb_checkpoints -prune -exec rm -rf {} +

ready:
	@sh -c "$$SET_UP"

# ---------------------------------------------------------------------------------------------------------------------
# The environment: .venv with what requirements.lock pins, and this folder as an editable install. The stamp is written
# last, so an interrupted set-up is taken up again; a changed lock, pyproject.toml or place makes it stale.
define SET_UP
set -eu
stamp="$$(cat requirements.lock pyproject.toml | cksum) $$(pwd)"
version='import sys; print("%d.%d" % sys.version_info[:2])'
fits() { case "$$("$$1" -c "$$version" 2>/dev/null)" in 3.11|3.12|3.13) return 0;; *) return 1;; esac; }

if [ -n "$$PYTHON" ] && [ -e $(VENV) ] &&
   [ "$$("$$PYTHON" -c "$$version" 2>/dev/null)" != "$$($(BIN)/python -c "$$version" 2>/dev/null)" ]; then
  rm -f $(VENV)/ready
elif [ "$$(cat $(VENV)/ready 2>/dev/null)" = "$$stamp" ] && fits $(BIN)/python; then
  exit 0
fi

if [ -n "$$PYTHON" ] || ! fits $(BIN)/python || ! $(BIN)/python -c 'import pip' 2>/dev/null; then
  chosen= seen= bare=
  for candidate in $${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    if ! fits "$$candidate"; then
      seen="$$seen $$candidate ($$("$$candidate" -c "$$version" 2>/dev/null || echo none))"
    elif ! "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
      bare="$$candidate"
    else
      chosen="$$candidate"; break
    fi
  done
  if [ -z "$$chosen" ] && [ -n "$$bare" ]; then
    name="python$$("$$bare" -c "$$version")-venv"
    echo "$$bare cannot make environments: its venv module is missing." >&2
    echo "On Debian and Ubuntu:  sudo apt-get install $$name   and then make again." >&2
    echo "Or name another Python 3.11, 3.12 or 3.13:  make run PYTHON=/path/to/python3" >&2
    exit 1
  elif [ -z "$$chosen" ]; then
    echo "Python 3.11, 3.12 or 3.13 is needed. Looked for:$$seen." >&2
    echo "Install one (Debian and Ubuntu: sudo apt-get install python3 python3-venv; macOS: brew install python@3.13)," >&2
    echo "or name the one you have:  make run PYTHON=/path/to/python3.12" >&2
    exit 1
  fi
  # an activated environment answers as python3 too: build on the Python below it, which stays when .venv goes
  base="$$("$$chosen" -c 'import sys; print(sys._base_executable)' 2>/dev/null || true)"
  if [ -x "$$base" ]; then chosen="$$base"; fi
  echo "Making $(VENV) with $$("$$chosen" --version) ($$chosen) ..."
  rm -rf $(VENV)
  "$$chosen" -m venv $(VENV)
fi

rm -f $(VENV)/ready
count="$$(grep -c '==' requirements.lock)"
echo "Installing from requirements.lock ($$count pinned packages, about 3 GB on disk; a few minutes, the first time) ..."
# the lock is complete, so nothing beside it is looked for (--no-deps);
# the installer itself is one of the pinned packages; pip fetches it, so whatever mirror pip is set to is used
sed -n '/^uv==/,/^[a-z]/{/^uv==/p;/^ /p;}' requirements.lock > $(VENV)/installer.txt
index="$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || true)}"
if [ -n "$$index" ] && [ -z "$${UV_DEFAULT_INDEX:-}" ]; then export UV_DEFAULT_INDEX="$$index"; fi
quiet=--quiet
[ -t 1 ] && quiet=
if $(BIN)/python -m pip install --quiet --require-hashes --no-deps -r $(VENV)/installer.txt &&
   $(BIN)/uv pip install $$quiet --python $(BIN)/python --compile-bytecode --require-hashes --no-deps \
     -r requirements.lock; then
  :
else
  echo "The quick installer could not; going on with pip, which takes some minutes ..."
  $(BIN)/python -m pip install --require-hashes --no-deps -r requirements.lock
fi
$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
# compiled once and for all, also where PYTHONDONTWRITEBYTECODE is set: TensorFlow's import then takes half as long
$(BIN)/python -m compileall -q mlhelpers
echo "$$stamp" > $(VENV)/ready.part
mv $(VENV)/ready.part $(VENV)/ready
endef
export SET_UP

# ---------------------------------------------------------------------------------------------------------------------
# The stages of `make test`: all are run, a table tells which failed. Notebooks and browser keep the written order.
define TEST
table=; failed=0; began=$$(date +%s)
stage() {
  name="$$1"; shift; start=$$(date +%s)
  printf '\n== %s\n' "$$name"
  if "$$@"; then word=passed; else word=FAILED; failed=1; fi
  table="$$table$$(printf '%-28s %5d s  %s' "$$name" $$(($$(date +%s) - start)) "$$word")\n"
}
chromium() {
  for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && return 0; done
  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  echo "Installing Debian's chromium for the browser test ..."
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null
}
stage "ruff check" $(BIN)/ruff check .
stage "ruff format" $(BIN)/ruff format --check .
stage "mypy" $(BIN)/mypy
# in as many processes as there are cores: much of what is tested is waiting for other processes; whole files, because
# what a file prepares is prepared once
stage "unit and contract tests" $(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder --durations 10
stage "notebooks as stored" $(BIN)/python -m pytest tests/test_install.py tests/test_notebooks_run.py -m notebooks -p no:randomly --durations 0
if chromium; then
  stage "browser" $(BIN)/python -m pytest tests/browser -m browser -p no:randomly --durations 0
elif [ -n "$${CI:-}" ]; then
  stage "browser: no chromium" false
else
  printf '\n!! BROWSER TEST SKIPPED: chromium is not here and cannot be installed. sudo apt-get install chromium\n'
  table="$$table$$(printf '%-28s %5d s  %s' browser 0 'SKIPPED: no chromium')\n"
fi
printf "\n$$table"
printf '%-28s %5d s\n' together $$(($$(date +%s) - began))
exit $$failed
endef
export TEST
