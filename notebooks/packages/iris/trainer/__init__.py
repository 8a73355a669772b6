"""The trainer of the Iris tutorial: `python -m trainer.task --help`."""
