"""A network that is made faster for answering still gives the same answers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.parts.fused import Fused
from tests.networks import built


def lived_in(model: nn.Module) -> nn.Module:
    """With statistics and scales that a training could have left, so that leaving one out shows."""
    generator = torch.Generator().manual_seed(5)

    def drawn(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.copy_(drawn(part.running_mean, -0.3, 0.3))
            part.running_var.copy_(drawn(part.running_var, 0.5, 2.0))
            part.weight.data.copy_(drawn(part.weight, 0.5, 1.5))
            part.bias.data.copy_(drawn(part.bias, -0.3, 0.3))
    return model.eval()


def test_one_by_one_the_fused_sum_is_what_the_two_layers_say() -> None:
    row = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.0)).eval()
    for parameter, value in zip(row.parameters(), (3.0, 1.0, 2.0, 5.0), strict=True):  # w, b, γ, β
        parameter.data.fill_(value)
    row[1].running_mean.fill_(4.0)  # type: ignore[operator, union-attr]
    row[1].running_var.fill_(4.0)  # type: ignore[operator, union-attr]
    # 2 · (3 · 7 + 1 − 4) / 2 + 5 = 23
    assert Fused(row)(torch.full((1, 1, 1, 1), 7.0)).item() == 23.0
    assert sum(isinstance(part, nn.BatchNorm2d) for part in Fused(row).modules()) == 0


@pytest.mark.parametrize("name", ["lite_unet", "cgnet", "deepcrack_zou", "oed", "pspnet"])
def test_probabilities_of_a_fused_network_differ_by_less_than_a_millionth(name: str) -> None:
    model = lived_in(built(name))
    batch = torch.rand((1, 3, 96, 128), generator=torch.Generator().manual_seed(1))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        plain, fused = (torch.sigmoid(each(batch)["logits"]) for each in (model, Fused(model)))
    assert plain.std() > 1e-4, "a constant answer would prove nothing"
    assert (plain - fused).abs().max() < 1e-6
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items()), "the network was changed"
