"""A generation after the other: all of one is judged and told before the next is asked."""

from collections.abc import Mapping, Sequence

import numpy as np

from evoforge.fitness.base import Course, Round
from evoforge.judging import Asked, Judged
from evoforge.recipe import Recipe
from evoforge.search import Generation, Search, check_failures
from evoforge.space import Genome


class Generational(Search):
    """Asks, has a generation judged round by round as the fitness policy says, and tells.

    The same whatever the number of workers: results are recorded in the order asked.
    """

    def run(self) -> None:
        """Search; see `Search.run`."""
        # The generations whose states were kept before.
        kept = set(self.record.states(self.stage.name))
        while self._goes_on():
            asked = self.ask()
            fitness = self.record.told(self.stage.name, asked.number)
            if fitness is None:
                fitness = self._judge(asked)
                self._check_failures(asked.number)
                self.journal.tell(self.stage.name, asked.number, fitness)
                self.changed()
            self._tell(asked, fitness, keep=asked.number not in kept)

    def _goes_on(self) -> bool:
        if self.record.generation(self.stage.name, self.generations):
            return True
        # Once finalists were chosen the search is over, whatever the budget is now.
        if self.record.selecting(self.stage.name):
            return False
        budget, population = self.stage.budget, self.stage.optimizer.population
        if budget.evaluations is not None and len(self.places) + population > budget.evaluations:
            return False
        # The first generation runs whatever was spent before it.
        if budget.minutes is None or self.generations == 0:
            return True
        return self.record.elapsed() < 60 * budget.minutes

    def _tell(self, asked: Generation, fitness: Genome, *, keep: bool) -> None:
        """Tell the optimizer, also what else it wants to know; keep what it says of itself."""
        candidates = self.record.generation(self.stage.name, asked.number)
        evaluations = [c.evaluation for c in candidates if c.evaluation is not None]
        numbers = range(asked.first, asked.first + len(fitness))
        found = self.details(evaluations, fitness, numbers)
        self.stage.optimizer.tell(asked.genomes, fitness, found)
        state = self.state(found)
        if state and keep:
            self.journal.add_state(self.stage.name, asked.number, state)

    def _judge(self, asked: Generation) -> Genome:
        """Evaluate round by round as the fitness policy says; return the fitness: (population,)."""
        recipes = self.recipes(asked)
        course = self.stage.fitness.course(asked.number, len(recipes))
        upcoming = next(course)
        if not asked.recorded:
            self.add(asked, recipes, max(upcoming.items.values(), key=len))
        return self._follow(asked.number, recipes, course, upcoming)

    def _follow(
        self,
        generation: int,
        recipes: Sequence[Recipe],
        course: Course,
        upcoming: Round,
    ) -> Genome:
        """Go through the rounds of a generation; return its fitness: (population,)."""
        open_ones: dict[int, Judged] = {}
        while True:
            # Those that take part no longer are over.
            over = {p: open_ones.pop(p) for p in [*open_ones] if p not in upcoming.items}
            self._assign(generation, over)
            open_ones |= self._round(generation, recipes, upcoming)
            known = {
                position: self.record.evaluation(judged.number, with_items=not upcoming.last)
                for position, judged in open_ones.items()
            }
            try:
                upcoming = course.send(known)
            except StopIteration as stop:
                self._assign(generation, open_ones)
                return np.asarray(stop.value, dtype=np.float64)

    def _round(self, generation: int, recipes: Sequence[Recipe], now: Round) -> dict[int, Judged]:
        """Evaluate a round; return what came of each candidate, by position."""
        positions = sorted(now.items)
        asked = [Asked(recipes[p], tuple(now.items[p]), proxy=now.proxy) for p in positions]

        def done(judged: Judged) -> None:
            if now.last:
                self.note(generation, positions[judged.place], judged.number)

        found = self.judging.evaluate(asked, done, self.changed)
        return {positions[judged.place]: judged for judged in found}

    def _assign(self, generation: int, over: Mapping[int, Judged]) -> None:
        """Note what became of candidates, once."""
        recorded = self.record.generation(self.stage.name, generation)
        over = {p: judged for p, judged in over.items() if recorded[p].evaluation is None}
        if not over:
            return  # a commit waits for the disk
        with self.journal.transaction():
            for position, judged in over.items():
                self.note(generation, position, judged.number)
        self.changed()

    def _check_failures(self, generation: int) -> None:
        candidates = self.record.generation(self.stage.name, generation)
        known = [c.evaluation for c in candidates if c.evaluation is not None]
        check_failures([self.record.evaluation(n) for n in known], f"of generation {generation}")
