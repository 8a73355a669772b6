"""The tutorial of softmax regression as a package: `task` is the trainer."""
