"""Madang turns a community's posts into a chat with checked citations."""
