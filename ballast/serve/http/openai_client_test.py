"""The official OpenAI client against a running server: argument 1 is its port. Exits 77 when the client is missing."""
import json
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
shaped = client.chat.completions.create(
    model="smol", messages=messages, max_tokens=60, temperature=0,
    response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {
        "type": "object", "properties": {"capital": {"type": "string", "maxLength": 16}}, "required": ["capital"]}}})
assert isinstance(json.loads(shaped.choices[0].message.content)["capital"], str), shaped
tools = [{"type": "function", "function": {"name": "lookup", "parameters": {
    "type": "object", "properties": {"country": {"type": "string", "maxLength": 16}}, "required": ["country"]}}}]
called = client.chat.completions.create(model="smol", messages=messages, max_tokens=60, temperature=0, tools=tools,
                                        tool_choice={"type": "function", "function": {"name": "lookup"}})
call = called.choices[0].message.tool_calls[0]
assert called.choices[0].finish_reason == "tool_calls" and call.function.name == "lookup"
assert isinstance(json.loads(call.function.arguments)["country"], str)
embedded = client.embeddings.create(model="smol", input=["a cat", "a kitten"])
assert len(embedded.data) == 2 and abs(sum(x * x for x in embedded.data[0].embedding) - 1) < 1e-3
probable = client.chat.completions.create(model="smol", messages=messages, max_tokens=4, logprobs=True, top_logprobs=2)
assert len(probable.choices[0].logprobs.content[0].top_logprobs) == 2
print("openai client", openai.__version__, "ok")
