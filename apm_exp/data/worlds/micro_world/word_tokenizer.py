"""A tokenizer of whole words with a chat template, for the micro world."""

from collections.abc import Iterable

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD, UNKNOWN, ANSWER = "<bos>", "<eos>", "<pad>", "<unk>", "<sep>"
CHAT_TEMPLATE = (  # <bos> user's words <sep> assistant's words <eos> ...: <sep> is the header of the assistant's turn
    "{{ bos_token }}{% for message in messages %}"
    f"{{% if message['role'] == 'assistant' %}}{ANSWER}{{{{ message['content'] }}}}{{{{ eos_token }}}}"
    "{% else %}{{ message['content'] }}{% endif %}"
    f"{{% endfor %}}{{% if add_generation_prompt %}}{ANSWER}{{% endif %}}"
)


def word_tokenizer(words: Iterable[str], longest: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per word; words are separated by white space, unknown words become `<unk>`.

    longest: the model's context length.
    """
    vocabulary = {word: index for index, word in enumerate((PAD, BOS, EOS, ANSWER, UNKNOWN, *words))}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNKNOWN,
        additional_special_tokens=[ANSWER],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,  # it would join a word and the period after it
        model_max_length=longest,
    )
