# Madang is installed into .venv of this folder and nowhere else. `make` alone says what there is.

PORT = 8080
POSTS =
MODEL =
# Minutes in which the community's own model learns after the start; 0 leaves it out.
TRAIN = 3

# Without compiled files beside the sources, each process that imports torch reads it for seconds.
unexport PYTHONDONTWRITEBYTECODE

# Prints what it does when there is something to install, and nothing otherwise.
install = python=$$(sh tools/find_python.sh) && "$$python" -I tools/install.py

# The page is served before what training needs is installed.
learn = --learn $(TRAIN) $(if $(filter-out 0,$(TRAIN)),--learn-install "'$$python' -I tools/install.py train")

.PHONY: help up train test lint bench bench-train lock clean

help:
	@echo 'make up      install once, read the posts, and serve the chat page at http://127.0.0.1:$(PORT)'
	@echo '             POSTS="my-archive.zip outbox.json"   your own posts instead of the sample'
	@echo '             PORT=8081   MODEL=path.gguf or MODEL=http://HOST/v1'
	@echo '             TRAIN=0   leaves out the model that learns from the posts in the background'
	@echo 'make test    install what the tests need and run all of them'
	@echo 'make lint    check style and types'
	@echo 'make train   install what training needs; then .venv/bin/madang train'
	@echo 'make bench   measure, and write bench/RESULTS.md; make bench-train measures training'
	@echo 'make lock    resolve the dependencies anew (needs uv)'
	@echo 'make clean   remove what was installed and built; your posts in .madang stay'

up:
	@$(install) run && exec .venv/bin/madang up --port $(PORT) $(learn) $(if $(MODEL),--model '$(MODEL)') $(POSTS)

# Two files at a time: much of a test's time is spent waiting for processes that it started.
test:
	@$(install) test && exec .venv/bin/python -m pytest -n 2 --dist loadfile

lint:
	@$(install) test && .venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

train:
	@$(install) train

bench:
	@$(install) bench && exec .venv-bench/bin/python bench/run.py

bench-train:
	@$(install) test && $(install) bench-train && exec .venv-bench-train/bin/python bench/run_training.py

lock:
	@sh tools/lock.sh

clean:
	@rm -rf .venv .venv-bench .venv-bench-train .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	@find src tests bench tools samples -name __pycache__ -type d -prune -exec rm -rf {} +
