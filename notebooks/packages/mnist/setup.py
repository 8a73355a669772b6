"""What is sent to wherever the trainer runs: the package `trainer`."""

from setuptools import find_packages, setup

setup(
    name="trainer",
    version="0.1",
    description="Digits from MNIST",
    packages=find_packages(),
    install_requires=["mlhelpers[train]"],
)
