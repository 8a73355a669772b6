"""The trainer of the MNIST tutorial: `python -m trainer.task --help`."""
