// How many steps a number has to 1, in AssemblyScript. It has no SDK, so this file implements the ABI of the component model:
// how `handle` is called, and where its result is.

const OK: u8 = 0;
const FAILED: u8 = 1;
const PERMANENT: u8 = 1;

/** The largest exact whole number of some languages. */
const MOST: i64 = (1 << 53) - 1;
const TOO_LARGE = "a number on the way is over 2^53 - 1";

/** The result of `handle`: whether it failed, how, and where its bytes are. */
const result = memory.data(16);

/** Memory for what the host passes in. It has to be in bounds even if no bytes are passed. */
export function cabi_realloc(_old: usize, _size: usize, _align: usize, size: usize): usize {
  return heap.alloc(max(size, 1));
}

export function handle(kind: usize, _kindLength: usize, payload: usize, length: usize): usize {
  let n = I64.parseInt(String.UTF8.decodeUnsafe(payload, length));
  heap.free(kind);
  heap.free(payload);
  // `parseInt` has no error for a number that does not fit.
  if (length > 18) return failed(TOO_LARGE);
  if (n < 1) return failed(n.toString() + " has no way to 1");
  let count: i64 = 0;
  for (; n !== 1; count++) {
    if (n > MOST) return failed(TOO_LARGE);
    n = n % 2 === 0 ? n / 2 : 3 * n + 1;
  }
  store<u8>(result, OK);
  return text(count.toString(), 4);
}

/** Frees the result that the host has read, and then the intermediate texts, which nothing else collects. */
export function cabi_post_handle(result: usize): void {
  heap.free(load<usize>(result + (load<u8>(result) === OK ? 4 : 8)));
  __collect();
}

function failed(why: string): usize {
  store<u8>(result, FAILED);
  store<u8>(result, PERMANENT, 4);
  return text(why, 8);
}

/** Writes the text's address and length there. */
function text(text: string, at: usize): usize {
  const length = String.UTF8.byteLength(text);
  const bytes = heap.alloc(max(length, 1));
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, bytes);
  store<usize>(result + at, bytes);
  store<usize>(result + at + 4, length);
  return result;
}
