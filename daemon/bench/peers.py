"""The same model as others would run it: transformers' own classes around the weights of a served version."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, BertConfig, BertModel, BertPreTrainedModel, pipeline
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import logging as hf_logging

from daemon.bench.model import MAX_TOKENS
from daemon.models.encoder import quiet
from daemon.serving.served import ServedModel


class MeanPooledClassifier(BertPreTrainedModel):  # type: ignore[no-untyped-call]
    """A BERT with a linear layer on the mean of its last layer, as a sentence encoder is fine-tuned."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, len(config.id2label or ()))
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        hidden = self.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state
        weights = attention_mask[..., None].to(hidden.dtype)
        logits = self.classifier(self.dropout((hidden * weights).sum(1) / weights.sum(1)))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


def classifier(base: Path, labels: Sequence[str], **config: Any) -> Any:
    """The base's encoder with a fresh head for ``labels``; ``config`` overrides the base's, dropout for example."""
    with quiet():
        names = dict(enumerate(labels))
        return MeanPooledClassifier.from_pretrained(
            str(base),
            id2label=names,
            label2id={name: number for number, name in names.items()},
            dtype=torch.float32,
            local_files_only=True,
            **config,
        )


def save_classifier(served: ServedModel, directory: Path) -> None:
    """The version's encoder and tuned head, as transformers keeps a model and its tokenizer."""
    model = classifier(served.model.encoder.base.path, served.model.labels)
    model.bert.load_state_dict(served.model.encoder.transformer.state_dict(), strict=False)
    assert served.model.head is not None
    model.classifier.load_state_dict(served.model.head.state_dict())
    model.save_pretrained(str(directory), safe_serialization=True)
    AutoTokenizer.from_pretrained(str(served.model.encoder.base.path), local_files_only=True).save_pretrained(directory)


def load_pipeline(directory: Path) -> Any:
    """``pipeline("text-classification")`` on what :func:`save_classifier` left; called with a list of texts."""
    with quiet():
        model: Any = MeanPooledClassifier.from_pretrained(str(directory), dtype=torch.float32, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(str(directory), local_files_only=True)
        hf_logging.set_verbosity(logging.CRITICAL)  # it lists the classes that it knows where it meets another
        return pipeline(
            "text-classification",
            model=model.eval(),
            tokenizer=tokenizer,
            device="cpu",
            truncation=True,
            max_length=MAX_TOKENS,
        )
