# make demo      a denoised tomogram in demo/, from nothing but Python
# make demo-gui  the same, then shown in napari
# make test      the whole test suite, by two processes, with its windows on virtual screens
# make test-busy the same three times, two of them while another program keeps all cores busy
# make faults    kills, full disks, two at once, hostile files: the long tests as well; half an hour
# make tour      the pictures of the user guide, made anew by clicking through the real window; the light theme and a
#                larger window go into tour/
# make lint      style, types, documented parameters, the borders between modules, and what GitHub is told
# make docs      the documentation as a site, in site/; a link that leads nowhere is an error
# make package   wheel and sources in dist/, checked as PyPI and pip see them, and tried from an empty folder
# make release-rehearsal  a release but for its upload: the package, its notes, and what is still to be filled in
# make coverage  which lines of the engine its tests reach, of which 95 % are asked for
#
# Everything is installed into .venv, once. Another interpreter: make demo PYTHON=python3.12

.PHONY: demo demo-gui test test-busy faults tour lint docs package release-rehearsal coverage dev clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

BIN := .venv/bin

# Modules are compiled once, and not anew by every Python that a test starts.
unexport PYTHONDONTWRITEBYTECODE

# The usual Python if it is recent enough and can make a virtual environment, else one that is and can.
PYTHON ?= $(shell for modules in ensurepip sys; do \
	for python in python3 python python3.13 python3.12 python3.11; do \
		if $$python -c "import $$modules, sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then \
			command -v $$python; exit; \
		fi; \
	done; \
done)

# Qt opens its windows on a virtual screen, whatever the desktop is: the same everywhere, and nobody is disturbed.
ifeq ($(shell uname),Linux)
ON_SCREEN := env QT_QPA_PLATFORM=xcb xvfb-run -a -s "-screen 0 1400x900x24"
endif

TOUR = $(subst 1400x900,2000x1200,$(ON_SCREEN)) $(BIN)/python docs/make_screenshots.py

# The engine: every parameter is documented. (Of commands, the docstring is what --help shows.)
DOCUMENTED = $(shell find src/napari_autostructn2v -name '*.py' -not -path '*/_napari/*' -not -path '*/cli/*')

demo: .venv/installed-test
	$(BIN)/autostructn2v demo --out demo

demo-gui: .venv/installed-test
	.ci/system-packages.sh qt
	$(BIN)/autostructn2v demo --out demo --open

test: .venv/installed-test
	.ci/system-packages.sh tests
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations=40

test-busy: .venv/installed-test
	.ci/system-packages.sh tests
	$(BIN)/python -m pytest -n 2 --dist worksteal
	for time in 1 2; do \
		$(BIN)/python tests/busy.py $(BIN)/python -m pytest -n 2 --dist worksteal || exit; \
	done

faults: .venv/installed-test
	.ci/system-packages.sh tests
	$(ON_SCREEN) $(BIN)/python -m pytest tests/faults -m "long or not long"

tour: .venv/installed-test
	.ci/system-packages.sh tests
	$(TOUR) --theme dark --size 1280
	$(TOUR) --theme light --size 1280 --out tour
	$(TOUR) --theme dark --size 1920 --out tour
	$(TOUR) --theme light --size 1920 --out tour

lint: .venv/installed-dev
	! git grep -nE '^(<<<<<<<|>>>>>>>) '
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/numpydoc lint --config . $(DOCUMENTED)
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/zizmor --offline --quiet .github

docs: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

package: .venv/installed-dev
	rm -rf dist
	$(BIN)/validate-pyproject pyproject.toml
	$(BIN)/npe2 validate src/napari_autostructn2v/napari.yaml
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	.ci/try-wheel.sh $(BIN)/python dist/*.whl

release-rehearsal: package
	$(BIN)/python .ci/release.py notes
	$(BIN)/python .ci/release.py check

coverage: .venv/installed-dev
	.ci/system-packages.sh tests
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term-missing:skip-covered --cov-report=xml

dev: .venv/installed-dev

clean:
	rm -rf .venv demo dist site .coverage coverage.xml .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

.venv/pyvenv.cfg:
	@python='$(PYTHON)'; \
	if [ -z "$$python" ]; then \
		echo 'Python 3.11 or newer is needed and was not found. Name it: make PYTHON=/path/to/python3' >&2; exit 1; \
	fi; \
	set -ex; \
	.ci/system-packages.sh venv "$$python"; \
	"$$python" -m venv --clear .venv

.venv/installed-test: pyproject.toml constraints.txt .venv/pyvenv.cfg
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

# dev holds all of test
.venv/installed-dev: pyproject.toml constraints.txt .venv/pyvenv.cfg
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@ .venv/installed-test
