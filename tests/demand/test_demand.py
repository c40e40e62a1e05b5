"""Sizes, needs and times of shapes, by hand and for models of known shapes."""

import pytest
import torch

from evoforge.demand.machine import GIB, KNOWN, Machine, probe
from evoforge.demand.needs import SIZES, disk, gib, on_gpus, parts, peak, total
from evoforge.demand.prospect import Prospect, advice
from evoforge.demand.shape import shape_of
from evoforge.demand.sizes import FOLDER, NAMES, main, shape_of_file
from evoforge.demand.times import answering, merging, times
from evoforge.demand.work import Asked, Setup, Work
from tests.conftest import ROOT, pico_config

MACHINE = Machine(
    name="made up", flops=1e12, bandwidth=1e11, bus=1e10, call=0.0, memory=64 * GIB, disk=64 * GIB
)
ITEMS = Asked(items=100, read=50, longest=80, written=20)
WORK = Work(ITEMS, ITEMS, ITEMS, candidates=10, baselines=4, baseline_items=100, finalists=2)


@pytest.fixture(scope="module")
def known():
    return {name: shape_of_file(FOLDER / f"{name}.json") for name in NAMES}


def setup(shape, **changes):
    given = {"engine": "hf", "device": "cpu", "batch": 10, "models": 1, "merged": 3}
    return Setup(**{**given, "stored": [shape.bytes] * 3, **changes})


def test_known_models_have_the_weights_that_their_makers_say(known):
    # Of the model cards: 7.24, 13.0 and 69.0 billion.
    found = {name: shape.weights for name, shape in known.items()}
    assert found == {
        "mistral_7b": 7_241_732_096,
        "llama_2_13b": 13_015_864_320,
        "llama_2_70b": 68_976_648_192,
    }
    mistral = known["mistral_7b"]
    assert (mistral.layers, mistral.kept, mistral.largest) == (32, 2 * 8 * 128, 32000 * 4096)
    assert (mistral.table, mistral.tensors) == (32000 * 4096, 291)


def test_a_pool_s_shape_is_counted(pool):
    tensors = pool.tensors("base")
    sizes = {name: tensors.shape(name) for name in tensors}
    found = shape_of(pico_config(), sizes, [torch.Size([3])], torch.float32)
    assert found.weights == sum(t.numel() for t in tensors.values()) + 3
    # One block: q and o 16 x 16, k and v 8 x 16, three matrices of the MLP, two norms.
    assert found.in_layers == 4 * (2 * 16 * 16 + 2 * 8 * 16 + 3 * 16 * 24 + 2 * 16)
    assert (found.kept, found.itemsize, found.hidden) == (2 * 8, 4, 16)


def test_a_tied_table_is_multiplied_too(pool):
    sizes = {"model.embed_tokens.weight": torch.Size([9, 16])}
    found = shape_of(pico_config(vocab_size=9), sizes, (), torch.float32)
    assert found.used == found.weights == 9 * 16


def test_memory_by_hand(known):
    shape = known["mistral_7b"]
    found = {part.what: part.size for part in parts(shape, setup(shape), WORK)}
    assert found["live model"] == 2 * shape.weights
    # 10 rows of 80 tokens, laid out 15 % longer, keys and values of 32 blocks in 16 bits.
    assert found["keys and values"] == int(10 * 80 * 1.15 * 2048 * 32 * 2)
    assert found["sources, mapped"] == 3 * shape.bytes
    assert found["merging"] == 4 * 4 * 32000 * 4096


def test_pages_of_files_are_not_counted_and_phases_are_apart(known):
    shape = known["mistral_7b"]
    every = parts(shape, setup(shape, packs=True), WORK)
    merge, answer = (total(every, "memory", phase) for phase in ("merge", "answer"))
    assert shape.bytes < merge < 2 * shape.bytes < answer == peak(every, "memory")


def test_other_models_of_a_path_are_there_without_what_is_around_their_layers(known):
    shape = known["llama_2_13b"]
    one, two = (parts(shape, setup(shape, models=n), WORK) for n in (1, 2))
    assert peak(two, "memory") - peak(one, "memory") == shape.layer_bytes


def test_a_longer_path_keeps_more_keys_and_takes_a_larger_file(known):
    shape = known["mistral_7b"]
    plain, deep = setup(shape), setup(shape, depth=64)
    kept = [
        next(p.size for p in parts(shape, s, WORK) if p.what == "keys and values")
        for s in (plain, deep)
    ]
    assert kept[1] == pytest.approx(2 * kept[0], rel=1e-6)
    files = [disk(shape, s, WORK)["model"] for s in (plain, deep)]
    assert files[1] - files[0] == shape.layer_bytes


def test_more_gpus_are_needed_for_more_and_a_model_too_large_has_none(known):
    counts = [
        [on_gpus(shape, setup(shape), WORK, size * GIB) for size in SIZES]
        for shape in known.values()
    ]
    assert counts == [[1, 1, 1], [2, 1, 1], [9, 4, 2]]
    shape = known["llama_2_70b"]
    assert on_gpus(shape, setup(shape), WORK, 8 * GIB) is None


def test_vllm_divides_heads_evenly(known):
    shape = known["llama_2_70b"]
    found = [on_gpus(shape, setup(shape, engine="vllm"), WORK, size * GIB) for size in SIZES]
    # The live model lies beside the engine, so there are two of them.
    assert found == [None, 8, 4]


def test_a_merge_takes_its_bytes_over_the_bandwidth(known):
    shape = known["mistral_7b"]
    assert merging(shape, setup(shape), MACHINE) == pytest.approx(4 * shape.bytes / 1e11)
    assert merging(shape, setup(shape, merged=0), MACHINE) == 0
    assert merging(shape, setup(shape, element=1e-9), MACHINE) == pytest.approx(7.24, rel=1e-3)


def test_sources_that_do_not_stay_on_a_gpu_cross_the_bus(known):
    shape = known["llama_2_70b"]
    small, large = KNOWN["A100 80 GB"], KNOWN["H100 80 GB"]
    given = setup(shape, device="cuda", gpus=4)
    assert merging(shape, given, small) > 10 * merging(shape, setup(shape, gpus=8), large)


def test_answers_take_reading_and_a_step_a_token(known):
    shape = known["mistral_7b"]
    found = answering(shape, setup(shape), ITEMS, MACHINE)
    read = 2 * shape.used * 100 * 50 / 1e12
    # 10 rows a step are bound by products here, not by bytes: 0.142 s against 0.145 s and keys.
    kept = 10 * (50 + 10) * shape.kept * 32 * 2
    step = max((shape.used * 2 + kept) / 1e11, 2 * shape.used * 10 / 1e12)
    assert found == pytest.approx(read + 200 * step)
    assert answering(shape, setup(shape), Asked(0, 0, 0, 0), MACHINE) == 0


def test_the_run_adds_up_and_workers_share_it(known):
    shape = known["mistral_7b"]
    one, two = (times(shape, setup(shape, workers=n), WORK, MACHINE) for n in (1, 2))
    jobs = 10 * (one.merge + one.search) + 4 * (one.merge + one.search)
    jobs += 2 * (one.merge + one.select) + 5 * (2 * one.merge + one.select + one.test)
    start = one.merge + shape.bytes / MACHINE.bus
    assert one.run == pytest.approx(jobs + start)
    assert two.run == pytest.approx(jobs / 2 + start)
    endless = Work(**{**vars(WORK), "candidates": None})
    assert times(shape, setup(shape), endless, MACHINE).run is None


def prospect(shape, machine=MACHINE, **changes):
    return Prospect(shape, setup(shape, **changes), WORK, machine, genes=3)


def free(**changes):
    return Machine(**{**vars(MACHINE), **changes})


@pytest.mark.parametrize(
    ("machine", "changes", "said"),
    [
        (free(memory=4 * GIB), {}, "set evaluator.device_map=auto, which keeps on disk what"),
        (free(memory=40 * GIB), {"workers": 4, "stored": []}, "set executor.workers to fewer"),
        (free(memory=30 * GIB), {}, "merges read them from disk again"),
        (free(disk=GIB), {}, "set hydra.run.dir to a folder on a larger disk"),
        (free(devices=(10 * GIB,) * 4), {"device": "cuda"}, "set evaluator.device_map=balanced"),
        (
            free(devices=(24 * GIB,) * 4),
            {"device": "cuda", "engine": "vllm"},
            "set evaluator.tensor_parallel_size=2 and evaluator.device=cpu",
        ),
        (free(devices=(4 * GIB,)), {"device": "cuda"}, "keeps in main memory what they do not"),
        (free(devices=(40 * GIB,) * 2), {"device": "cuda"}, "set executor=processes, or executor="),
    ],
)
def test_advice_names_the_option_to_set(known, machine, changes, said):
    found = advice(prospect(known["mistral_7b"], machine, **changes))
    assert len(found) == 1
    assert said in found[0]


def test_the_largest_batch_that_fits_is_advised(known):
    longer = Asked(items=128, read=1000, longest=2000, written=1000)
    work = Work(longer, longer, longer, candidates=10, baselines=4, baseline_items=8, finalists=2)
    shape = known["mistral_7b"]
    places = ((free(memory=24 * GIB), "cpu", 32), (free(devices=(24 * GIB,)), "cuda", 16))
    for machine, device, batch in places:
        found = Prospect(shape, setup(shape, batch=128, device=device), work, machine, genes=3)
        assert f"set evaluator.batch_size={batch}" in advice(found)[0]


def test_of_a_run_that_fits_there_is_no_advice(known):
    assert advice(prospect(known["mistral_7b"])) == []


def test_this_machine_is_measured():
    found = probe(torch.device("cpu"), torch.float32, disk=5)
    assert 1e8 < found.flops < 1e14
    assert 1e8 < found.bandwidth < 1e13
    assert 0 < found.call < 1e-3
    assert (found.devices, found.disk) == ((), 5)


def test_bytes_for_people():
    assert [gib(size) for size in (3 << 20, 3 << 30)] == ["3 MiB", "3.0 GiB"]


def test_the_table_in_the_docs_is_what_the_code_says(capsys):
    main([])
    printed = capsys.readouterr().out.strip()
    text = (ROOT / "docs" / "large-models.md").read_text()
    assert printed in text, "run python -m evoforge.demand.sizes and put its table into the page"


def test_the_table_of_other_settings(capsys):
    main(["--config", str(FOLDER / "mistral_7b.json"), "--sources", "4"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "| 67 GiB |" in lines[2]  # 5 x 13.5
