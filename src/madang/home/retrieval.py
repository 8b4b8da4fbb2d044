"""What answering needs of the log and the index, and nothing more of them."""
