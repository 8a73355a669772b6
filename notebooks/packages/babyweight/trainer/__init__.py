"""The trainer of the babyweight tutorial: `python -m trainer.task --help`."""
