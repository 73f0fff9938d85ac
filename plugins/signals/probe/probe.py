"""Probe: jumps of what can be read off the layers (S2).

For each task and layer a small network reads parts of speech, dependency relations, entities or semantic roles
off the layer's vectors; P(l) is its F1 on documents it has not seen, and S2(l) = |P(l+1) - P(l)| / P(l).

Labelled rows are recorded once, and all probes are trained on the gathered rows in canonical order, so batches,
devices, merged and resumed runs cannot change them. Test predictions are saved with the run: evaluating it again,
with other document weights, trains nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mspgt.contracts.batch import Batch
from mspgt.contracts.signal import Fitted, Report, Signal
from mspgt.core.errors import UserError
from mspgt.core.state import State, Units, stable_code
from mspgt.plugins.signals.probe import tasks as probe_tasks
from mspgt.plugins.signals.probe.bank import Bank, Budget, Examples
from mspgt.plugins.signals.probe.jumps import jumps
from mspgt.plugins.signals.probe.options import ProbeOptions
from mspgt.plugins.signals.probe.scores import FIGURES, SERIES, PreparedProbe, prepare, report
from mspgt.plugins.signals.probe.tasks import TEST, TRAIN, VALIDATION, Task
from mspgt.plugins.signals.probe.vectors import DTYPES, VectorRecorder, standardised


class Probe(Signal):
    """Relative jumps of probe F1 between neighbouring blocks.

    Probes are trained once, on 60 % of the labelled documents; curves, intervals and weights are those of the 25 %
    held out for test, conditional on the training documents. Replicates of the bootstrap draw the seeds anew too,
    so that the noise of training is in the intervals.

    Sources: Tenney et al. 2019 (arXiv:1905.06316) for the pair tasks, Hewitt & Liang 2019 (arXiv:1909.03368) for
    the control task, Voita & Titov 2020 (arXiv:2003.12298) for codelength, Xu et al. 2020 (arXiv:2002.10689) for
    V-information.
    """

    needs = frozenset({"labels"})
    weight = 0.8
    summary = "jumps of probe F1: POS, dependencies, entities, semantic roles (S2)"
    series = SERIES
    figures = FIGURES
    Options = ProbeOptions

    def bytes_per_sentence(self, n_layers: int, hidden_size: int) -> float:
        """Vectors of about 15 words and argument spans a sentence, as they are stored."""
        return 15.0 * DTYPES[self.options.rows].itemsize * n_layers * hidden_size

    def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> VectorRecorder:
        """Keeps the mean vectors of the labelled token ranges at layers 1..L."""
        return VectorRecorder(batch, self.options.tasks, DTYPES[self.options.rows])

    def fit(self, name: str, state: State) -> Fitted:
        """Train all probes and keep what they say of the test documents.

        Raises
        ------
        UserError: no task can be probed, or fewer than three documents have labels.
        """
        parts = probe_tasks.split(state, self.seed)
        tasks = {name: probe_tasks.read_task(state, name, parts) for name in self.options.tasks}
        fitted: Fitted = {f"{name}.sizes": probe_tasks.counts(task) for name, task in tasks.items()}
        fitted.update(
            (f"{name}.dropped", state.totals[f"{name}.dropped"]) for name in tasks if f"{name}.dropped" in state.totals
        )
        reasons = {name: probe_tasks.why_left_out(name, fitted[f"{name}.sizes"]) for name in tasks}
        ready = {name: task for name, task in tasks.items() if task is not None and reasons[name] is None}
        if not ready:
            raise UserError(f"probe has no task to train: {' '.join(r for r in reasons.values() if r)}")
        trained: dict[str, list[Tensor]] = {}
        training = (parts[state.tables["vectors"].sequence] == TRAIN).nonzero().squeeze(1)
        for first, features in standardised(state, training, self.device):
            for name, task in ready.items():
                for key, value in self._train(name, task, features, first).items():
                    trained.setdefault(f"{name}.{key}", []).append(value)
        fitted.update((key, torch.cat(groups)) for key, groups in trained.items())  # along layers
        for name, task in ready.items():
            fitted.update((f"{name}.{key}", value) for key, value in self._gold(task).items())
        return fitted

    def prepare(self, state: State, fitted: Fitted | None, units: Units) -> PreparedProbe:
        """Counts by document of every probe, and the details of the point estimate."""
        if fitted is None:
            raise UserError("probe was not fitted: run `fit` on the gathered state before evaluating it.")
        return prepare(fitted, state.names, units, self.options)

    def curve(self, prepared: PreparedProbe, weights: Tensor, rng: np.random.Generator | None) -> Tensor:
        """S2 of each replicate; with `rng`, seeds are drawn with replacement in each."""
        drawn = None
        if rng is not None:
            seeds = prepared.counts.shape[2]
            drawn = torch.from_numpy(rng.multinomial(seeds, [1 / seeds] * seeds, size=len(weights))).double()
        result = jumps(prepared.counts, weights.double(), drawn)
        return result.debiased if self.options.debias else result.raw

    def report(self, prepared: PreparedProbe) -> Report:
        """Scores by task and layer, controls, noise share, what was left out and why."""
        return report(prepared, self.options)

    # ------------------------------------------------------------------------------------------- training

    def _train(self, name: str, task: Task, features: Tensor, first: int) -> dict[str, Tensor]:
        """Train one task's probes of some layers; everything returned has layers as its first axis."""
        options, device = self.options, self.device
        members = options.seeds + options.control
        targets = self._targets(task)
        rows = task.rows.where(task.rows >= 0, features.shape[1] - 1)
        of_member = [targets[0]] * options.seeds + list(targets[1:])
        examples = Examples(rows.to(device), torch.stack(of_member).to(device))
        bank = Bank(
            [
                [stable_code(f"{self.seed}/{name}/{first + layer}/{member}") for member in range(members)]
                for layer in range(len(features))
            ],
            inputs=rows.shape[1] * features.shape[2],
            hidden=options.hidden,
            classes=len(task.names),
            device=device,
        )
        budget = Budget(options.epochs, options.learning_rate, options.batch_size, options.weight_decay)
        train, validation, test = (examples[task.chosen(p).to(device)] for p in (TRAIN, VALIDATION, TEST))
        orders = [stable_code(f"{self.seed}/{name}/order/{member}") for member in range(members)]
        training = bank.train(features, train, validation, budget, orders)
        return {
            "predictions": bank.predict(features, test.rows).cpu().to(torch.int16),
            "cross_entropy": bank.cross_entropy(features, test).double().mean(-1).cpu(),
            "online": training.online,
            "validation": training.validation.transpose(0, 1).contiguous(),
        }

    def _targets(self, task: Task) -> Tensor:
        """(1 or 2, instance): the task's classes and, if wanted, those of its control task."""
        targets = [task.target]
        if self.options.control:
            targets.append(probe_tasks.control_target(task, self.seed))
        return torch.stack(targets)

    def _gold(self, task: Task) -> dict[str, Tensor]:
        """What evaluation needs to know of the test instances."""
        test = task.chosen(TEST)
        return {
            "gold": self._targets(task)[:, test].to(torch.int16),
            "document": task.document[test],
            "sentence": task.sentence[test].int(),
            "classes": task.codes,
        }
