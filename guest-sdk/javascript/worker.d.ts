import type { Codec } from "./common.js";

export {
  Busy, CodecError, Failure, JSON_ as JSON, Permanent, Problem, RAW, Retryable, TEXT, Unfit, environment, log, utf8,
} from "./common.js";

/** Does one action: `input` is what it brings. What it throws says who is to blame. */
export type Handler<Input = any, Output = any> = (input: Input, kind: string) => Promise<Output> | Output;

/** What the component exports: `export const handle = worker(...)`, with one function or one for each kind. */
export declare function worker<Input, Output>(
  handler: Handler<Input, Output> | Record<string, Handler>,
  options?: { codec?: Codec },
): (action: { kind: string; payload: Uint8Array }) => Promise<Uint8Array>;

/** What a worker can know about the attempt it is making. */
export interface Attempt {
  /** Names this action: the same on every attempt, another one in every run. An idempotency key. */
  action: string;
  /** Which attempt of the action this is, from 1. */
  number: number;
  /** How many ms are left before the attempt is cut. */
  remaining: number;
  /** The name of the worker that makes it. */
  worker: string;
}

/** The attempt that is going on. */
export declare function attempt(): Attempt;
/** Tells the host what a server said about a quota window of this worker: how many units are left, with less than 0
 * as 0, and in how many ms it starts afresh. */
export declare function reportQuota(report: { remaining: number; resets?: number; bucket?: string }): void;

/** What a server answered, with any status, also 4xx and 5xx. */
export declare class Response {
  readonly status: number;
  /** Names and values, in the order in which they came. */
  readonly headers: [string, string][];
  readonly body: Uint8Array;
  /** Whether the status is 2xx. */
  readonly ok: boolean;
  /** The first value of this header; the case of the name does not matter. */
  header(name: string): string | undefined;
  text(): string;
  json(): any;
}

/** Sends an HTTP request and waits for the whole response. Rejects with a `Problem` when there is none. */
export declare function fetch(
  url: string,
  request?: {
    method?: string;
    headers?: Record<string, string> | [string, string][];
    body?: string | Uint8Array;
    /** A body as JSON, with the header that says so. */
    json?: unknown;
    /** In ms. As long as the attempt unless given. */
    timeout?: number;
  },
): Promise<Response>;

/** Runs a program of the worker's machine to its end, as far as the operator allows it. Throws a `Problem`. */
export declare function runProgram(
  program: string,
  args?: string[],
  options?: { input?: string | Uint8Array; timeout?: number },
): { code?: number; output: Uint8Array; errors: Uint8Array };
