// Workers: see worker.d.ts.

import { current } from "disperse:guest/attempt@0.1.0";
import { run as runCommand } from "disperse:guest/exec@0.1.0";
import { fetch as hostFetch } from "disperse:guest/http-async@0.1.0";
import { update } from "disperse:guest/quota@0.1.0";

import {
  Busy, CodecError, JSON_, Permanent, Problem, U32_MAX, Unfit, called, data, describe, leaves, read, role, toMs, utf8, whole, words,
} from "./common.js";

export {
  Busy, CodecError, Failure, JSON_ as JSON, Permanent, Problem, RAW, Retryable, TEXT, Unfit, environment, log, utf8,
} from "./common.js";

export function worker(handler, { codec = JSON_ } = {}) {
  const byKind = typeof handler === "function" ? undefined : handler;
  return async function handle({ kind, payload }) {
    role.worker = true;
    try {
      const found = byKind ? Object.hasOwn(byKind, kind) && byKind[kind] : handler;
      if (!found) throw new Permanent(`there is no worker for \`${kind}\` here, only for ${Object.keys(byKind).join(", ")}`);
      return encoded(codec, await found(given(codec, kind, payload), kind));
    } catch (error) {
      throw failure(error);
    }
  };
}

function given(codec, kind, payload) {
  try {
    return codec.decode(payload);
  } catch (error) {
    throw new Permanent(`the input${kind ? ` of \`${kind}\`` : ""} cannot be read: ${error.message}`);
  }
}

function encoded(codec, value) {
  try {
    return codec.encode(value);
  } catch (error) {
    if (error instanceof CodecError) throw new Permanent(`the result cannot be encoded: ${error.message}`);
    throw error;
  }
}

/** Converts a thrown value to the failure of the contract. Several errors have the sort of all of them, if they agree. */
function failure(error) {
  const parts = leaves(error);
  const tags = new Set(parts.map(tagOf));
  const tag = tags.size === 1 ? tags.values().next().value : "retryable";
  return { tag, val: tag === "busy" ? Math.max(...parts.map(busyFor)) : describe(error) };
}

function tagOf(error) {
  if (error instanceof Busy) return "busy";
  if (error instanceof Unfit) return "unfit";
  const blamed = error instanceof Problem && (error.sort === "invalid" || error.sort === "oversize");
  return error instanceof Permanent || blamed ? "permanent" : "retryable";
}

const busyFor = ({ ms }) => (typeof ms === "number" && ms > 0 ? toMs(ms) : 0);

const problem = ({ tag, val }) => new Problem(tag, val);

export const attempt = () => current();

export function reportQuota({ remaining, resets = 0, bucket = "" }) {
  // A server may report that more was spent than there was.
  const left = Math.min(Math.max(whole("remaining", remaining, -Infinity, Infinity), 0), U32_MAX);
  update({ bucket: words(bucket), remaining: left, resets: toMs(resets) });
}

export class Response {
  constructor({ status, headers, body }) {
    this.status = status;
    this.headers = headers.map(({ name, value }) => [name, value]);
    this.body = body;
  }
  get ok() {
    return this.status >= 200 && this.status < 300;
  }
  header(name) {
    return this.headers.find(([known]) => known.toLowerCase() === name.toLowerCase())?.[1];
  }
  text() {
    return utf8.decode(this.body);
  }
  json() {
    return JSON_.decode(this.body);
  }
}

export async function fetch(url, { method = "GET", headers = {}, body = new Uint8Array(), json, timeout = 0 } = {}) {
  const pairs = Array.isArray(headers) ? headers : Object.entries(headers);
  const lines = pairs.map(([name, value]) => ({ name: words(name), value: words(value) }));
  if (json !== undefined) lines.push({ name: "Content-Type", value: "application/json" });
  const bytes = json !== undefined ? JSON_.encode(json) : data(body);
  const asked = { verb: words(method), url: words(url), headers: lines, body: bytes, timeout: toMs(timeout) };
  const outcome = await read(hostFetch(asked));
  if (outcome.tag === "err") throw problem(outcome.val);
  return new Response(outcome.val);
}

export function runProgram(program, args = [], { input = new Uint8Array(), timeout = 0 } = {}) {
  const command = { program: words(program), arguments: args.map(words), input: data(input), timeout: toMs(timeout) };
  return called(() => runCommand(command), problem);
}
