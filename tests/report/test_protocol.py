from evoforge.report.protocol import capped, early, mark, name, parts, tasks

JCOLA = {"task": "jcola", "protocol": "jp_stable", "prompt_is": "own", "metric": "balanced_acc"}
JNLI = {**JCOLA, "task": "jnli", "metric": "acc"}
MGSM = {"task": "mgsm_ja", "protocol": "sakana", "prompt_is": "published", "metric": "acc_lang"}
INNER = {"task": "jp", "tasks": {"jcola": JCOLA, "jnli": JNLI}}
SUITE = {"task": "both", "tasks": {"mgsm_ja": MGSM, "jp": INNER}}


def test_a_protocol_is_called_by_what_decides_a_score():
    assert name(MGSM) == "mgsm_ja (sakana, the published prompt)"
    changed = {**MGSM, "protocol_changed": ["stop", "language"], "prompt_is": "own"}
    assert name(changed) == "mgsm_ja (sakana, but with other stop and language, own prompt)"
    assert name({"task": "toy"}) == "toy"
    assert name({}) == "unnamed"


def test_tasks_of_a_suite_that_go_by_the_same_stand_together():
    assert parts(SUITE) == ["mgsm_ja (sakana, the published prompt)", *parts_of_jp()]
    assert parts(MGSM) == []


def parts_of_jp():
    return ["jp/jcola, jp/jnli (jp_stable, own prompt)"]


def test_suites_in_suites_are_named_by_their_way():
    assert list(tasks(SUITE)) == ["mgsm_ja", "jp", "jp/jcola", "jp/jnli"]


def test_a_search_that_is_cut_short_is_told():
    protocol = {"hash": "a", "search_hash": "b", "search": {"repeats": 4, "max_new_tokens": 256}}
    said = "The search stopped answers early (repeats 4, max_new_tokens 256); reports do not."
    assert early(protocol) == said
    nested = {**protocol, "search": {"mgsm": {"repeats": 4}}}
    assert "(mgsm.repeats 4)" in early(nested)
    assert "by other settings" in early({"hash": "a", "search_hash": "b"})


def test_a_search_that_is_judged_as_reports_are_needs_no_word():
    assert early({"hash": "a"}) is None
    assert early({"hash": "a", "search_hash": "a"}) is None


def test_tasks_with_short_gold_answers_are_known_by_their_items():
    assert capped({"gold_length_plus": None}) == []
    assert capped({"gold_length_plus": 0}) == [""]
    jsquad = {"task": "jsquad", "gold_length_plus": 0}
    assert capped({"tasks": {"mgsm": MGSM, "jp": {"tasks": {"jsquad": jsquad}}}}) == ["jp/jsquad/"]


def test_a_picture_is_marked_by_what_its_scores_were_judged_by():
    protocol = {**MGSM, "hash": "a" * 32, "search_hash": "b" * 32}
    assert mark(protocol) == "mgsm_ja, sakana, " + "a" * 12
    assert mark(protocol, search=True) == "mgsm_ja, sakana, " + "b" * 12
    assert mark({**MGSM, "hash": "a" * 32}, search=True) == mark(protocol)
    assert mark({}) == ""
