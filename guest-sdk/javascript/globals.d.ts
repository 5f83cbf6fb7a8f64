// What this SDK adds to the engine: `"types": ["disperse/globals"]` in tsconfig.json, where the library "dom" is not.

declare var console: Record<"debug" | "log" | "info" | "warn" | "error", (...values: unknown[]) => void>;
/** In operations only, on the run's time. */
declare function setTimeout<V extends unknown[]>(callback: (...values: V) => void, ms?: number, ...values: V): number;
declare function clearTimeout(id: number): void;
declare class TextEncoder {
  encode(text?: string): Uint8Array;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean });
  decode(bytes?: ArrayBuffer | ArrayBufferView): string;
}
