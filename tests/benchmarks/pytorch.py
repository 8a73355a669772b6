"""PyTorch in an environment of its own: the tutorial network, and the network and settings of PyTorch's MNIST example.

The example: two convolutions of 3x3 with 32 and 64 channels, max pooling, dropout 0.25, a dense layer of 128, dropout
0.5; Adadelta at 1.0, times 0.7 after each epoch; batches of 64; pictures normalised by mean and deviation. Here the
pictures lie in memory ready for use, which is kinder to PyTorch than the example's own loader.
"""

import os

import torch
from stopwatch import WANTED, Watch, pictures
from torch import nn

cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
torch.set_num_threads(cores or 1)
torch.manual_seed(WANTED.seed)
example = WANTED.benchmark == "accuracy"
layout = torch.channels_last if WANTED.row == "pytorch-channels-last" else torch.contiguous_format
if example:
    batch_size, mean, deviation = 64, 0.1307, 0.3081
    layers = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)]
    layers += [nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)]
else:
    batch_size, mean, deviation = 100, 0.0, 1.0
    layers = [nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(), nn.Dropout(0.4), nn.Linear(1024, 10)]
model = nn.Sequential(*layers).to(memory_format=layout)
weights = model.parameters()
optimizer = torch.optim.Adadelta(weights, lr=1.0) if example else torch.optim.Adam(weights, lr=1e-3)
schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7 if example else 1.0)


def tensors(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = (torch.from_numpy(array) for array in pictures(part))
    return ((images[:, None] - mean) / deviation).to(memory_format=layout), labels


(images, labels), test = tensors("train"), tensors("test")


def accuracy() -> float:
    model.eval()
    with torch.no_grad():
        parts = zip(*(tensor.split(1000) for tensor in test), strict=True)
        hits = sum(int((model(inputs).argmax(1) == classes).sum()) for inputs, classes in parts)
    model.train()
    return hits / len(test[1])


def train() -> None:
    watch = Watch(accuracy)
    while True:
        for indices in torch.randperm(len(labels)).split(batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[indices]), labels[indices]).backward()
            optimizer.step()
            if watch.enough():
                return
        schedule.step()


train()
