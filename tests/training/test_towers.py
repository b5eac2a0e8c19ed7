import copy
import json
import math
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    ClapModel,
    ClapProcessor,
    ClapTextModelWithProjection,
)

from monitor.detection.cohort_norm import CohortNorm, read_cohort_norm
from training import geometry as g
from training.bank import Bank
from training.batches import RARITY, Batch
from training.clips import averaged_tower, clip_windows
from training.export import EVENNESS, LEAST_POWER, LOADING, between, even_out, export, newest
from training.losses import REMEMBERED, Losses, Memory, compare, disorder, lesson
from training.optimisers import optimisers, rate_at
from training.places import Places
from training.soundscape import NO_LEAD
from training.store import Soundscapes
from training.teacher import BIAS, DIM, SCALE, Teacher, load_teacher, principal_map
from training.text import WINDOWS, begin_as_minilm, confusion, draw_weights, taught, word_table
from training.tokens import choose, save_vocabulary, wrap
from training.tower import (
    COARSE,
    DEPTHS,
    TEXT_LAYERS,
    AudioTower,
    audio_half,
    coarse,
    grown,
    refuse_other_words,
    student_config,
    text_half,
)
from training.train import follow, refuse_other

WORDS = choose(["dog", "bark"], Counter({"##ing": 2, "##ed": 1}), 141)


@pytest.fixture(scope="module")
def tower():
    """Weights as they fall, but such that 8 bits are enough: rounding them has its own test."""
    torch.manual_seed(0)
    tower = AudioTower()
    for weight in tower.audio_model.audio_encoder.layers.parameters():
        weight.data = weight.data.to(torch.float8_e4m3fn).float()
    return tower


@pytest.fixture
def tokenizer():
    return wrap(WORDS)


def windows(count=2):
    torch.manual_seed(1)
    return torch.randn(count, 1, g.FRAMES, g.MELS) * 10 - 40


def test_embeddings_have_length_one(tower):
    torch.testing.assert_close(tower(windows()).norm(dim=1), torch.ones(2))


def test_the_input_normalisation_stays_as_measured():
    tower = AudioTower()
    tower.fix_normalisation(windows()[:, 0].flatten(0, 1))
    norm = tower.audio_model.audio_encoder.batch_norm
    before = norm.running_mean.clone()
    tower.train()
    tower(windows() + 30)
    torch.testing.assert_close(norm.running_mean, before)
    assert norm.bias.std() > 0.3  # the position code


def test_the_tower_is_the_audio_half_of_a_clap_model(tower):
    whole = ClapModel(student_config(len(WORDS)))
    missing, unexpected = whole.load_state_dict(tower.state_dict(), strict=False)
    assert unexpected == []
    assert not [name for name in missing if name.startswith("audio")]
    theirs = whole.eval().get_audio_features(windows()).pooler_output
    torch.testing.assert_close(theirs, copy.deepcopy(tower).eval()(windows()), atol=1e-5, rtol=0)


def test_the_rate_warms_up_stays_and_falls():
    assert rate_at(0.0, fall=0.4, step=0, warm_steps=200) == pytest.approx(1 / 200)
    assert rate_at(0.0, fall=0.4, step=2000, warm_steps=200) == pytest.approx(1)
    assert rate_at(0.6, fall=0.4, step=2000, warm_steps=200) == pytest.approx(1)
    assert rate_at(0.8, fall=0.4, step=2000, warm_steps=200) == pytest.approx(1 / 2)
    assert rate_at(1.0, fall=0.4, step=2000, warm_steps=200) < 1 / 50


def test_a_rate_that_does_not_fall_stays_to_the_end():
    assert rate_at(1.0, fall=0, step=2000, warm_steps=200) == 1


def test_averaged_weights_follow(tower):
    average = copy.deepcopy(tower)
    moved = copy.deepcopy(tower)
    with torch.no_grad():
        moved.audio_projection.linear1.bias += 1
    follow(average, moved, decay=0.75)
    step = average.audio_projection.linear1.bias - tower.audio_projection.linear1.bias
    torch.testing.assert_close(step, torch.full_like(step, 0.25))


@pytest.mark.parametrize(("frames", "count"), [(30, 1), (g.FRAMES, 1), (500, 10)])
def test_windows_of_a_clip(frames, count):
    assert clip_windows(np.zeros((frames, g.MELS), np.float32)).shape == (count, g.FRAMES, g.MELS)


def teacher_of():
    torch.manual_seed(0)
    return Teacher(torch.zeros(384), torch.randn(DIM, 384)).eval().requires_grad_(False)


def test_the_teacher_comes_back_from_its_file(tmp_path):
    teacher = teacher_of()
    torch.save(teacher.state_dict(), tmp_path / "teacher.pt")
    vectors = torch.randn(3, 384)
    torch.testing.assert_close(load_teacher(tmp_path / "teacher.pt").text(vectors), teacher.text(vectors))


def test_principal_directions_are_centred():
    vectors = torch.randn(300, 384) + 5
    mean, directions = principal_map(vectors)
    assert directions.shape == (DIM, 384)
    assert ((vectors - mean) @ directions.T).mean(0).abs().max() < 1e-3


def test_the_losses_vanish_for_a_perfect_student():
    sounds = g.CLASSES + 2
    teacher = teacher_of()
    features = torch.rand(2, g.FEATURES)
    place = teacher.sound(features).detach()
    words = torch.zeros(sounds, DIM)
    words[g.CLASSES] = place[0]
    batch = Batch(
        mel=windows(),
        present=torch.sigmoid(SCALE * place @ words.T + BIAS),
        weight=torch.zeros(2, sounds),
        named=torch.tensor([g.CLASSES, -1]),
        features=features,
        alone=torch.rand(2, g.FEATURES),
        audible=torch.zeros(2),
    )
    losses = compare(place, words, batch, lesson(batch, teacher), Memory(2))
    assert losses.likeness == pytest.approx(0, abs=1e-6)
    assert losses.order == pytest.approx(0, abs=1e-6)
    assert losses.presence == 0
    assert losses.naming < 0.5


def test_a_batch_without_names_has_no_naming_loss():
    teacher = teacher_of()
    many = torch.zeros(2, g.CLASSES + 2)
    heard = torch.rand(2, g.FEATURES)
    batch = Batch(windows(), many, many, torch.tensor([-1, -1]), heard, heard, torch.ones(2))
    words = torch.zeros(g.CLASSES + 2, DIM)
    sounds = torch.ones(2, DIM) / DIM**0.5
    losses = compare(sounds, words, batch, lesson(batch, teacher), Memory(2))
    assert float(losses.naming) == 0
    assert float(losses.presence) == 0


def test_an_event_that_can_be_heard_counts_twice_as_much_as_the_mixture():
    teacher = teacher_of()
    mixture, alone = torch.rand(2, 3, g.FEATURES)
    nothing = torch.zeros(3, g.CLASSES + 2)
    batch = Batch(windows(), nothing, nothing, torch.zeros(3), mixture, alone, torch.tensor([0.0, 0.5, 1.0]))
    taught, whole, single = lesson(batch, teacher), teacher.sound(mixture), teacher.sound(alone)
    torch.testing.assert_close(taught.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(taught[0], whole[0])
    torch.testing.assert_close(taught[2], torch.nn.functional.normalize(whole[2] + 2 * single[2], dim=0))
    assert taught[1] @ single[1] < taught[1] @ whole[1]


def test_other_towers_count_as_much_as_the_teacher():
    teacher, nothing = teacher_of(), torch.zeros(3, g.CLASSES + 2)
    heard = torch.rand(3, g.FEATURES)
    batch = Batch(windows(), nothing, nothing, torch.zeros(3), heard, heard, torch.zeros(3))
    first, second = torch.nn.functional.normalize(torch.randn(2, 3, DIM), dim=-1)
    taught = lesson(batch, teacher, [first, second])
    expected = torch.nn.functional.normalize(teacher.sound(heard) + first + second, dim=-1)
    torch.testing.assert_close(taught, expected)


def test_where_towers_agree_presence_and_names_are_not_asked():
    each = [torch.tensor(float(i), requires_grad=True) for i in range(1, 5)]
    losses = Losses(*each)
    found = torch.autograd.grad(losses.agreement, each, allow_unused=True)
    assert [value is None for value in found] == [True, True, False, False]
    whole = torch.autograd.grad(losses.total, each)
    assert [float(a) for a in found[2:]] == [float(a) for a in whole[2:]]


def test_windows_are_remembered_without_their_gradient_and_the_oldest_forgotten():
    memory, batch = Memory(32), torch.rand(32, DIM, requires_grad=True)
    for step in range(20):
        sounds, taught = memory.beside(batch + step, batch.detach() + step)
        torch.testing.assert_close(sounds, taught)
        assert len(sounds) == min(32 * (step + 1), 32 + REMEMBERED)
    oldest = batch + 19 - REMEMBERED // 32
    torch.testing.assert_close(sounds[[0, 32]], torch.stack([batch[0] + 19, oldest[0]]))
    assert sounds[:32].requires_grad
    (gradient,) = torch.autograd.grad(sounds[:, 0].sum(), batch)
    assert gradient[:, 0].tolist() == [1] * 32


def test_every_number_of_the_tower_has_one_optimiser_and_every_matrix_muon():
    tower = AudioTower()
    muon, adam = optimisers(tower, "bias_table", matrix_decay=0.05, rest_decay=0.0)
    own = [[id(p) for group in each.param_groups for p in group["params"]] for each in (muon, adam)]
    assert sorted(own[0] + own[1]) == sorted(id(p) for p in tower.parameters())
    names = {id(p): name for name, p in tower.named_parameters()}
    assert {names[i].rpartition(".")[2] for i in own[0]} == {"weight"}
    assert any("relative_position_bias_table" in names[i] for i in own[1])


def test_the_order_is_right_when_the_windows_come_as_the_teacher_has_them():
    taught = torch.rand(8, 5)
    for_each_sentence = torch.rand(1, 5)  # how near a sentence is on the whole is not asked here
    assert float(disorder(taught + for_each_sentence, taught)) == pytest.approx(0, abs=1e-6)


def test_the_order_is_wrong_when_another_window_comes_first():
    taught = torch.tensor([[0.8], [0.2], [0.2]])
    near, far = torch.tensor([[0.7], [0.3], [0.2]]), torch.tensor([[0.2], [0.8], [0.2]])
    assert 0 < float(disorder(near, taught)) < 0.2 < float(disorder(far, taught))


def test_the_order_is_divergence_of_shares():
    cosines, taught = torch.rand(4, 3), torch.rand(4, 3)
    mine, right = (torch.softmax(SCALE * each, dim=0) for each in (cosines, taught))
    by_hand = (right * (right / mine).log()).sum() / 3
    assert float(disorder(cosines, taught)) == pytest.approx(float(by_hand), rel=1e-4)


def sentences(directions):
    return torch.nn.functional.normalize(torch.tensor(directions), dim=1)


def test_sentences_may_differ_where_no_sound_is():
    sounds = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    wanted, ours = sentences([[3.0, 1, 2], [1, 2, 1]]), sentences([[3.0, 1, -2], [1, 2, -1]])
    assert float(confusion(sounds, ours, wanted)) == pytest.approx(0, abs=1e-6)


def test_sentences_are_confused_that_put_another_sound_first():
    sounds = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    wanted = sentences([[3.0, 1, 2], [1, 2, 1]])
    near, far = sentences([[3.0, 1.5, 2], [1, 2, 1]]), sentences([[1.0, 3, 2], [1, 2, 1]])
    assert 0 < float(confusion(sounds, near, wanted)) < 0.2 < float(confusion(sounds, far, wanted))


def test_a_sentence_that_is_near_every_sound_is_confused_with_the_right_one():
    sounds = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    wanted, too_near = sentences([[3.0, 1, 9], [1, 2, 9]]), sentences([[3.0, 1, 9], [1.5, 2.5, 1]])
    assert float(confusion(sounds, too_near, wanted)) > 0.1


def test_sounds_are_heard_from_every_part_and_rare_ones_more_often():
    scores = np.zeros((100, g.CLASSES), np.float16)
    scores[:90, 1] = scores[90:99, 2] = 1  # the last window is nothing in particular
    features = np.tile(np.repeat([0.0, 1.0, 2.0], [90, 9, 1])[:, None], g.FEATURES).astype(np.float16)
    nothing = np.empty(0)
    part = Soundscapes(nothing, nothing, scores, features, nothing, nothing, nothing, nothing)
    teacher = teacher_of()
    sounds = taught([part, part], teacher, np.random.default_rng(0))
    common, rare = teacher.sound(torch.tensor([[0.0], [1.0]]).expand(2, g.FEATURES))
    assert sounds.shape == (WINDOWS, DIM)
    is_rare = (sounds - rare).norm(dim=1) < 1e-4
    assert ((sounds - common).norm(dim=1) < 1e-4).sum() + is_rare.sum() == WINDOWS
    rare_share, common_share = 9 ** (1 - RARITY), 90 ** (1 - RARITY)  # of 9 and 90 windows
    assert is_rare.float().mean() == pytest.approx(rare_share / (rare_share + common_share), abs=0.03)


def test_sound_begins_with_that_of_a_checkpoint(tower):
    whole = ClapModel(student_config(len(WORDS))).eval()
    begun = copy.deepcopy(tower)
    begun.load_state_dict(audio_half(whole))
    with torch.inference_mode():
        theirs = whole.get_audio_features(windows()).pooler_output
        torch.testing.assert_close(begun.eval()(windows()), theirs, atol=1e-5, rtol=0)


def lower(depths):
    """A tower with other numbers of blocks, its weights as they fall."""
    config = student_config(len(WORDS))
    config.audio_config.depths = list(depths)
    torch.manual_seed(2)
    return ClapModel(config).eval()


@pytest.mark.parametrize("depths", [(2, 2, 4), DEPTHS])
def test_a_tower_that_has_grown_hears_what_it_heard(depths):
    begun = lower(depths)
    taller = AudioTower()
    taller.load_state_dict(grown(audio_half(begun)))
    with torch.inference_mode():
        theirs = begun.get_audio_features(windows()).pooler_output
        torch.testing.assert_close(taller.eval()(windows()), theirs, atol=1e-5, rtol=0)


def test_a_state_of_a_tower_that_has_not_grown_is_refused(tower):
    with pytest.raises(ValueError, match=r"^audio\.pt: of a tower with other blocks: move it away"):
        refuse_other(Path("audio.pt"), audio_half(lower((2, 2, 4))), tower)
    refuse_other(Path("audio.pt"), audio_half(lower(DEPTHS)), tower)


def test_what_a_tower_has_grown_can_learn():
    tower = AudioTower()
    tower.load_state_dict(grown(audio_half(lower((2, 2, 4)))))
    tower(windows())[:, 0].sum().backward()
    last = tower.audio_model.audio_encoder.layers[2].blocks[DEPTHS[2] - 1]
    assert last.output.dense.weight.count_nonzero() == 0
    assert last.output.dense.weight.grad.abs().max() > 0


def test_words_begin_with_those_of_a_checkpoint():
    whole = ClapModel(student_config(len(WORDS)))
    tower = ClapTextModelWithProjection(student_config(len(WORDS)).text_config)
    tower.load_state_dict(text_half(whole))
    ids = torch.tensor([[0, 5, 6, 2]])
    with torch.inference_mode():
        theirs = whole.eval().get_text_features(ids).pooler_output
        ours = torch.nn.functional.normalize(tower.eval()(ids).text_embeds, dim=-1)
    torch.testing.assert_close(ours, theirs)


@pytest.fixture
def bert(monkeypatch):
    """A BERT of MiniLM's shape with weights as they fall, and word pieces that lack "bark"."""
    torch.manual_seed(3)
    names = {"[CLS]": 0, "[PAD]": 1, "[SEP]": 2, "[UNK]": 3}
    pieces = {name: i for i, name in enumerate([*names, *(word for word in WORDS[4:] if word != "bark")])}
    bert = BertModel(
        BertConfig(
            vocab_size=len(pieces), hidden_size=384, intermediate_size=1536,
            num_hidden_layers=6, num_attention_heads=12, pad_token_id=1,
        ),
        add_pooling_layer=False,
    ).eval()  # fmt: skip
    leads = torch.randn(384, 384)

    def meanings(words):
        seeds = [torch.Generator().manual_seed(zlib.crc32(word.encode())) for word in words]
        rows = torch.stack([torch.randn(384, generator=seed) for seed in seeds])
        return torch.nn.functional.normalize(rows, dim=-1).numpy()

    monkeypatch.setattr("training.minilm.weights", bert.state_dict)
    monkeypatch.setattr("training.minilm.word_pieces", lambda: pieces)
    monkeypatch.setattr("training.minilm.embed", meanings)
    return bert, pieces, meanings, leads


def test_words_begin_as_the_first_layers_of_minilm(bert, tokenizer):
    theirs, pieces, *_ = bert
    tower = ClapTextModelWithProjection(student_config(len(WORDS)).text_config).eval()
    begin_as_minilm(tower, tokenizer)
    ids = torch.tensor(tokenizer("a dog ed")["input_ids"])[None]
    same = torch.tensor([[{0: 0, 2: 2}.get(i, pieces.get(WORDS[i])) for i in ids[0].tolist()]])
    with torch.inference_mode():
        ours = tower.text_model(input_ids=ids).last_hidden_state
        layers = theirs(input_ids=same, output_hidden_states=True).hidden_states
    torch.testing.assert_close(ours, layers[TEXT_LAYERS], atol=1e-4, rtol=1e-4)


def test_a_word_in_pieces_begins_where_its_meaning_leads(bert, tokenizer, monkeypatch):
    _, pieces, meanings, leads = bert
    monkeypatch.setattr("training.text.RIDGE", 1e-4)
    low = leads[:20]  # few directions, so that the words that are known settle where they lead

    def narrow(words):
        return np.pad(meanings(words)[:, :20], ((0, 0), (0, 364)))

    monkeypatch.setattr("training.minilm.embed", narrow)
    own = torch.zeros(len(pieces), 384)
    for word, row in pieces.items():
        own[row] = 1 + torch.from_numpy(narrow([word.removeprefix("##")])[0, :20]) @ low
    table = word_table(tokenizer, own)
    expected = 1 + torch.from_numpy(narrow(["bark"])[0, :20]) @ low
    torch.testing.assert_close(table[WORDS.index("bark")], expected, atol=0.3, rtol=0)
    torch.testing.assert_close(table[WORDS.index("dog")], own[pieces["dog"]])
    assert not table[tokenizer.pad_token_id].any()


def test_words_are_learnt_with_the_weights_of_the_disk():
    torch.manual_seed(5)
    tower = ClapTextModelWithProjection(student_config(len(WORDS)).text_config)
    matrix = tower.text_model.encoder.layer[0].output.dense.weight
    last, exact = tower.text_projection.linear2.weight, matrix.detach().clone()
    with coarse(tower):
        assert torch.equal(matrix.data, exact.to(COARSE).float())
        assert not torch.equal(matrix.data, exact)
        kept = last.detach().clone()
        tower(torch.tensor([[0, 5, 6, 2]])).text_embeds.square().sum().backward()
    assert torch.equal(matrix.data, exact)
    assert torch.equal(last.data, kept)
    assert matrix.grad.abs().max() > 0


def test_a_text_tower_of_another_shape_is_refused():
    config = student_config(len(WORDS))
    refuse_other_words(Path("starter"), text_half(ClapModel(config)), len(WORDS))
    config.text_config.num_hidden_layers += 1
    with pytest.raises(ValueError, match=r"^starter: its text tower has another shape: train `text` without"):
        refuse_other_words(Path("starter"), text_half(ClapModel(config)), len(WORDS))


def test_the_tokenizer_lowers_case(tokenizer):
    assert tokenizer("A Dog BARKING")["input_ids"] == tokenizer("a dog barking")["input_ids"]


def test_no_word_is_unknown(tokenizer):
    assert tokenizer.unk_token_id not in tokenizer("zebras, obviously 42!")["input_ids"]


def test_padding_is_one_as_in_roberta(tokenizer):
    dog, bark, ing = (WORDS.index(piece) for piece in ("dog", "bark", "##ing"))
    ids = tokenizer(["dog", "dog barking"], padding=True)["input_ids"]
    assert ids == [[0, dog, 2, 1, 1], [0, dog, bark, ing, 2]]


def test_held_out_phrases_are_never_drawn():
    bank = Bank(
        [f"p{i}" for i in range(200)], np.zeros((200, 384), np.float16), [np.array([3])], np.array([7])
    )
    weights, kept_back = draw_weights(bank)
    assert weights[7] == 0
    assert weights[3] > weights[1] == 1
    assert not weights[kept_back].any()


def write_soundscapes(places, rows=40):
    """A part of noise in which nothing has a name, and a class map."""
    places.soundscapes.mkdir(parents=True)
    frames = rows * 24 + 200
    rng = np.random.default_rng(0)
    arrays = {
        "mel": rng.integers(60, 160, (frames, g.MELS), dtype=np.uint8),
        "starts": np.arange(rows) * 24,
        "scores": rng.random((rows, g.CLASSES)).astype(np.float16),
        "features": rng.random((rows, g.FEATURES)).astype(np.float16),
        "labels": np.full(rows, -1, np.int16),
        "leads": np.full(rows, NO_LEAD, np.float32),
        "alone_scores": np.zeros((rows, g.CLASSES), np.float16),
        "alone_features": np.zeros((rows, g.FEATURES), np.float16),
    }
    for name, array in arrays.items():
        np.save(places.soundscapes / f"{name}0.npy", array)
    places.class_map.parent.mkdir(parents=True)
    lines = ["index,mid,display_name", *(f"{i},/m/{i},Class {i}" for i in range(g.CLASSES))]
    places.class_map.write_text("\n".join(lines))


@pytest.fixture
def places(tmp_path, tower, tokenizer, monkeypatch):
    """Folders in which both towers have been trained."""
    places = Places(tmp_path, tmp_path / "work")
    places.runs.mkdir(parents=True)
    write_soundscapes(places)
    monkeypatch.setattr("training.export.HEARD", 100)
    save_vocabulary(places.runs / "vocabulary.json", tokenizer)
    torch.save({"average": tower.state_dict()}, places.runs / "audio.pt")
    text = ClapTextModelWithProjection(student_config(len(WORDS)).text_config)
    torch.save({"tower": text.state_dict()}, places.runs / "text.pt")
    return places


def doubled(state):
    return {name: 2 * value if value.is_floating_point() else value for name, value in state.items()}


def test_export_is_a_checkpoint_for_the_library_alone(places):
    export(places, None, 1.0)

    model = ClapModel.from_pretrained(places.export).eval()
    processor = ClapProcessor.from_pretrained(places.export)
    assert json.loads((places.export / "config.json").read_text())["dtype"] == "float32"
    assert model.dtype == torch.float32
    written = json.loads((places.export / "tokenizer_config.json").read_text())
    assert written["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert model.logit_scale_a.item() == pytest.approx(math.log(SCALE), abs=1e-3)
    sound = np.random.default_rng(0).standard_normal(g.WINDOW).astype(np.float32)
    mel = processor.feature_extractor(sound, sampling_rate=g.RATE, return_tensors="pt")["input_features"]
    ours = averaged_tower(places.runs / "audio.pt")(mel)
    theirs = model.get_audio_features(mel).pooler_output
    assert torch.cosine_similarity(ours, theirs) > 0.999
    assert read_cohort_norm(places.export, DIM).directions.shape == (32, DIM)
    auto = AutoTokenizer.from_pretrained(places.export)
    assert auto("A Dog")["input_ids"] == processor.tokenizer("a dog")["input_ids"]


def test_what_is_large_has_8_bits_on_disk_and_is_measured_so(places, monkeypatch):
    begun = lower(DEPTHS)
    torch.save({"average": audio_half(begun)}, places.runs / "audio.pt")
    measured = []
    monkeypatch.setattr("training.export.heard", lambda _, tower: measured.append(tower) or np.eye(100, DIM))
    export(places, None, 1.0)

    written = load_file(places.export / "model.safetensors")
    sort = {name: value.dtype for name, value in written.items()}
    matrix = "audio_model.audio_encoder.layers.2.blocks.7.output.dense.weight"
    assert sort[matrix] == sort["text_model.encoder.layer.1.output.dense.weight"] == torch.float8_e4m3fn
    assert sort["audio_projection.linear1.weight"] == sort["text_projection.linear1.bias"] == torch.float16
    exact = begun.state_dict()[matrix]
    torch.testing.assert_close(written[matrix].float(), exact, rtol=1 / 16, atol=2**-10)
    kept = audio_half(ClapModel.from_pretrained(places.export))
    torch.testing.assert_close(measured[0].state_dict(), kept, atol=0, rtol=0)


def test_a_checkpoint_that_began_with_another_keeps_its_words_and_part_of_its_ears(
    places, tmp_path, tower, tokenizer
):
    export(places, None, 1.0)
    begun = places.export.rename(tmp_path / "begun")

    (places.runs / "text.pt").unlink()
    torch.save({"average": doubled(tower.state_dict())}, places.runs / "audio.pt")
    export(places, begun, 0.5)
    first, second = (ClapModel.from_pretrained(folder).state_dict() for folder in (begun, places.export))
    torch.testing.assert_close(text_of(first), text_of(second))
    name = "audio_projection.linear1.weight"
    torch.testing.assert_close(second[name], 1.5 * first[name], atol=1e-3, rtol=1e-2)
    auto = AutoTokenizer.from_pretrained(places.export)
    assert auto("a dog")["input_ids"] == tokenizer("a dog")["input_ids"]
    assert not set(LOADING) & json.loads((places.export / "tokenizer_config.json").read_text()).keys()


def test_what_all_sounds_have_in_common_lifts_no_sentence():
    rng = np.random.default_rng(0)
    common = np.zeros(DIM, np.float32)
    common[3] = 0.5
    wide = np.linspace(0.3, 0.02, 40)[:, None] * np.linalg.qr(rng.standard_normal((DIM, 40)))[0].T
    repertoire = CohortNorm(common, wide.astype(np.float32))
    torch.manual_seed(4)
    model = ClapModel(student_config(len(WORDS))).eval()
    ids = torch.tensor([[0, 5, 6, 2], [0, 7, 8, 2]])
    before = model.text_projection(model.text_model(ids).pooler_output)
    even_out(model, repertoire)
    after = model.text_projection(model.text_model(ids).pooler_output)

    one = common / np.linalg.norm(common)
    without = before.detach().numpy() - np.outer(before.detach().numpy() @ one, one)
    gains = ((np.linalg.norm(wide, axis=1) ** 2 + LEAST_POWER) / (0.02**2 + LEAST_POWER)) ** -EVENNESS
    axes = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    expected = without + (without @ axes.T * (gains - 1)) @ axes
    np.testing.assert_allclose(after.detach().numpy(), expected, atol=1e-5)


def test_words_that_were_not_trained_are_left_as_they_are(places, tmp_path):
    export(places, None, 1.0)
    begun = places.export.rename(tmp_path / "begun")
    (places.runs / "text.pt").unlink()
    export(places, begun, 0.0)
    first, second = (load_file(folder / "model.safetensors") for folder in (begun, places.export))
    name = "text_projection.linear2.weight"
    torch.testing.assert_close(second[name], first[name], atol=0, rtol=0)


def text_of(state):
    return {name: value for name, value in state.items() if name.startswith("text_")}


def test_the_newest_state_is_exported(tmp_path):
    (tmp_path / "audio.pt").touch()
    assert newest(tmp_path, "audio").name == "audio.pt"


def test_weights_between_two_towers_are_on_the_straight_way():
    first = {"a": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
    last = {"a": torch.tensor([3.0, 0.0]), "n": torch.tensor(5)}
    assert between(first, last, 0.25)["a"].tolist() == [1.5, 1.5]
    assert between(first, last, 1.0)["a"].tolist() == [3.0, 0.0]
    assert int(between(first, last, 0.25)["n"]) == 5
