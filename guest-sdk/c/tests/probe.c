/* Operation and worker in one, whose tasks use everything in disperse.h. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disperse.h"

static int deep(volatile char *above) {
  volatile char here[1000] = {'x'};
  return above[0] ? deep(here) + here[999] : 0;
}

static volatile int place;

static __attribute__((noinline)) void fall(void) {
  place = 1;
  abort();
}

static __attribute__((noinline)) void trip(void) {
  place = 2;
  abort();
}

/* Two attempts trap, at two places, without a message. */
static disperse_result stumble(void) {
  uint32_t number = disperse_attempt().number;
  if (number == 1) fall();
  if (number == 2) trip();
  return disperse_okf("done at attempt %" PRIu32, number);
}

/* Fails as a line of `disperse-host map --kind break` names it. */
static disperse_result fail_as(const char *how) {
  DISPERSE_CHECK(strcmp(how, "check"));
  if (!strcmp(how, "fail")) return disperse_fail("not %s", "today");
  if (!strcmp(how, "binary")) return disperse_permanent("\xff is no text, nor is \xe2\x82, but \xe2\x82\xac is");
  if (!strcmp(how, "busy")) return disperse_busy(50);
  if (!strcmp(how, "unfit")) return disperse_unfit("gone");
  if (!strcmp(how, "stumble")) return stumble();
  if (!strcmp(how, "abort")) {
    fprintf(stderr, "last words\n");
    abort();
  }
  if (!strcmp(how, "assert")) assert(!"asserted");
  if (!strcmp(how, "memory")) {
    for (;;) disperse_format("%1000000d", 1);
  }
  if (!strcmp(how, "deep")) return disperse_ok_number(deep((volatile char *)"x"));
  return disperse_ok(disperse_text(how));
}

/* Returns whether the memory of this instance is at most this large. */
static bool within(size_t mib) { return __builtin_wasm_memory_size(0) <= mib * 16; }

/* Text that is not UTF-8 is a problem that the worker can handle. */
static disperse_result no_text(void) {
  static const char bad[] = "https://example.com/\xff";
  disperse_header header = {"A", bad};
  disperse_request requests[] = {{.url = bad}, {.url = "https://example.com/", .headers = &header, .headers_count = 1}};
  for (size_t i = 0; i < 2; i++) {
    disperse_response response = disperse_fetch(&requests[i]);
    DISPERSE_CHECK(response.problem && !strcmp(response.problem, "invalid"));
  }
  const char *arguments[] = {"-l", bad};
  disperse_ended ended = disperse_program("/bin/ls", arguments, 2, disperse_text(""), 0);
  DISPERSE_CHECK(ended.problem && !strcmp(ended.problem, "failed"));
  disperse_report_quota(bad, 7, 100);
  return disperse_okf("%s", ended.message);
}

static disperse_result about(disperse_bytes name) {
  disperse_attempt_info info = disperse_attempt();
  disperse_report_quota(NULL, 7, 100);
  disperse_header header = {"A", "b"};
  disperse_request request = {.url = "https://example.com/", .headers = &header, .headers_count = 1};
  disperse_response response = disperse_fetch(&request);
  const char *arguments[] = {"-l"};
  disperse_ended ended = disperse_program("/bin/ls", arguments, 1, disperse_text(""), 0);
  return disperse_okf("%s %u %d %s / %s: %s / %s", name.data, (unsigned)info.number, info.remaining > 0, info.worker,
                      response.problem, response.message, ended.problem);
}

disperse_result disperse_handle(const char *kind, disperse_bytes input) {
  int64_t n, square;
  if (!strcmp(kind, "break")) return fail_as(input.data);
  if (!strcmp(kind, "about")) return about(input);
  if (!strcmp(kind, "echo")) return disperse_ok(input);
  if (!strcmp(kind, "empty")) return disperse_ok((disperse_bytes){NULL, 0});
  if (!strcmp(kind, "size")) return disperse_ok_number((int64_t)input.size);
  if (!strcmp(kind, "no text")) return no_text();
  if (!disperse_number(input, &n)) return disperse_permanent("`%s` is not a number", input.data);
  if (n == 14) return disperse_permanent("14 is never squared");
  if (__builtin_mul_overflow(n, n, &square)) return disperse_permanent("%" PRId64 " is too large", n);
  return disperse_ok_number(square);
}

static disperse_result all(void) {
  enum { COUNT = 3000 };
  static disperse_action actions[COUNT];
  static disperse_outcome outcomes[COUNT];
  int64_t sum = 0;
  for (int i = 0; i < COUNT; i++) actions[i] = (disperse_action){"square", disperse_digits(i + 20)};
  disperse_options options = {.idempotent = true, .priority = -1};
  disperse_perform_all(actions, COUNT, &options, outcomes);
  for (int i = 0; i < COUNT; i++) {
    int64_t square;
    DISPERSE_CHECK(outcomes[i].ok && disperse_number(outcomes[i].bytes, &square));
    sum += square;
  }
  disperse_perform_all(NULL, 0, NULL, NULL);
  return disperse_ok_number(sum);
}

static disperse_result any(void) {
  disperse_pending pendings[10];
  size_t settled[10], count;
  int64_t sum = 0;
  for (int i = 0; i < 10; i++) pendings[i] = disperse_submit("square", disperse_digits(i), NULL);
  disperse_cancel(&pendings[9]);
  disperse_cancel(&pendings[9]);
  while ((count = disperse_wait_any(pendings, 10, settled)))
    for (size_t i = 0; i < count; i++) {
      int64_t square;
      disperse_outcome outcome = disperse_take(&pendings[settled[i]]);
      DISPERSE_CHECK(outcome.ok && disperse_number(outcome.bytes, &square));
      sum += square;
    }
  disperse_outcome again = disperse_take(&pendings[0]);
  DISPERSE_CHECK(!again.ok && again.reason == DISPERSE_REASON_CANCELLED);
  return disperse_ok_number(sum);
}

/* More than the host accepts in one call, some of them with an invalid kind. */
static disperse_result large(void) {
  enum { COUNT = 1200, LARGE = 24 };
  static char block[1 << 20];
  static disperse_action actions[COUNT];
  static disperse_outcome outcomes[COUNT];
  int64_t size, sum = 0;
  for (int i = 0; i < COUNT; i++) actions[i] = (disperse_action){"size", {block, i < LARGE ? sizeof block : (size_t)i}};
  actions[LARGE].kind = "\xff";
  disperse_perform_all(actions, COUNT, NULL, outcomes);
  for (int i = 0; i < COUNT; i++) {
    DISPERSE_CHECK(outcomes[i].ok == (i != LARGE));
    if (i == LARGE) continue;
    DISPERSE_CHECK(disperse_number(outcomes[i].bytes, &size) && (size_t)size == actions[i].input.size);
    sum += size;
  }
  return disperse_ok_number(sum);
}

/* An invalid kind fails at once; other requests go on. */
static disperse_result kinds(void) {
  static char longest[258];
  memset(longest, 'k', 257);
  disperse_outcome outcome = disperse_perform(longest, disperse_text("1"), NULL);
  DISPERSE_CHECK(!outcome.ok && outcome.reason == DISPERSE_REASON_PERMANENT);
  longest[256] = 0;
  DISPERSE_CHECK(disperse_perform(longest, disperse_text("1"), NULL).ok);
  disperse_pending pendings[] = {disperse_submit("", disperse_text("4"), NULL),
                                 disperse_submit("\xff", disperse_text("1"), NULL)};
  size_t settled[2];
  DISPERSE_CHECK(disperse_wait_any(pendings, 2, settled) == 1 && settled[0] == 1);
  outcome = disperse_take(&pendings[1]);
  DISPERSE_CHECK(!outcome.ok && outcome.reason == DISPERSE_REASON_PERMANENT);
  DISPERSE_CHECK(disperse_wait_any(pendings, 2, settled) == 1 && settled[0] == 0);
  return disperse_ok(disperse_take(&pendings[0]).bytes);
}

/* Ten thousand actions, a thousand of them open all the time: their memory is freed on the way. */
static disperse_result window(void) {
  enum { OPEN = 1000, COUNT = 10000 };
  static disperse_pending pendings[OPEN];
  static size_t settled[OPEN];
  int asked = 0, done = 0;
  while (asked < OPEN) pendings[asked++] = disperse_submit("empty", disperse_text(""), NULL);
  for (size_t count; (count = disperse_wait_any(pendings, OPEN, settled)); done += (int)count)
    for (size_t i = 0; i < count; i++) {
      size_t mark = disperse_mark();
      DISPERSE_CHECK(disperse_take(&pendings[settled[i]]).ok);
      disperse_release(mark);
      if (asked < COUNT) pendings[settled[i]] = disperse_submit("empty", disperse_text(""), NULL), asked++;
    }
  return disperse_okf("%d within 2 MiB: %d", done, within(2));
}

static disperse_result logs(void) {
  disperse_log(DISPERSE_INFO, "a line %d", 1);
  for (int i = 0; i < 50000; i++) disperse_log(DISPERSE_DEBUG, "%100d", i);
  DISPERSE_CHECK(within(2));
  return disperse_fail("no %s", "result");
}

static disperse_result arguments(void) {
  size_t count;
  const char *const *given = disperse_arguments(&count);
  disperse_bytes said = disperse_text("");
  for (size_t i = 0; i < count; i++) said = disperse_format("%s[%s]", said.data, given[i]);
  return disperse_ok(said);
}

static disperse_result numbers(void) {
  static const char *const bad[] = {"", " 1", "1 ", "-", "x", "1.0", "0x1", "9223372036854775808"};
  int64_t n = 0;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) DISPERSE_CHECK(!disperse_number(disperse_text(bad[i]), &n));
  DISPERSE_CHECK(!disperse_number((disperse_bytes){"1\0", 2}, &n));
  DISPERSE_CHECK(disperse_number((disperse_bytes){"-123", 3}, &n) && n == -12);
  DISPERSE_CHECK(disperse_number(disperse_text("-9223372036854775808"), &n) && n == INT64_MIN);
  disperse_bytes most = disperse_digits(INT64_MAX);
  DISPERSE_CHECK(disperse_number(most, &n) && n == INT64_MAX && most.size == 19);
  return disperse_ok(most);
}

/* Ten thousand times ten kilobytes, which would not fit at once. */
static disperse_result often(void) {
  static char block[10000];
  size_t mark = disperse_mark();
  for (int i = 0; i < 10000; i++) {
    disperse_outcome outcome = disperse_perform("echo", (disperse_bytes){block, sizeof block}, NULL);
    DISPERSE_CHECK(outcome.ok && outcome.bytes.size == sizeof block);
    disperse_release(mark);
  }
  return disperse_okf("within 2 MiB: %d", within(2));
}

static disperse_result refused(void) {
  disperse_options once = {.attempts = 1};
  disperse_outcome outcome = disperse_perform("square", disperse_text("x"), NULL);
  DISPERSE_CHECK(!outcome.ok && outcome.reason == DISPERSE_REASON_PERMANENT);
  outcome = disperse_perform("break", disperse_text("fail"), &once);
  DISPERSE_CHECK(!outcome.ok && outcome.reason == DISPERSE_REASON_EXHAUSTED);
  return disperse_ok(outcome.bytes);
}

static const char *const tasks[] = {"all", "any",     "arguments", "about", "empty",   "forgot", "kinds",  "large",
                                    "log", "no text", "numbers",   "often", "refused", "sleep",  "window", "é😀"};

bool disperse_next(disperse_bytes *task) {
  static size_t next;
  if (next == sizeof tasks / sizeof *tasks) return false;
  *task = disperse_text(tasks[next++]);
  return true;
}

disperse_result disperse_run(disperse_bytes task) {
  const char *name = task.data;
  if (!strcmp(name, "all")) return all();
  if (!strcmp(name, "any")) return any();
  if (!strcmp(name, "arguments")) return arguments();
  if (!strcmp(name, "empty")) return disperse_ok((disperse_bytes){NULL, 0});
  if (!strcmp(name, "kinds")) return kinds();
  if (!strcmp(name, "large")) return large();
  if (!strcmp(name, "log")) return logs();
  if (!strcmp(name, "numbers")) return numbers();
  if (!strcmp(name, "often")) return often();
  if (!strcmp(name, "refused")) return refused();
  if (!strcmp(name, "sleep")) return disperse_ok_number(disperse_sleep(2500));
  if (!strcmp(name, "window")) return window();
  if (!strcmp(name, "about") || !strcmp(name, "no text")) {
    disperse_outcome outcome = disperse_perform(name, disperse_text("me"), NULL);
    return outcome.ok ? disperse_ok(outcome.bytes) : disperse_fail("%s", outcome.bytes.data);
  }
  if (!strcmp(name, "forgot")) {
    disperse_submit("square", disperse_text("2"), NULL);
    return disperse_ok(disperse_perform("square", disperse_text("3"), NULL).bytes);
  }
  return disperse_ok_number((int64_t)task.size);
}

void disperse_collect(disperse_bytes task, disperse_result outcome) {
  const char *what = outcome.verdict == DISPERSE_OK ? "" : "ERR ";
  disperse_output(disperse_format("%s: %s%s\n", task.data, what, outcome.bytes.data));
}

disperse_result disperse_finish(void) { return disperse_fail("no end"); }
