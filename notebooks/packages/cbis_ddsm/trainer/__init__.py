"""The trainers of the CBIS-DDSM tutorial: `python -m trainer.gpu_model --help`, and `trainer.tpu_model`."""
