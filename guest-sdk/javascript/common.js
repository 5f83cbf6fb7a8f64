// The common part of operations and workers.

import { write as writeLog } from "disperse:guest/log@0.1.0";
import { getEnvironment } from "wasi:cli/environment@0.2.12";
import { getRandomBytes } from "wasi:random/random@0.2.12";

export const U32_MAX = 2 ** 32 - 1;
const CAUSES_MAX = 5;
const LEAVES_MAX = 3;

/** Whether this instance is a worker: a component may be an operation too, and only a task has the run's time. */
export const role = { worker: false };

// --- text ---

/** UTF-8, for engines without it. */
export const utf8 = {
  /** Returns the bytes of a text; an unpaired surrogate becomes the replacement character. */
  encode(text) {
    const bytes = new Uint8Array(text.length * 3);
    let at = 0;
    for (let i = 0; i < text.length; i++) {
      let code = text.charCodeAt(i);
      if (code < 0x80) {
        bytes[at++] = code;
        continue;
      }
      if (code >= 0xd800 && code < 0xe000) {
        const low = text.charCodeAt(i + 1);
        if (code < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          i++;
        } else {
          code = 0xfffd;
        }
      }
      if (code < 0x800) {
        bytes[at++] = 0xc0 | (code >> 6);
      } else {
        if (code < 0x10000) {
          bytes[at++] = 0xe0 | (code >> 12);
        } else {
          bytes[at++] = 0xf0 | (code >> 18);
          bytes[at++] = 0x80 | ((code >> 12) & 0x3f);
        }
        bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
      }
      bytes[at++] = 0x80 | (code & 0x3f);
    }
    return bytes.slice(0, at);
  },

  /** Returns the text of these bytes. Bytes that are not UTF-8 become replacement characters, or with `fatal` a TypeError. */
  decode(bytes, { fatal = false } = {}) {
    const parts = [];
    let units = [];
    const bad = () => {
      if (fatal) throw new TypeError("it is not UTF-8");
      units.push(0xfffd);
    };
    for (let i = 0; i < bytes.length; ) {
      const lead = bytes[i++];
      if (lead < 0x80) {
        units.push(lead);
      } else {
        let [more, code, least, most] = [0, 0, 0x80, 0xbf];
        if (lead >= 0xc2 && lead < 0xe0) [more, code] = [1, lead & 0x1f];
        else if (lead >= 0xe0 && lead < 0xf0) {
          [more, code] = [2, lead & 0x0f];
          if (lead === 0xe0) least = 0xa0;
          if (lead === 0xed) most = 0x9f;
        } else if (lead >= 0xf0 && lead < 0xf5) {
          [more, code] = [3, lead & 0x07];
          if (lead === 0xf0) least = 0x90;
          if (lead === 0xf4) most = 0x8f;
        }
        let whole = more > 0;
        for (; more > 0; more--) {
          if (!(bytes[i] >= least && bytes[i] <= most)) {
            whole = false;
            break;
          }
          code = (code << 6) | (bytes[i++] & 0x3f);
          [least, most] = [0x80, 0xbf];
        }
        if (!whole) bad();
        else if (code < 0x10000) units.push(code);
        else units.push(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
      }
      if (units.length > 4096) {
        parts.push(String.fromCharCode.apply(null, units));
        units = [];
      }
    }
    parts.push(String.fromCharCode.apply(null, units));
    return parts.join("");
  },
};

/** Returns a value as a string of valid Unicode: an unpaired surrogate is replaced. */
export const words = (value) => String(value).replace(/[\ud800-\udfff]/gu, "\ufffd");

/** Returns text or bytes as bytes. */
export function data(value) {
  if (typeof value === "string") return utf8.encode(value);
  if (!(value instanceof Uint8Array)) throw new TypeError(`a string or a Uint8Array is needed, not ${print(value)}`);
  return value;
}

// --- payloads ---

/** A value could not be encoded or decoded. */
export class CodecError extends Error {
  name = "CodecError";
}

/** Throws for numbers that JSON would write as `null`. */
function finite(_key, value) {
  if (typeof value === "number" && !Number.isFinite(value)) throw new CodecError(`JSON has no form for ${value}`);
  return value;
}

function stringify(value) {
  try {
    const text = JSON.stringify(value);
    // Checking each value is slow, and only needed where there is a `null`.
    return text?.includes("null") ? JSON.stringify(value, finite) : text;
  } catch (error) {
    throw error instanceof CodecError ? error : new CodecError(describe(error));
  }
}

/** JSON. The default, shared with every other language. */
export const JSON_ = {
  encode(value) {
    const text = stringify(value === undefined ? null : value);
    if (text === undefined) throw new CodecError(`JSON has no form for a ${typeof value}`);
    return utf8.encode(text);
  },
  decode(payload) {
    try {
      return JSON.parse(utf8.decode(payload, { fatal: true }));
    } catch (error) {
      throw new CodecError(`it is not JSON: ${error.message}`);
    }
  },
};

/** `String` of a value; decoded as a string. Lines for `disperse-host map`. */
export const TEXT = {
  encode(value) {
    try {
      return utf8.encode(String(value));
    } catch (error) {
      throw new CodecError(describe(error));
    }
  },
  decode(payload) {
    try {
      return utf8.decode(payload, { fatal: true });
    } catch (error) {
      throw new CodecError(error.message);
    }
  },
};

/** Unchanged bytes. */
export const RAW = {
  encode(value) {
    if (!(value instanceof Uint8Array)) throw new CodecError("it is not a Uint8Array");
    return value;
  },
  decode: (payload) => payload,
};

// --- failures ---

/** The failure of an action on this worker: one of the four sorts. Any other value that is thrown counts as `Retryable`. */
export class Failure extends Error {
  name = "Failure";
}

/** It may succeed later or elsewhere. The action goes to a different worker. */
export class Retryable extends Failure {
  name = "Retryable";
}

/** It can never work: the action itself is at fault. It is not tried again. */
export class Permanent extends Failure {
  name = "Permanent";
}

/** This worker is at its limit, for this many ms; 0: unknown. Costs no attempt. */
export class Busy extends Failure {
  name = "Busy";
  constructor(ms = 0) {
    super(ms ? `busy for ${ms} ms` : "busy");
    this.ms = ms;
  }
}

/** This worker can do no more work. The action goes to another one at no cost; if that can do it, this worker is evicted. */
export class Unfit extends Failure {
  name = "Unfit";
}

/** An action ended without a result; `reason` is one of "permanent", "exhausted", "poison", "unroutable", ... */
export class Refusal extends Error {
  name = "Refusal";
  constructor(reason, message) {
    super(`${reason}: ${message}`);
    this.reason = reason;
  }
}

/** There is no response, or a program did not end by itself; `sort` is one of "denied", "timeout", ... */
export class Problem extends Error {
  name = "Problem";
  constructor(sort, message) {
    super(`${sort}: ${message}`);
    this.sort = sort;
  }
}

/** Returns where an error was thrown, as a file and line of your source. */
function place(error) {
  const table = globalThis.__disperse_lines;
  for (const line of String(error.stack ?? "").split("\n")) {
    const found = /^\s*at (?:async )?(?:(.*) \()?(?:.*\/)?([^/():]+):(\d+)(?::\d+)?\)?$/.exec(line);
    if (!found) continue;
    let [, name, file, number] = found;
    if (table) {
      const [source, original] = table.lines[number - 1] || [];
      // A line of this SDK, or of generated code.
      if (!table.files[source]) continue;
      [file, number] = [table.files[source], original];
    }
    return ` (${file} line ${number}${name && !name.includes("<anonymous>") ? `, in ${name}` : ""})`;
  }
  return "";
}

/** Returns the errors in an `AggregateError`, at any depth; any other value itself. */
export function leaves(thrown, depth = 0) {
  if (!(thrown instanceof AggregateError && Array.isArray(thrown.errors)) || depth === CAUSES_MAX) return [thrown];
  return thrown.errors.flatMap((error) => leaves(error, depth + 1));
}

/** Formats any thrown value as one line: name, text, place and cause. It never throws and returns valid Unicode, because an
 * error must not be lost by formatting it. */
export function describe(thrown, depth = 0) {
  try {
    return words(formatted(thrown, depth));
  } catch {
    return "something was thrown that cannot be printed";
  }
}

function formatted(thrown, depth) {
  if (thrown instanceof Failure || thrown instanceof Refusal || thrown instanceof Problem) return thrown.message;
  if (!(thrown instanceof Error)) return typeof thrown === "string" ? thrown : `thrown: ${print(thrown)}`;
  const text = (thrown.message ? `${thrown.name}: ${thrown.message}` : thrown.name) + place(thrown);
  if (depth === CAUSES_MAX) return text;
  const { cause } = thrown;
  return text + parts(thrown, depth) + (cause === undefined || cause === thrown ? "" : `, caused by ${describe(cause, depth + 1)}`);
}

function parts(thrown, depth) {
  if (!(thrown instanceof AggregateError)) return "";
  const all = leaves(thrown);
  const some = all.slice(0, LEAVES_MAX).map((leaf) => describe(leaf, depth + 1));
  if (all.length > some.length) some.push(`${all.length - some.length} more`);
  return `: ${some.join("; ")}`;
}

/** Wraps a function whose result is that of the contract: returns the `ok` value, or throws the `err` one. */
export function called(call, raise) {
  try {
    return call();
  } catch (thrown) {
    if (thrown?.payload === undefined) throw thrown;
    throw raise(thrown.payload);
  }
}

/** Waits for a future of the contract and returns its value; its handle is released. */
export async function read(future) {
  try {
    return await future.read();
  } finally {
    future.drop();
  }
}

/** Returns whole ms, rounded up so that a short time does not become zero, which would mean the default. */
export function toMs(ms = 0) {
  if (!(ms >= 0)) throw new RangeError(`a time cannot be ${ms}`);
  return Math.min(Math.ceil(ms), U32_MAX);
}

/** Returns a number of the contract after checking its range: an invalid one would silently become another number. */
export function whole(name, value, least = 0, most = U32_MAX) {
  if (!Number.isInteger(value)) {
    throw new TypeError(`\`${name}\` must be a whole number, not ${typeof value === "string" ? `"${value}"` : print(value)}`);
  }
  if (value < least || value > most) throw new RangeError(`\`${name}\` must be from ${least} to ${most}, not ${value}`);
  return value;
}

// --- log messages for the operator ---

function print(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return describe(value);
  if (typeof value === "number") return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return typeof value === "object" ? Object.prototype.toString.call(value) : String(value);
  }
}

const line = (level) => (...values) => writeLog(level, words(values.map(print).join(" ")));

/** Lines for the host's log. `console` writes there too. */
export const log = { debug: line("debug"), info: line("info"), warning: line("warning"), error: line("error") };

/** Returns the variables that the operator has set. */
export const environment = () => Object.fromEntries(getEnvironment());

// --- parts that the engine lacks ---

globalThis.console ??= { debug: log.debug, log: log.info, info: log.info, warn: log.warning, error: log.error };
globalThis.TextEncoder ??= class TextEncoder {
  encoding = "utf-8";
  encode = (text = "") => utf8.encode(String(text));
};
globalThis.TextDecoder ??= class TextDecoder {
  encoding = "utf-8";
  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^\s*utf-?8\s*$/i.test(label)) throw new RangeError(`only utf-8 is known here, not ${label}`);
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }
  decode(bytes = new Uint8Array()) {
    const view = ArrayBuffer.isView(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array(bytes);
    const text = utf8.decode(view, this);
    return !this.ignoreBOM && text[0] === "\ufeff" ? text.slice(1) : text;
  }
};

// The engine's own `Math.random` has the same seed in every instance.
let state;
Math.random = () => {
  state ??= new Uint32Array(Uint8Array.from(getRandomBytes(16)).buffer);
  const sum = (state[0] + state[1] + state[3]) >>> 0;
  state[3] = (state[3] + 1) >>> 0;
  state[0] = state[1] ^ (state[1] >>> 9);
  state[1] = (state[2] + (state[2] << 3)) >>> 0;
  state[2] = (((state[2] << 21) | (state[2] >>> 11)) + sum) >>> 0;
  return sum / 2 ** 32;
};
