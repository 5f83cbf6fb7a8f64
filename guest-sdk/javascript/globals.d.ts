// The globals that this SDK adds to the engine: `"types": ["disperse/globals"]` in tsconfig.json, where the library "dom" is absent.

declare var console: Record<"debug" | "log" | "info" | "warn" | "error", (...values: unknown[]) => void>;
/** In operations only, on the run's time: in a worker it throws. */
declare function setTimeout(callback: (...values: any[]) => void, ms?: number, ...values: unknown[]): number;
declare function clearTimeout(id: number): void;
declare function queueMicrotask(callback: () => void): void;
declare function atob(text: string): string;
declare function btoa(text: string): string;
/** In ms since an arbitrary moment: only differences are meaningful. */
declare var performance: { now(): number };
declare class TextEncoder {
  readonly encoding: "utf-8";
  encode(text?: string): Uint8Array;
}
/** UTF-8 only: for any other label it throws a `RangeError`. */
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: "utf-8";
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(bytes?: ArrayBuffer | ArrayBufferView): string;
}
