import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { beforeEach, test } from "node:test";

// Those of the SDK replace them: see "globals of the SDK".
const { TextDecoder: EngineDecoder, TextEncoder: EngineEncoder } = globalThis;
for (const name of ["TextDecoder", "setTimeout", "clearTimeout"]) delete globalThis[name];

const encoder = new EngineEncoder();
const bytes = (text) => encoder.encode(text);
const text = (data) => Buffer.from(data).toString();

let asked, lines, written, answer, stdin;
// The run's time, and the sleeps that were requested from the host.
let now, sleeping, slept;
Date.now = () => now;
beforeEach(() => {
  [asked, lines, written, stdin] = [[], [], "", []];
  [now, sleeping, slept] = [0, [], 0];
  answer = ({ payload }) => ({ tag: "ok", val: payload });
});
const settled = () => new Promise(setImmediate);
/** Advances the run's time to a moment. */
async function until(moment) {
  await settled();
  for (;;) {
    sleeping.sort((a, b) => a.due - b.due);
    if (!(sleeping[0]?.due <= moment)) break;
    const { due, done } = sleeping.shift();
    now = Math.max(now, due);
    done(now);
    await settled();
  }
  now = moment;
}
const future = (value) => ({ read: async () => value, drop() {} });
globalThis.fakes = {
  "disperse:guest/log write": (level, message) => lines.push([level, message]),
  "disperse:guest/output write": (data) => void (written += text(data)),
  "disperse:guest/host-async submit": (action) => (asked.push([action]), future(answer(action))),
  "disperse:guest/host-async submitWith": (action, options) => (asked.push([action, options]), future(answer(action))),
  "disperse:guest/host-async sleep": (ms) => {
    slept++;
    return { read: () => new Promise((done) => sleeping.push({ due: now + ms, done })), drop() {} };
  },
  "disperse:guest/attempt current": () => ({ action: "a", number: 1, remaining: 5, worker: "w" }),
  "disperse:guest/exec run": () => {
    throw Object.assign(new Error(), { payload: { tag: "denied", val: "no grant" } });
  },
  "disperse:guest/http-async fetch": (request) =>
    future(
      request.url === "bad"
        ? { tag: "err", val: { tag: "invalid", val: "no URL" } }
        : { tag: "ok", val: { status: 204, headers: [{ name: "X-Left", value: "7" }], body: request.body } },
    ),
  "disperse:guest/quota update": (report) => asked.push(report),
  "wasi:cli/environment getEnvironment": () => [["A", "1"]],
  "wasi:cli/environment getArguments": () => ["program", "x"],
  "wasi:cli/stdin getStdin": () => ({
    blockingRead() {
      if (stdin.length) return bytes(stdin.shift());
      throw Object.assign(new Error(), { payload: { tag: "closed" } });
    },
  }),
  "wasi:random/random getRandomBytes": (n) => new Uint8Array(n).fill(7),
};

const op = await import("../operation.js");
const work = await import("../worker.js");
const { fileNames, lineTable } = await import("../bundle.js");

const failing = async (handle, payload, kind = "k") => {
  try {
    await handle({ kind, payload: bytes(payload) });
  } catch (failure) {
    return failure;
  }
  assert.fail("it did not fail");
};

test("worker returns its result", async () => {
  const handle = work.worker((n) => n * n);
  assert.equal(text(await handle({ kind: "k", payload: bytes("12") })), "144");
  const failure = await failing(handle, "x");
  assert.equal(failure.tag, "permanent");
  assert.match(failure.val, /^the input of `k` cannot be read: it is not JSON/);
});

test("any thrown value becomes a failure", async () => {
  const thrown = {
    error: new TypeError("odd", { cause: "deep" }), text: "a string", thing: { a: 1 }, nothing: undefined,
    retryable: new work.Retryable("r"), permanent: new work.Permanent("p"), busy: new work.Busy(1.5), unfit: new work.Unfit("u"),
    request: new work.Problem("invalid", "no URL"), network: new work.Problem("timeout", "slow"),
  };
  const handle = work.worker((which) => {
    throw thrown[which];
  });
  const of = async (which) => failing(handle, `"${which}"`);
  assert.match((await of("error")).val, /^TypeError: odd \(disperse\.test\.js line \d+\), caused by deep$/);
  assert.deepEqual(await of("text"), { tag: "retryable", val: "a string" });
  assert.deepEqual(await of("thing"), { tag: "retryable", val: 'thrown: {"a":1}' });
  assert.deepEqual(await of("nothing"), { tag: "retryable", val: "thrown: undefined" });
  assert.deepEqual(await of("retryable"), { tag: "retryable", val: "r" });
  assert.deepEqual(await of("permanent"), { tag: "permanent", val: "p" });
  assert.deepEqual(await of("busy"), { tag: "busy", val: 2 });
  assert.deepEqual(await of("unfit"), { tag: "unfit", val: "u" });
  assert.equal((await of("request")).tag, "permanent");
  assert.equal((await of("network")).tag, "retryable");
});

test("unusual thrown values become failures", async () => {
  // Each of these trapped, because converting the thrown value threw another one.
  const itself = new Error("x");
  itself.cause = itself;
  const ring = new Error("ring", { cause: new Error("other") });
  ring.cause.cause = ring;
  const bare = Object.create(null);
  bare.bare = bare;
  const thrown = { itself, ring, bare, half: new Error("bad \ud800 text"), symbol: Symbol("s"), big: 10n };
  for (const ms of [-1, NaN, "60", Infinity]) thrown[`busy ${ms}`] = new work.Busy(ms);
  const handle = work.worker((which) => {
    throw thrown[which];
  });
  const of = async (which) => (await failing(handle, JSON.stringify(which))).val;
  assert.match(await of("itself"), /^Error: x \([^)]*\)$/);
  assert.ok((await of("ring")).split("caused by").length < 10);
  assert.equal(await of("bare"), "thrown: [object Object]");
  assert.match(await of("half"), /^Error: bad \ufffd text/);
  assert.equal(await of("symbol"), "thrown: Symbol(s)");
  assert.equal(await of("big"), "thrown: 10");
  assert.deepEqual(await Promise.all([-1, NaN, "60", Infinity].map((ms) => of(`busy ${ms}`))), [0, 0, 0, 2 ** 32 - 1]);
});

test("aggregate error has the sort of all its errors", async () => {
  const { Busy, Permanent } = work;
  const thrown = {
    all: new AggregateError([new Permanent("row 7"), new AggregateError([new Permanent("row 8")])], "many"),
    busy: new AggregateError([new Busy(1), new Busy(2)]),
    mixed: new AggregateError([new Permanent("row 7"), new TypeError("x"), new Error("y"), new Error("z")]),
    none: new AggregateError([]),
  };
  const handle = work.worker((which) => {
    throw thrown[which];
  });
  const of = async (which) => failing(handle, `"${which}"`);
  const all = await of("all");
  assert.equal(all.tag, "permanent");
  assert.match(all.val, /^AggregateError: many \(disperse\.test\.js line \d+\): row 7; row 8$/);
  assert.deepEqual(await of("busy"), { tag: "busy", val: 2 });
  assert.equal((await of("none")).tag, "retryable");
  const mixed = await of("mixed");
  assert.equal(mixed.tag, "retryable");
  assert.match(mixed.val, /: row 7; TypeError: x \([^)]*\); Error: y \([^)]*\); 1 more$/);
});

test("values without a JSON form are errors", async () => {
  const cyclic = {};
  cyclic.self = cyclic;
  const odd = [10n, cyclic, NaN, { deep: [1, -Infinity] }, () => 1];
  const handle = work.worker((which) => odd[which]);
  for (const which of odd.keys()) {
    const failure = await failing(handle, String(which));
    assert.equal(failure.tag, "permanent");
    assert.match(failure.val, /^the result cannot be encoded: /);
    await assert.rejects(op.perform("k", odd[which]), { name: "Refusal", message: /the input of `k` cannot be encoded/ });
  }
  assert.equal(text(op.JSON.encode([null, undefined, "null", 1.5])), '[null,null,"null",1.5]');
  const outcomes = await op.performAll("k", [1, 10n, 3], { settled: true });
  assert.deepEqual(outcomes.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
});

test("each kind is performed by its function", async () => {
  const handle = work.worker({ a: () => 1, b: async (input, kind) => kind + input });
  assert.equal(text(await handle({ kind: "b", payload: bytes("2") })), '"b2"');
  assert.deepEqual(await failing(handle, "1", "toString"), {
    tag: "permanent",
    val: "there is no worker for `toString` here, only for a, b",
  });
});

test("worker calls HTTP, programs, quotas and the attempt", async () => {
  const response = await work.fetch("https://a.b", { json: { a: 1 } });
  assert.deepEqual([response.status, response.ok, response.header("x-left"), response.json()], [204, true, "7", { a: 1 }]);
  await assert.rejects(work.fetch("bad"), { sort: "invalid" });
  assert.throws(() => work.runProgram("/bin/ls"), { name: "Problem", sort: "denied", message: "denied: no grant" });
  work.reportQuota({ remaining: 3, resets: 0.5 });
  assert.deepEqual(asked, [{ bucket: "", remaining: 3, resets: 1 }]);
  // -1 would be 4,294,967,295 units.
  work.reportQuota({ remaining: -1 });
  work.reportQuota({ remaining: 2 ** 40 });
  assert.deepEqual(asked.slice(1).map(({ remaining }) => remaining), [0, 2 ** 32 - 1]);
  for (const remaining of [NaN, "5", 1.5]) assert.throws(() => work.reportQuota({ remaining }), /`remaining` must be a whole number/);
  assert.deepEqual((await work.fetch("u", { headers: { A: 1 }, body: "x" })).status, 204);
  await assert.rejects(work.fetch("u", { body: 5 }), /a string or a Uint8Array is needed, not 5/);
  assert.equal(work.attempt().worker, "w");
});

test("operation from first task to finish", async () => {
  const { next, run, collect, finish } = op.operation({
    *tasks() {
      yield 1;
      yield undefined;
      yield 4;
    },
    async run(task) {
      if (task % 2) throw new RangeError(`${task} is odd`);
      return task / 2;
    },
  });
  assert.deepEqual([next(), next(), next(), next()].map((task) => task && text(task)), ["1", undefined, "4", undefined]);
  assert.equal(text(await run(bytes("4"))), "2");
  await assert.rejects(run(bytes("1")), (why) => /^RangeError: 1 is odd \(disperse\.test\.js line \d+/.test(why));
  collect(bytes("4"), { tag: "ok", val: bytes("2") });
  collect(bytes("1"), { tag: "err", val: "why" });
  finish();
  assert.equal(written, "2\n");
  assert.deepEqual(lines, [["error", "a task failed: why"]]);
});

test("only `run` may be async", async () => {
  const of = (parts) => op.operation({ *tasks() {}, run: (task) => task, ...parts });
  assert.throws(() => of({ async *tasks() {} }).next(), /`tasks` is no generator, or an async one/);
  assert.throws(() => of({ async next() {} }).next(), /`next` is async/);
  assert.throws(() => of({ async collect() {} }).collect(bytes("1"), { tag: "ok", val: bytes("1") }), /`collect` is async/);
  assert.throws(() => of({ async finish() {} }).finish(), (why) => /`finish` is async/.test(why));
});

test("exception of the planner is logged", () => {
  const { next, collect } = op.operation({
    *tasks() {
      throw new Error("no tasks");
    },
    run: (task) => task,
    collect() {
      throw new Error("no collect");
    },
  });
  assert.throws(next, /no tasks/);
  assert.throws(() => collect(bytes("1"), { tag: "ok", val: bytes("1") }), /no collect/);
  assert.match(lines[0][1], /^`next` failed: Error: no tasks \(disperse\.test\.js line \d+/);
  assert.match(lines[1][1], /^`collect` failed: Error: no collect \(disperse\.test\.js line \d+/);
});

test("timers are called in order, with one sleep of the host", async () => {
  const rung = [];
  for (const [id, ms] of [[1, 30], [2, 10], [3, 20], [4, 10]]) op.sleep(ms).then((time) => rung.push([id, time]));
  await until(100);
  assert.deepEqual(rung, [[2, 10], [4, 10], [3, 20], [1, 30]]);
  assert.equal(slept, 3);
  await assert.rejects(op.sleep(-1), RangeError);
});

test("cancelled timers keep no sleeps", async () => {
  // Each of these kept a sleep of the host, and a task may have 1,024.
  let rung = 0;
  for (let n = 0; n < 5000; n++) clearTimeout(setTimeout(() => rung++, 60_000 + n));
  for (let n = 5000; n > 0; n--) setTimeout(() => rung++, n);
  await settled();
  assert.equal(sleeping.length, 1);
  await until(5000);
  assert.equal(rung, 5000);
  for (let n = 0; n < 2000; n++) {
    op.sleep(3_600_000);
    await until(now + 1);
  }
  assert.equal(sleeping.length, 1);
});

test("callback can cancel the next one, and its error ends no other", async () => {
  const rung = [];
  let other;
  setTimeout(() => {
    clearTimeout(other);
    throw new Error("in a callback");
  }, 5);
  other = setTimeout(() => rung.push("other"), 5);
  for (const ms of [NaN, undefined, "5", -1]) setTimeout((value) => rung.push(value), ms, ms);
  await until(10);
  assert.deepEqual(rung, [NaN, undefined, -1, "5"]);
  assert.match(lines[0][1], /^a timer's callback failed: Error: in a callback/);
});

test("worker has no timers", async () => {
  const handle = work.worker(() => op.sleep(5));
  assert.match((await failing(handle, "1")).val, /^Error: a worker has no timers/);
  const { run } = op.operation({ *tasks() {}, run: () => op.sleep(5) });
  const slept = run(bytes("1"));
  await until(5);
  assert.equal(text(await slept), "5");
});

test("actions carry options and reject with refusals", async () => {
  assert.deepEqual(await op.perform("k", { a: "é" }, { timeout: 0.1, priority: -2 }), { a: "é" });
  assert.deepEqual([asked[0][1].timeout, asked[0][1].priority, asked[0][1].deadline], [1, -2, 0]);
  await op.perform("k", 1);
  assert.equal(asked[1].length, 1);
  for (const [option, value] of [["fuel", -1], ["fuel", NaN], ["attempts", 1.5], ["priority", 2 ** 31]]) {
    await assert.rejects(op.perform("k", 1, { [option]: value }), { message: new RegExp(`^\`${option}\` must be`) });
  }
  await op.perform("half \ud800", 1);
  assert.equal(asked[2][0].kind, "half \ufffd");
  await assert.rejects(op.perform("k", 1, { codec: op.RAW }), /the input of `k` cannot be encoded/);
  answer = () => ({ tag: "err", val: { reason: "poison", message: "why" } });
  await assert.rejects(op.perform("k", 1), { name: "Refusal", reason: "poison", message: "poison: why" });
  const settled = await op.performAll("k", [1, 2], { settled: true });
  assert.deepEqual(settled.map(({ status }) => status), ["rejected", "rejected"]);
  answer = () => ({ tag: "ok", val: bytes("{") });
  await assert.rejects(op.perform("k", 1), /the result of `k` cannot be read/);
});

test("results of any number of actions are in order", async () => {
  assert.deepEqual(await op.performAll("k", Array(3000).keys()), [...Array(3000).keys()]);
});

test("lines have any length", () => {
  stdin = ["a", "b\nc", "\n\n", "dé"];
  assert.deepEqual([...op.lines()], ["ab", "c", "", "dé"]);
  assert.deepEqual([...op.lines()], []);
  assert.deepEqual(op.args(), ["x"]);
  assert.deepEqual(op.environment(), { A: "1" });
});

test("UTF-8 equals that of the test's engine", () => {
  const plain = new EngineDecoder();
  for (const sample of ["", "aé€😀\0", "\ud800", "x\udc00y", "\udc00\ud800", "ÿ".repeat(5000)]) {
    assert.deepEqual(op.utf8.encode(sample), bytes(sample));
  }
  let seed = 1;
  for (let round = 0; round < 3000; round++) {
    const data = new Uint8Array(8).map(() => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return [0x41, 0x80, 0xbf, 0xc3, 0xe0, 0xed, 0xa0, 0xf0, 0x9f, 0xf4, 0x90, 0xff, 0xe2, 0xf1, 0xc0, 0xbf][(seed >> 16) & 15];
    });
    assert.equal(op.utf8.decode(data), plain.decode(data), String(data));
  }
  assert.throws(() => op.utf8.decode(Uint8Array.of(0xff), { fatal: true }), TypeError);
});

test("globals of the SDK", () => {
  const bom = Uint8Array.of(0xef, 0xbb, 0xbf, 0x41);
  assert.equal(new TextDecoder().decode(bom), "A");
  assert.equal(new TextDecoder("UTF8", { ignoreBOM: true }).decode(bom.buffer), "\ufeffA");
  assert.throws(() => new TextDecoder("latin1"), RangeError);
});

test("error names no line of the SDK", () => {
  const sources = ["../sdk/operation.js", "src/operation.js"];
  const own = readFileSync(new URL("../operation.js", import.meta.url), "utf8");
  assert.deepEqual(fileNames(sources, [own, "mine"]), ["", "operation.js"]);
  assert.deepEqual(fileNames(sources, undefined), ["operation.js", "operation.js"]);
});

test("table of lines maps the bundle to sources", () => {
  assert.deepEqual(lineTable(";AAAA;AACA,EAAE;ACFA"), [0, [0, 1], [0, 2], [1, 0]].map((at) => at));
});
