"""InterventionConformance: the laws that every intervention obeys, as a pytest class to subclass.

    from mspgt.testing import InterventionConformance

    class TestMine(InterventionConformance):
        intervention = "mine"

An intervention that cannot obey a law says why in `exceptions`, and the law is skipped with that reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from mspgt.contracts import registry
from mspgt.contracts.intervention import Intervention
from mspgt.core.errors import UserError
from mspgt.testing.laws import check_declaration, law, skip_excepted, unchanged
from mspgt.testing.scene import Scene, padded_scene, planted_scene

LAWS = ("strength_zero", "batch_size", "order", "chunks", "padding", "calls", "seed", "inputs_untouched", "bf16")
"""names of the laws, for `Intervention.exceptions`"""


class InterventionConformance:
    """Laws and contract of one intervention, on a planted batch.

    Set `intervention` to a registered name or an Intervention class, and `options` to what it is built with.
    """

    intervention: ClassVar[str | type[Intervention]]
    options: ClassVar[Mapping[str, Any]] = {}
    strength: ClassVar[float] = 0.5
    """what the laws are tried with"""
    bf16_tolerance: ClassVar[float] = 0.02
    """hidden states that arrive in bf16, relative to the largest value"""

    # ------------------------------------------------------------------------------------ what a subclass may change

    def scene(self) -> Scene:
        """The batch that the laws are tried on."""
        return planted_scene()

    def make(self, strength: float | None = None, seed: int = 0) -> Intervention:
        """A fresh intervention."""
        strength = self.strength if strength is None else strength
        return self.plugin_class()(strength=strength, seed=seed, **self.options)

    def plugin_class(self) -> type[Intervention]:
        """The class under test."""
        chosen = self.intervention
        return registry.intervention(chosen).load() if isinstance(chosen, str) else chosen

    # ------------------------------------------------------------------------------------ fixtures

    @pytest.fixture
    def planted(self) -> Scene:
        """A batch of the test's own."""
        return self.scene()

    @pytest.fixture
    def applied(self, planted: Scene) -> Tensor:
        """What the intervention makes of the whole batch; laws compare with it."""
        return planted.apply(self.make())

    @pytest.fixture(autouse=True)
    def _excepted(self, request: pytest.FixtureRequest) -> None:
        skip_excepted(request, self.plugin_class().exceptions)

    # ------------------------------------------------------------------------------------ laws

    @law("strength_zero")
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_strength_zero_changes_nothing(self, planted: Scene, dtype: torch.dtype) -> None:
        """Bit by bit, the sign of a zero too."""
        planted.hidden[0, 0, :2] = torch.tensor([0.0, -0.0])
        given = planted.to(dtype)
        bits = torch.int32 if dtype == torch.float32 else torch.int16
        assert torch.equal(given.apply(self.make(0)).view(bits), given.hidden.view(bits))

    @law("batch_size")
    def test_batch_size_does_not_matter(self, planted: Scene, applied: Tensor) -> None:
        """A row alone is what it is beside others."""
        for row in range(len(planted.samples)):
            alone = planted.rows(slice(row, row + 1))
            same(alone.apply(self.make())[0], applied[row], planted.positions[row] >= 0)

    @law("order")
    def test_order_of_rows_does_not_matter(self, planted: Scene, applied: Tensor) -> None:
        """The same rows the other way round."""
        order = torch.arange(len(planted.samples)).flip(0)
        same(planted.rows(order).apply(self.make()), applied[order], planted.positions[order] >= 0)

    @law("chunks")
    @pytest.mark.parametrize("first", [1, 3])
    def test_a_cache_does_not_matter(self, planted: Scene, applied: Tensor, first: int) -> None:
        """A prompt at once and then token by token is what one pass over all tokens gives."""
        tokens = planted.positions.shape[1]
        cuts = [slice(0, first), *(slice(t, t + 1) for t in range(first, tokens))]
        intervention = self.make()
        stepped = torch.cat([planted.tokens(cut).apply(intervention) for cut in cuts], dim=1)
        same(stepped, applied, planted.positions >= 0)

    @law("padding")
    @pytest.mark.parametrize("content", [1e3, float("nan")])
    @pytest.mark.parametrize("side", ["left", "right"])
    def test_padding_does_not_matter(self, planted: Scene, applied: Tensor, side: str, content: float) -> None:
        """More padding, on either side, whatever stands in it."""
        counted = planted.positions >= 0
        padded = padded_scene(planted, side, content)
        again = padded.apply(self.make())[padded.positions >= 0]
        assert torch.equal(again, applied[counted]), "a token's result depends on padding"

    @law("calls")
    def test_earlier_calls_do_not_matter(self, planted: Scene) -> None:
        """A block's result is the same whichever blocks and tokens were met before."""
        used = self.make()
        for layer in (1, 40, 2):
            planted.apply(used, layer)
            planted.tokens(slice(0, 1)).apply(used, layer)
        for layer in (40, 1):
            same(planted.apply(used, layer), planted.apply(self.make(), layer), planted.positions >= 0)

    @law("seed")
    def test_the_seed_decides(self, planted: Scene, applied: Tensor) -> None:
        """The same seed gives the same, and torch's own generator is neither asked nor moved."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            before = torch.get_rng_state()
            again = planted.apply(self.make())
            assert torch.equal(torch.get_rng_state(), before), "torch's own random numbers were drawn"
        same(again, applied, planted.positions >= 0)

    @law("seed")
    def test_random_choices_differ_between_samples_and_positions(self, planted: Scene, applied: Tensor) -> None:
        """Where another seed gives another result, other samples and positions do."""
        other = planted.apply(self.make(seed=1))
        if torch.equal(other[planted.positions >= 0], applied[planted.positions >= 0]):
            return
        alike = dataclasses.replace(
            planted,
            hidden=planted.hidden[:1, :1].expand_as(planted.hidden).clone(),
            incoming=planted.incoming[:1, :1].expand_as(planted.incoming).clone(),
            positions=torch.arange(planted.positions.shape[1]).expand_as(planted.positions),
        )
        made = alike.apply(self.make())
        assert not torch.equal(made[0], made[1]), "two samples got the same random choices"
        assert not torch.equal(made[:, 0], made[:, 1]), "two positions got the same random choices"

    @law("inputs_untouched")
    def test_inputs_are_left_alone(self, planted: Scene) -> None:
        """Neither the call nor a model that writes into the result changes what the intervention was given."""
        for strength in (self.strength, min(1.0, self.plugin_class().limits[1])):
            for given in (planted, planted.tokens(slice(0, 1)).rows(slice(0, 1))):
                before = [t.clone() for t in given.tensors()]
                made = given.apply(self.make(strength))
                unchanged(before, given.tensors())
                made.add_(1)
                unchanged(before[1:], given.tensors()[1:])  # the result may be `hidden` itself

    @law("bf16")
    def test_bf16_lands_near_fp32(self, planted: Scene) -> None:
        """Hidden states in bf16 give what the same numbers give in fp32, rounded."""
        given = planted.to(torch.bfloat16)
        half, full = given.apply(self.make()), given.to(torch.float32).apply(self.make())
        assert half.dtype == torch.bfloat16
        counted = planted.positions >= 0
        error = (half.float() - full)[counted].abs().max()
        assert error <= self.bf16_tolerance * full[counted].abs().max(), f"bf16 is off by {float(error):.3g}"

    # ------------------------------------------------------------------------------------ contract

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_shape_and_precision_are_those_of_the_output(self, planted: Scene, dtype: torch.dtype) -> None:
        """(row, token, dim) in the precision of `hidden`, finite; one token of one row too."""
        given = planted.to(dtype)
        for part in (given, given.rows(slice(0, 1)).tokens(slice(0, 1))):
            made = part.apply(self.make())
            assert made.shape == part.hidden.shape
            assert made.dtype == dtype
            assert bool(torch.isfinite(made[part.positions >= 0]).all())

    def test_a_strength_does_something(self, planted: Scene, applied: Tensor) -> None:
        """`strength` disturbs every prompt."""
        for before, after, positions in zip(planted.hidden, applied, planted.positions, strict=True):
            assert not torch.equal(before[positions >= 0], after[positions >= 0])

    def test_strengths_outside_the_limits_are_refused(self) -> None:
        """With a sentence for the user."""
        low, high = self.plugin_class().limits
        for strength in (low - 1, high + 1, float("nan")):
            with pytest.raises(UserError, match="sigma="):
                self.make(strength)

    def test_the_declaration_is_sane(self) -> None:
        """What the class says of itself can be shown and used."""
        intervention_class = self.plugin_class()
        low, high = intervention_class.limits
        assert low <= 0 <= high, "a strength of 0 is always allowed"
        check_declaration(intervention_class, LAWS, intervention_class.strength_means)


# --------------------------------------------------------------------------------------------------- comparison


def same(one: Tensor, other: Tensor, counted: Tensor) -> None:
    """Compare two results bit by bit, padding left out."""
    difference = (one - other)[counted].abs().max()
    assert torch.equal(one[counted], other[counted]), f"a token's result is off by {float(difference):.3g}"
