"""CTranslate2 as a competitor: a BERT-type folder (config.json, model.safetensors) in its own model form.

usage: ctranslate2_encoder.py FOLDER WORK_FOLDER THREADS

Needs numpy and ctranslate2 only: the model specification is filled from the safetensors file. Reads one JSON
object a line from standard input and answers with one a line:
  {"tokens": [[...], ...]}  sets the batch; {"out": FILE}  writes the hidden states of the real rows as float32;
  {"time": N}               answers {"seconds": S}: one pass, the mean of N.
"""
import json
import os
import sys
import time

import numpy as np


def tensors_of(path):
    with open(path, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(size))
        start = 8 + size
        out = {}
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] != "F32":
                continue
            first, last = entry["data_offsets"]
            f.seek(start + first)
            out[name.removeprefix("bert.")] = np.frombuffer(f.read(last - first), np.float32).reshape(entry["shape"])
        return out


def build(folder, to):
    from ctranslate2.specs import common_spec, transformer_spec

    config = json.load(open(os.path.join(folder, "config.json")))
    w = tensors_of(os.path.join(folder, "model.safetensors"))
    activation = {"gelu": common_spec.Activation.GELU, "relu": common_spec.Activation.RELU}[config["hidden_act"]]
    encoder = transformer_spec.TransformerEncoderSpec(
        config["num_hidden_layers"], config["num_attention_heads"], pre_norm=False, activation=activation,
        layernorm_embedding=True)
    encoder.scale_embeddings = False
    spec = transformer_spec.TransformerEncoderModelSpec(encoder)

    def linear(target, name):
        target.weight = w[name + ".weight"]
        target.bias = w[name + ".bias"]

    def norm(target, name):
        target.gamma = w[name + ".weight"]
        target.beta = w[name + ".bias"]

    embeddings = encoder.embeddings[0] if isinstance(encoder.embeddings, list) else encoder.embeddings
    embeddings.weight = w["embeddings.word_embeddings.weight"]
    # All tokens are of type 0: its vector is added to every position's.
    encoder.position_encodings.encodings = (w["embeddings.position_embeddings.weight"] +
                                            w["embeddings.token_type_embeddings.weight"][0])
    norm(encoder.layernorm_embedding, "embeddings.LayerNorm")
    for i, layer in enumerate(encoder.layer):
        p = f"encoder.layer.{i}."
        parts = [p + "attention.self." + n for n in ("query", "key", "value")]
        layer.self_attention.linear[0].weight = np.concatenate([w[n + ".weight"] for n in parts])
        layer.self_attention.linear[0].bias = np.concatenate([w[n + ".bias"] for n in parts])
        linear(layer.self_attention.linear[1], p + "attention.output.dense")
        norm(layer.self_attention.layer_norm, p + "attention.output.LayerNorm")
        linear(layer.ffn.linear_0, p + "intermediate.dense")
        linear(layer.ffn.linear_1, p + "output.dense")
        norm(layer.ffn.layer_norm, p + "output.LayerNorm")
    spec.register_vocabulary([f"t{i}" for i in range(config["vocab_size"])])
    spec.config.unk_token = "t0"
    spec.config.layer_norm_epsilon = config["layer_norm_eps"]
    spec.validate()
    spec.optimize(quantization=None)
    spec.save(to)


def main():
    folder, work, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        import ctranslate2
    except ImportError as error:
        answer.write(json.dumps({"missing": str(error)}) + "\n")
        return
    model = os.path.join(work, "model")
    os.makedirs(model, exist_ok=True)
    build(folder, model)
    encoder = ctranslate2.Encoder(model, device="cpu", compute_type="float32", inter_threads=1, intra_threads=threads)
    answer.write(json.dumps({"version": ctranslate2.__version__}) + "\n")
    answer.flush()
    tokens = []
    for line in sys.stdin:
        ask = json.loads(line)
        reply = {}
        if "tokens" in ask:
            tokens = ask["tokens"]
        if "out" in ask:
            hidden = np.array(encoder.forward_batch(tokens).last_hidden_state)
            rows = [hidden[i, : len(t)] for i, t in enumerate(tokens)]
            np.concatenate(rows).astype(np.float32).tofile(ask["out"])
        if "time" in ask:
            start = time.perf_counter()
            for _ in range(ask["time"]):
                encoder.forward_batch(tokens)
            reply["seconds"] = (time.perf_counter() - start) / ask["time"]
        answer.write(json.dumps(reply) + "\n")
        answer.flush()


if __name__ == "__main__":
    main()
