/* Write Disperse operations and workers in C or C++.
 *
 * A worker defines `disperse_handle`; an operation defines `disperse_next` and `disperse_run`, and may define
 * `disperse_collect` and `disperse_finish`. Compile `disperse.c`, as C, along with -DDISPERSE_WORKER,
 * -DDISPERSE_OPERATION or both.
 *
 * The arguments of a function of yours, and all values that the functions of this header return, are valid until your
 * function returns; then they are freed (earlier: `disperse_release`). Bytes are followed by a NUL that does not count;
 * texts are UTF-8. A payload or a result may have 8 MiB unless the operator sets another limit. Times are ms. If memory
 * runs out, the instance is lost: no function returns that as an error. */
#ifndef DISPERSE_H
#define DISPERSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Borrowed bytes. `data` may be NULL if `size` is 0. */
typedef struct {
  const char *data;
  size_t size;
} disperse_bytes;

/* Returns the bytes of a text, which are not copied. NULL counts as empty. */
disperse_bytes disperse_text(const char *text);
/* Returns a text formatted as by printf. */
disperse_bytes disperse_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Returns the decimal digits of a number, which are also its JSON. */
disperse_bytes disperse_digits(int64_t number);
/* Parses these bytes, and no more, as a whole decimal number of 64 bits; false if they are not one, or do not fit. */
bool disperse_number(disperse_bytes bytes, int64_t *number);

/* For functions with many requests: `size_t mark = disperse_mark();` before, and afterwards `disperse_release(mark);`
 * frees everything that was returned since. */
size_t disperse_mark(void);
void disperse_release(size_t mark);

/* --- Results of your functions --- */

typedef enum {
  DISPERSE_OK,
  DISPERSE_RETRYABLE,
  DISPERSE_PERMANENT,
  DISPERSE_BUSY,
  DISPERSE_UNFIT,
} disperse_verdict;

/* A result, or why there is none. */
typedef struct {
  disperse_verdict verdict;
  disperse_bytes bytes; /* the result, or the reason as text */
  uint32_t ms;          /* for DISPERSE_BUSY */
} disperse_result;

/* Returns these bytes as the result. */
disperse_result disperse_ok(disperse_bytes bytes);
/* Returns a text as the result, formatted as by printf. */
disperse_result disperse_okf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Returns this number as the result, in decimal digits. */
disperse_result disperse_ok_number(int64_t number);
/* A retryable failure: the action goes to a different worker. From `disperse_run` and `disperse_finish` it is the
 * error. */
disperse_result disperse_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A permanent failure: the action itself is at fault. It is not tried again. */
disperse_result disperse_permanent(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* This worker is at its limit for this long; 0: unknown. Costs no attempt. */
disperse_result disperse_busy(uint32_t ms);
/* This worker can do no more work. The action goes to another one at no cost; if that can do it, this worker is evicted. */
disperse_result disperse_unfit(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Leaves a function that returns a disperse_result with a retryable failure that names the file and the line, unless
 * this holds: "n > 0 does not hold (worker.c line 7, in disperse_handle)". */
#define DISPERSE_CHECK(holds)                                                                                          \
  do {                                                                                                                 \
    if (!(holds))                                                                                                      \
      return disperse_fail("%s does not hold (%s line %d, in %s)", #holds, __FILE_NAME__, __LINE__, __func__);         \
  } while (0)

/* --- Log messages for the operator --- */

typedef enum { DISPERSE_DEBUG, DISPERSE_INFO, DISPERSE_WARNING, DISPERSE_ERROR } disperse_level;

/* Writes one line to the host's log, at most 8 KiB of it. */
void disperse_log(disperse_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- Workers --- */

/* Yours: performs one action of this kind. Static variables may keep their values for the next one, and may lose them at
 * any moment. Settings are environment variables: `getenv`. */
disperse_result disperse_handle(const char *kind, disperse_bytes input);

typedef struct {
  const char *action; /* the same on every attempt: an idempotency key */
  uint32_t number;    /* from 1 */
  uint32_t remaining; /* ms before the attempt is ended */
  const char *worker;
} disperse_attempt_info;

/* Returns the current attempt. Here and below: for `disperse_handle` only. */
disperse_attempt_info disperse_attempt(void);

/* Reports a quota window of this worker, as a server gave it. `bucket` may be NULL, `resets` 0 for unknown. */
void disperse_report_quota(const char *bucket, uint32_t remaining, uint32_t resets);

typedef struct {
  const char *name;
  const char *value;
} disperse_header;

typedef struct {
  const char *verb; /* NULL: GET */
  const char *url;  /* absolute, https or http */
  const disperse_header *headers;
  size_t headers_count;
  disperse_bytes body;
  uint32_t timeout; /* 0: as long as the attempt */
} disperse_request;

typedef struct {
  const char *problem; /* NULL if there is a response: else "denied", "invalid", "timeout", "unreachable", "oversize" */
  const char *message; /* what the problem is */
  int status;
  const disperse_header *headers;
  size_t headers_count;
  disperse_bytes body;
} disperse_response;

/* Sends an HTTP request and waits for the whole response, at most 8 MiB. Any status is a response, also 4xx and 5xx. Text
 * that is not UTF-8 is "invalid". */
disperse_response disperse_fetch(const disperse_request *request);
/* Returns the first value of this header, or NULL; the case of the name does not matter. */
const char *disperse_header_of(const disperse_response *response, const char *name);

typedef struct {
  const char *problem; /* NULL if it ended by itself: else "denied", "failed", "timeout", "oversize" */
  const char *message;
  int code; /* -1 if a signal ended it */
  disperse_bytes output;
  disperse_bytes errors;
} disperse_ended;

/* Runs a program of the worker's machine, by its absolute path, to its end and whatever its exit code, if the operator
 * grants it. Output and errors are each at most as large as a result may be. `timeout` 0: as the attempt. Text
 * that is not UTF-8 is "failed". */
disperse_ended disperse_program(const char *program, const char *const *arguments, size_t count, disperse_bytes input,
                                uint32_t timeout);

/* --- Operations --- */

/* Yours: hands out one more task, or returns false if there is none now. It is called again after every collect. */
bool disperse_next(disperse_bytes *task);
/* Yours: the logic of one task, in an instance of its own. A verdict other than DISPERSE_OK ends this task and not the run. */
disperse_result disperse_run(disperse_bytes task);
/* Yours, optional: takes the end of one task. By default a result becomes a line of the output, an error one of the log. */
void disperse_collect(disperse_bytes task, disperse_result outcome);
/* Yours, optional: comes last. A verdict other than DISPERSE_OK is the run's error. */
disperse_result disperse_finish(void);

/* The next line of the run's input, which is standard input, without its end; false if there is none. For
 * `disperse_next`; it is valid until the next line is read. */
bool disperse_line(disperse_bytes *line);
/* Returns the arguments of the run, which follow `--`, and their number. */
const char *const *disperse_arguments(size_t *count);

/* Options of one action; 0 always means the default. */
typedef struct {
  int32_t priority;  /* higher goes first */
  uint32_t timeout;  /* of one attempt; may only lower the pool's */
  uint32_t deadline; /* until it is settled */
  uint32_t fuel;     /* of one attempt, in millions; may only lower the pool's */
  uint32_t attempts; /* how many may fail */
  bool idempotent;   /* whether performing it twice does no harm */
} disperse_options;

typedef struct {
  const char *kind; /* UTF-8 of at most 256 bytes, else the action fails as permanent; NULL counts as empty */
  disperse_bytes input;
} disperse_action;

typedef enum {
  DISPERSE_REASON_PERMANENT,
  DISPERSE_REASON_EXHAUSTED,
  DISPERSE_REASON_POISON,
  DISPERSE_REASON_UNROUTABLE,
  DISPERSE_REASON_CANCELLED,
  DISPERSE_REASON_DEADLINE,
  DISPERSE_REASON_OVERSIZE,
} disperse_reason;

/* The outcome of an action. */
typedef struct {
  bool ok;
  disperse_bytes bytes;   /* the result, or what happened as text */
  disperse_reason reason; /* if not ok */
} disperse_outcome;

/* Requests one action and waits for it. `options` may be NULL, here and below. Only `disperse_run` may request. */
disperse_outcome disperse_perform(const char *kind, disperse_bytes input, const disperse_options *options);
/* Requests all of them, as many at once as may be in flight, and waits for all. `outcomes` has `count` elements and is
 * filled in the order of the actions. */
void disperse_perform_all(const disperse_action *actions, size_t count, const disperse_options *options,
                          disperse_outcome *outcomes);

/* A requested action whose outcome has not been taken. */
typedef struct {
  int32_t handle;
} disperse_pending;

/* Requests an action and returns at once, unless 1,024 are in flight already. Its outcome need not be taken. */
disperse_pending disperse_submit(const char *kind, disperse_bytes input, const disperse_options *options);
/* Waits until it is settled and returns its outcome, once: a second call returns the reason cancelled. */
disperse_outcome disperse_take(disperse_pending *pending);
/* Cancels it; nothing happens if it was taken or cancelled. */
void disperse_cancel(disperse_pending *pending);
/* Waits until at least one is settled, and writes the indexes of those that are into `settled`, ascending; it must have
 * `count` elements. Those that were taken or cancelled are left out. Returns how many; 0 if there is none to wait for. */
size_t disperse_wait_any(const disperse_pending *pendings, size_t count, size_t *settled);
/* Waits for this long of the run's time and returns the run's time. */
uint32_t disperse_sleep(uint32_t ms);

/* Appends to the run's output, exactly as it is, in pieces of 1 MiB. Not for `disperse_run`. */
void disperse_output(disperse_bytes bytes);
/* As `disperse_output`, with a newline after it. */
void disperse_output_line(disperse_bytes bytes);

#ifdef __cplusplus
}
#endif
#endif
