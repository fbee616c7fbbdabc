"""From dense outputs to animals."""

from __future__ import annotations

import math

import pytest
import torch

from napari_semimultipose.inference import decode
from napari_semimultipose.inference.decode import (
    Detections,
    best_first,
    candidates,
    local_peaks,
    sample_heat,
    suppress,
)
from napari_semimultipose.models.directpose import LevelOutput, Output
from napari_semimultipose.models.geometry import locations


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def empty(b: int = 1, k: int = 2, side: int = 8, stride: int = 8, heat_stride: int = 4) -> Output:
    """An output without animals: class and heat probability .001 everywhere."""
    low = logit(0.001)
    heat = side * stride // heat_stride
    return Output(
        [
            LevelOutput(
                stride,
                torch.full((b, 1, side, side), low),
                torch.full((b, 1, side, side), logit(0.9)),
                torch.zeros(b, k, 2, side, side),
                torch.zeros(b, k, 2, side, side),
            )
        ],
        torch.full((b, k, heat, heat), low),
        heat_stride,
    )


def encode(output: Output, image: int, xy: torch.Tensor, cell: tuple[int, int], p: float) -> None:
    (level,) = output.levels
    i, j = cell
    _, _, h, w = level.cls.shape
    place = locations(h, w, level.stride)[i * w + j]
    level.cls[image, 0, i, j] = logit(p)
    level.offsets[image, :, :, i, j] = (xy - place) / level.stride


def draw(output: Output, image: int, xy: torch.Tensor, sigma: float = 1.5) -> None:
    axis = torch.arange(output.heat.shape[-1], dtype=torch.float64)
    for k, (x, y) in enumerate(((xy - output.heat_stride // 2) / output.heat_stride).tolist()):
        bump = torch.exp(-((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * sigma**2))
        old = output.heat[image, k].double().sigmoid()
        output.heat[image, k] = torch.logit(torch.maximum(old, 0.98 * bump).clamp(1e-6)).float()


A = torch.tensor([[12.0, 20.0], [30.5, 17.25]])
B = torch.tensor([[40.0, 50.0], [55.0, 44.0]])


def test_decoding_returns_what_was_encoded_image_by_image() -> None:
    output = empty(b=2)
    encode(output, 0, A, (2, 3), 0.9)
    encode(output, 1, B, (5, 6), 0.8)
    encode(output, 1, A, (2, 2), 0.7)
    found = candidates(output, 0.05)
    assert found.image.tolist() == [0, 1, 1]
    torch.testing.assert_close(found.xy, torch.stack([A, B, A]), atol=1e-4, rtol=0)
    assert found.score.tolist() == pytest.approx([0.81, 0.72, 0.63], abs=1e-4)
    assert found.cls.tolist() == pytest.approx([0.9, 0.8, 0.7], abs=1e-4)


def test_an_empty_picture_has_no_animal() -> None:
    found = candidates(empty(), 0.05)
    assert len(found) == 0
    assert len(suppress(found, "oks", 0.5)) == 0
    assert sample_heat(empty(), found).shape == (0, 2)
    assert local_peaks(empty(), found).xy.shape == (0, 2, 2)


def test_keypoints_keep_their_graph_and_scores_have_none() -> None:
    output = empty()
    encode(output, 0, A, (2, 3), 0.9)
    output.levels[0].offsets.requires_grad_()
    output.levels[0].cls.requires_grad_()
    found = candidates(output, 0.05)
    assert found.xy.requires_grad
    assert not found.score.requires_grad


@pytest.mark.parametrize("kind", ["box", "oks"])
def test_duplicates_go_and_neighbours_stay(kind: str) -> None:
    xy = torch.stack([A, A + 1, B, A - 1])
    found = Detections(
        torch.tensor([0, 0, 0, 1]),
        xy,
        torch.tensor([0.6, 0.9, 0.5, 0.4]),
        torch.ones(4),
        torch.zeros(4, dtype=torch.long),
        torch.arange(4),
    )
    kept = suppress(found, kind, 0.4)
    assert kept.cell.tolist() == [1, 2, 3]
    assert suppress(found, kind, 0.4, limit=1).cell.tolist() == [1, 3]


def test_suppression_of_several_images_together_is_that_of_each(monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    n = 60
    image = torch.randint(0, 4, (n,), generator=generator)
    place = 12 * torch.randint(0, 6, (n, 1, 2), generator=generator).float()
    xy = (
        place
        + torch.tensor([[0.0, 0], [10, 3], [20, 0]])
        + torch.randn(n, 3, 2, generator=generator)
    )
    score = torch.rand(n, generator=generator)
    zero = torch.zeros(n, dtype=torch.long)
    found = Detections(image, xy, score, score, zero, zero)
    together = suppress(found, "oks", 0.5, limit=8)
    monkeypatch.setattr(decode, "_MOST_TOGETHER", 0)
    apart = suppress(found, "oks", 0.5, limit=8)
    assert 4 < len(apart) < n
    torch.testing.assert_close(together.xy, apart.xy)
    for one in range(4):
        mine = found.select(image == one)
        alone = suppress(mine, "oks", 0.5, limit=8)
        torch.testing.assert_close(together.xy[together.image == one], alone.xy)
        assert torch.equal(alone.score, alone.score.sort(descending=True).values)


def test_crossing_animals_survive_oks_suppression() -> None:
    # Their boxes are the same, their poses are not.
    first = torch.tensor([[10.0, 10.0], [50.0, 50.0]])
    second = torch.tensor([[10.0, 50.0], [50.0, 10.0]])
    found = Detections(
        torch.zeros(2, dtype=torch.long),
        torch.stack([first, second]),
        torch.tensor([0.9, 0.8]),
        torch.ones(2),
        torch.zeros(2, dtype=torch.long),
        torch.arange(2),
    )
    assert len(suppress(found, "oks", 0.5)) == 2
    assert len(suppress(found, "box", 0.5)) == 1


def test_peaks_are_found_between_the_cells() -> None:
    torch.manual_seed(0)
    for _ in range(20):
        xy = 12 + 40 * torch.rand(2, 2)
        output = empty()
        draw(output, 0, xy)
        encode(output, 0, xy + torch.tensor([[3.0, -2.0], [-2.5, 3.0]]), (3, 3), 0.9)
        peaks = local_peaks(output, candidates(output, 0.05), radius=2)
        assert float((peaks.xy[0] - xy).norm(dim=-1).max()) < 0.1
        assert float(peaks.probability.min()) > 0.7


def test_the_nearer_of_two_peaks_wins() -> None:
    output = empty()
    draw(output, 0, A)
    draw(output, 0, A + torch.tensor([16.0, 0.0]))
    encode(output, 0, A + 2.0, (2, 3), 0.9)
    peaks = local_peaks(output, candidates(output, 0.05), radius=3)
    torch.testing.assert_close(peaks.xy[0], A, atol=0.6, rtol=0)


def test_heat_is_sampled_bilinearly_and_clamped_at_the_border() -> None:
    output = empty(k=1)
    output.heat[0, 0, 3, 4] = logit(0.8)
    xy = torch.tensor(
        [[[4 * 4 + 2.0, 3 * 4 + 2.0]], [[4 * 4 + 4.0, 3 * 4 + 2.0]], [[-50.0, 900.0]]]
    )
    found = Detections(
        torch.zeros(3, dtype=torch.long),
        xy,
        torch.ones(3),
        torch.ones(3),
        torch.zeros(3, dtype=torch.long),
        torch.zeros(3, dtype=torch.long),
    )
    value = sample_heat(output, found)[:, 0].tolist()
    assert value == pytest.approx([0.8, 0.4005, 0.001], abs=1e-3)


def test_near_copies_of_a_single_keypoint_are_one_animal() -> None:
    xy = torch.tensor([[[40.0, 40.0]], [[43.0, 38.0]], [[70.0, 40.0]]])
    found = Detections(
        torch.zeros(3, dtype=torch.long),
        xy,
        torch.tensor([0.9, 0.8, 0.7]),
        torch.ones(3),
        torch.zeros(3, dtype=torch.long),
        torch.arange(3),
    )
    assert suppress(found, "oks", 0.5).cell.tolist() == [0, 2]


def test_the_best_of_each_image_come_first() -> None:
    image = torch.tensor([1, 0, 0, 1, 0, 2])
    score = torch.tensor([0.3, 0.5, 0.9, 0.8, 0.7, 0.1])
    none = torch.zeros(6, dtype=torch.long)
    found = Detections(image, torch.zeros(6, 1, 2), score, score, none, none)
    assert best_first(found, 0.2, 10).tolist() == [2, 4, 1, 3, 0]
    assert best_first(found, 0.2, 2).tolist() == [2, 4, 3, 0]
    assert best_first(found, 0.0, 1).tolist() == [2, 3, 5]
    assert best_first(found, 0.95, 1).tolist() == []
