"""The layers of CS231n's captioning notebooks under the course's names; each lives in a module of its own."""

from from_scratch.activations import sigmoid
from from_scratch.affine import affine_backward, affine_forward
from from_scratch.embedding import word_embedding_backward, word_embedding_forward
from from_scratch.recurrent import (
    lstm_backward,
    lstm_forward,
    lstm_step_backward,
    lstm_step_forward,
    rnn_backward,
    rnn_forward,
    rnn_step_backward,
    rnn_step_forward,
)
from from_scratch.temporal import temporal_affine_backward, temporal_affine_forward, temporal_softmax_loss
