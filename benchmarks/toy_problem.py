# SPDX-License-Identifier: Apache-2.0
"""Two objectives in the plane on which the mean of the gradients gets stuck, and who does not.

Run: ``python benchmarks/toy_problem.py``; ``--quick`` only shows that it runs. Gradient methods
that go by inner products alone start from the same points; their weights come from the two
gradients, without a model or a trainer. A table has the starting points from which each reaches the
Pareto set, and ``docs/figures/toy-problem.png`` has the ways that they take (with ``matplotlib`` at
hand).

Source:
    Liu et al. 2021, "Conflict-Averse Gradient Descent for Multi-task Learning", appendix on the toy
    problem, https://arxiv.org/abs/2110.14048. With ``a = max(tanh(y / 2), 0)`` and
    ``b = max(tanh(-y / 2), 0)``, objective ``i`` of a point ``(x, y)`` is ``a f_i + b g_i``, where

    - ``f_1 = log max(|(-x - 7) / 2 - tanh(-y)|, 5e-6) + 6``
    - ``f_2 = log max(|(-x + 3) / 2 + tanh(-y) + 2|, 5e-6) + 6``
    - ``g_1 = ((-x + 7)^2 + (-y - 8)^2 / 10) / 10 - 20``
    - ``g_2 = ((-x - 7)^2 + (-y - 8)^2 / 10) / 10 - 20``

    The first three starting points are theirs. Navon et al. 2022, "Multi-Task Learning as a
    Bargaining Game", https://arxiv.org/abs/2202.01017, has the other ones, and multiplies the first
    objective by 0.1. Both take Adam with a learning rate of 0.001, here 0.002 to save time. With
    0.01 Adam jumps out of the valleys, and even the mean arrives.
"""

import argparse
import importlib.util
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hf_mtl.gradients import GRADIENT_METHODS, GradientContext, GramianMethod

FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "toy-problem.png"
STARTS = (
    (-8.5, 7.5),
    (-8.5, -5.0),
    (9.0, 9.0),
    (0.0, 0.0),
    (-7.5, -0.5),
    (9.0, -1.0),
)
SCALES = (1.0, 0.1)
METHODS = ("mean", "mgda", "pcgrad", "cagrad", "imtl_g", "aligned_mtl")
"""Methods whose papers show such a problem, but for those that solve an equation in every step."""
TOLERANCE = 0.1
KEPT_POINTS = 250
STEPS_AT_REST = 500


def objectives(points: Tensor, scale: float = 1.0) -> Tensor:
    """Both objectives of each point: ``[N, 2] -> [N, 2]``.

    Args:
        points: The points.
        scale: Factor of the first objective.
    """
    x, y = points.unbind(dim=-1)
    upper, lower = (torch.tanh(sign * y / 2).clamp(min=0) for sign in (1, -1))
    valley_1 = ((-x - 7) / 2 - torch.tanh(-y)).abs().clamp(min=5e-6).log() + 6
    valley_2 = ((-x + 3) / 2 + torch.tanh(-y) + 2).abs().clamp(min=5e-6).log() + 6
    bowl_1, bowl_2 = (((-x + c) ** 2 + (-y - 8) ** 2 / 10) / 10 - 20 for c in (7, -7))
    first = upper * valley_1 + lower * bowl_1
    second = upper * valley_2 + lower * bowl_2
    return torch.stack([scale * first, second], dim=-1)


def gradients(points: Tensor, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Objectives of each point, ``[N, 2]``, and the gradient of each, ``[N, 2, 2]``."""
    points = points.detach().requires_grad_()
    values = objectives(points, scale)
    rows = [
        torch.autograd.grad(values[:, task].sum(), points, retain_graph=True)[0] for task in (0, 1)
    ]
    return values.detach(), torch.stack(rows, dim=1)


def pareto_front(scale: float = 1.0) -> Tensor:
    """Objectives along the Pareto set, ``[N, 2]``: those of a grid that no other point beats."""
    x = torch.linspace(-9, 9, 361, dtype=torch.float64)
    y = torch.linspace(-10, -6, 201, dtype=torch.float64)
    values = objectives(torch.cartesian_prod(x, y), scale)
    values = values[values[:, 0].argsort()]
    # From the left, whoever is lower than all before it.
    lowest_before = torch.cat([values.new_full((1,), torch.inf), values[:, 1].cummin(0)[0][:-1]])
    return values[values[:, 1] < lowest_before]


def is_optimal(points: Tensor, scale: float = 1.0, tolerance: float = TOLERANCE) -> Tensor:
    """Whether no point is better than each of these by more than a tolerance in both objectives.

    Args:
        points: The points, ``[N, 2]``.
        scale: Factor of the first objective.
        tolerance: How much better; of the first objective it is multiplied by the scale.
    """
    values = objectives(points, scale) - tolerance * torch.tensor([scale, 1.0])
    is_beaten = (pareto_front(scale)[None] < values[:, None]).all(dim=-1).any(dim=-1)
    return ~is_beaten


class Rest:
    """Which points have stayed where they are for a while.

    Args:
        points: The points at first, ``[N, 2]``.
        radius: How far a point may be from its place.
    """

    def __init__(self, points: Tensor, radius: float) -> None:
        self._places = points.clone()
        self._radius = radius
        self._steps = torch.zeros(len(points), dtype=torch.long)

    def add(self, points: Tensor) -> None:
        """Takes the points after one more step."""
        has_left = (points - self._places).abs().amax(dim=-1) > self._radius
        self._places[has_left] = points[has_left]
        self._steps = torch.where(has_left, 0, self._steps + 1)

    @property
    def moving(self) -> list[int]:
        """Points that are not at rest."""
        return (self._steps < STEPS_AT_REST).nonzero()[:, 0].tolist()


def trajectories(
    method: GramianMethod, starts: Tensor, *, steps: int, lr: float, scale: float = 1.0
) -> Tensor:
    """Points that Adam visits from some starting points, ``[K, N, 2]``; ``K`` at most about 250.

    Args:
        method: What combines the two gradients.
        starts: The starting points, ``[N, 2]``.
        steps: Steps.
        lr: Learning rate.
        scale: Factor of the first objective.
    """
    points = starts.clone()
    optimizer = torch.optim.Adam([points], lr=lr)
    tasks, ones = torch.arange(2), torch.ones(2, dtype=torch.float64)
    states = [method.init_state(2) for _ in starts]
    rest = Rest(points, lr / 10)
    interval = max(1, steps // KEPT_POINTS)
    visited = [points.clone()]
    for step in range(steps):
        values, jacobians = gradients(points, scale)
        directions = torch.zeros_like(points)
        for index in rest.moving:
            context = GradientContext(step, values[index], ones, seed=index)
            gramian = jacobians[index] @ jacobians[index].T
            weights, states[index] = method.weights(gramian, tasks, states[index], context)
            directions[index] = weights @ jacobians[index] / 2
        points.grad = directions
        optimizer.step()
        rest.add(points)
        if (step + 1) % interval == 0:
            visited.append(points.clone())
    return torch.stack(visited)


def run(name: str, scale: float, steps: int, lr: float) -> Tensor:
    """Points that a method of the registry visits from all starting points."""
    torch.set_num_threads(1)
    method = GRADIENT_METHODS.build(name)
    assert isinstance(method, GramianMethod)
    starts = torch.tensor(STARTS, dtype=torch.float64)
    return trajectories(method, starts, steps=steps, lr=lr, scale=scale)


def draw(ways: Mapping[str, Tensor], path: Path) -> None:
    """Draws the ways of each method over the sum of the objectives.

    Args:
        ways: Points that were visited from each starting point, ``[K, N, 2]``, by method.
        path: The picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 5
    rows = -(-len(ways) // columns)
    figure = Figure(figsize=(2.1 * columns, 2.2 * rows), layout="constrained")
    axis = torch.linspace(-11, 11, 111, dtype=torch.float64)
    total = objectives(torch.cartesian_prod(axis, axis)).mean(dim=-1).view(111, 111).T
    for index, (name, visited) in enumerate(ways.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.contour(axis, axis, total, levels=9, colors="0.8", linewidths=0.5)
        axes.plot([-7, 7], [-8.2, -8.2], color="0.45", linewidth=3, solid_capstyle="butt")
        for start in range(visited.shape[1]):
            x, y = visited[:, start].T
            (line,) = axes.plot(x, y, linewidth=1)
            axes.plot(x[:1], y[:1], "o", markersize=3, color=line.get_color())
            axes.plot(x[-1:], y[-1:], "*", markersize=6, color=line.get_color())
        axes.set(title=name, xlim=(-11, 11), ylim=(-11, 11), xticks=[], yticks=[])
        axes.title.set_fontsize(9)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_figure(path, dpi=90, pil_kwargs={"optimize": True})


def table_of(reached: Mapping[str, Mapping[float, Sequence[bool]]]) -> Table:
    """The starting points from which each method reaches the Pareto set.

    Args:
        reached: Whether it does from each of them, by factor of the first objective, by method.
    """
    table = Table(title="Reaches the Pareto set from", box=None)
    table.add_column("method")
    for x, y in STARTS:
        table.add_column(f"({x:g}, {y:g})", justify="center")
    for scale in SCALES:
        table.add_column("all" if scale == 1 else f"all, first x {scale:g}", justify="right")
    for name, by_scale in reached.items():
        counts = [f"{sum(by_scale[scale])} of {len(STARTS)}" for scale in SCALES]
        table.add_row(name, *("yes" if each else "-" for each in by_scale[1.0]), *counts)
    return table


def run_all(options: argparse.Namespace) -> dict[tuple[str, float], Tensor]:
    """Points that each method visits, by its name and the factor of the first objective."""
    cells = [(name, scale) for name in options.methods for scale in SCALES]
    if options.jobs == 1:
        return {cell: run(*cell, options.steps, options.lr) for cell in cells}
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        found = {cell: pool.submit(run, *cell, options.steps, options.lr) for cell in cells}
        return {cell: future.result() for cell, future in found.items()}


def main() -> None:
    """Runs all methods, prints the table and draws the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--lr", type=float, default=2e-3, help="learning rate of Adam")
    parser.add_argument(
        "--methods",
        nargs="*",
        default=METHODS,
        help="any that needs inner products alone; nash_mtl and fairgrad take an hour or more",
    )
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where the picture goes")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--quick", action="store_true", help="very few steps of two methods")
    options = parser.parse_args()
    if options.quick:
        options.steps, options.methods, options.jobs = 20, ["mean", "mgda"], 1
    began = time.perf_counter()
    visited = run_all(options)
    reached: dict[str, dict[float, list[bool]]] = {name: {} for name in options.methods}
    for (name, scale), points in visited.items():
        reached[name][scale] = is_optimal(points[-1], scale).tolist()
    console = Console(width=140)
    console.print(table_of(reached))
    console.print(
        f"{options.steps} steps of Adam at {options.lr:g} from each point; no point may be better "
        f"by {TOLERANCE:g} in both objectives. {time.perf_counter() - began:.0f} s."
    )
    if importlib.util.find_spec("matplotlib") is None:
        console.print("No picture: it needs matplotlib.")
        return
    draw({name: visited[name, 1.0] for name in options.methods}, options.figure)
    console.print(f"{options.figure}: {options.figure.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
