// Which number of each range has the longest way to 1.
const std = @import("std");
const disperse = @import("disperse.zig");

const most_numbers = 100_000;

export fn disperse_next(task: *disperse.disperse_bytes) bool {
    return disperse.disperse_line(task);
}

export fn disperse_run(task: disperse.disperse_bytes) disperse.disperse_result {
    return run(task.data[0..task.size]) catch |problem| disperse.disperse_fail("%s", @errorName(problem).ptr);
}

fn run(range: []const u8) !disperse.disperse_result {
    var words = std.mem.tokenizeScalar(u8, range, ' ');
    const from = try std.fmt.parseInt(i64, words.next() orelse return error.NoRange, 10);
    const to = try std.fmt.parseInt(i64, words.next() orelse return error.NoRange, 10);
    if (from < 1 or to < from) return error.EmptyRange;
    if (to - from >= most_numbers) return error.LongRange;

    // The instance of a task ends with the task, which frees its memory.
    const memory = std.heap.c_allocator;
    const actions = try memory.alloc(disperse.disperse_action, @intCast(to - from + 1));
    const outcomes = try memory.alloc(disperse.disperse_outcome, actions.len);
    for (actions, 0..) |*action, i|
        action.* = .{ .kind = "steps", .input = disperse.disperse_digits(from + @as(i64, @intCast(i))) };
    disperse.disperse_perform_all(actions.ptr, actions.len, null, outcomes.ptr);

    var longest = from;
    var most: i64 = 0;
    for (outcomes, 0..) |outcome, i| {
        if (!outcome.ok) return disperse.disperse_fail("%s", outcome.bytes.data);
        var steps: i64 = 0;
        if (!disperse.disperse_number(outcome.bytes, &steps)) return error.NoNumber;
        if (steps > most) {
            longest = from + @as(i64, @intCast(i));
            most = steps;
        }
    }
    return disperse.disperse_okf("\"%lld-%lld: %lld takes %lld steps\"", from, to, longest, most);
}
