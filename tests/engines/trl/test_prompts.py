"""What the processor made of several prompts, taken apart and put together again."""

import pytest
import torch

from sharing import small
from vantage.engines.trl import prompts as reading
from vantage.errors import EngineError


def made(family, many):
    """Ids, pictures and fields as the stock trainer gets them: lists with an entry a token are not padded."""
    fields = {k: v for k, v in small.collate(family, many).items() if k not in ("input_ids", "attention_mask")}
    ids = [one["ids"].tolist() for one in many]
    for key in ("mm_token_type_ids", "token_type_ids"):
        if key in fields:
            fields[key] = [[int(token == small.PICTURE) for token in line] for line in ids]
    return ids, [one["pixels"] or None for one in many], fields


@pytest.mark.parametrize("family", small.FAMILIES)
def test_any_prompts_in_any_order_make_the_batch_of_the_processor(family):
    many = small.prompts(family, pictures=(2, 1, 3, 1), words=(5, 11, 3, 7))
    read = reading.read(*made(family, many), small.model(family))
    for order in ((0, 1, 2, 3), (3, 1), (2, 0, 0), (1,)):
        expected = small.collate(family, [many[i] for i in order])
        found = reading.batch([read[i] for i in order], small.PAD, torch.device("cpu"))
        assert set(found) == set(expected)
        for key, value in expected.items():
            if family in ("smolvlm", "idefics3") and key == "pixel_values":
                # The batch they come from had room for three pictures; empty ones are passed over by the model.
                assert not found[key][:, value.shape[1] :].any()
                value, found[key] = value, found[key][:, : value.shape[1]]
            assert torch.equal(found[key].to(value.dtype), value), key


def test_prompts_of_two_batches_that_were_padded_differently_fit_together():
    many = small.prompts("smolvlm", pictures=(1, 3), words=(4, 6))
    apart = [reading.read(*made("smolvlm", [one]), small.model("smolvlm"))[0] for one in many]
    found = reading.batch(apart, small.PAD, torch.device("cpu"))
    assert torch.equal(found["pixel_values"], small.collate("smolvlm", many)["pixel_values"])


def test_pictures_that_are_cut_into_tiles_stay_with_their_prompt():
    many = small.prompts("internvl", pictures=(1, 3), words=(4, 6))
    ids, _, fields = made("internvl", many)
    # As a processor that cuts: one picture each, of one tile and of three.
    first, second = reading.read(ids, [["one"], ["three tiles"]], fields, small.model("internvl"))
    assert torch.equal(first.inputs["pixel_values"], fields["pixel_values"][:1])
    assert torch.equal(second.inputs["pixel_values"], fields["pixel_values"][1:])


def test_text_alone_has_no_fields():
    read = reading.read([[5, 6], [7]], None, {}, small.model("llava"))
    found = reading.batch(read, small.PAD, torch.device("cpu"))
    assert found["input_ids"].tolist() == [[5, 6], [small.PAD, 7]] and set(found) == {"input_ids", "attention_mask"}


def test_what_cannot_be_shared_out_is_an_error():
    ids, images, fields = made("qwen2_5_vl", small.prompts("qwen2_5_vl", pictures=(1, 1), words=(4, 4)))
    with pytest.raises(EngineError, match="'strange' with 3 entries for 2 prompts"):
        reading.read(ids, images, {**fields, "strange": torch.zeros(3)}, small.model("qwen2_5_vl"))
