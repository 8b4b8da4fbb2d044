"""The HTTP API and the chat page. No logic of its own: everything is a call of the home."""

from madang.server.app import create_app
from madang.server.listening import serve

__all__ = ["create_app", "serve"]
