"""From the log to what a model is trained on: curation, tokens, batches, and their lineage.

Names are loaded when they are first used: erasure (`madang.corpus.purge`) must also work where
the parts for training are not installed.
"""
