"""OpenAI's Python client against a server: python openai_client.py <url>. Prints what it got, as JSON."""

import json
import sys

import openai

client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="none", max_retries=0)
question = [{"role": "user", "content": "What is the capital of Nepal?"}]
options = {"model": "demo", "temperature": 0}
found = {"models": [model.id for model in client.models.list()]}

answer = client.chat.completions.create(messages=question, logprobs=True, top_logprobs=2, **options)
found["answer"] = answer.choices[0].message.content
found["logprobs"] = [token.logprob for token in answer.choices[0].logprobs.content]

stream = client.chat.completions.create(
    messages=question, stream=True, stream_options={"include_usage": True}, **options
)
chunks = list(stream)
found["streamed"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
found["tokens"] = chunks[-1].usage.total_tokens - answer.usage.total_tokens

schema = {
    "type": "object",
    "properties": {"city": {"enum": ["Lima", "Kathmandu"]}},
    "required": ["city"],
    "additionalProperties": False,
}
form = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}}
structured = client.chat.completions.create(messages=question, response_format=form, **options)
found["structured"] = json.loads(structured.choices[0].message.content)

tools = [{"type": "function", "function": {"name": "look_up", "parameters": schema}}]
called = client.chat.completions.create(
    messages=question,
    tools=tools,
    tool_choice={"type": "function", "function": {"name": "look_up"}},
    **options,
)
call = called.choices[0].message.tool_calls[0].function
found["call"] = {"name": call.name, "arguments": json.loads(call.arguments)}

echo = client.completions.create(
    prompt="The capital of Nepal is", echo=True, logprobs=1, max_tokens=0, **options
)
found["echo"] = echo.choices[0].logprobs.token_logprobs

found["response"] = client.responses.create(input="What is the capital of Nepal?", **options).output_text

found["errors"] = []
for wrong in [{"model": "nothing"}, {"temperature": -1}]:
    try:
        client.chat.completions.create(messages=question, **{**options, **wrong})
    except openai.APIStatusError as error:
        found["errors"].append([type(error).__name__, error.status_code])
print(json.dumps(found))
