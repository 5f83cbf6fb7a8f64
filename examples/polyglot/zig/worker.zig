// How many steps a number has to 1, in Zig. `disperse.zig` is the header for C, translated by zig.
const disperse = @import("disperse.zig");

/// The largest exact whole number of some languages.
const most = (1 << 53) - 1;

export fn disperse_handle(_: [*:0]const u8, input: disperse.disperse_bytes) disperse.disperse_result {
    var n: i64 = 0;
    if (!disperse.disperse_number(input, &n) or n < 1)
        return disperse.disperse_permanent("%s has no way to 1", input.data);
    var count: i64 = 0;
    while (n != 1) : (count += 1) {
        if (n > most) return disperse.disperse_permanent("a number on the way is over 2^53 - 1");
        n = if (@rem(n, 2) == 0) @divExact(n, 2) else 3 * n + 1;
    }
    return disperse.disperse_ok_number(count);
}
