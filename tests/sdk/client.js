// Calls OpenAI's SDK as it is told to: a line of JSON in, a line of JSON out.
// What lines say is written in client.py; names of parameters are those of the API.
'use strict';

const readline = require('node:readline');
const OpenAI = require('openai');
const { version } = require('openai/version');

const lines = readline.createInterface({ input: process.stdin });

(async () => {
  for await (const line of lines) {
    const asked = JSON.parse(line);
    const told = { version, events: [] };
    const begun = performance.now();
    try {
      await call(asked, told);
    } catch (error) {
      told.error = describe(error);
    }
    told.seconds = (performance.now() - begun) / 1000;
    console.log(JSON.stringify(told));
  }
})();

async function call(asked, told) {
  const streamed = asked.how.endsWith('stream');
  const aborter = new AbortController();
  const timer = asked.abort_after && setTimeout(() => aborter.abort(), asked.abort_after * 1000);
  try {
    const { owner, method } = find(client(asked), asked.call);
    const given = await params(asked, streamed);
    const answer = await owner[method](...given, { signal: aborter.signal });
    if (!streamed) return await keep(told, answer, asked.call.endsWith('.list'));
    for await (const event of answer) {
      told.events.push(event);
      if (told.events.length === asked.stop_after) break;
    }
  } finally {
    clearTimeout(timer);
  }
}

function client(asked) {
  const { base_url, api_key, max_retries, timeout, azure_endpoint, api_version } = asked.client;
  const settings = { apiKey: api_key, maxRetries: max_retries };
  if (timeout) settings.timeout = timeout * 1000;
  if (azure_endpoint) {
    return new OpenAI.AzureOpenAI({ ...settings, endpoint: azure_endpoint, apiVersion: api_version });
  }
  return new OpenAI.OpenAI({ ...settings, baseURL: base_url });
}

function find(sdk, path) {
  const names = path.split('.');
  const method = names.pop();
  const owner = names.reduce((part, name) => part[name], sdk);
  return { owner, method };
}

// Methods that ask for one thing take its id, not an object.
async function params(asked, streamed) {
  const given = { ...asked.params };
  for (const [name, value] of Object.entries(given)) {
    if (value && value.$file) {
      const [file, size] = value.$file;
      given[name] = await OpenAI.toFile(Uint8Array.from({ length: size }, (_, n) => (n * 7) % 256), file);
    }
  }
  const id = given.file_id ?? (asked.call === 'models.retrieve' ? given.model : undefined);
  if (id !== undefined) return [id];
  if (asked.call.endsWith('.list')) return [];
  Object.assign(given, given.extra_body);
  delete given.extra_body;
  if (streamed) given.stream = true;
  return [given];
}

async function keep(told, answer, listed) {
  told.request_id = answer?._request_id ?? null;
  if (typeof answer?.arrayBuffer === 'function') {
    told.value = { bytes: (await answer.arrayBuffer()).byteLength };
  } else {
    told.value = listed ? answer.data : answer;
  }
}

function describe(error) {
  const is = [];
  for (let kind = error.constructor; kind && kind.name; kind = Object.getPrototypeOf(kind)) is.push(kind.name);
  const { status = null, code = null, type = null, param = null, requestID = null } = error;
  return { class: is[0], is, message: String(error.message), status, code, type, param, request_id: requestID };
}
