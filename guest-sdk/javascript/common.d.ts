/** A format of payloads. */
export interface Codec<T = any> {
  encode(value: T): Uint8Array;
  decode(payload: Uint8Array): T;
}

/** JSON. The default, shared with every other language. */
export declare const JSON_: Codec;
/** `String` of a value; decoded as a string. Lines for `disperse-host map`. */
export declare const TEXT: Codec;
/** Unchanged bytes. */
export declare const RAW: Codec<Uint8Array>;

/** A value could not be encoded or decoded. */
export declare class CodecError extends Error {}
/** The failure of an action on this worker: one of the four sorts. Any other value that is thrown counts as `Retryable`. */
export declare class Failure extends Error {}
/** It may succeed later or elsewhere. The action goes to a different worker. */
export declare class Retryable extends Failure {}
/** It can never work: the action itself is at fault. It is not tried again. */
export declare class Permanent extends Failure {}
/** This worker is at its limit, for this many ms; 0: unknown. Costs no attempt. */
export declare class Busy extends Failure {
  constructor(ms?: number);
  readonly ms: number;
}
/** This worker can do no more work. The action goes to another one at no cost; if that can do it, this worker is evicted. */
export declare class Unfit extends Failure {}

/** Why an action ended without a result. */
export type Reason = "permanent" | "exhausted" | "poison" | "unroutable" | "cancelled" | "deadline" | "oversize";
/** An action ended without a result. */
export declare class Refusal extends Error {
  constructor(reason: Reason, message: string);
  readonly reason: Reason;
}
/** There is no response, or a program did not end by itself. */
export declare class Problem extends Error {
  constructor(sort: string, message: string);
  readonly sort: "denied" | "invalid" | "timeout" | "unreachable" | "oversize" | "failed";
}

/** Lines for the host's log. `console` writes there too. */
export declare const log: Record<"debug" | "info" | "warning" | "error", (...values: unknown[]) => void>;
/** Returns the variables that the operator has set. */
export declare function environment(): Record<string, string>;
/** UTF-8, for engines without it. `TextEncoder` and `TextDecoder` are there too. */
export declare const utf8: {
  encode(text: string): Uint8Array;
  decode(bytes: Uint8Array, options?: { fatal?: boolean }): string;
};
