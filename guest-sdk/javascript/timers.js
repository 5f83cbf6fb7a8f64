// Timers on the run's time: one heap of them, and a sleep of the host only for the earliest. The number of sleeps is
// limited, and none can be cancelled.

import { sleep as hostSleep } from "disperse:guest/host-async@0.1.0";

import { describe, log, read, role, toMs } from "./common.js";

const CANCELLED_KEPT = 64;

// `{ due, order, ring }`: when in ms; the order among those of the same moment; the callback, unset once it was called.
let heap = [];
let order = 0;
let cancelled = 0;
let looking = false;
// When the pending sleeps of the host end.
const wakes = new Set();

const compare = (a, b) => a.due - b.due || a.order - b.order;

function push(timer) {
  let at = heap.length;
  for (let up; at > 0 && compare(timer, heap[(up = (at - 1) >> 1)]) < 0; at = up) heap[at] = heap[up];
  heap[at] = timer;
}

function pop() {
  const [first] = heap;
  const last = heap.pop();
  let at = 0;
  for (let down; (down = 2 * at + 1) < heap.length; at = down) {
    if (down + 1 < heap.length && compare(heap[down + 1], heap[down]) < 0) down++;
    if (compare(last, heap[down]) <= 0) break;
    heap[at] = heap[down];
  }
  if (heap.length > 0) heap[at] = last;
  return first;
}

/** Calls `ring` with the run's time after this many ms. */
function set(ms, ring) {
  if (role.worker) throw new Error("a worker has no timers");
  const timer = { due: Date.now() + toMs(ms), order: order++, ring };
  push(timer);
  // Deferred: of many timers that are set together, only the earliest needs a sleep.
  if (!looking) {
    looking = true;
    Promise.resolve().then(() => {
      looking = false;
      wake();
    });
  }
  return timer;
}

function cancel(timer) {
  timer.ring = undefined;
  if (++cancelled <= Math.max(CANCELLED_KEPT, heap.length / 2)) return;
  heap = heap.filter(({ ring }) => ring).sort(compare);
  cancelled = 0;
}

/** Requests a sleep until the next timer, unless an earlier one is pending. */
function wake() {
  while (heap.length > 0 && !heap[0].ring) pop();
  if (heap.length === 0) return;
  const { due } = heap[0];
  if (due >= Math.min(...wakes)) return;
  wakes.add(due);
  read(hostSleep(toMs(Math.max(due - Date.now(), 0)))).then((time) => {
    wakes.delete(due);
    const now = Date.now();
    while (heap.length > 0 && heap[0].due <= now) ring(pop(), time);
    wake();
  });
}

/** Calls one timer's callback in a microtask of its own, so that it can still cancel the next one, and its error ends no other. */
function ring(timer, time) {
  Promise.resolve()
    .then(() => {
      const call = timer.ring;
      timer.ring = undefined;
      call?.(time);
    })
    .catch((error) => log.error(`a timer's callback failed: ${describe(error)}`));
}

export const sleep = (ms) => new Promise((resolve) => set(ms, resolve));

const byId = new Map();
let lastId = 0;
globalThis.setTimeout ??= (callback, ms = 0, ...values) => {
  const id = ++lastId;
  const run = () => {
    byId.delete(id);
    callback(...values);
  };
  byId.set(id, set(Math.max(Number(ms) || 0, 0), run));
  return id;
};
globalThis.clearTimeout ??= (id) => {
  const timer = byId.get(id);
  if (timer && byId.delete(id)) cancel(timer);
};
