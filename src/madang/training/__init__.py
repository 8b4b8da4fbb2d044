"""Training: a plan, a loop that can be killed at any moment, and the run it leaves behind."""
