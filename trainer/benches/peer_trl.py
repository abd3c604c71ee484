"""The peer's side of peers.py: TRL's trainers with padding, as a user would run them.

    peer_trl.py {sft|reward|sample} BASE ROWS.jsonl {f32|bf16}

TRL in bf16 trains bf16 weights with bf16 optimiser state, where Attune keeps both in f32.
Prints one JSON object; seconds leave out loading and tokenising; tokens are counted without padding.
"""

import json
import os
import resource
import sys
import tempfile
import time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback

work, base, rows, dtype = sys.argv[1:]
dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
tokenizer = AutoTokenizer.from_pretrained(base)


class StepTimer(TrainerCallback):
    seconds = 0.0

    def on_step_begin(self, *_, **__):
        self.begun = time.monotonic()

    def on_step_end(self, *_, **__):
        StepTimer.seconds += time.monotonic() - self.begun


def train(trainer_class, config_class, model, counted):
    from datasets import Dataset

    config = config_class(output_dir=tempfile.mkdtemp(), per_device_train_batch_size=8, num_train_epochs=1, max_length=512,
                          save_strategy="no", report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False, disable_tqdm=True)
    data = Dataset.from_list([json.loads(line) for line in open(rows)])
    trainer = trainer_class(model=model, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[StepTimer()])
    trainer.train()
    tokens = sum(len(row[column]) for row in trainer.train_dataset for column in counted)
    return tokens, StepTimer.seconds


def sample():
    tokenizer.padding_side = "left"
    prompts = [json.loads(line)["prompt"] for line in open(rows)]
    texts = [tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False) for prompt in prompts]
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    begun, tokens = time.monotonic(), 0
    for at in range(0, len(texts), 8):
        part = {key: value[at : at + 8] for key, value in batch.items()}
        made = model.generate(**part, max_new_tokens=64, do_sample=True, temperature=1.0, top_k=0)[:, part["input_ids"].shape[1] :]
        tokens += int((made != tokenizer.pad_token_id).sum()) + int((made == tokenizer.pad_token_id).any(1).sum())
    return tokens, time.monotonic() - begun


if work == "sft":
    from trl import SFTConfig, SFTTrainer

    tokens, seconds = train(SFTTrainer, SFTConfig, AutoModelForCausalLM.from_pretrained(base, dtype=dtype), ["input_ids"])
elif work == "reward":
    from trl import RewardConfig, RewardTrainer

    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=dtype)
    tokens, seconds = train(RewardTrainer, RewardConfig, model, ["chosen_ids", "rejected_ids"])
else:
    tokens, seconds = sample()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"tokens": tokens, "tokens_per_second": tokens / seconds, "peak_rss_mb": memory}))
