"""Steady state: no worker waits for the slowest of a generation.

Candidates are asked ahead, judged as workers become free, and told in the order in which they
finish. That order is recorded, so a search that goes on tells the same again.
"""

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from evoforge.journal import Journal
from evoforge.judging import Asked, Judging, Stream
from evoforge.recipe import Recipe
from evoforge.record import Telling
from evoforge.search import Generation, Search, check_failures
from evoforge.space import Genome
from evoforge.stage import Stage
from evoforge.task.base import Item, Task

# A candidate: its generation, and its position there.
Place = tuple[int, int]


class SteadyState(Search):
    """Asks when nobody waits to be judged, and tells as soon as so many are judged as were asked.

    What is asked at a time is a generation in the journal: its candidates answer the same items,
    and it is complete when the last of them is judged. Who is told together may be of several.
    """

    def __init__(
        self,
        journal: Journal,
        task: Task,
        judging: Judging,
        stage: Stage,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(journal, task, judging, stage, changed)
        # Once finalists were chosen the search is over, whatever the budget is now.
        self._over = self.record.selecting(stage.name)
        # Of each candidate that is recorded: its number in the order asked.
        self._numbers: dict[Place, int] = {}
        self._told = 0
        # Asked and not judged yet: by generation, how many; and the queue itself.
        self._open: dict[int, int] = {}
        self._queue: deque[tuple[Place, Asked]] = deque()
        # Judged and not told yet, in the order in which they were.
        self._arrived: list[Place] = []

    def run(self) -> None:
        """Search; see `Search.run`."""
        self._replay()
        stream: Stream[Place] = Stream(self.judging)
        try:
            while True:
                while len(self._arrived) >= self.stage.optimizer.population:
                    self._tell_next()
                self._complete()
                while stream.has_room and (self._queue or self._ask_next()):
                    stream.give(*self._queue.popleft())
                if not stream:
                    break
                self._take(stream)
        finally:
            stream.close()

    def _replay(self) -> None:
        """Ask and tell what is recorded, in the order of then."""
        stage = self.stage.name
        tellings = self.record.tellings(stage)
        for telling in tellings:
            while self.generations < telling.asked:
                self._ask()
            self._tell(telling)
        while self.record.generation(stage, self.generations):
            self._ask()
        told = {place for telling in tellings for place in telling.places}
        self._arrived = [place for place in self.record.arrivals(stage) if place not in told]

    def _ask_next(self) -> bool:
        """Ask a generation if the budget allows it; return whether it did."""
        budget, known = self.stage.budget, len(self._numbers)
        if self._over or (budget.evaluations is not None and known >= budget.evaluations):
            return False
        minutes = budget.minutes
        # The first generation runs whatever was spent before it.
        if minutes is not None and known and self.record.elapsed() >= 60 * minutes:
            return False
        self._ask()
        return True

    def _ask(self) -> None:
        """Ask a generation, as much of it as the budget allows, and put it into the queue."""
        asked = self.ask()
        recipes = self.recipes(asked)
        items = self._items(asked.number, len(recipes))
        limit = self.stage.budget.evaluations
        room = len(recipes) if limit is None else limit - len(self._numbers)
        known = len(asked.recorded)
        if not known:
            recipes = recipes[:room]
            self.add(asked, recipes, items)
        elif known < len(recipes) and not self._is_over(asked.number):
            recipes = recipes[: max(known, room)]
            self._add_rest(asked, recipes)
        else:
            recipes = recipes[:known]
        waiting = [
            place
            for place in range(len(recipes))
            if place >= known or asked.recorded[place].evaluation is None
        ]
        for position in range(len(recipes)):
            self._numbers[asked.number, position] = asked.first + position
        if not self._over:
            self._queue += [
                ((asked.number, place), Asked(recipes[place], items)) for place in waiting
            ]
            if not self._is_over(asked.number):
                self._open[asked.number] = len(waiting)

    def _is_over(self, generation: int) -> bool:
        """Whether all that will be judged of a generation was."""
        return self._over or self.record.told(self.stage.name, generation) is not None

    def _add_rest(self, asked: Generation, recipes: Sequence[Recipe]) -> None:
        """Record what a smaller budget had cut off."""
        first = len(asked.recorded)
        if first < len(recipes):
            pairs = list(zip(asked.genomes[first:], recipes[first:], strict=False))
            origins = asked.origins[first : len(recipes)]
            self.journal.add_candidates(self.stage.name, asked.number, first, pairs, origins)

    def _items(self, generation: int, population: int) -> tuple[Item, ...]:
        """Return what all candidates of a generation answer."""
        # A policy that is fit for this has one round, and its fitness is the evaluations' own.
        return next(self.stage.fitness.course(generation, population)).items[0]

    def _take(self, stream: Stream[Place]) -> None:
        """Wait for a candidate, and note what became of it."""

        def done(place: Place, evaluation: int) -> None:
            self.note(*place, evaluation)

        places = stream.take(done)
        self._arrived += places
        for generation, _ in places:
            self._open[generation] -= 1
        self.changed()

    def _tell_next(self) -> None:
        """Tell those who were judged first, so many as the optimizer asks at a time."""
        count = self.stage.optimizer.population
        telling = Telling(self.generations, tuple(self._arrived[:count]))
        numbers = [self._evaluation(place) for place in telling.places]
        found = [self.record.evaluation(number) for number in numbers]
        check_failures(found, "that were judged last")
        self.journal.add_telling(self.stage.name, self._told, telling)
        del self._arrived[:count]
        self._tell(telling)

    def _tell(self, telling: Telling) -> None:
        self._told += 1
        evaluations = [self._evaluation(place) for place in telling.places]
        fitness = self._fitness(evaluations)
        genomes = np.array(
            [self.record.candidate(self.stage.name, *place).genome for place in telling.places]
        )
        numbers = [self._numbers[place] for place in telling.places]
        found = self.details(evaluations, fitness, numbers)
        self.stage.optimizer.tell(genomes, fitness, found)

    def _evaluation(self, place: Place) -> int:
        number = self.record.candidate(self.stage.name, *place).evaluation
        assert number is not None  # who is told was judged
        return number

    def _fitness(self, evaluations: Sequence[int]) -> Genome:
        return np.array([self.record.evaluation(number).fitness for number in evaluations])

    def _complete(self) -> None:
        """Note the fitness of generations all of which was judged, and how the optimizer stands."""
        for generation in [number for number, left in self._open.items() if not left]:
            del self._open[generation]
            candidates = self.record.generation(self.stage.name, generation)
            evaluations = [c.evaluation for c in candidates if c.evaluation is not None]
            fitness = self._fitness(evaluations)
            asked = [self._numbers[generation, c.position] for c in candidates]
            state = self.state(self.details(evaluations, fitness, asked))
            self.journal.tell(self.stage.name, generation, fitness, state)
            self.changed()
