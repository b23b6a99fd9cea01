"""Small tokenizers with the chat templates of the model families that differ: written here, trained in memory."""

from functools import cache

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXT = [
    "What is the capital of France? The capital of France is Paris.\n\nIt is a large city on the river Seine.",
    "Write a list of three colours:\n1. red\n2. green\n3. blue\n\nThese are colours that people often name first.",
    "The quick brown fox jumps over the lazy dog. def add(a, b):\n    return a + b\n",
]
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' "
    "+ m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA2 = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' "
    "+ m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
GEMMA2_SIMPO = (  # takes a system turn and an answer alone
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] | trim + '\n' %}"
    "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}{% for m in messages %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' "
    "+ ((system if loop.index0 == 0 and m['role'] == 'user' else '') + m['content']) | trim + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ ' [INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
PLAIN = (  # no control tokens at all
    "{% for m in messages %}{{ '### ' + m['role'] + ':\n' + m['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant:\n' }}{% endif %}"
)


def _wrapped(tokenizer: Tokenizer, template: str, special: list[str], **named: str) -> PreTrainedTokenizerFast:
    chat = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)
    chat.add_special_tokens({"additional_special_tokens": special})
    chat.chat_template = template
    return chat


def byte_level(vocabulary: int = 400) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    pattern = Regex(r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+")  # newlines merge, as in Llama-3's and Qwen's
    split = pre_tokenizers.Split(pattern, "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
    )
    return tokenizer


def _metaspace() -> Tokenizer:
    """As SentencePiece has it for Llama-2 and Mistral: a space is put before the text's first word."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    named = ["<unk>", "<s>", "</s>"]
    alphabet = [chr(code) for code in range(33, 127)] + ["\n"]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=named, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


@cache
def llama3() -> PreTrainedTokenizerFast:
    special = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    return _wrapped(byte_level(), LLAMA3, special, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>")


@cache
def llama3_updated() -> PreTrainedTokenizerFast:
    """As later on the Hub: the end of a turn is the tokenizer's end token."""
    special = ["<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>"]
    return _wrapped(byte_level(), LLAMA3, special, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>")


@cache
def gemma2(template: str = GEMMA2) -> PreTrainedTokenizerFast:
    special = ["<start_of_turn>", "<end_of_turn>"]
    return _wrapped(byte_level(), template, special, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")


@cache
def chatml() -> PreTrainedTokenizerFast:
    return _wrapped(byte_level(), CHATML, ["<|im_start|>"], eos_token="<|im_end|>", pad_token="<|endoftext|>")


def added_chatml() -> PreTrainedTokenizerFast:
    """As axolotl's recipes have it: a base model to which ChatML's tokens were added, not as special ones."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level(), bos_token="<s>", eos_token="</s>")
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.chat_template = CHATML
    return tokenizer


@cache
def mistral() -> PreTrainedTokenizerFast:
    return _wrapped(_metaspace(), MISTRAL, [], bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@cache
def plain() -> PreTrainedTokenizerFast:
    return _wrapped(byte_level(), PLAIN, [], eos_token="<|endoftext|>")


FAMILIES = {"llama3": llama3, "llama3_updated": llama3_updated, "gemma2": gemma2, "chatml": chatml, "mistral": mistral}
