# SPDX-License-Identifier: Apache-2.0
"""Factorization machine (Rendle 2010) on ratings (id, user, item, rating, ts): trains, then predicts every row.

    python fm.py RATINGS OUTPUT
"""
import sys

import numpy as np
import torch

import ghee

SIZES = {"user": 1 << 18, "item": 1 << 16, "hour": 24, "day": 7}
OFFSETS = np.cumsum([0, *SIZES.values()])[:-1]


def preprocess(batch):
    ts = batch["ts"].astype(np.int64)
    fields = [batch["user"] % SIZES["user"], batch["item"] % SIZES["item"], ts // 3600 % 24, (ts // 86400 + 4) % 7]
    return {"id": batch["id"], "x": (np.stack(fields, 1) + OFFSETS).astype(np.int32), "y": batch["rating"].astype(np.float32)}


class FM(torch.nn.Module):
    def __init__(self, dim=16, mean=3.5):
        super().__init__()
        torch.manual_seed(1)
        self.table = torch.nn.Embedding(sum(SIZES.values()), 1 + dim, sparse=True)  # a weight, then the factors
        torch.nn.init.normal_(self.table.weight, std=0.01)
        self.mean = torch.nn.Parameter(torch.tensor(mean))

    def forward(self, x):
        e = self.table(x)
        weights, factors = e[..., 0], e[..., 1:]
        pairs = factors.sum(1).square() - factors.square().sum(1)
        return self.mean + weights.sum(1) + 0.5 * pairs.sum(1), e.square().sum((1, 2)).mean()


def train(batches, ctx):
    torch.set_num_threads(1)
    model = FM()
    optimizer = torch.optim.Adagrad(model.parameters(), lr=ctx.params.get("rate", 0.1))
    if ctx.state:
        model.load_state_dict(ctx.state["model"])
        optimizer.load_state_dict(ctx.state["optimizer"])
    for epoch in batches.epochs():
        for batch in epoch:
            score, size = model(batch["x"])
            loss = (score - batch["y"]).square().mean() + ctx.params.get("decay", 0.1) * size
            optimizer.zero_grad()
            (loss * batch.weight).backward()
            optimizer.step()
        if ctx.world > 1:  # ranks meet once an epoch
            for p in model.parameters():
                torch.distributed.all_reduce(p.data)
                p.data /= ctx.world
        ctx.log(loss=loss.item())
        ctx.checkpoint({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    if ctx.rank == 0 and "save" in ctx.params:  # for predict.yaml; a program gets what is returned
        torch.save(model.state_dict(), ctx.params["save"])
    return model.state_dict()


class Predict:
    def __init__(self, ctx):
        torch.set_num_threads(1)
        self.model = FM()
        model = ctx.params["model"]
        self.model.load_state_dict(torch.load(model) if isinstance(model, str) else model)

    @torch.no_grad()
    def __call__(self, batch):
        return {"id": batch["id"], "score": self.model(torch.from_numpy(batch["x"].copy()))[0].numpy(), "rating": batch["y"]}


def main(ratings, output, epochs=5, workers=4, ranks=1, test=None):
    columns = ["id", "user", "item", "rating", "ts"]
    trained = ghee.task.LocalTask(ghee.Input(ratings, columns=columns, shuffle=ghee.Shuffle(seed=1), epochs=epochs),
                                  preprocess=ghee.Stage(preprocess, workers=workers), train=ghee.Stage(train, workers=ranks)).run()
    scored = ghee.task.LocalTask(ghee.Input(test or ratings, columns=columns), preprocess=ghee.Stage(preprocess, workers=workers),
                                 predict=ghee.Stage(Predict, args={"model": trained.value}),
                                 output=ghee.Output(output, mode="overwrite")).run()
    return trained, scored


if __name__ == "__main__":
    main(*sys.argv[1:])
