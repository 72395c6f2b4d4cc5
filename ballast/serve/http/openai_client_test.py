"""The official OpenAI client against a running server: argument 1 is its port. Exits 77 when the client is missing."""
import sys

try:
    import openai
except ImportError:
    sys.exit(77)

client = openai.OpenAI(base_url=f"http://127.0.0.1:{sys.argv[1]}/v1", api_key="none", max_retries=0, timeout=120)

names = [model.id for model in client.models.list()]
assert names == ["smol"], names

messages = [{"role": "user", "content": "What is the capital of France?"}]
whole = client.chat.completions.create(model="smol", messages=messages, max_tokens=12, temperature=0)
text = whole.choices[0].message.content
assert "Paris" in text, text
assert whole.usage.completion_tokens <= 12 and whole.choices[0].finish_reason in ("stop", "length")

pieces, usage = [], None
for chunk in client.chat.completions.create(model="smol", messages=messages, max_tokens=12, temperature=0, stream=True,
                                            stream_options={"include_usage": True}, extra_body={"slo": {"tier": "coder"}}):
    usage = chunk.usage or usage
    if chunk.choices and chunk.choices[0].delta.content:
        pieces.append(chunk.choices[0].delta.content)
assert "".join(pieces) == text, ("".join(pieces), text)
assert usage is not None and usage.prompt_tokens == whole.usage.prompt_tokens

completion = client.completions.create(model="smol", prompt="1, 2, 3, 4,", max_tokens=6, temperature=0, stop=[" 7"])
assert completion.choices[0].text.startswith(" 5"), completion.choices[0].text

try:
    client.chat.completions.create(model="smol", messages=messages, n=3)
    raise SystemExit("n=3 was accepted")
except openai.BadRequestError as error:
    assert error.code == "unsupported_field", error.body
try:
    client.chat.completions.create(model="other", messages=messages)
    raise SystemExit("an unknown model was accepted")
except openai.NotFoundError:
    pass
print("openai client", openai.__version__, "ok")
