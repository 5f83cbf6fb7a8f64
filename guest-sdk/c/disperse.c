/* Implements disperse.h on top of the generated bindings in gen/. The only file to compile. */
#include "disperse.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#if defined(DISPERSE_WORKER) && defined(DISPERSE_OPERATION)
#include "gen/both/guest.c"
#elif defined(DISPERSE_WORKER)
#include "gen/worker/guest.c"
#elif defined(DISPERSE_OPERATION)
#include "gen/operation/guest.c"
#else
#error "compile disperse.c with -DDISPERSE_WORKER, -DDISPERSE_OPERATION or both"
#endif

/* The bindings expect this from an object file with the type of the component; the host knows the type. */
void __component_type_object_force_link_guest(void) {}

/* --- Memory until the end of the call --- */

static void **kept;
static size_t kept_count, kept_room;

static void *there_is(void *memory) {
  guest_string_t words = {(uint8_t *)"out of memory", 13};
  if (memory) return memory;
  disperse_guest_log_write(DISPERSE_GUEST_LOG_LEVEL_ERROR, &words);
  abort();
}

static void *keep(void *memory) {
  if (kept_count == kept_room) {
    kept_room = kept_room ? 2 * kept_room : 64;
    kept = there_is(realloc(kept, kept_room * sizeof *kept));
  }
  return kept[kept_count++] = memory;
}

size_t disperse_mark(void) { return kept_count; }

void disperse_release(size_t mark) {
  while (kept_count > mark) free(kept[--kept_count]);
}

static void let_go(void) { disperse_release(0); }

/* Allocates for one function of this SDK, which frees it. */
static void *scratch(size_t count, size_t size) { return there_is(calloc(count ? count : 1, size)); }

static void *room(size_t count, size_t size) { return keep(scratch(count, size)); }

/* Takes ownership of memory that the bindings allocated. */
static disperse_bytes taken(uint8_t *data, size_t size) {
  char *bytes = there_is(realloc(size ? data : NULL, size + 1));
  bytes[size] = 0;
  return (disperse_bytes){keep(bytes), size};
}

#define TAKEN(list) taken((list).ptr, (list).len)

static guest_list_u8_t lent(disperse_bytes bytes) { return (guest_list_u8_t){(uint8_t *)bytes.data, bytes.size}; }

static guest_string_t lent_text(const char *text) {
  return (guest_string_t){(uint8_t *)(text ? text : ""), text ? strlen(text) : 0};
}

/* Allocates memory that the bindings free, if it is not empty. */
static guest_list_u8_t given(disperse_bytes bytes) {
  if (!bytes.size) return (guest_list_u8_t){NULL, 0};
  return (guest_list_u8_t){memcpy(there_is(malloc(bytes.size)), bytes.data, bytes.size), bytes.size};
}

/* Returns how many bytes the character here has; 0 if it is not UTF-8. */
static size_t character(const uint8_t *at, size_t size) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t length = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : at[0] >> 3 == 30 ? 4 : 0;
  if (length < 2 || length > size) return length == 1;
  uint32_t code = at[0] & (0x7f >> length);
  for (size_t i = 1; i < length; i++) {
    if (at[i] >> 6 != 2) return 0;
    code = code << 6 | (at[i] & 0x3f);
  }
  return code < least[length] || code > 0x10ffff || code >> 11 == 0x1b ? 0 : length;
}

/* Returns whether the host accepts a text: one that is not UTF-8 would trap. */
static bool is_text(const char *text) {
  guest_string_t left = lent_text(text);
  for (size_t step; left.len; left.ptr += step, left.len -= step) {
    step = character(left.ptr, left.len);
    if (step == 0) return false;
  }
  return true;
}

/* Replaces bytes that are not UTF-8 by question marks. */
static void repair(uint8_t *text, size_t size) {
  for (size_t i = 0, step; i < size; i += step) {
    step = character(text + i, size - i);
    if (step == 0) text[i] = '?', step = 1;
  }
}

static guest_string_t given_text(disperse_bytes bytes) {
  guest_list_u8_t list = given(bytes);
  repair(list.ptr, list.len);
  return (guest_string_t){list.ptr, list.len};
}

disperse_bytes disperse_text(const char *text) { return (disperse_bytes){text, text ? strlen(text) : 0}; }

static disperse_bytes formatted(const char *format, va_list values) {
  char *text = NULL;
  int size = vasprintf(&text, format, values);
  if (size < 0) there_is(NULL);
  return (disperse_bytes){keep(text), (size_t)size};
}

#define FORMATTED(bytes, format)                                                                                       \
  va_list values;                                                                                                      \
  va_start(values, format);                                                                                            \
  disperse_bytes bytes = formatted(format, values);                                                                    \
  va_end(values)

disperse_bytes disperse_format(const char *format, ...) {
  FORMATTED(bytes, format);
  return bytes;
}

disperse_bytes disperse_digits(int64_t number) { return disperse_format("%" PRId64, number); }

bool disperse_number(disperse_bytes bytes, int64_t *number) {
  /* Not by `strtoimax`, which reads beyond the bytes if no NUL follows. */
  bool negative = bytes.size && bytes.data[0] == '-';
  size_t first = bytes.size && (negative || bytes.data[0] == '+');
  int64_t value = 0;
  for (size_t i = first; i < bytes.size; i++) {
    if (!isdigit((unsigned char)bytes.data[i])) return false;
    int digit = bytes.data[i] - '0';
    if (__builtin_mul_overflow(value, 10, &value)) return false;
    if (__builtin_add_overflow(value, negative ? -digit : digit, &value)) return false;
  }
  if (first == bytes.size) return false;
  *number = value;
  return true;
}

/* --- Results --- */

disperse_result disperse_ok(disperse_bytes bytes) { return (disperse_result){DISPERSE_OK, bytes, 0}; }

disperse_result disperse_ok_number(int64_t number) { return disperse_ok(disperse_digits(number)); }

disperse_result disperse_okf(const char *format, ...) {
  FORMATTED(bytes, format);
  return disperse_ok(bytes);
}

disperse_result disperse_fail(const char *format, ...) {
  FORMATTED(bytes, format);
  return (disperse_result){DISPERSE_RETRYABLE, bytes, 0};
}

disperse_result disperse_permanent(const char *format, ...) {
  FORMATTED(bytes, format);
  return (disperse_result){DISPERSE_PERMANENT, bytes, 0};
}

disperse_result disperse_unfit(const char *format, ...) {
  FORMATTED(bytes, format);
  return (disperse_result){DISPERSE_UNFIT, bytes, 0};
}

disperse_result disperse_busy(uint32_t ms) { return (disperse_result){DISPERSE_BUSY, disperse_text("busy"), ms}; }

void disperse_log(disperse_level level, const char *format, ...) {
  size_t mark = disperse_mark();
  FORMATTED(bytes, format);
  guest_string_t message = {(uint8_t *)bytes.data, bytes.size};
  repair(message.ptr, message.len);
  disperse_guest_log_write((uint8_t)level, &message);
  disperse_release(mark);
}

#ifdef DISPERSE_WORKER
#include "src/worker.c"
#endif

#ifdef DISPERSE_OPERATION
#include "src/operation.c"
#endif
