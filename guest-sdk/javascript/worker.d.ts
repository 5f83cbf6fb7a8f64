import type { Codec } from "./common.js";

export {
  Busy, CodecError, Failure, JSON_ as JSON, Permanent, Problem, RAW, Retryable, TEXT, Unfit, environment, log, utf8,
} from "./common.js";

/** Performs one action with this `input`. The exception that it throws decides what happens next. */
export type Handler<Input = any, Output = any> = (input: Input, kind: string) => Promise<Output> | Output;

/** The exports of the component: `export const handle = worker(...)`, with one function or one for each kind. */
export declare function worker<Input, Output>(
  handler: Handler<Input, Output> | Record<string, Handler>,
  options?: { codec?: Codec },
): (action: { kind: string; payload: Uint8Array }) => Promise<Uint8Array>;

/** The current attempt, as far as a worker can know it. */
export interface Attempt {
  /** Names this action: the same on every attempt, another one in every run. An idempotency key. */
  action: string;
  /** Which attempt of the action this is, from 1. */
  number: number;
  /** How many ms are left before the attempt is ended. */
  remaining: number;
  /** The name of this worker. */
  worker: string;
}

/** Returns the current attempt. */
export declare function attempt(): Attempt;
/** Reports a quota window of this worker, as a server gave it: how many units are left (less than 0 counts as 0), and in
 * how many ms the window starts again. */
export declare function reportQuota(report: { remaining: number; resets?: number; bucket?: string }): void;

/** The response of a server, with any status, also 4xx and 5xx. */
export declare class Response {
  readonly status: number;
  /** Names and values, in the order of the response. */
  readonly headers: [string, string][];
  readonly body: Uint8Array;
  /** Whether the status is 2xx. */
  readonly ok: boolean;
  /** Returns the first value of this header; the case of the name does not matter. */
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
    /** A body as JSON, with the header `content-type`. */
    json?: unknown;
    /** In ms. As long as the attempt unless given. */
    timeout?: number;
  },
): Promise<Response>;

/** Runs a program of the worker's machine to its end, if the operator grants it. Throws a `Problem`. */
export declare function runProgram(
  program: string,
  args?: string[],
  options?: { input?: string | Uint8Array; timeout?: number },
): { code?: number; output: Uint8Array; errors: Uint8Array };
