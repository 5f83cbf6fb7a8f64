import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

const encoder = new TextEncoder();
const bytes = (text) => encoder.encode(text);
const text = (data) => Buffer.from(data).toString();

let asked, lines, written, answer, stdin;
beforeEach(() => {
  [asked, lines, written, stdin] = [[], [], "", []];
  answer = ({ payload }) => ({ tag: "ok", val: payload });
});
const future = (value) => ({ read: async () => value, drop() {} });
globalThis.fakes = {
  "disperse:guest/log write": (level, message) => lines.push([level, message]),
  "disperse:guest/output write": (data) => void (written += text(data)),
  "disperse:guest/host-async submit": (action) => (asked.push([action]), future(answer(action))),
  "disperse:guest/host-async submitWith": (action, options) => (asked.push([action, options]), future(answer(action))),
  "disperse:guest/host-async sleep": (ms) => future(ms),
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
const { lineTable } = await import("../bundle.js");

const failing = async (handle, payload, kind = "k") => {
  try {
    await handle({ kind, payload: bytes(payload) });
  } catch (failure) {
    return failure;
  }
  assert.fail("it did not fail");
};

test("a worker squares", async () => {
  const handle = work.worker((n) => n * n);
  assert.equal(text(await handle({ kind: "k", payload: bytes("12") })), "144");
  const failure = await failing(handle, "x");
  assert.equal(failure.tag, "permanent");
  assert.match(failure.val, /^the input of `k` cannot be read: it is not JSON/);
});

test("whatever is thrown becomes a failure", async () => {
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

test("each kind has its function", async () => {
  const handle = work.worker({ a: () => 1, b: async (input, kind) => kind + input });
  assert.equal(text(await handle({ kind: "b", payload: bytes("2") })), '"b2"');
  assert.deepEqual(await failing(handle, "1", "toString"), {
    tag: "permanent",
    val: "there is no worker for `toString` here, only for a, b",
  });
});

test("HTTP, programs, quotas, the attempt", async () => {
  const response = await work.fetch("https://a.b", { json: { a: 1 } });
  assert.deepEqual([response.status, response.ok, response.header("x-left"), response.json()], [204, true, "7", { a: 1 }]);
  await assert.rejects(work.fetch("bad"), { sort: "invalid" });
  assert.throws(() => work.runProgram("/bin/ls"), { name: "Problem", sort: "denied", message: "denied: no grant" });
  work.reportQuota({ remaining: 3, resets: 0.5 });
  assert.deepEqual(asked, [{ bucket: "", remaining: 3, resets: 1 }]);
  assert.equal(work.attempt().worker, "w");
});

test("an operation from first to last", async () => {
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

test("actions, their options and refusals", async () => {
  assert.deepEqual(await op.perform("k", { a: "é" }, { timeout: 0.1, priority: -2 }), { a: "é" });
  assert.deepEqual([asked[0][1].timeout, asked[0][1].priority, asked[0][1].deadline], [1, -2, 0]);
  await op.perform("k", 1);
  assert.equal(asked[1].length, 1);
  await assert.rejects(op.perform("k", 1, { codec: op.RAW }), /the input of `k` cannot be encoded/);
  answer = () => ({ tag: "err", val: { reason: "poison", message: "why" } });
  await assert.rejects(op.perform("k", 1), { name: "Refusal", reason: "poison", message: "poison: why" });
  const settled = await op.performAll("k", [1, 2], { settled: true });
  assert.deepEqual(settled.map(({ status }) => status), ["rejected", "rejected"]);
  answer = () => ({ tag: "ok", val: bytes("{") });
  await assert.rejects(op.perform("k", 1), /the result of `k` cannot be read/);
});

test("any number of actions, in order", async () => {
  assert.deepEqual(await op.performAll("k", Array(3000).keys()), [...Array(3000).keys()]);
});

test("lines of any length", () => {
  stdin = ["a", "b\nc", "\n\n", "dé"];
  assert.deepEqual([...op.lines()], ["ab", "c", "", "dé"]);
  assert.deepEqual([...op.lines()], []);
  assert.deepEqual(op.args(), ["x"]);
  assert.deepEqual(op.environment(), { A: "1" });
});

test("UTF-8 as the engine of this test does it", () => {
  const plain = new TextDecoder();
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

test("the table of lines", () => {
  assert.deepEqual(lineTable(";AAAA;AACA,EAAE;ACFA"), [0, [0, 1], [0, 2], [1, 0]].map((at) => at));
});
