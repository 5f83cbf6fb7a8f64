import type { Codec, Refusal } from "./common.js";

export { CodecError, JSON_ as JSON, RAW, Reason, Refusal, TEXT, environment, log, utf8 } from "./common.js";

/** The definition of an operation. It needs `run`, and `tasks` or `next`. */
export interface Parts<Task, Result> {
  /** A generator of tasks. It is advanced whenever one more task may be in flight. `yield undefined` means that there is
   * none *now*: it is advanced again after the next `collect`. */
  tasks?(): Iterable<Task | undefined>;
  /** Hands out one more task, or undefined if there is none now. An alternative to `tasks`. */
  next?(): Task | undefined;
  /** The logic of one task, in an instance of its own, which is why it has no `this`. An exception ends this task and not
   * the run. Only this may be async. */
  run(this: void, task: Task): Promise<Result> | Result;
  /** Takes the end of one task: its result, or undefined and the text of its error. Unless given, the result becomes a
   * line of the output and an error one of the log. */
  collect?(task: Task, result: Result | undefined, error: string | undefined): void | undefined;
  /** Called once, after the last `collect`. An exception is the run's error. */
  finish?(): void | undefined;
  /** The format of tasks and results. JSON unless given. */
  codec?: Codec;
}

/** The exports of the component: `export const { next, run, collect, finish } = operation({...})`. */
export declare function operation<Task, Result>(parts: Parts<Task, Result>): {
  next(): Uint8Array | undefined;
  run(task: Uint8Array): Promise<Uint8Array>;
  collect(task: Uint8Array, outcome: { tag: "ok"; val: Uint8Array } | { tag: "err"; val: string }): void;
  finish(): void;
};

/** Options of one action. */
export interface Options {
  /** The format of input and result. JSON unless given. */
  codec?: Codec;
  /** Higher goes first. */
  priority?: number;
  /** How long one attempt may take, in ms. May only lower the pool's. */
  timeout?: number;
  /** How long the action may take until it is settled, in ms. Unlimited unless given. */
  deadline?: number;
  /** Fuel for one attempt in millions of units. May only lower the pool's. */
  fuel?: number;
  /** How many attempts may fail before the action fails. */
  attempts?: number;
  /** Whether performing the action twice does no harm. */
  idempotent?: boolean;
}

/** Requests an action at once, and resolves to its result. Rejects with a `Refusal`. */
export declare function perform<O = any>(kind: string, input?: unknown, options?: Options): Promise<O>;
/** The same as `perform`, for code that requests now and waits later. */
export declare const submit: typeof perform;
/** Requests one action of this kind for each input, at most 1,024 at once. The results are in the order of the inputs. It
 * rejects with the first `Refusal`, or with `settled` resolves to the outcome of each. */
export declare function performAll<O = any>(kind: string, inputs: Iterable<unknown>, options: Options & { settled: true }): Promise<PromiseSettledResult<O>[]>;
export declare function performAll<O = any>(kind: string, inputs: Iterable<unknown>, options?: Options): Promise<O[]>;
/** How many actions of a task may be in flight; one more waits. */
export declare const OPEN_MAX: number;
/** Waits for this many ms of the run's time. Resolves to the run's time in ms. `setTimeout` is there too. */
export declare function sleep(ms: number): Promise<number>;
/** Appends to the run's output, exactly as it is. Only for `tasks`, `next`, `collect` and `finish`. */
export declare function output(data: string | Uint8Array): void;
/** As `output`, with a newline after it. */
export declare function outputLine(data: string | Uint8Array): void;
/** Returns the arguments of the run, which follow `--`. */
export declare function args(): string[];
/** Yields the run's standard input in pieces. For the planner. */
export declare function input(): Generator<Uint8Array>;
/** Yields the run's standard input line by line. For the planner. */
export declare function lines(): Generator<string>;
