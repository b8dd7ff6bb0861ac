"""Calls OpenAI's SDK as it is told to: a line of JSON in, a line of JSON out.

Asked: {"client": {...}, "call": "chat.completions.create", "params": {...}, "how": HOW, ...}
where HOW is plain, stream, async or async-stream; "stop_after": N leaves a stream after N events,
"abort_after": SECONDS cancels an asynchronous call. {"$file": [NAME, BYTES]} stands for a file.

Told: {"version", "value" or "events", "request_id", "error", "seconds"}.
"""

import asyncio
import json
import sys
import time

import openai


def main():
    for line in sys.stdin:
        asked = json.loads(line)
        begun = time.monotonic()
        told = {"version": openai.__version__, "events": []}
        try:
            if asked["how"].startswith("async"):
                asyncio.run(call_async(asked, told))
            else:
                call(asked, told)
        except (Exception, asyncio.CancelledError) as error:
            told["error"] = describe(error)
        told["seconds"] = time.monotonic() - begun
        print(json.dumps(told), flush=True)


def call(asked, told):
    with client(asked, openai.OpenAI, openai.AzureOpenAI) as sdk:
        if asked["how"] == "plain":
            return keep(asked, told, method(sdk, asked)(**params(asked)))
        with method(sdk, asked)(**params(asked), stream=True) as stream:
            for event in stream:
                told["events"].append(event.to_dict())
                if len(told["events"]) == asked.get("stop_after"):
                    return


async def call_async(asked, told):
    abort = asked.get("abort_after")
    async with client(asked, openai.AsyncOpenAI, openai.AsyncAzureOpenAI) as sdk:
        work = asyncio.create_task(work_async(sdk, asked, told))
        if abort is not None:
            await asyncio.wait([work], timeout=abort)
            work.cancel()
        await work


async def work_async(sdk, asked, told):
    if asked["how"] == "async":
        return keep(asked, told, await method(sdk, asked)(**params(asked)))
    async with await method(sdk, asked)(**params(asked), stream=True) as stream:
        async for event in stream:
            told["events"].append(event.to_dict())
            if len(told["events"]) == asked.get("stop_after"):
                return


def client(asked, plain, azure):
    settings = asked["client"]
    return azure(**settings) if "azure_endpoint" in settings else plain(**settings)


def method(sdk, asked):
    for name in asked["call"].split("."):
        sdk = getattr(sdk, name)
    return sdk


def params(asked):
    return {name: value(given) for name, given in asked.get("params", {}).items()}


def value(given):
    if isinstance(given, dict) and "$file" in given:
        name, size = given["$file"]
        return name, bytes(n * 7 % 256 for n in range(size))
    return given


def keep(asked, told, answer):
    told["request_id"] = getattr(answer, "_request_id", None)
    if asked["call"].endswith(".list"):
        told["value"] = [item.to_dict() for item in answer.data]
    elif hasattr(answer, "to_dict"):
        told["value"] = answer.to_dict()
    else:
        body = answer.read() if hasattr(answer, "read") else str(answer)
        told["value"] = {"bytes": len(body)}


def describe(error):
    told = {"class": type(error).__name__, "message": str(error)}
    told["is"] = [parent.__name__ for parent in type(error).__mro__]
    told["status"] = getattr(error, "status_code", None)
    for name in ("code", "type", "param", "request_id"):
        told[name] = getattr(error, name, None)
    return told


if __name__ == "__main__":
    main()
