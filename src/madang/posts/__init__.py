"""Posts, their log, consent by purpose, and the readers of archives."""

from madang.posts.post import Media, Post

__all__ = ["Media", "Post"]
