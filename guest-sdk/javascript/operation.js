// Operations: see operation.d.ts.

import { submit as hostSubmit, submitWith } from "disperse:guest/host-async@0.1.0";
import { write } from "disperse:guest/output@0.1.0";
import { getArguments } from "wasi:cli/environment@0.2.12";
import { getStdin } from "wasi:cli/stdin@0.2.12";

import { CodecError, JSON_, Refusal, data, describe, log, read, role, toMs, utf8, whole, words } from "./common.js";

export { sleep } from "./timers.js";
export { JSON_ as JSON, RAW, TEXT, CodecError, Refusal, environment, log, utf8 } from "./common.js";

/** How many actions of a task may be in flight; one more waits. */
export const OPEN_MAX = 1024;
const OUTPUT_CHUNK_BYTES = 1 << 20;
const READ_BYTES = 1 << 16;
const S32_MAX = 2 ** 31 - 1;

let open = 0;
const waiting = [];
let waitingFrom = 0;

/** Requests an action, and waits for the answer. Each open answer holds a handle, and an instance has a limited number. */
async function ask(call) {
  open++;
  try {
    return await read(call());
  } finally {
    open--;
    if (waitingFrom < waiting.length) {
      const next = waiting[waitingFrom];
      waiting[waitingFrom++] = undefined;
      if (waitingFrom === waiting.length) waiting.length = waitingFrom = 0;
      next();
    }
  }
}

export async function submit(kind, input, options = {}) {
  const { codec = JSON_, priority = 0, timeout = 0, deadline = 0, fuel = 0, attempts = 0, idempotent = false } = options;
  const action = { kind: words(kind), payload: encoded(kind, input, codec) };
  const chosen = {
    priority: whole("priority", priority, -S32_MAX - 1, S32_MAX),
    timeout: toMs(timeout),
    deadline: toMs(deadline),
    fuel: whole("fuel", fuel),
    attempts: whole("attempts", attempts),
    idempotent: Boolean(idempotent),
  };
  const plain = Object.values(chosen).every((value) => !value);
  const call = () => (plain ? hostSubmit(action) : submitWith(action, chosen));
  const reading = open < OPEN_MAX ? ask(call) : new Promise((resolve) => waiting.push(() => resolve(ask(call))));
  return settle(kind, await reading, codec);
}

function encoded(kind, input, codec) {
  try {
    return codec.encode(input);
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    throw new Refusal("permanent", `the input of \`${kind}\` cannot be encoded: ${error.message}`);
  }
}

function settle(kind, outcome, codec) {
  if (outcome.tag === "err") throw new Refusal(outcome.val.reason, outcome.val.message);
  try {
    return codec.decode(outcome.val);
  } catch (error) {
    throw new Refusal("permanent", `the result of \`${kind}\` cannot be read: ${error.message}`);
  }
}

export const perform = submit;

export async function performAll(kind, inputs, options = {}) {
  const open = [];
  const outcomes = [];
  for (const input of inputs) {
    if (open.length - outcomes.length === OPEN_MAX) outcomes.push(await open[outcomes.length]);
    const answer = submit(kind, input, options);
    open.push(
      answer.then(
        (value) => ({ status: "fulfilled", value }),
        (reason) => ({ status: "rejected", reason }),
      ),
    );
  }
  while (outcomes.length < open.length) outcomes.push(await open[outcomes.length]);
  if (options.settled) return outcomes;
  return outcomes.map((outcome) => {
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  });
}

export function output(what) {
  const bytes = data(what);
  for (let at = 0; at < bytes.length; at += OUTPUT_CHUNK_BYTES) write(bytes.slice(at, at + OUTPUT_CHUNK_BYTES));
}

export function outputLine(what) {
  const bytes = data(what);
  const line = new Uint8Array(bytes.length + 1);
  line.set(bytes);
  line[bytes.length] = 10;
  output(line);
}

export const args = () => getArguments().slice(1);

export function* input() {
  const stdin = getStdin();
  for (;;) {
    let bytes;
    try {
      bytes = stdin.blockingRead(READ_BYTES);
    } catch (error) {
      if (error?.payload?.tag === "closed") return;
      throw error;
    }
    if (bytes.length > 0) yield bytes;
  }
}

export function* lines() {
  let rest = [];
  const join = (last) => {
    const whole = new Uint8Array(rest.reduce((sum, part) => sum + part.length, last.length));
    let at = 0;
    for (const part of [...rest, last]) {
      whole.set(part, at);
      at += part.length;
    }
    rest = [];
    return utf8.decode(whole);
  };
  for (const bytes of input()) {
    let from = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
      yield join(bytes.subarray(from, end));
      from = end + 1;
    }
    if (from < bytes.length) rest.push(bytes.subarray(from));
  }
  if (rest.length > 0) yield join(new Uint8Array());
}

export function operation(parts) {
  const { tasks, next, run, collect, finish, codec = JSON_ } = parts;
  if (typeof run !== "function") throw new TypeError("an operation needs `run`");
  if (typeof tasks !== "function" && typeof next !== "function") throw new TypeError("an operation needs `tasks` or `next`");
  let generator;
  const more = () => {
    if (next) return next.call(parts);
    generator ??= tasks.call(parts)[Symbol.iterator]?.();
    if (generator === undefined) throw new TypeError("`tasks` is no generator, or an async one, which the planner cannot wait for");
    const { done, value } = generator.next();
    return done ? undefined : value;
  };
  return {
    next() {
      return logged("next", () => {
        const task = atOnce("next", more());
        return task === undefined || task === null ? undefined : codec.encode(task);
      });
    },
    async run(task) {
      role.worker = false;
      try {
        return codec.encode(await run(codec.decode(task)));
      } catch (error) {
        throw describe(error);
      }
    },
    collect(task, outcome) {
      logged("collect", () => {
        if (collect) {
          const ok = outcome.tag === "ok";
          const [result, error] = ok ? [codec.decode(outcome.val), undefined] : [undefined, outcome.val];
          atOnce("collect", collect.call(parts, codec.decode(task), result, error));
        } else if (outcome.tag === "ok") {
          outputLine(outcome.val);
        } else {
          log.error(`a task failed: ${outcome.val}`);
        }
      });
    },
    finish() {
      try {
        atOnce("finish", finish?.call(parts));
      } catch (error) {
        throw describe(error);
      }
    },
  };
}

/** Throws for a promise: the planner cannot wait, so its value would be lost. */
function atOnce(name, value) {
  if (typeof value?.then === "function") throw new TypeError(`\`${name}\` is async, and the planner cannot wait: only \`run\` can be`);
  return value;
}

/** Logs exceptions of `next` and `collect`: they have no error in the contract and trap without a reason. */
function logged(name, call) {
  try {
    return call();
  } catch (error) {
    log.error(`\`${name}\` failed: ${describe(error)}`);
    throw error;
  }
}
