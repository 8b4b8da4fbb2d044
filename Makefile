# Madang is installed into .venv of this folder and nowhere else. `make` alone says what there is.

PORT = 8080
POSTS =
MODEL =

# Prints what it does when there is something to install, and nothing otherwise.
install = python=$$(sh tools/find_python.sh) && "$$python" -I tools/install.py

.PHONY: help up test lint bench lock clean

help:
	@echo 'make up      install once, read the posts, and serve the chat page at http://127.0.0.1:$(PORT)'
	@echo '             POSTS="my-archive.zip outbox.json"   your own posts instead of the sample'
	@echo '             PORT=8081   MODEL=path.gguf or MODEL=http://HOST/v1'
	@echo 'make test    install what the tests need and run all of them'
	@echo 'make lint    check style and types'
	@echo 'make bench   measure, and write bench/RESULTS.md'
	@echo 'make lock    resolve the dependencies anew (needs uv)'
	@echo 'make clean   remove what was installed and built; your posts in .madang stay'

up:
	@$(install) run && exec .venv/bin/madang up --port $(PORT) $(if $(MODEL),--model '$(MODEL)') $(POSTS)

test:
	@$(install) test && exec .venv/bin/python -m pytest

lint:
	@$(install) test && .venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

bench:
	@$(install) bench && exec .venv-bench/bin/python bench/run.py

lock:
	@sh tools/lock.sh

clean:
	@rm -rf .venv .venv-bench .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	@find src tests bench tools samples -name __pycache__ -type d -prune -exec rm -rf {} +
